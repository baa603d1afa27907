"""The definitions that validation uses: what was posted over REST, beside what R4 ships.

Stored StructureDefinitions, value sets, questionnaires and measures take effect with the next validation: before one,
the store is asked what changed since the last look.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.store.protocol import Store, Version
from terminology.fhirjson import decode_resource

if TYPE_CHECKING:
    from conformance.validation import ProfileRegistry
    from gateway.rest.context import Context

KINDS = (
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "Questionnaire",
    "Measure",
    "ImplementationGuide",
)
# How long writes at level full may rely on the last look; $validate always looks.
SECONDS = 1.0

_log = logging.getLogger(__name__)
_libraries: weakref.WeakKeyDictionary["Context", "ProfileLibrary"] = weakref.WeakKeyDictionary()


class ProfileLibrary:
    """Keeps a ProfileRegistry in step with a store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        from conformance.validation import ProfileRegistry

        self.registry = ProfileRegistry()
        self._store = store
        self._clock = clock
        self._looked = float("-inf")
        self._since: dict[str, datetime] = {}
        self._known: dict[tuple[str, str], tuple[int, str | None]] = {}
        self._lock = asyncio.Lock()

    def touch(self) -> None:
        """Look again before the next validation: a definition is being written."""
        self._looked = float("-inf")

    async def current(self, *, seconds: float = 0.0) -> "ProfileRegistry":
        """Return the registry with what is committed, or what was `seconds` ago."""
        if self._clock() - self._looked >= seconds:
            async with self._lock:
                self._looked = self._clock()
                for kind in KINDS:
                    await self._refresh(kind)
        return self.registry

    async def _refresh(self, kind: str) -> None:
        seen: set[str] = set()
        async for version in self._store.history(kind, since=self._since.get(kind)):
            if version.id in seen:
                continue
            seen.add(version.id)
            self._take(version)
            latest = self._since.get(kind)
            if latest is None or version.last_updated > latest:
                self._since[kind] = version.last_updated

    def _take(self, version: Version) -> None:
        key = (version.type, version.id)
        number, url = self._known.get(key, (0, None))
        if number == version.version:
            return
        if url is not None:
            self.registry.remove(version.type, url)
        resource = decode_resource(version.body) if version.body is not None else {}
        canonical = resource.get("url")
        if version.body is not None:
            self.registry.add(resource)
        self._known[key] = (version.version, canonical if isinstance(canonical, str) else None)
        _log.debug("%s/%s version %d taken", version.type, version.id, version.version)


def library_of(context: "Context") -> ProfileLibrary:
    """Return the context's definitions, kept with it."""
    library = _libraries.get(context)
    if library is None:
        library = _libraries[context] = ProfileLibrary(context.store)
    return library
