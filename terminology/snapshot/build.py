"""Freeze a code system: concepts in, one snapshot file out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from terminology import hanzi
from terminology.fhirjson import encode
from terminology.snapshot import arrays as files
from terminology.snapshot import grams, hierarchy
from terminology.snapshot.arrays import Array
from terminology.snapshot.spoken import Speech

MAX_DESIGNATION_ROWS = 64
"""Designations of one concept that are searchable; the rest are kept and shown."""

BLOCK = 20_000
"""Concepts whose texts are indexed at once."""

Progress = Callable[[int, int], None]
"""Is told how many concepts of how many are indexed."""


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


def write(
    path: Path,
    concepts: Sequence[Concept],
    meta: dict[str, Any],
    *,
    progress: Progress = lambda _done, _all: None,
) -> None:
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
    texts, syllables = _text(concepts, path.parent, progress)
    meta = meta | {"count": len(concepts), "columns": properties, "syllables": syllables}
    files.write(path, meta, arrays | texts)


def _parents(concept: Concept, ordinals: dict[str, int]) -> list[int]:
    try:
        return [ordinals[code] for code in dict.fromkeys(concept.parents)]
    except KeyError as unknown:
        raise UnknownParent(f"{concept.code}: {unknown.args[0]}") from None


def _strings(name: str, values: Sequence[str]) -> dict[str, Array]:
    return _blob(name, [value.encode() for value in values])


def _blob(name: str, encoded: Sequence[bytes]) -> dict[str, Array]:
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


def _text(
    concepts: Sequence[Concept], folder: Path, progress: Progress
) -> tuple[dict[str, Array], list[str]]:
    """Return the searchable texts and their index, made a block of concepts at a time, and the syllables by number."""
    lengths = np.fromiter((len(concept.display or "") for concept in concepts), np.uint32, len(concepts))
    lines: list[bytes] = []
    speech = Speech()
    with grams.Index(folder, lengths) as index:
        for start in range(0, len(concepts), BLOCK):
            block = concepts[start : start + BLOCK]
            names = [hanzi.fold(concept.display) if concept.display else "" for concept in block]
            _index_block(index, speech, block, names, start)
            lines += [
                _text_lines(concept, name, speech).encode()
                for concept, name in zip(block, names, strict=True)
            ]
            progress(start + len(block), len(concepts))
        arrays = _blob("text", lines) | {"name_length": lengths} | index.finish()
    return arrays, speech.syllable_list


def _index_block(
    index: grams.Index, speech: Speech, block: Sequence[Concept], names: Sequence[str], start: int
) -> None:
    every = np.arange(start, start + len(block))
    index.add(grams.texts(grams.CODE, [hanzi.fold(row.code) for row in block], every, whole_only=True))
    index.add(grams.texts(grams.NAME, list(names), every))
    spoken = [at for at, name in enumerate(names) if not name.isascii()]
    said = grams.texts(grams.NAME, [names[at] for at in spoken], every[spoken])
    speech.add(index, said.points, said.lengths, said.ordinal)
    spellings = [(at, text.lower()) for at in spoken for text in block[at].spellings]
    designations = [
        (at, hanzi.fold(row.value))
        for at, concept in enumerate(block)
        for row in concept.designations[:MAX_DESIGNATION_ROWS]
    ]
    for kind, rows in ((grams.INITIALS, spellings), (grams.DESIGNATION, designations)):
        owners = every[[at for at, _ in rows]] if rows else every[:0]
        index.add(grams.texts(kind, [text for _, text in rows], owners))


def _text_lines(concept: Concept, name: str, speech: Speech) -> str:
    """Return what search checks long filters against: a line a text, its kind digit first (search._rank)."""
    lines = [f"0{hanzi.fold(concept.code)}"]
    if name:
        lines.append(f"1{name}")
        if not name.isascii():
            spoken = speech.written(name)
            lines.append(f"2{''.join([syllable[0] for syllable in spoken])}")
            lines.extend(f"2{spelling.lower()}" for spelling in concept.spellings)
            lines.append(f"3{' '.join(spoken)}")
    lines.extend(f"5{hanzi.fold(row.value)}" for row in concept.designations[:MAX_DESIGNATION_ROWS])
    return "\n".join([line.replace("\n", " ") for line in lines])
