"""One filled store a kind for all rows of the search tables."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from search import fill

from gateway.search import Parameters
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.store.sqlite import SqliteStore


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as found:
        yield found


@pytest.fixture(scope="session")
def filled(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Any:
    """Return a function: kind of store → the store with the resources of the tables."""
    stores: dict[str, Store] = {}

    async def make(kind: str) -> Store:
        store: Store
        if kind == "memory":
            store = MemoryStore(Parameters())
        elif kind == "sqlite":
            store = SqliteStore(
                tmp_path_factory.mktemp("spec") / Path("s.db"), Parameters(), synchronous="normal"
            )
        else:
            from gateway.store.postgres import PostgresStore

            store = await PostgresStore.open(
                request.getfixturevalue("postgres_dsn"), Parameters(), fresh=True
            )
        await fill(store)
        return store

    def get(kind: str) -> Store:
        if kind not in stores:
            stores[kind] = runner.run(make(kind))
        return stores[kind]

    yield get
    for store in stores.values():
        runner.run(store.close())
