"""What a kind of catalogue adds to reading a file: typed attributes, drug levels, checks of single rows and between them."""

from collections.abc import Sequence
from dataclasses import replace

from terminology.catalogue.attributes import KINDS, read_attributes
from terminology.catalogue.check import check
from terminology.catalogue.row import Row, Table, problem
from terminology.issues import Issue

RECOGNITION = (
    "scope",
    "validity-days",
    "base",
    "volatile",
    "qualified-only",
    "method-sensitive",
    "quality-control",
)


def of_kind(table: Table, kind: str, *, with_levels: bool = False) -> Table:
    """Return the table as a catalogue of its kind, with all problems of its rows.

    `with_levels`: a flat drug list gets the levels generic → clinical → product → pack as parents.
    """
    if not table.is_loadable or kind not in KINDS:
        return table
    rows, problems = read_attributes(table.rows, kind)
    if kind == "drug":
        from terminology.drug.check import check_drugs
        from terminology.drug.levels import levelled

        if with_levels:
            linked = check(Table(tuple(levelled(rows))))
            rows, problems = linked.rows, [*problems, *linked.problems]
        problems += check_drugs(rows)
    else:
        problems += _unsourced(rows)
    return replace(table, rows=rows, problems=(*table.problems, *problems))


def _unsourced(rows: Sequence[Row]) -> list[Issue]:
    """Recognition rests on a published list: an attribute without its source is told."""
    return [
        problem("HT-CAT-38", row.line, "warning", concept=row.code)
        for row in rows
        if not row.properties.get("source") and any(name in row.properties for name in RECOGNITION)
    ]
