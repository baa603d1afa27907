"""Where terminology resources are found: by canonical URL and version.

A `Library` answers for one source; `Libraries` asks several in turn (what is stored here, the catalogues, what FHIR
ships). Resources that come with a request are no library: see `terminology.scope`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Protocol

from terminology.canonical import split
from terminology.code_system import CodeSystem
from terminology.described import version_algorithm
from terminology.fhirjson import Json
from terminology.memory import ConceptIndex, MemoryCodeSystem
from terminology.supplement import is_language_pack, supplements_it
from terminology.versions import compare, matches

KINDS = ("CodeSystem", "ValueSet", "ConceptMap")

# A code system of another content (not-present, supplement) has no codes to answer with.
ANSWERING = ("complete", "fragment", "example")


class Library(Protocol):
    """One source of code systems, value sets and concept maps. A version may be a pattern (`terminology.versions`)."""

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        """Return the latest version that fits, without supplements; None when there is none with codes."""
        ...

    def code_system_versions(self, url: str) -> Sequence[str]:
        """Return the versions of a code system in any order; one without a version is left out."""
        ...

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        """Return the metadata of a code system of any content, supplements included."""
        ...

    def code_systems(self) -> Iterator[Json]:
        """Return the metadata (url, version, content, name …) of every code system."""
        ...

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:
        """Return the metadata of the code systems whose valueSet element is this canonical (without version)."""
        ...

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]: ...
    def value_set(self, url: str, version: str | None) -> Json | None: ...
    def value_set_versions(self, url: str) -> Sequence[str]: ...
    def concept_map(self, url: str, version: str | None) -> Json | None: ...
    def concept_maps(self) -> Iterator[Json]: ...

    def version_on(self, url: str, on: date) -> str | None:
        """Return the version of a code system that was in force on a day; None when it has no such dates.

        Raises NotFound HT-TX-14 when it has, and none was in force.
        """
        ...


def best(resources: Iterable[Json], version: str | None) -> Json | None:
    """Return the latest resource whose version fits a pattern; without a pattern the latest of all."""
    found: Json | None = None
    for resource in resources:
        if version and not matches(version, resource.get("version"), version_algorithm(resource)):
            continue
        if found is None or compare(resource.get("version"), found.get("version")) > 0:
            found = resource
    return found


class ResourceLibrary:
    """Terminology resources in memory, by url: those stored over REST, or a set loaded from a package.

    `put` and `remove` take effect at once; a code system is indexed when it is first asked for.
    """

    def __init__(self, resources: Iterable[Json] = ()) -> None:
        self._by_url: dict[str, dict[str, list[Json]]] = {kind: {} for kind in KINDS}
        self._by_id: dict[tuple[str, str], Json] = {}
        self._supplements: dict[str, list[Json]] = {}
        self._indexes: dict[int, MemoryCodeSystem] = {}
        for resource in resources:
            self.put(resource)

    def put(self, resource: Json) -> None:
        """Add a resource, in the place of the one with the same type and id."""
        kind, identity = resource["resourceType"], resource.get("id")
        if identity:
            self.remove(kind, identity)
            self._by_id[kind, identity] = resource
        self._by_url[kind].setdefault(resource.get("url", ""), []).append(resource)
        if resource.get("content") == "supplement":
            self._supplements.setdefault(_supplemented(resource), []).append(resource)

    def remove(self, kind: str, identity: str) -> None:
        old = self._by_id.pop((kind, identity), None)
        if old is not None:
            kept = [resource for resource in self._by_url[kind][old.get("url", "")] if resource is not old]
            self._by_url[kind][old.get("url", "")] = kept
            if old.get("content") == "supplement":
                self._supplements[_supplemented(old)].remove(old)
            self._indexes.pop(id(old), None)

    def by_id(self, kind: str, identity: str) -> Json | None:
        return self._by_id.get((kind, identity))

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        answering = (
            resource for resource in self.all("CodeSystem", url) if resource.get("content") in ANSWERING
        )
        resource = best(answering, version)
        return self.open(resource) if resource is not None else None

    def open(self, resource: Json) -> MemoryCodeSystem:
        """Return the provider of one of this library's code systems, indexed once."""
        system = self._indexes.get(id(resource))
        if system is None:
            system = self._indexes[id(resource)] = MemoryCodeSystem(ConceptIndex(resource))
        return system

    def code_system_versions(self, url: str) -> Sequence[str]:
        return [resource["version"] for resource in self.all("CodeSystem", url) if resource.get("version")]

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        return best(self.all("CodeSystem", url), version)

    def code_systems(self) -> Iterator[Json]:
        return (resource for resources in self._by_url["CodeSystem"].values() for resource in resources)

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:
        return (row for row in self.code_systems() if str(row.get("valueSet", "")).partition("|")[0] == url)

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]:
        for resource in self._supplements.get(url, ()):
            if supplements_it(resource, url, version):
                yield self.open(resource).index

    def value_set(self, url: str, version: str | None) -> Json | None:
        return best(self.all("ValueSet", url), version)

    def value_set_versions(self, url: str) -> Sequence[str]:
        return [resource["version"] for resource in self.all("ValueSet", url) if resource.get("version")]

    def concept_map(self, url: str, version: str | None) -> Json | None:
        return best(self.all("ConceptMap", url), version)

    def concept_maps(self) -> Iterator[Json]:
        return (resource for resources in self._by_url["ConceptMap"].values() for resource in resources)

    def version_on(self, url: str, on: date) -> str | None:  # noqa: ARG002  # a resource's date says when it was written
        return None

    def all(self, kind: str, url: str) -> list[Json]:
        """Return every version of a resource, whatever its content."""
        return self._by_url[kind].get(url, [])


def _supplemented(resource: Json) -> str:
    """Return the URL of the code system that a supplement belongs to."""
    return split(str(resource.get("supplements", "")))[0]


class Libraries:
    """Several libraries as one: the first that has a resource answers; versions of all are known."""

    def __init__(self, *members: Library) -> None:
        self.members = members

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        found = (member.code_system(url, version) for member in self.members)
        return next((system for system in found if system is not None), None)

    def code_system_versions(self, url: str) -> Sequence[str]:
        return list(
            dict.fromkeys(version for member in self.members for version in member.code_system_versions(url))
        )

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        found = (member.code_system_resource(url, version) for member in self.members)
        return next((resource for resource in found if resource is not None), None)

    def code_systems(self) -> Iterator[Json]:
        return (resource for member in self.members for resource in member.code_systems())

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:
        return (row for member in self.members for row in member.code_systems_with_value_set(url))

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]:
        return (index for member in self.members for index in member.supplements(url, version))

    def value_set(self, url: str, version: str | None) -> Json | None:
        found = (member.value_set(url, version) for member in self.members)
        return next((resource for resource in found if resource is not None), None)

    def value_set_versions(self, url: str) -> Sequence[str]:
        return list(
            dict.fromkeys(version for member in self.members for version in member.value_set_versions(url))
        )

    def concept_map(self, url: str, version: str | None) -> Json | None:
        found = (member.concept_map(url, version) for member in self.members)
        return next((resource for resource in found if resource is not None), None)

    def concept_maps(self) -> Iterator[Json]:
        return (resource for member in self.members for resource in member.concept_maps())

    def version_on(self, url: str, on: date) -> str | None:
        found = (member.version_on(url, on) for member in self.members)
        return next((version for version in found if version is not None), None)


def chosen_supplements(indexes: Iterable[ConceptIndex], stated: Iterable[str]) -> list[ConceptIndex]:
    """Return the supplements in use: language packs always, others when they are asked for by url or url|version."""
    wanted = set(stated)
    chosen: dict[tuple[str, str | None], ConceptIndex] = {}
    for index in indexes:
        if (
            is_language_pack(index.resource)
            or index.url in wanted
            or f"{index.url}|{index.version}" in wanted
        ):
            chosen.setdefault((index.url, index.version), index)
    return list(chosen.values())
