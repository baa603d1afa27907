"""A store over a store: what each layer of the one write path is made of (gateway/assembly/store.py)."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.store.protocol import Commit, Store, Version


class Layer:
    """What a subclass does not do itself is done by the store beneath."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class NoticingStore(Layer):
    """Tells about each commit after it was written."""

    def __init__(self, store: Store, notice: Callable[[Commit], None]) -> None:
        super().__init__(store)
        self._notice = notice

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        written = await self._store.commit(commit)
        self._notice(commit)
        return written
