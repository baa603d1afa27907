"""Code systems without a list of codes: units, languages and media types are valid by their grammar.

https://hl7.org/fhir/R4/terminologies-systems.html. Their codes can be validated and looked up, never enumerated.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from terminology import ucum
from terminology.code_system import CodeSystem, Filter, NotEnumerable, Selection, UnsupportedFilter
from terminology.designations import Designations
from terminology.fhirjson import Json
from terminology.languages import known
from terminology.memory import ConceptIndex, OrdinalSet

# So many different codes are remembered; then the provider is replaced.
MAX_KNOWN = 50_000
MAX_CODE = 200

# RFC 6838 §4.2, with the parameters of RFC 2045 §5.1.
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
    r"(?:\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(?:[^\s;\"]+|\"[^\"]*\"))*"
)

_GRAMMARS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "http://unitsofmeasure.org": ("UCUM", ucum.is_valid),
    "urn:ietf:bcp:47": ("BCP47", lambda code: code != "*" and known(code) is not None),
    "urn:ietf:bcp:13": ("MediaTypes", lambda code: _MEDIA_TYPE.fullmatch(code) is not None),
}


class GrammarCodeSystem:
    """The `CodeSystem` contract over a rule; a code gets its ordinal when it is first seen to be valid."""

    version: str | None = None
    content = "complete"
    language: str | None = None
    value_set: str | None = None
    is_case_sensitive = True
    has_hierarchy = False
    version_algorithm: str | None = None
    supplements: Sequence[str] = ()
    property_definitions: Sequence[Json] = ()

    def __init__(self, url: str) -> None:
        self.url = url
        self.name, self._is_valid = _GRAMMARS[url]
        self.resource: Json = {
            "resourceType": "CodeSystem",
            "url": url,
            "name": self.name,
            "status": "active",
            "content": "complete",
        }
        self._codes: list[str] = []
        self._ordinals: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def locate(self, code: str) -> int | None:
        ordinal = self._ordinals.get(code)
        if ordinal is None and len(code) <= MAX_CODE and self._is_valid(code):
            ordinal = self._ordinals[code] = len(self._codes)
            self._codes.append(code)
        return ordinal

    def code(self, ordinal: int) -> str:
        return self._codes[ordinal]

    def display(self, ordinal: int) -> str | None:
        return self._codes[ordinal]

    def definition(self, ordinal: int) -> str | None:  # noqa: ARG002  # a grammar defines nothing of one code
        return None

    def designations(self, ordinal: int) -> Designations:  # noqa: ARG002  # any text may stand beside a unit
        return Designations()

    def properties(self, ordinal: int) -> Sequence[Json]:  # noqa: ARG002
        return ()

    def extensions(self, ordinal: int) -> Sequence[Json]:  # noqa: ARG002
        return ()

    def status(self, ordinal: int) -> str | None:  # noqa: ARG002
        return None

    def is_abstract(self, ordinal: int) -> bool:  # noqa: ARG002
        return False

    def is_inactive(self, ordinal: int) -> bool:  # noqa: ARG002
        return False

    def is_deprecated(self, ordinal: int) -> bool:  # noqa: ARG002
        return False

    def parents(self, ordinal: int) -> Sequence[int]:  # noqa: ARG002
        return ()

    def children(self, ordinal: int) -> Sequence[int]:  # noqa: ARG002
        return ()

    def is_descendant(self, ordinal: int, ancestor: int) -> bool:  # noqa: ARG002
        return False

    def all(self) -> Selection:
        raise NotEnumerable

    def inactive(self) -> Selection:
        return OrdinalSet(())

    def abstract(self) -> Selection:
        return OrdinalSet(())

    def selection(self, ordinals: Sequence[int]) -> Selection:
        return OrdinalSet(ordinals)

    def select(self, filter: Filter) -> Selection:
        """`canonical = unit` (UCUM): only membership of one code can be told, so nothing is selected."""
        raise UnsupportedFilter(filter.property)

    def search(self, text: str, within: Selection | None = None) -> Sequence[int]:
        """Search the codes of a listed value set; a grammar alone has nothing to search."""
        if within is None:
            raise NotEnumerable
        return [ordinal for ordinal in within if text.casefold() in self._codes[ordinal].casefold()]


class GrammarLibrary:
    """A `Library` of the code systems that are grammars."""

    def __init__(self) -> None:
        self._systems: dict[str, GrammarCodeSystem] = {}

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        if url not in _GRAMMARS or version:
            return None
        system = self._systems.get(url)
        if system is None or len(system) > MAX_KNOWN:
            system = self._systems[url] = GrammarCodeSystem(url)
        return system

    def code_system_versions(self, url: str) -> Sequence[str]:  # noqa: ARG002  # grammars have none
        return ()

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        system = self.code_system(url, version)
        return system.resource if system is not None else None

    def code_systems(self) -> Iterator[Json]:
        return (GrammarCodeSystem(url).resource for url in _GRAMMARS)

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:  # noqa: ARG002
        return iter(())

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]:  # noqa: ARG002
        return iter(())

    def value_set(self, url: str, version: str | None) -> Json | None:  # noqa: ARG002
        return None

    def value_set_versions(self, url: str) -> Sequence[str]:  # noqa: ARG002
        return ()

    def concept_map(self, url: str, version: str | None) -> Json | None:  # noqa: ARG002
        return None

    def concept_maps(self) -> Iterator[Json]:
        return iter(())

    def version_on(self, url: str, on: date) -> str | None:  # noqa: ARG002  # no dates of force
        return None
