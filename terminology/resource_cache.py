"""cache-id: a client sends its tx-resources once and names them afterwards.

Bounded in number, size and age; the client is told when its cache is gone, so it can send the resources again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from terminology.fhirjson import Json
from terminology.issues import InvalidInput

MAX_CACHES = 200
MAX_RESOURCES = 500
MAX_ID = 200
SECONDS = 3_600.0


@dataclass
class _Cache:
    resources: dict[tuple[str, str, str | None], Json] = field(default_factory=dict)
    used: float = 0.0


class ResourceCache:
    """Resources by cache-id; the least recently used cache makes room for a new one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._caches: OrderedDict[str, _Cache] = OrderedDict()

    def merge(self, cache_id: str, resources: list[Json]) -> list[Json]:
        """Add the resources of a request to its cache and return all that the cache holds."""
        if len(cache_id) > MAX_ID:
            raise InvalidInput("HT-TX-05", name="cache-id", length=len(cache_id), limit=MAX_ID)
        self._drop_old()
        cache = self._caches.setdefault(cache_id, _Cache())
        self._caches.move_to_end(cache_id)
        cache.used = self._clock()
        for resource in resources:
            key = (resource["resourceType"], resource.get("url", ""), resource.get("version"))
            if key not in cache.resources and len(cache.resources) >= MAX_RESOURCES:
                raise InvalidInput(
                    "HT-TX-12", name="tx-resource", count=len(cache.resources) + 1, limit=MAX_RESOURCES
                )
            cache.resources[key] = resource
        while len(self._caches) > MAX_CACHES:
            self._caches.popitem(last=False)
        return list(cache.resources.values())

    def _drop_old(self) -> None:
        limit = self._clock() - SECONDS
        for cache_id in [name for name, cache in self._caches.items() if cache.used < limit]:
            del self._caches[cache_id]
