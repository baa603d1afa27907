"""The terminology that operations answer from: resources stored over REST, catalogues, and what FHIR ships.

Stored CodeSystem, ValueSet and ConceptMap resources take effect with their commit: `NoticingStore` tells of every
commit in this process, and other processes' writes are looked for once a second.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime

from conformance import profiles
from gateway.store.protocol import Commit, Delete, Store, Version
from terminology.catalogue.shipped_maps import ShippedMaps
from terminology.concept_map_index import read_map
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
        self.maps = ShippedMaps()
        county = ResourceLibrary(row for kind in KINDS for row in profiles.resources(kind))
        self.terminology = Terminology(
            Libraries(self.stored, *catalogues, county, self.maps, GrammarLibrary(), self.core)
        )
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
        try:
            resource = _read(version.type, version.body)
        except InvalidInput:
            # Written without validation; it stays readable over REST and answers no terminology question.
            log.warning("stored %s/%s cannot be evaluated", version.type, version.id)
            self.stored.remove(version.type, version.id)
            return
        self.stored.put(resource)

    def held(self, kind: str, identity: str) -> Json | None:
        """Return a stored or shipped resource by its id."""
        return self.stored.by_id(kind, identity) or self.shipped(kind, identity)

    def shipped(self, kind: str, identity: str) -> Json | None:
        """Return a resource of the county profiles or one that FHIR itself defines, by its id."""
        return (
            profiles.by_id(kind, identity)
            or self.maps.by_id(kind, identity)
            or self.core.by_id(kind, identity)
        )


def _read(kind: str, body: bytes) -> Json:
    """Return a stored terminology resource; raises InvalidInput when its shape cannot be evaluated."""
    if kind == "ConceptMap":
        return read_map(body)
    resource = decode_resource(body)
    check_shape(resource, "stored")
    return resource
