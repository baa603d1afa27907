"""The stores that REST tests run over: name → a fresh store, with a folder where it may keep files."""

from collections.abc import Awaitable
from pathlib import Path

import pytest

from gateway.search import Parameters
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.store.sqlite import SqliteStore

STORES = ("memory", "sqlite", "postgres")


def store_of(name: str, folder: Path, request: pytest.FixtureRequest) -> Store | Awaitable[Store]:
    """Return a fresh store, or how to open it in the event loop that will use it."""
    if name == "memory":
        return MemoryStore()
    if name == "sqlite":
        return SqliteStore(folder / "store.db", Parameters(), synchronous="normal")
    from gateway.store.postgres import PostgresStore

    return PostgresStore.open(request.getfixturevalue("postgres_dsn"), Parameters(), fresh=True)
