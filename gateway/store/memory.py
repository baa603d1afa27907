"""The store in memory: every search decided resource by resource (gateway/search/match.py).

The reference that the durable stores are compared with, and a store for tests and previews. Nothing survives it.
"""

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cmp_to_key
from typing import Any

from gateway.search import cursor as cursors
from gateway.search import include as including
from gateway.search.match import World, holds, sort_value
from gateway.search.parameters import Parameters
from gateway.search.posted import Posted
from gateway.search.query import Include, Query, Sort
from gateway.search.values import Index
from gateway.store import stamp
from gateway.store.changes import Current, Step, decide, key
from gateway.store.protocol import (
    Commit,
    Delete,
    GuardFailed,
    Method,
    OutboxRow,
    Put,
    Reindex,
    SearchPage,
    Version,
)
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Issue

FOREVER = 2**62


@dataclass(slots=True)
class _Row:
    """One version; visible in snapshots from `number` until `until`."""

    number: int
    type: str
    id: str
    version: int
    updated: int
    method: Method
    body: bytes | None
    index: Index
    until: int = FOREVER

    def to_version(self) -> Version:
        return Version(
            self.type, self.id, self.version, stamp.to_datetime(self.updated), self.method, self.body
        )


class MemoryStore:
    """`clock` gives microseconds since 1970 UTC."""

    def __init__(self, parameters: Parameters | None = None, *, clock: Callable[[], int] = stamp.now) -> None:
        self.parameters = parameters or Parameters()
        self._clock = clock
        self._instant = stamp.Clock(self.parameters.options.offset_minutes)
        self._rows: list[_Row] = []
        self._by_id: dict[tuple[str, str], list[_Row]] = defaultdict(list)
        self._by_type: dict[str, list[_Row]] = defaultdict(list)
        self._outbox: list[tuple[int, OutboxRow]] = []
        self._audit: list[Json] = []
        self._outboxed = 0
        self._last = 0
        self._secret = secrets.token_bytes(32)
        self._posted = Posted(self.parameters)

    async def close(self) -> None:
        """Forget nothing: a test may still look."""

    async def read(self, type: str, id: str) -> Version | None:
        found = self._by_id.get((type, id))
        return found[-1].to_version() if found else None

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Version]:
        return {key: found[-1].to_version() for key in keys if (found := self._by_id.get(key))}

    async def vread(self, type: str, id: str, version: int) -> Version | None:
        found = self._by_id.get((type, id), [])
        return next((row.to_version() for row in found if row.version == version), None)

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Version]:
        low = stamp.to_micros(since) if since is not None else -FOREVER
        high = stamp.to_micros(until) if until is not None else FOREVER
        for row in reversed(self._rows[:]):
            if (
                (type is None or row.type == type)
                and (id is None or row.id == id)
                and low <= row.updated < high
            ):
                yield row.to_version()

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        for guard in commit.guards:
            page = self._search(guard.query)
            if {version.id for version in page.matches} != guard.ids:
                raise GuardFailed
        current = {key(change): self._current(*key(change)) for change in commit.changes}
        steps = decide(commit.changes, current)
        prepared = [
            (change, step, self.parameters.extract(change.resource) if isinstance(change, Put) else Index())
            for change, step in zip(commit.changes, steps, strict=True)
        ]
        self._last = max(self._last, self._clock())
        written = [self._write(change, step, index) for change, step, index in prepared]
        for row in commit.outbox:
            self._outboxed += 1
            self._outbox.append((self._outboxed, row))
        self._audit.extend(commit.audit)
        for change in commit.changes:
            self._posted.note(change)
        return written

    def _current(self, type: str, id: str) -> Current | None:
        found = self._by_id.get((type, id))
        if not found:
            return None
        row = found[-1]
        return Current(row.number, row.version, row.body is None, row.body)

    def _write(self, change: Put | Delete, step: Step, index: Index) -> Version | None:
        versions = self._by_id[step.type, step.id]
        if step.keeps is not None:
            return versions[-1].to_version()
        if step.version == 0:
            return None
        body = None
        if isinstance(change, Put):
            body = stamp.stamped(change.resource, step.version, self._instant.text(self._last))
        row = _Row(
            len(self._rows) + 1, step.type, step.id, step.version, self._last, step.method, body, index
        )
        if versions:
            versions[-1].until = row.number
        self._rows.append(row)
        versions.append(row)
        self._by_type[step.type].append(row)
        return row.to_version()

    async def search(self, query: Query) -> SearchPage:
        return self._search(query)

    def _search(self, query: Query) -> SearchPage:
        at = cursors.decode(query.cursor, query, self._secret) if query.cursor else None
        snapshot = at.snapshot if at is not None else len(self._rows)
        world = _Snapshot(self, snapshot)
        types = query.types or tuple(self._by_type)
        found = [
            row
            for type in types
            for row in world.referrers(type)
            if all(holds(condition, row, world) for condition in query.where)
        ]
        # Ties go by the time of writing, in the direction of the first key; newest first without one.
        found.sort(key=lambda row: row.number, reverse=not query.sort or query.sort[0].descending)
        if query.sort:
            found.sort(key=cmp_to_key(lambda a, b: _compare(query.sort, a, b)))
        start = at.after[0] if at is not None else 0
        page = found[start : start + query.count]
        end = start + len(page)
        more = (
            cursors.encode(cursors.Cursor(snapshot, (end,)), query, self._secret)
            if end < len(found)
            else None
        )
        included, warnings = self._include(page, query.includes, world)
        return SearchPage(
            matches=[row.to_version() for row in page],
            included=[row.to_version() for row in included],
            total=None if query.total == "none" else len(found),
            cursor=more if query.count else None,
            warnings=warnings,
        )

    def _include(
        self, page: list[_Row], includes: Sequence[Include], world: "_Snapshot"
    ) -> tuple[list[_Row], list[Issue]]:
        seen = {row.number for row in page}
        included: list[_Row] = []
        fresh = page
        for turn in range(including.MAX_ROUNDS if includes else 0):
            active = [one for one in includes if turn == 0 or one.iterates]
            new: dict[int, _Row] = {}
            for one in active:
                paths = including.paths(one, {row.type for row in fresh}, self.parameters)
                rows = (
                    world.referring(fresh, one, paths)
                    if one.is_reverse
                    else world.referred(fresh, one, paths)
                )
                new.update((row.number, row) for row in rows if row.number not in seen)
            if not new:
                break
            seen |= new.keys()
            fresh = list(new.values())
            included += fresh
            if len(included) > including.MAX_INCLUDED:
                warning = Issue("HT-SEARCH-37", {"most": including.MAX_INCLUDED}, "warning")
                return included[: including.MAX_INCLUDED], [warning]
        return included, []

    async def outbox(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, OutboxRow]]:
        return [row for row in self._outbox if row[0] > after][:limit]

    async def forget_outbox(self, upto: int) -> None:
        self._outbox = [row for row in self._outbox if row[0] > upto]

    async def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Json]]:
        return list(enumerate(self._audit, 1))[after : after + limit]

    async def reindex(self, *, step: int = 500) -> Sequence[Reindex]:  # noqa: ARG002  # of the protocol
        """Memory is indexed anew at once; a second run finds nothing to do."""
        waiting = self._posted.waiting()
        if waiting:
            for row in self._rows:
                if row.body is not None:
                    row.index = self.parameters.extract(decode_resource(row.body))
        done = []
        for definition in waiting:
            total = sum(len(self._by_type[base]) for base in definition.base)
            self.parameters.add(definition, is_ready=True)
            done.append(Reindex(definition.url, definition.code, total, total))
        return done

    async def purge(self, *, limit: int = 1_000) -> int:  # noqa: ARG002  # of the protocol
        """Keep everything: the cursors of memory never expire."""
        return 0

    async def size(self) -> int:
        return sum(len(row.body or b"") for row in self._rows)


class _Snapshot(World):
    """The store as it was after commit number `at`."""

    def __init__(self, store: MemoryStore, at: int) -> None:
        self._store = store
        self._at = at

    def find(self, type: str, id: str) -> _Row | None:
        for row in reversed(self._store._by_id.get((type, id), [])):
            if row.number <= self._at:
                return row if row.body is not None and row.until > self._at else None
        return None

    def referrers(self, type: str) -> Iterable[_Row]:
        return (
            row
            for row in self._store._by_type.get(type, [])
            if row.number <= self._at < row.until and row.body is not None
        )

    def referred(self, rows: list[_Row], one: Include, paths: frozenset[str]) -> Iterable[_Row]:
        for row in rows:
            if one.source not in (None, row.type):
                continue
            for value in row.index.tokens:
                if value.path in paths and one.target in (None, value.system):
                    found = self.find(value.system, value.code)
                    if found is not None:
                        yield found

    def referring(self, rows: list[_Row], one: Include, paths: frozenset[str]) -> Iterable[_Row]:
        wanted = {(row.type, row.id) for row in rows if one.target in (None, row.type)}
        types = (one.source,) if one.source is not None else tuple(self._store._by_type)
        for type in types:
            for other in self.referrers(type):
                if any(v.path in paths and (v.system, v.code) in wanted for v in other.index.tokens):
                    yield other


def _compare(keys: Sequence[Sort], left: Any, right: Any) -> int:
    """Order two rows; without a value comes last, whatever the direction."""
    for one in keys:
        a, b = sort_value(one, left), sort_value(one, right)
        if a == b:
            continue
        if a is None or b is None:
            return 1 if a is None else -1
        return (1 if a > b else -1) * (-1 if one.descending else 1)
    return 0
