"""Row-by-row checks of a table before it may become a version."""

from collections.abc import Sequence
from dataclasses import replace

from terminology.catalogue.row import Row, Table, problem
from terminology.issues import Issue
from terminology.snapshot.hierarchy import CyclicHierarchy, topological


def check(table: Table) -> Table:
    """Return the table with the problems that only the whole shows: doubled codes, missing parents, cycles."""
    problems = [*table.problems, *_doubled(table.rows), *_orphans(table.rows)]
    if not problems:
        problems += _cycles(table.rows)
    return replace(table, problems=tuple(problems))


def _doubled(rows: Sequence[Row]) -> list[Issue]:
    first: dict[str, Row] = {}
    found = []
    for row in rows:
        earlier = first.setdefault(row.code, row)
        if earlier is not row:
            found.append(problem("HT-CAT-13", row.line, concept=row.code, first=earlier.line))
    return found


def _orphans(rows: Sequence[Row]) -> list[Issue]:
    codes = {row.code for row in rows}
    return [
        problem("HT-CAT-14", row.line, concept=row.code, parent=parent)
        for row in rows
        for parent in row.parents
        if parent not in codes
    ]


def _cycles(rows: Sequence[Row]) -> list[Issue]:
    number = {row.code: at for at, row in enumerate(rows)}
    try:
        topological([[number[parent] for parent in row.parents] for row in rows])
    except CyclicHierarchy as cycle:
        row = rows[cycle.ordinal]
        return [problem("HT-CAT-15", row.line, concept=row.code)]
    return []
