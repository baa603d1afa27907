"""The store that tells the way out of each commit, and adds to its outbox what subscriptions to resources ask for."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from gateway.store.protocol import Commit, Delete, OutboxRow, Put, Store, Version
from terminology.fhirjson import Json

# The topic of a row that only says "this resource was written": for subscriptions with search criteria.
CHANGED = "resource-changed"
# What systems with a register of their own hear of, by resource type.
REGISTER = {
    "Patient": "patient-changed",
    "Encounter": "encounter-changed",
    "DocumentReference": "document-final",
}
WRITTEN = frozenset((CHANGED, *REGISTER.values()))
"""Topics of rows that the watch adds: the same version is told once."""


class Watcher(Protocol):
    """What looks at commits. `topics` that a written resource adds to the outbox; `admit` may change or refuse
    (FhirError) a Subscription; `written` hears of the commit afterwards."""

    def topics(self, resource: Json) -> Sequence[str]: ...
    async def admit(self, change: Put) -> Put: ...
    def written(self, commit: Commit) -> None: ...


class WatchedStore:
    """Everything but `commit` is the store's own. `now` is the time with its offset."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store, self._now = store, now
        self.watcher: Watcher | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        watcher = self.watcher
        if watcher is None:
            return await self._store.commit(commit)
        changes = [
            await watcher.admit(change)
            if isinstance(change, Put) and change.resource["resourceType"] == "Subscription"
            else change
            for change in commit.changes
        ]
        rows = [row for change in changes for row in self._rows(watcher, change)]
        full = replace(commit, changes=changes, outbox=[*commit.outbox, *rows]) if rows else commit
        if full is commit and changes != list(commit.changes):
            full = replace(commit, changes=changes)
        written = await self._store.commit(full)
        watcher.written(full)
        return written

    def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Version]:
        return self._store.history(type, id, since=since, until=until)

    def _rows(self, watcher: Watcher, change: Put | Delete) -> list[OutboxRow]:
        topics = watcher.topics(change.resource) if isinstance(change, Put) else ()
        if not topics:
            return []
        assert isinstance(change, Put)
        resource = change.resource
        reference = f"{resource['resourceType']}/{resource['id']}"
        # The version is known here only when the writer expects one; else the fan-out reads the newest.
        focus = reference if change.expected is None else f"{reference}/_history/{change.expected + 1}"
        subject = resource.get("subject") or resource.get("patient") or {}
        key = str(subject.get("reference") or reference) if isinstance(subject, dict) else reference
        payload = {"focus": focus, "at": self._now().isoformat(timespec="milliseconds")}
        return [OutboxRow(topic, key, payload) for topic in topics]
