"""Freeze a code system: concepts in, one snapshot file out."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from terminology import hanzi
from terminology.fhirjson import encode
from terminology.snapshot import arrays as files
from terminology.snapshot import grams, hierarchy
from terminology.snapshot.arrays import Array

MAX_DESIGNATION_ROWS = 64
"""Designations of one concept that are searchable; the rest are kept and shown."""

RARER = grams.KINDS.index(grams.RARER_READING)
MAX_WINDOW_READINGS = 16


@dataclass(frozen=True, slots=True)
class Designation:
    """Another name: BCP-47 `language`, `use` as a FHIR Coding or None."""

    value: str
    language: str | None = None
    use: dict[str, Any] | None = None


@dataclass(slots=True)
class Concept:
    """A row of a catalogue on its way into a snapshot.

    `parents` are codes; `properties` (code, value) pairs with JSON values, in their order; `spellings` are input codes
    that the source table carries itself (拼音码, 五笔码), searched like initials.
    """

    code: str
    display: str | None
    definition: str | None = None
    parents: Sequence[str] = ()
    designations: Sequence[Designation] = ()
    properties: Sequence[tuple[str, Any]] = ()
    spellings: Sequence[str] = ()
    is_inactive: bool = False
    is_abstract: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


class DuplicateCode(Exception):
    """Two concepts of one version have the same code."""


class UnknownParent(Exception):
    """A concept names a parent that the version does not have."""


def write(path: Path, concepts: Sequence[Concept], meta: dict[str, Any]) -> None:
    """Write the snapshot of `concepts` (order kept) with `meta` (JSON: url, version, property definitions …).

    Raises DuplicateCode, UnknownParent, hierarchy.CyclicHierarchy; nothing is left behind then.
    """
    ordinals: dict[str, int] = {}
    for concept in concepts:
        if concept.code in ordinals:
            raise DuplicateCode(concept.code)
        ordinals[concept.code] = len(ordinals)
    arrays: dict[str, Array] = {}
    arrays |= _strings("code", [concept.code for concept in concepts])
    arrays["code_order"] = np.array(
        sorted(range(len(concepts)), key=lambda at: concepts[at].code.encode()), np.uint32
    )
    arrays |= _strings("display", [concept.display or "" for concept in concepts])
    arrays |= _strings("definition", [concept.definition or "" for concept in concepts])
    arrays["flags"] = np.fromiter(
        (
            concept.is_inactive | concept.is_abstract << 1 | (concept.display is None) << 2
            for concept in concepts
        ),
        np.uint8,
        len(concepts),
    )
    arrays |= hierarchy.build([_parents(concept, ordinals) for concept in concepts])
    arrays |= _designations(concepts)
    arrays |= _strings(
        "extra", [encode(concept.extra).decode() if concept.extra else "" for concept in concepts]
    )
    properties, columns = _properties(concepts)
    arrays |= columns
    arrays |= _text(concepts)
    files.write(path, meta | {"count": len(concepts), "columns": properties}, arrays)


def _parents(concept: Concept, ordinals: dict[str, int]) -> list[int]:
    try:
        return [ordinals[code] for code in dict.fromkeys(concept.parents)]
    except KeyError as unknown:
        raise UnknownParent(f"{concept.code}: {unknown.args[0]}") from None


def _strings(name: str, values: Sequence[str]) -> dict[str, Array]:
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, np.uint32 if sum(map(len, encoded)) < 2**32 else np.uint64)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return {f"{name}_off": offsets, name: np.frombuffer(b"".join(encoded), np.uint8)}


def _designations(concepts: Sequence[Concept]) -> dict[str, Array]:
    """Designations as JSON texts behind offsets: they are shown, rarely compared."""
    rows = [
        encode([[row.value, row.language, row.use] for row in concept.designations]).decode()
        if concept.designations
        else ""
        for concept in concepts
    ]
    return _strings("designation", rows)


def _properties(concepts: Sequence[Concept]) -> tuple[list[str], dict[str, Array]]:
    """Return the property codes, and for each its (ordinal, value number) pairs and the table of distinct values."""
    pairs: dict[str, tuple[list[int], list[int], dict[bytes, int]]] = {}
    for ordinal, concept in enumerate(concepts):
        for code, value in concept.properties:
            holders, numbers, values = pairs.setdefault(code, ([], [], {}))
            holders.append(ordinal)
            numbers.append(values.setdefault(encode(value), len(values)))
    arrays: dict[str, Array] = {}
    for number, (holders, numbers, values) in enumerate(pairs.values()):
        arrays[f"p{number}_ord"] = np.array(holders, np.uint32)
        arrays[f"p{number}_val"] = np.array(numbers, np.uint32)
        arrays[f"p{number}_by_val"] = np.argsort(arrays[f"p{number}_val"], kind="stable").astype(np.uint32)
        arrays |= _strings(f"p{number}_value", [value.decode() for value in values])
    return list(pairs), arrays


def _text(concepts: Sequence[Concept]) -> dict[str, Array]:
    rows = [row for ordinal, concept in enumerate(concepts) for row in _rows(ordinal, concept)]
    texts = [_text_lines(concept) for concept in concepts]
    lengths = np.fromiter((len(concept.display or "") for concept in concepts), np.uint32, len(concepts))
    return _strings("text", texts) | {"name_length": lengths} | grams.build(rows, lengths)


def _text_lines(concept: Concept) -> str:
    """Return what search checks long filters against: a line a text, its kind digit first (search._rank)."""
    lines = [f"0{hanzi.fold(concept.code)}"]
    if concept.display:
        name = hanzi.fold(concept.display)
        lines.append(f"1{name}")
        if not name.isascii():
            spoken = _spoken(name)
            lines.append(f"2{''.join(readings[0][0] for readings in spoken)}")
            lines.extend(f"2{spelling.lower()}" for spelling in concept.spellings)
            lines.append(f"3{' '.join('|'.join(readings) for readings in spoken)}")
    lines.extend(f"5{hanzi.fold(row.value)}" for row in concept.designations[:MAX_DESIGNATION_ROWS])
    return "\n".join(line.replace("\n", " ") for line in lines)


def _rows(ordinal: int, concept: Concept) -> Iterator[grams.Row]:
    yield grams.Row(ordinal, 0, hanzi.fold(concept.code), (0,))
    if concept.display:
        name = hanzi.fold(concept.display)
        yield grams.Row(ordinal, 1, name)
        if not name.isascii():
            for spelling in concept.spellings:
                yield grams.Row(ordinal, 2, spelling.lower())
            yield from _spoken_rows(ordinal, _spoken(name))
    for designation in itertools.islice(concept.designations, MAX_DESIGNATION_ROWS):
        yield grams.Row(ordinal, 5, hanzi.fold(designation.value))


@lru_cache(maxsize=2)
def _spoken(name: str) -> list[tuple[str, ...]]:
    """Return the readings of each character of a folded name, the usual one first; punctuation is not spoken."""
    return [readings for readings in map(hanzi.readings, name) if readings[0]]


def _spoken_rows(ordinal: int, spoken: list[tuple[str, ...]]) -> Iterator[grams.Row]:
    """Initials and pinyin by the usual readings, then the grams in which a rarer reading of a 多音字 takes part.

    Grams have at most three letters, so the windows around such a character stand for all combinations of a name.
    """
    usual = [readings[0] for readings in spoken]
    yield grams.Row(ordinal, 2, "".join(syllable[0] for syllable in usual))
    yield grams.Row(ordinal, 3, "".join(usual), tuple(itertools.accumulate(map(len, usual[:-1]), initial=0)))
    for at, readings in enumerate(spoken):
        for rarer in readings[1:]:
            yield grams.Row(ordinal, RARER, (rarer + "".join(usual[at + 1 : at + 3]))[:3], (0,))
    letters = [_letters(readings) for readings in spoken]
    for at in range(len(letters)):
        for choice in _rarer_initials(tuple(letters[at : at + 3])):
            yield grams.Row(ordinal, RARER, choice)


@lru_cache(maxsize=8192)
def _letters(readings: tuple[str, ...]) -> str:
    return "".join(dict.fromkeys(reading[0] for reading in readings))


@lru_cache(maxsize=65536)
def _rarer_initials(window: tuple[str, ...]) -> tuple[str, ...]:
    """Return the initials of up to three characters that are not the usual ones."""
    return tuple(map("".join, itertools.islice(itertools.product(*window), 1, MAX_WINDOW_READINGS)))
