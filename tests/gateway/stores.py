"""The stores that REST tests run over: name → a fresh store, with a folder where it may keep files."""

from collections.abc import Callable
from pathlib import Path

from gateway.store.memory import MemoryStore
from gateway.store.protocol import Store


def memory(_folder: Path) -> Store:
    return MemoryStore()


STORES: dict[str, Callable[[Path], Store]] = {"memory": memory}
