"""SNOMED CT release format 2, snapshot: concepts, descriptions, is-a relationships.

https://docs.snomed.org (Release File Specification, RF2). The release is the user's own, under his own licence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from terminology.catalogue import archive
from terminology.catalogue.row import Name, Row, Table
from terminology.issues import InvalidInput

IS_A = "116680003"
FULLY_SPECIFIED = "900000000000003001"


def is_release(content: bytes) -> bool:
    return any("sct2_Concept_Snapshot" in name for name in archive.names(content))


def read(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the concepts of the snapshot; `columns["language"]` prefers a description language (default zh, then en)."""
    members = [name for name in archive.names(content) if "Snapshot" in name]
    preferred = columns.get("language", "zh")
    parents: dict[str, list[str]] = {}
    for row in _lines(content, members, "sct2_Relationship_"):
        if row[2] == "1" and row[7] == IS_A:
            parents.setdefault(row[4], []).append(row[5])
    terms: dict[str, list[tuple[str, str, str]]] = {}
    for row in _lines(content, members, "sct2_Description_"):
        if row[2] == "1":
            terms.setdefault(row[4], []).append((row[5], row[6], row[7]))
    rows = []
    for number, row in enumerate(_lines(content, members, "sct2_Concept_"), 2):
        own = terms.get(row[0], [])
        synonyms = [term for term in own if term[1] != FULLY_SPECIFIED]
        best = (
            next((term for term in synonyms if term[0] == preferred), None)
            or (synonyms or own or [("", "", row[0])])[0]
        )
        rows.append(
            Row(
                code=row[0],
                display=best[2],
                parents=tuple(parents.get(row[0], ())),
                names=tuple(
                    Name(term, language, "fsn" if kind == FULLY_SPECIFIED else "synonym")
                    for language, kind, term in own
                    if term != best[2]
                ),
                is_inactive=row[2] != "1",
                line=number,
            )
        )
    return Table(tuple(rows))


def _lines(content: bytes, members: list[str], start: str) -> Iterator[list[str]]:
    found = [name for name in members if name.rpartition("/")[2].startswith(start)]
    if not found:
        raise InvalidInput("HT-CAT-20", file=start)
    for name in found:
        for line in archive.text(content, name).splitlines()[1:]:
            yield line.split("\t")
