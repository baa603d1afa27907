"""What the store knows of a message's resources, asked for many messages at once.

Messages that are under way at the same moment ask in the same turn of the event loop; their questions become one
statement. Each call into SQLite hands the interpreter to the writer thread, so few large calls beat many small ones.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from gateway.search import parse
from gateway.search.query import Query
from gateway.store.protocol import Store, Version
from terminology.fhirjson import decode_resource

Key = tuple[str, str]
Pair = tuple[str | None, str]
Answer = TypeVar("Answer")

KEYS = 500
PAIRS = 100
PAGE = 1_000


class _Turn(Generic[Answer]):
    """The questions of one turn and their common answer."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str | None, str]] = set()
        self.future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()


class Lookup:
    """Answers from the store, a turn's questions together."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._reads: _Turn[Mapping[Key, Version]] | None = None
        self._searches: _Turn[Mapping[tuple[str, str | None, str], list[Version]]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def versions(self, keys: Iterable[Key]) -> dict[Key, Version]:
        """Return the current versions of (type, id) pairs; absent ones are left out."""
        wanted = list(keys)
        if self._reads is None:
            self._reads = _Turn()
            self._soon(self._read())
        turn = self._reads
        turn.asked.update((type, None, id) for type, id in wanted)
        found = await turn.future
        return {key: found[key] for key in wanted if key in found}

    async def identified(self, type: str, pairs: Sequence[Pair]) -> list[Version]:
        """Return the resources of a type that carry one of the identifiers, each once."""
        if self._searches is None:
            self._searches = _Turn()
            self._soon(self._search())
        turn = self._searches
        asked = [(type, system, value) for system, value in pairs]
        turn.asked.update(asked)
        found = await turn.future
        return list({version.id: version for row in asked for version in found.get(row, ())}.values())

    def query(self, type: str, pairs: Sequence[Pair], *, count: int = 10) -> Query:
        """Return the search for resources with one of the identifiers."""
        value = ",".join(f"{_token(system or '')}|{_token(value)}" for system, value in pairs)
        params = [("identifier", value), ("_count", str(count))]
        return parse(type, params, strict=True, parameters=self.store.parameters, max_count=PAGE)

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self) -> None:
        turn, self._reads = self._reads, None
        assert turn is not None
        keys = [(type, id) for type, _, id in turn.asked]
        found: dict[Key, Version] = {}
        try:
            for start in range(0, len(keys), KEYS):
                found.update(await self.store.read_many(keys[start : start + KEYS]))
        except Exception as error:
            turn.future.set_exception(error)
        else:
            turn.future.set_result(found)

    async def _search(self) -> None:
        turn, self._searches = self._searches, None
        assert turn is not None
        found: dict[tuple[str, str | None, str], list[Version]] = {}
        try:
            for type in sorted({row[0] for row in turn.asked}):
                pairs = [(system, value) for kind, system, value in turn.asked if kind == type]
                for start in range(0, len(pairs), PAIRS):
                    await self._find(type, pairs[start : start + PAIRS], found)
        except Exception as error:
            turn.future.set_exception(error)
        else:
            turn.future.set_result(found)

    async def _find(
        self, type: str, pairs: Sequence[Pair], found: dict[tuple[str, str | None, str], list[Version]]
    ) -> None:
        page = await self.store.search(self.query(type, pairs, count=PAGE))
        for version in page.matches:
            for row in decode_resource(version.body or b"{}").get("identifier", ()):
                found.setdefault((type, row.get("system"), row.get("value", "")), []).append(version)


def _token(text: str) -> str:
    """Escape what separates values in a search (search.html#escaping)."""
    for mark in ("\\", "|", ",", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text
