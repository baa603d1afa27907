"""A snapshot as the provider that the terminology operations ask (`terminology.code_system.CodeSystem`)."""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terminology.code_system import Filter, Selection
from terminology.concept_status import text_of
from terminology.described import Described
from terminology.designations import DISPLAY_USE, Designation, Designations
from terminology.fhirjson import Json
from terminology.filters import COMPUTED, select
from terminology.languages import Language, Languages, known
from terminology.snapshot.selection import ArraySelection, Ordinals, ordinals_of
from terminology.snapshot.snapshot import Snapshot

MAX_SELECTIONS = 256
# A regular expression that only says how a code begins: I10\..* (codes of a category).
BEGINNING = re.compile(r"((?:[A-Za-z0-9]|\\[.+-])+)\.\*", re.ASCII)
CONCEPT_STATUS = "status"
DEPRECATED = frozenset({"deprecated", "retired", "withdrawn"})
VALUE_KEYS = {
    "code": "valueCode", "string": "valueString", "boolean": "valueBoolean", "integer": "valueInteger",
    "decimal": "valueDecimal", "dateTime": "valueDateTime", "Coding": "valueCoding",
}  # fmt: skip


class SnapshotCodeSystem(Described):
    """One version of a catalogue. `resource` is its CodeSystem without concepts, as the snapshot's meta data hold it."""

    def __init__(self, path: Path) -> None:
        """Map the file; raises DamagedSnapshot or FileNotFoundError."""
        self.snapshot = Snapshot(path)
        self.resource: Json = self.snapshot.meta["resource"]
        self.designations = lru_cache(maxsize=4096)(self._designations)
        self.properties = lru_cache(maxsize=4096)(self._properties)
        self._selections: dict[Filter, ArraySelection] = {}
        self._types = {row["code"]: row["type"] for row in self.resource.get("property") or ()}

    @property
    def is_case_sensitive(self) -> bool:
        return bool(self.resource.get("caseSensitive", True))

    @cached_property
    def has_hierarchy(self) -> bool:
        return self.snapshot.hierarchy.is_deep

    @cached_property
    def property_codes(self) -> frozenset[str]:
        return frozenset(self._types) | COMPUTED

    @property
    def hierarchy(self) -> "SnapshotCodeSystem":
        return self

    def __len__(self) -> int:
        return self.snapshot.count

    def locate(self, code: str) -> int | None:
        return self.snapshot.ordinal(code)

    def code(self, ordinal: int) -> str:
        return self.snapshot.code(ordinal)

    def display(self, ordinal: int) -> str | None:
        return self.snapshot.display(ordinal)

    def definition(self, ordinal: int) -> str | None:
        return self.snapshot.definition(ordinal)

    def _designations(self, ordinal: int) -> Designations:
        own = self.display(ordinal)
        items = [Designation(own, self._language, DISPLAY_USE)] if own else []
        items += [
            Designation(row.value, known(row.language), row.use)
            for row in self.snapshot.designations(ordinal)
        ]
        return Designations(items)

    @cached_property
    def _language(self) -> Language | None:
        return known(self.language)

    def _properties(self, ordinal: int) -> Sequence[Json]:
        return [
            {"code": code, self._key(code, value): value} for code, value in self.snapshot.properties(ordinal)
        ]

    def _key(self, code: str, value: Any) -> str:
        if isinstance(value, bool):
            return "valueBoolean"
        return VALUE_KEYS.get(self._types.get(code, "string"), "valueString")

    def property_texts(self, ordinal: int, role: str, *codes: str) -> list[str]:
        """Return the values of the property of a standard role."""
        rows = (
            {self._key(code, value): value}
            for code in (role, *codes)
            for value in self.snapshot.values(ordinal, code)
        )
        return [text_of(row) for row in rows]

    def extensions(self, ordinal: int) -> Sequence[Json]:
        return self.snapshot.carried(ordinal).get("extension") or ()

    def plain_row(self, ordinal: int, languages: Languages | None) -> Json | None:
        """Return the row of an expansion when system, code and display are all there is to show of a concept.

        Most concepts of a catalogue are so, and a page of them costs a tenth. None: look at the concept itself.
        """
        if not self._is_plain[ordinal]:
            return None
        if languages is not None and not self._comes_first(languages):
            return None
        snapshot = self.snapshot
        return {"system": self.url, "code": snapshot.code(ordinal), "display": snapshot.display(ordinal)}

    def _comes_first(self, languages: Languages) -> bool:
        """Whether the displays are in the language that is asked for first."""
        first = next(iter(languages), None)
        own = self._language
        return first is not None and own is not None and first.weight > 0 and first.matches(own, "full")

    @cached_property
    def _is_plain(self) -> NDArray[np.bool_]:
        return self.snapshot.is_plain(CONCEPT_STATUS)

    def status(self, ordinal: int) -> str | None:
        if CONCEPT_STATUS not in self._types:
            return None
        return next(iter(self.property_texts(ordinal, CONCEPT_STATUS)), None)

    def is_abstract(self, ordinal: int) -> bool:
        return self.snapshot.is_abstract(ordinal)

    def is_inactive(self, ordinal: int) -> bool:
        return self.snapshot.is_inactive(ordinal)

    def is_deprecated(self, ordinal: int) -> bool:
        return self.status(ordinal) in DEPRECATED

    def parents(self, ordinal: int) -> Sequence[int]:
        found: list[int] = self.snapshot.hierarchy.parents(ordinal).tolist()
        return found

    def children(self, ordinal: int) -> Sequence[int]:
        found: list[int] = self.snapshot.hierarchy.children(ordinal).tolist()
        return found

    def ancestors(self, ordinal: int) -> Sequence[int]:
        found: list[int] = self.snapshot.hierarchy.ancestors(ordinal).tolist()
        return found

    def descendants(self, ordinal: int) -> Sequence[int]:
        found: list[int] = self.snapshot.hierarchy.descendants(ordinal).tolist()
        return found

    def is_descendant(self, ordinal: int, ancestor: int) -> bool:
        return self.snapshot.hierarchy.subsumes(ancestor, ordinal)

    def all(self) -> Selection:
        return self._all

    @cached_property
    def _all(self) -> ArraySelection:
        return ArraySelection(np.arange(self.snapshot.count, dtype=np.uint32))

    def inactive(self) -> Selection:
        return self._inactive

    @cached_property
    def _inactive(self) -> ArraySelection:
        return ArraySelection(self.snapshot.flagged("inactive"))

    def abstract(self) -> Selection:
        return self._abstract

    @cached_property
    def _abstract(self) -> ArraySelection:
        return ArraySelection(self.snapshot.flagged("abstract"))

    def selection(self, ordinals: Sequence[int]) -> Selection:
        return ArraySelection(ordinals_of(ordinals))

    def select(self, filter: Filter) -> Selection:
        """Return the concepts that a filter keeps; recent filters are kept. Raises UnsupportedFilter, InvalidRegex."""
        found = self._selections.get(filter)
        if found is None:
            if len(self._selections) >= MAX_SELECTIONS:
                self._selections.clear()
            ordinals = self._select_by_index(filter)
            if ordinals is None:
                # fmt: off
                ordinals = ordinals_of(select(self, filter))  # type: ignore[arg-type]  # it asks only what this class has
                # fmt: on
            found = self._selections[filter] = ArraySelection(ordinals)
        return found

    def _select_by_index(self, filter: Filter) -> Ordinals | None:
        """Answer the frequent filters from arrays; None leaves the others to `terminology.filters`."""
        if filter.property in ("concept", "code") and filter.op in ("is-a", "descendent-of"):
            start = self.locate(filter.value)
            if start is None:
                return np.zeros(0, np.uint32)
            below = self.snapshot.hierarchy.descendants(start)
            if filter.op != "is-a":
                return below
            # Sorted already: to insert one costs a copy, a union would sort all again.
            return np.insert(below, int(np.searchsorted(below, start)), np.uint32(start))
        if filter.op == "regex" and filter.property in ("concept", "code"):
            beginning = BEGINNING.fullmatch(filter.value)
            return self.snapshot.beginning(beginning[1].replace("\\", "")) if beginning else None
        if filter.op == "=" and self._types.get(filter.property) in ("code", "string"):
            return self.snapshot.with_property(filter.property, filter.value)
        return None

    def search(self, text: str, within: Selection | None = None) -> Sequence[int]:
        """Return the concepts that a typed text finds, best first (docs/terminology/search.md)."""
        found = self.snapshot.search(text) if text.split() else self._all.ordinals
        if within is not None and len(within) < len(self):
            mask = np.zeros(len(self), bool)
            mask[ordinals_of(within)] = True
            found = found[mask[found]]
        return Found(found)


class Found(Sequence[int]):
    """Ordinals in rank order, sliced without making all of them Python integers."""

    def __init__(self, ordinals: Ordinals) -> None:
        self._ordinals = ordinals

    def __len__(self) -> int:
        return len(self._ordinals)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ordinals.tolist())

    def __getitem__(self, at: Any) -> Any:
        return self._ordinals[at].tolist() if isinstance(at, slice) else int(self._ordinals[at])
