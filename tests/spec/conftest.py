"""One filled store a kind for all rows of the search tables."""

import asyncio
from collections.abc import Iterator

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


def _filled(runner: asyncio.Runner, store: Store) -> Iterator[Store]:
    runner.run(fill(store))
    yield store
    runner.run(store.close())


@pytest.fixture(scope="session")
def memory(runner: asyncio.Runner) -> Iterator[Store]:
    yield from _filled(runner, MemoryStore(Parameters()))


@pytest.fixture(scope="session")
def sqlite(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    async def make() -> Store:
        return SqliteStore(tmp_path_factory.mktemp("spec") / "s.db", Parameters(), synchronous="normal")

    yield from _filled(runner, runner.run(make()))


@pytest.fixture(scope="session")
def postgres(runner: asyncio.Runner, postgres_dsn: str) -> Iterator[Store]:
    from gateway.store.postgres import PostgresStore

    yield from _filled(runner, runner.run(PostgresStore.open(postgres_dsn, Parameters(), fresh=True)))
