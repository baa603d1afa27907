"""Every store that the contract runs over; PostgreSQL is started from its PyPI wheel unless a DSN is given."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.search import Parameters
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.store.sqlite import SqliteStore

STORES = ("memory", "sqlite", "postgres")


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], object]:
    """A function that gives an empty store as an async context manager."""
    kind = request.param
    dsn = request.getfixturevalue("postgres_dsn") if kind == "postgres" else ""

    @asynccontextmanager
    async def open() -> AsyncIterator[Store]:
        store: Store
        if kind == "memory":
            store = MemoryStore(Parameters())
        elif kind == "sqlite":
            store = SqliteStore(tmp_path / "store.db", Parameters(), synchronous="normal")
        else:
            from gateway.store.postgres import PostgresStore

            store = await PostgresStore.open(dsn, Parameters(), fresh=True)
        try:
            yield store
        finally:
            await store.close()

    return open
