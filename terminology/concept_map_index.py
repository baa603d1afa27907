"""The rows of a ConceptMap by source and by target code, so that a large map answers as fast as a small one.

A stored map of tens of thousands of rows is kept as `LargeMap`: its rows stay the bytes that they were read from, and
only the one that is asked for is decoded. That takes a third of the memory of the decoded resource.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from terminology.fhirjson import Json, decode, decode_resource
from terminology.shapes import check_shape

# Maps smaller than this are walked and kept decoded.
LARGE = 256 * 1024
"""Bytes from which a map keeps its rows encoded."""


class GroupRows(Protocol):
    """The elements of one group, found by code."""

    def elements(self, code: str) -> Sequence[Json]:
        """Return the elements that list a source code."""
        ...

    def sources(self, code: str) -> Sequence[tuple[Json, Json]]:
        """Return the (element, target) pairs that lead to a target code."""
        ...


class LargeMap(dict[str, Any]):
    """A ConceptMap without the elements of its groups; `rows` has those of each group."""

    rows: Sequence[GroupRows]


class Rows:
    """The encoded elements of one group, by source code and (once somebody asks backwards) by target code."""

    def __init__(self, elements: Sequence[msgspec.Raw], place: str) -> None:
        """Raises InvalidInput when an element has a wrong shape; `place` is where they lie."""
        self._elements = elements
        self._by_code: dict[str, int | list[int]] = {}
        self._by_target: dict[str, int | list[int]] | None = None
        for number, encoded in enumerate(elements):
            element = decode(encoded)
            check_shape({"resourceType": "ConceptMap", "group": [{"element": [element]}]}, place)
            _add(self._by_code, element.get("code", ""), number)

    def elements(self, code: str) -> list[Json]:
        return [decode(self._elements[number]) for number in _numbers(self._by_code, code)]

    def sources(self, code: str) -> list[tuple[Json, Json]]:
        """Return the (element, target) pairs that lead to a target code."""
        if self._by_target is None:
            self._by_target = {}
            for number, encoded in enumerate(self._elements):
                for own in dict.fromkeys(target.get("code", "") for target in _targets(decode(encoded))):
                    _add(self._by_target, own, number)
        found = (decode(self._elements[number]) for number in _numbers(self._by_target, code))
        return [
            (element, target)
            for element in found
            for target in _targets(element)
            if target.get("code", "") == code
        ]


def read_map(body: bytes) -> Json:
    """Return a stored ConceptMap, a large one as LargeMap; raises InvalidInput when its shape cannot be evaluated."""
    if len(body) < LARGE:
        concept_map = decode_resource(body)
        check_shape(concept_map, "stored")
        return concept_map
    parts = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    groups = msgspec.json.decode(parts.pop("group", b"[]"), type=list[dict[str, msgspec.Raw]])
    elements = [msgspec.json.decode(group.pop("element", b"[]"), type=list[msgspec.Raw]) for group in groups]
    found = LargeMap({name: decode(value) for name, value in parts.items()})
    found["group"] = [{name: decode(value) for name, value in group.items()} for group in groups]
    check_shape(found, "stored")
    found.rows = [Rows(rows, "stored") for rows in elements]
    return found


def elements(concept_map: Json, group: int, code: str) -> Sequence[Json]:
    """Return the elements of a group that list a source code."""
    if isinstance(concept_map, LargeMap):
        return concept_map.rows[group].elements(code)
    return [row for row in _elements(concept_map, group) if row.get("code", "") == code]


def sources(concept_map: Json, group: int, code: str) -> Sequence[tuple[Json, Json]]:
    """Return the (element, target) pairs of a group that lead to a target code."""
    if isinstance(concept_map, LargeMap):
        return concept_map.rows[group].sources(code)
    return [
        (element, target)
        for element in _elements(concept_map, group)
        for target in _targets(element)
        if target.get("code", "") == code
    ]


def _elements(concept_map: Json, group: int) -> Sequence[Json]:
    found: Sequence[Json] = concept_map["group"][group].get("element") or ()
    return found


def _targets(element: Json) -> Sequence[Json]:
    return element.get("target") or ()


def _add(numbers: dict[str, int | list[int]], code: str, number: int) -> None:
    """Most codes stand in one row: only those of several get a list."""
    held = numbers.get(code)
    if held is None:
        numbers[code] = number
    elif isinstance(held, list):
        held.append(number)
    else:
        numbers[code] = [held, number]


def _numbers(numbers: dict[str, int | list[int]], code: str) -> Iterator[int]:
    held = numbers.get(code)
    if isinstance(held, int):
        yield held
    elif held is not None:
        yield from held
