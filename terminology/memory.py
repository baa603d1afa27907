"""A code system held as a CodeSystem resource: what REST stores, what requests carry, what FHIR ships.

The resource is indexed once (`ConceptIndex`); supplements are laid over it per request (`terminology.supplement`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from terminology import concept_status
from terminology.code_system import Filter, Selection
from terminology.described import Described
from terminology.designations import DISPLAY_USE, Designation, Designations
from terminology.fhirjson import Json
from terminology.filters import COMPUTED, select
from terminology.hierarchy import Hierarchy
from terminology.languages import Language, known
from terminology.text_search import TextIndex

MAX_DEPTH = 200
MAX_SELECTIONS = 256


class OrdinalSet:
    """A Selection over a frozen set; sorted when it is first walked."""

    __slots__ = ("_members", "_sorted")

    def __init__(self, members: Iterable[int]) -> None:
        self._members = members if isinstance(members, range) else frozenset(members)
        self._sorted: Sequence[int] | None = members if isinstance(members, range) else None

    def _ordered(self) -> Sequence[int]:
        if self._sorted is None:
            self._sorted = sorted(self._members)
        return self._sorted

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ordered())

    def __contains__(self, ordinal: object) -> bool:
        return ordinal in self._members

    def __and__(self, other: Selection) -> "OrdinalSet":
        return OrdinalSet(ordinal for ordinal in self._members if ordinal in other)

    def __or__(self, other: Selection) -> "OrdinalSet":
        return OrdinalSet({*self._members, *other})

    def __sub__(self, other: Selection) -> "OrdinalSet":
        if not len(other):
            return self
        return OrdinalSet(ordinal for ordinal in self._members if ordinal not in other)

    def page(self, offset: int, count: int) -> Sequence[int]:
        return self._ordered()[offset : offset + count]


@dataclass
class ConceptIndex:
    """The concepts of one CodeSystem resource by ordinal and by code, with their hierarchy."""

    resource: Json
    concepts: list[Json] = field(default_factory=list)
    by_code: dict[str, int] = field(default_factory=dict)
    hierarchy: Hierarchy = field(default_factory=Hierarchy)

    def __post_init__(self) -> None:
        nested: list[tuple[int, int]] = []
        self._add(self.resource.get("concept") or (), None, nested, 0)
        if not self.is_case_sensitive:
            for code, ordinal in list(self.by_code.items()):
                self.by_code.setdefault(code.lower(), ordinal)
        self._relate()
        for parent, child in nested:
            self.hierarchy.add(parent, child)

    @property
    def url(self) -> str:
        return str(self.resource.get("url", ""))

    @property
    def version(self) -> str | None:
        return self.resource.get("version")

    @property
    def is_case_sensitive(self) -> bool:
        # codesystem-definitions.html#CodeSystem.caseSensitive: absent means unknown; the ecosystem then ignores case.
        return self.resource.get("caseSensitive") in (True, "true")

    @cached_property
    def roles(self) -> dict[str, str]:
        return concept_status.roles(self.resource.get("property") or ())

    @cached_property
    def language(self) -> Language | None:
        return known(self.resource.get("language"))

    def locate(self, code: str) -> int | None:
        ordinal = self.by_code.get(code)
        if ordinal is None and not self.is_case_sensitive:
            return self.by_code.get(code.lower())
        return ordinal

    def _add(
        self, concepts: Iterable[Json], parent: int | None, nested: list[tuple[int, int]], depth: int
    ) -> None:
        for concept in concepts:
            code = concept.get("code")
            if not isinstance(code, str):
                continue
            ordinal = self.by_code.get(code)
            if ordinal is None:
                ordinal = self.by_code[code] = len(self.concepts)
                self.concepts.append(concept)
            if parent is not None and parent != ordinal:
                nested.append((parent, ordinal))
            if concept.get("concept") and depth < MAX_DEPTH:
                self._add(concept["concept"], ordinal, nested, depth + 1)

    def _relate(self) -> None:
        for ordinal, concept in enumerate(self.concepts):
            for row in concept.get("property") or ():
                role = self.roles.get(row.get("code", ""), row.get("code"))
                if role not in ("parent", "child"):
                    continue
                other = self.by_code.get(concept_status.text_of(row))
                if other is None or other == ordinal:
                    continue
                if role == "parent":
                    self.hierarchy.add(other, ordinal)
                else:
                    self.hierarchy.add(ordinal, other)


class MemoryCodeSystem(Described):
    """The `CodeSystem` contract over a ConceptIndex."""

    def __init__(self, index: ConceptIndex) -> None:
        self.index, self.resource = index, index.resource
        self.hierarchy = index.hierarchy
        self._selections: dict[Filter, Selection] = {}

    @property
    def is_case_sensitive(self) -> bool:
        return self.index.is_case_sensitive

    @property
    def has_hierarchy(self) -> bool:
        return bool(self.hierarchy)

    @cached_property
    def property_codes(self) -> frozenset[str]:
        """Every property that is declared, computed or used by a concept."""
        declared = {definition.get("code", "") for definition in self.property_definitions}
        used = {
            row.get("code", "") for concept in self.index.concepts for row in concept.get("property") or ()
        }
        return frozenset(declared | used | COMPUTED)

    def __len__(self) -> int:
        return len(self.index.concepts)

    def locate(self, code: str) -> int | None:
        return self.index.locate(code)

    def code(self, ordinal: int) -> str:
        return str(self.index.concepts[ordinal]["code"])

    def display(self, ordinal: int) -> str | None:
        return self.index.concepts[ordinal].get("display")

    def definition(self, ordinal: int) -> str | None:
        return self.index.concepts[ordinal].get("definition")

    def designations(self, ordinal: int) -> Designations:
        return Designations(list(read_designations(self.index.concepts[ordinal], self.index.language)))

    def properties(self, ordinal: int) -> Sequence[Json]:
        return self.index.concepts[ordinal].get("property") or ()

    def property_texts(self, ordinal: int, role: str, *codes: str) -> list[str]:
        """Return the values of the property of a standard role, however the code system calls it."""
        names = {role, *codes}
        return [
            concept_status.text_of(row)
            for row in self.properties(ordinal)
            if row.get("code") in names or self.index.roles.get(row.get("code", "")) == role
        ]

    def extensions(self, ordinal: int) -> Sequence[Json]:
        return self.index.concepts[ordinal].get("extension") or ()

    def status(self, ordinal: int) -> str | None:
        return concept_status.status(self.index.concepts[ordinal], self.index.roles)

    def is_abstract(self, ordinal: int) -> bool:
        return concept_status.is_abstract(self.index.concepts[ordinal], self.index.roles)

    def is_inactive(self, ordinal: int) -> bool:
        return concept_status.is_inactive(self.index.concepts[ordinal], self.index.roles)

    def is_deprecated(self, ordinal: int) -> bool:
        return concept_status.is_deprecated(self.index.concepts[ordinal], self.index.roles)

    def parents(self, ordinal: int) -> Sequence[int]:
        return self.hierarchy.parents(ordinal)

    def children(self, ordinal: int) -> Sequence[int]:
        return self.hierarchy.children(ordinal)

    def is_descendant(self, ordinal: int, ancestor: int) -> bool:
        return self.hierarchy.is_descendant(ordinal, ancestor)

    def all(self) -> Selection:
        return OrdinalSet(range(len(self)))

    def inactive(self) -> Selection:
        return self._inactive

    def abstract(self) -> Selection:
        return self._abstract

    @cached_property
    def _inactive(self) -> Selection:
        return OrdinalSet(ordinal for ordinal in range(len(self)) if self.is_inactive(ordinal))

    @cached_property
    def _abstract(self) -> Selection:
        return OrdinalSet(ordinal for ordinal in range(len(self)) if self.is_abstract(ordinal))

    @cached_property
    def _texts(self) -> TextIndex:
        return TextIndex(self)

    def selection(self, ordinals: Sequence[int]) -> Selection:
        return OrdinalSet(ordinals)

    def select(self, filter: Filter) -> Selection:
        found = self._selections.get(filter)
        if found is None:
            if len(self._selections) >= MAX_SELECTIONS:
                self._selections.clear()
            found = self._selections[filter] = OrdinalSet(select(self, filter))
        return found

    def search(self, text: str, within: Selection | None = None) -> Sequence[int]:
        return self._texts.search(text, self.all() if within is None else within)


def read_designations(
    concept: Json, language: Language | None, source: str | None = None
) -> Iterator[Designation]:
    """Return the display and the designations of a CodeSystem.concept; `language` is that of its displays."""
    if concept.get("display"):
        yield Designation(concept["display"].strip(), language, DISPLAY_USE, source=source)
    for row in concept.get("designation") or ():
        if row.get("value"):
            yield Designation(
                row["value"].strip(),
                known(row.get("language")),
                row.get("use"),
                concept_status.standards_status(row) or "active",
                tuple(row.get("extension") or ()),
                source,
            )
