"""The code systems, value sets and concept maps that FHIR R4 itself defines, decoded one at a time when asked for.

`terminology/fhir_r4/*.jsonl.gz` (source and licence in SOURCE.json); some 2,700 resources, of which a request needs
two or three.
"""

import gzip
import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path

from terminology.code_system import CodeSystem
from terminology.fhirjson import Json, decode_resource
from terminology.library import ANSWERING, best
from terminology.memory import ConceptIndex, MemoryCodeSystem

FOLDER = Path(__file__).parent / "fhir_r4"

_FILES = {
    "CodeSystem": "code_systems.jsonl.gz",
    "ValueSet": "value_sets.jsonl.gz",
    "ConceptMap": "concept_maps.jsonl.gz",
}
# The resource's own url stands before one of these elements; urls of extensions don't.
_URL = re.compile(rb'"url":"([^"]+)","(?:identifier|version|name|title|status)"')
_ID = re.compile(rb'"id":"([^"]+)"')


class FhirCore:
    """A `Library` over the shipped files. Its lines stay compressed until the first question."""

    def __init__(self) -> None:
        self._systems: dict[str, MemoryCodeSystem | None] = {}
        self._decoded: dict[tuple[str, str], list[Json]] = {}

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        resource = best(
            (row for row in self._all("CodeSystem", url) if row.get("content") in ANSWERING), version
        )
        if resource is None:
            return None
        if url not in self._systems:
            self._systems[url] = MemoryCodeSystem(ConceptIndex(resource))
        return self._systems[url]

    def code_system_versions(self, url: str) -> Sequence[str]:
        return [row["version"] for row in self._all("CodeSystem", url) if row.get("version")]

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        return best(self._all("CodeSystem", url), version)

    def code_systems(self) -> Iterator[Json]:
        """Return metadata only, so that listing them all holds none of their concepts in memory."""
        for line in _lines("CodeSystem").values():
            resource = decode_resource(line)
            resource.pop("concept", None)
            yield resource

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:
        for line in _lines("CodeSystem").values():
            if b'"valueSet":"' + url.encode() in line:
                yield decode_resource(line)

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]:  # noqa: ARG002  # FHIR ships none
        return iter(())

    def value_set(self, url: str, version: str | None) -> Json | None:
        return best(self._all("ValueSet", url), version)

    def value_set_versions(self, url: str) -> Sequence[str]:
        return [row["version"] for row in self._all("ValueSet", url) if row.get("version")]

    def concept_map(self, url: str, version: str | None) -> Json | None:
        return best(self._all("ConceptMap", url), version)

    def concept_maps(self) -> Iterator[Json]:
        return (resource for url in _lines("ConceptMap") for resource in self._all("ConceptMap", url))

    def version_on(self, url: str, on: date) -> str | None:  # noqa: ARG002  # no dates of force
        return None

    def by_id(self, kind: str, identity: str) -> Json | None:
        url = _ids(kind).get(identity)
        return self._all(kind, url)[0] if url else None

    def _all(self, kind: str, url: str) -> list[Json]:
        found = self._decoded.get((kind, url))
        if found is None:
            line = _lines(kind).get(url)
            if line is None:
                return []
            found = self._decoded[kind, url] = [decode_resource(line)]
        return found


@cache
def _lines(kind: str) -> dict[str, bytes]:
    """Return url → JSON line of one kind of resource."""
    found = {}
    for line in gzip.decompress((FOLDER / _FILES[kind]).read_bytes()).splitlines():
        match = _URL.search(line)
        if match:
            found[match[1].decode()] = line
    return found


@cache
def _ids(kind: str) -> dict[str, str]:
    """Return id → url of one kind of resource."""
    found = {}
    for url, line in _lines(kind).items():
        match = _ID.search(line)
        if match:
            found[match[1].decode()] = url
    return found
