"""The terminology that operations answer from: resources stored over REST, catalogues, and what FHIR ships.

Stored CodeSystem, ValueSet and ConceptMap resources take effect with their commit: `NoticingStore` tells of every
commit in this process, and other processes' writes are looked for once a second.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

from gateway.store.protocol import Commit, Delete, Store, Version
from terminology.fhir_core import FhirCore
from terminology.fhirjson import Json, decode_resource
from terminology.grammars import GrammarLibrary
from terminology.issues import InvalidInput
from terminology.library import KINDS, Libraries, Library, ResourceLibrary
from terminology.service import Terminology
from terminology.shapes import check_shape

SECONDS = 1.0

log = logging.getLogger("gateway.terminology")


class TerminologyLibrary:
    """Keeps a `Terminology` in step with a store.

    `catalogues`: further libraries, asked after the stored resources and before FHIR's own. `is_noticed`: commits of
    this process are told to `notice` (by a NoticingStore), so the store need not be asked each time.
    """

    def __init__(
        self,
        store: Store,
        *catalogues: Library,
        is_noticed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stored = ResourceLibrary()
        self.core = FhirCore()
        self.terminology = Terminology(Libraries(self.stored, *catalogues, GrammarLibrary(), self.core))
        self._store = store
        self._is_noticed = is_noticed
        self._clock = clock
        self._is_stale = True
        self._looked = -SECONDS
        self._since: datetime | None = None
        self._lock = asyncio.Lock()

    def notice(self, commit: Commit) -> None:
        """Remember that a commit touched terminology."""
        for change in commit.changes:
            kind = change.type if isinstance(change, Delete) else change.resource.get("resourceType")
            if kind in KINDS:
                self._is_stale = True
                return

    async def current(self) -> Terminology:
        """Return the terminology with everything that is committed."""
        if self._is_stale or not self._is_noticed or self._clock() - self._looked >= SECONDS:
            async with self._lock:
                await self._refresh()
        return self.terminology

    async def _refresh(self) -> None:
        self._is_stale = False
        self._looked = self._clock()
        latest = self._since
        for kind in KINDS:
            seen: set[str] = set()
            async for version in self._store.history(kind, since=self._since):
                if version.id in seen:
                    continue
                seen.add(version.id)
                self._take(version)
                if latest is None or version.last_updated > latest:
                    latest = version.last_updated
        self._since = latest

    def _take(self, version: Version) -> None:
        if version.body is None:
            self.stored.remove(version.type, version.id)
            return
        known = self.stored.by_id(version.type, version.id)
        if known is not None and known.get("meta", {}).get("versionId") == str(version.version):
            return
        resource = decode_resource(version.body)
        try:
            check_shape(resource, "stored")
        except InvalidInput:
            # Written without validation; it stays readable over REST and answers no terminology question.
            log.warning("stored %s/%s cannot be evaluated", version.type, version.id)
            self.stored.remove(version.type, version.id)
            return
        self.stored.put(resource)

    def shipped(self, kind: str, identity: str) -> Json | None:
        """Return a resource that FHIR itself defines, by its id."""
        return self.core.by_id(kind, identity)


class NoticingStore:
    """A store that tells about each commit after it was written; everything else is the store's own."""

    def __init__(self, store: Store, notice: Callable[[Commit], None]) -> None:
        self._store = store
        self._notice = notice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        written = await self._store.commit(commit)
        self._notice(commit)
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
