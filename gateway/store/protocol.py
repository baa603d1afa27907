"""What every store can do: the one write path and the reads.

Every write of the gateway (REST, messages, workflows) ends in `Store.commit`: compare-and-swap on versions,
guards of conditional interactions, history, index rows, outbox and audit rows in one transaction
(docs/design.md, decision 5). Stores never raise for an expected "no": a missing resource is `None`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from terminology.fhirjson import Json
from terminology.issues import Issue

if TYPE_CHECKING:
    from gateway.search.parameters import Parameters
    from gateway.search.query import Query

Method = Literal["POST", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one resource. `body` is the JSON as stored, None when this version is the deletion."""

    type: str
    id: str
    version: int
    last_updated: datetime
    method: Method
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Put:
    """Write `resource` (with resourceType and id) as the next version; the store stamps meta.versionId/lastUpdated.

    `expected`: the version that must be current; 0 = must not exist now; None = whatever is there.
    `unless_same`: write nothing and return the current version when only meta would change.
    """

    resource: Json
    expected: int | None = None
    method: Method = "PUT"
    unless_same: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Mark as deleted; deleting what is absent changes nothing and returns no version."""

    type: str
    id: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that must still hold inside the transaction: `query` matches exactly `ids`.

    A conditional interaction searches first, decides, and commits with the guard; when a parallel write made the
    search stale the commit raises `GuardFailed` and the interaction decides again (http.html#cond-update).
    """

    query: "Query"
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Something to tell others after the commit: topic, key (order is kept per key) and JSON payload."""

    topic: str
    key: str
    payload: Json


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that becomes visible at once, or not at all."""

    changes: Sequence[Put | Delete]
    guards: Sequence[Guard] = ()
    outbox: Sequence[OutboxRow] = ()
    audit: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`matches` in order, `total` when it is known or was asked for, `cursor` to go on (None at the end)."""

    matches: Sequence[Version]
    included: Sequence[Version] = ()
    total: int | None = None
    cursor: str | None = None
    previous: str | None = None
    warnings: Sequence[Issue] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Reindex:
    """How far a posted search parameter has reached the resources that were there before it."""

    url: str
    code: str
    done: int
    total: int

    @property
    def is_finished(self) -> bool:
        return self.done >= self.total


class GuardFailed(Exception):
    """A guard no longer holds; search and decide again."""


class Store(Protocol):
    """The contract; `tests/contracts/test_store.py` runs over every implementation.

    `parameters`: the search parameters in force here; pass them to `gateway.search.parse`.
    """

    parameters: "Parameters"

    async def read(self, type: str, id: str) -> Version | None:
        """Return the current version (a deletion too), None when there never was one."""

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Version]:
        """Return the current versions (deletions too) of (type, id) pairs, all of one moment; absent ones are left out."""

    async def vread(self, type: str, id: str, version: int) -> Version | None: ...

    def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Version]:
        """Yield versions, newest first, of one resource, one type or everything, written in [since, until)."""

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        """Write all changes or none; return the written (or, for `unless_same`, current) version of each change.

        Raises `VersionConflict` when an `expected` version is not current, `GuardFailed` when a guard is stale.
        """

    async def search(self, query: "Query") -> SearchPage:
        """Return one page; raises InvalidInput for a cursor that is not ours or too old, TooCostly over the time limit."""

    async def outbox(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, OutboxRow]]:
        """Return outbox rows with a number above `after`, in the order of their commits."""

    async def forget_outbox(self, upto: int) -> None:
        """Drop the outbox rows up to this number: all who need them have them."""

    async def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Json]]:
        """Return audit rows with a number above `after`, in order."""

    async def reindex(self, *, step: int = 500) -> Sequence["Reindex"]:
        """Index up to `step` old resources for posted search parameters; return what is done and what is left."""

    async def purge(self, *, limit: int = 1_000) -> int:
        """Drop index rows of versions replaced before the retention time; return how many versions that were."""

    async def size(self) -> int:
        """Return the bytes that the data takes on disk."""

    async def close(self) -> None: ...
