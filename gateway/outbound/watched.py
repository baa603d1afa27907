"""The store that tells the way out of each commit, and adds to its outbox what subscriptions to resources ask for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol, cast

from gateway.store.layer import Layer
from gateway.store.protocol import Commit, OutboxRow, Put, Store, Version
from terminology.fhirjson import Json
from terminology.issues import VersionConflict

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
ATTEMPTS = 50


class Watcher(Protocol):
    """What looks at commits. `topics` that a written resource adds to the outbox; `admit` may change or refuse
    (FhirError) a Subscription; `written` hears of the commit afterwards."""

    def topics(self, resource: Json) -> Sequence[str]: ...
    async def admit(self, change: Put) -> Put: ...
    def written(self, commit: Commit) -> None: ...


class WatchedStore(Layer):
    """Everything but `commit` is the store's own. `now` is the time with its offset."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        super().__init__(store)
        self._now = now
        self.watcher: Watcher | None = None
        self.writes = 0
        """How many commits went through since the start: who follows the history need not ask while it stands."""

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        written = await self._write(commit)
        self.writes += 1
        return written

    async def _write(self, commit: Commit) -> Sequence[Version | None]:
        watcher = self.watcher
        if watcher is None:
            return await self._store.commit(commit)
        changes = [
            await watcher.admit(change)
            if isinstance(change, Put) and change.resource["resourceType"] == "Subscription"
            else change
            for change in commit.changes
        ]
        told = {
            number: topics
            for number, change in enumerate(changes)
            if isinstance(change, Put) and (topics := watcher.topics(change.resource))
        }
        full = replace(commit, changes=changes) if changes != list(commit.changes) else commit
        written = await (self._commit_told(full, told) if told else self._store.commit(full))
        watcher.written(full)
        return written

    async def _commit_told(
        self, commit: Commit, told: Mapping[int, Sequence[str]]
    ) -> Sequence[Version | None]:
        """Write with a row for each version that others hear of: every version is told, so each is expected."""
        loose = [number for number in told if commit.changes[number].expected is None]
        for attempt in range(ATTEMPTS):
            changes = list(commit.changes)
            for number in loose:
                changes[number] = await self._expecting(cast(Put, changes[number]))
            rows = [
                row
                for number, topics in told.items()
                for row in self._rows(cast(Put, changes[number]), topics)
            ]
            try:
                return await self._store.commit(
                    replace(commit, changes=changes, outbox=[*commit.outbox, *rows])
                )
            except VersionConflict:
                again = [await self._expecting(cast(Put, commit.changes[number])) for number in loose]
                was_ours = any(
                    new.expected != changes[number].expected for new, number in zip(again, loose, strict=True)
                )
                if not was_ours or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _expecting(self, change: Put) -> Put:
        version = await self._store.read(change.resource["resourceType"], change.resource["id"])
        return replace(change, expected=version.version if version is not None else 0)

    def _rows(self, change: Put, topics: Sequence[str]) -> list[OutboxRow]:
        resource = change.resource
        reference = f"{resource['resourceType']}/{resource['id']}"
        subject = resource.get("subject") or resource.get("patient") or {}
        key = str(subject.get("reference") or reference) if isinstance(subject, dict) else reference
        focus = f"{reference}/_history/{(change.expected or 0) + 1}"
        payload = {"focus": focus, "at": self._now().isoformat(timespec="milliseconds")}
        return [OutboxRow(topic, key, payload) for topic in topics]
