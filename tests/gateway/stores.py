"""The stores that REST tests run over: name → a fresh store, with a folder where it may keep files."""

from collections.abc import Callable
from pathlib import Path

from gateway.search import Parameters
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store
from gateway.store.sqlite import SqliteStore


def memory(_folder: Path) -> Store:
    return MemoryStore()


def sqlite(folder: Path) -> Store:
    return SqliteStore(folder / "store.db", Parameters(), synchronous="normal")


STORES: dict[str, Callable[[Path], Store]] = {"memory": memory, "sqlite": sqlite}
