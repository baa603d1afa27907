"""What the terminology operations need of a code system: the contract of its providers.

Two kinds of provider exist: `terminology.memory.MemoryCodeSystem` (a FHIR CodeSystem resource, as stored over REST,
sent as tx-resource or shipped with FHIR) and the memory-mapped snapshots of large catalogues
(`terminology.snapshot`). `$expand`, `$validate-code`, `$lookup`, `$subsumes` and `$find-matches` know nothing else.

A concept is an ordinal: an int from 0, in the order in which the code system lists its concepts (a child after its
parent), valid for one provider object only. A set of concepts is a `Selection`; its operators work between selections
of the same provider.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from terminology.designations import Designations
from terminology.fhirjson import Json


class Selection(Protocol):
    """An immutable set of ordinals of one code system, iterated in ascending order."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[int]: ...
    def __contains__(self, ordinal: object, /) -> bool: ...
    def __and__(self, other: "Selection", /) -> "Selection": ...
    def __or__(self, other: "Selection", /) -> "Selection": ...
    def __sub__(self, other: "Selection", /) -> "Selection": ...

    def page(self, offset: int, count: int) -> Sequence[int]:
        """Return the ordinals from `offset` on, at most `count`, without walking what lies before."""
        ...


@dataclass(frozen=True)
class Filter:
    """ValueSet.compose.include.filter; `op` from http://hl7.org/fhir/filter-operator, R5's child-of included."""

    property: str
    op: str
    value: str


class UnsupportedFilter(Exception):
    """The code system cannot evaluate this filter; becomes an outcome where the value set is known."""


class InvalidRegex(Exception):
    """The value of a regex filter is no regular expression we run (linear time only)."""


class NotEnumerable(Exception):
    """The code system is a grammar: its codes can be checked, never listed."""


class CodeSystem(Protocol):
    """One version of one code system with the supplements in use.

    `content`: complete | fragment | example | not-present | supplement. `language`: of the displays, as a tag.
    `supplements`: canonicals ("url|version") of the supplements merged into the answers.
    `value_set`: canonical of the value set of all its codes. `resource`: its metadata as a CodeSystem without concepts.
    """

    @property
    def url(self) -> str: ...
    @property
    def version(self) -> str | None: ...
    @property
    def name(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def language(self) -> str | None: ...
    @property
    def value_set(self) -> str | None: ...
    @property
    def is_case_sensitive(self) -> bool: ...
    @property
    def has_hierarchy(self) -> bool: ...
    @property
    def version_algorithm(self) -> str | None: ...
    @property
    def supplements(self) -> Sequence[str]: ...
    @property
    def property_definitions(self) -> Sequence[Json]: ...
    @property
    def resource(self) -> Json: ...

    def __len__(self) -> int:
        """Return the number of concepts."""
        ...

    def locate(self, code: str) -> int | None:
        """Return the concept of a code, by the code system's own case rule; None when there is none."""
        ...

    def code(self, ordinal: int) -> str: ...
    def display(self, ordinal: int) -> str | None: ...
    def definition(self, ordinal: int) -> str | None: ...

    def designations(self, ordinal: int) -> Designations:
        """Return the display (first, as a designation) and all designations, those of supplements after them."""
        ...

    def properties(self, ordinal: int) -> Sequence[Json]:
        """Return CodeSystem.concept.property rows (code, value[x]), without parent and child that stand for nesting."""
        ...

    def extensions(self, ordinal: int) -> Sequence[Json]:
        """Return the concept's extensions, those of supplements after them."""
        ...

    def status(self, ordinal: int) -> str | None:
        """Return the concept's status as the code system states it (active, retired, deprecated …)."""
        ...

    def is_abstract(self, ordinal: int) -> bool: ...
    def is_inactive(self, ordinal: int) -> bool: ...
    def is_deprecated(self, ordinal: int) -> bool: ...
    def parents(self, ordinal: int) -> Sequence[int]: ...
    def children(self, ordinal: int) -> Sequence[int]: ...

    def is_descendant(self, ordinal: int, ancestor: int) -> bool:
        """Say whether `ancestor` is above `ordinal`; a concept is not its own descendant."""
        ...

    def all(self) -> Selection:
        """Return every concept; raises NotEnumerable when there is no end of them."""
        ...

    def inactive(self) -> Selection: ...
    def abstract(self) -> Selection: ...
    def selection(self, ordinals: Sequence[int]) -> Selection: ...

    def select(self, filter: Filter) -> Selection:
        """Return the concepts that a filter keeps; raises UnsupportedFilter or InvalidRegex."""
        ...

    def search(self, text: str, within: Selection | None = None) -> Sequence[int]:
        """Return the concepts that a user's text finds, best first.

        Every word must be found, in the code or in one designation. Text with Han characters never finds a concept
        without them.
        """
        ...


def is_a(system: CodeSystem, ordinal: int, ancestor: int) -> bool:
    return ordinal == ancestor or system.is_descendant(ordinal, ancestor)
