"""A file on its way into a catalogue: read, checked by its kind, compared with the newest version."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.catalogues.authoring import Catalogues
from terminology.catalogue.diff import Change, Diff, diff
from terminology.catalogue.kinds import of_kind
from terminology.catalogue.row import Table
from terminology.fhirjson import Json
from terminology.issues import Issue, Language

SHOWN = 1_000
"""Changes and problems that one report lists; the counts are of all."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A read table with all problems of its rows; `difference` is None when it cannot be loaded."""

    table: Table
    problems: tuple[Issue, ...]
    difference: Diff | None

    @property
    def is_loadable(self) -> bool:
        return self.difference is not None


def check_table(
    catalogues: Catalogues,
    catalogue: str,
    table: Table,
    *,
    kind: str,
    is_complete: bool,
    with_levels: bool = False,
) -> Checked:
    """Read a table as its kind, check it, and compare it with the newest version, if there is one."""
    read = of_kind(table, kind, with_levels=with_levels)
    if not read.is_loadable:
        return Checked(read, read.problems, None)
    newest = max((version.number for version in catalogues.versions(catalogue)), default=0)
    difference = diff(catalogues.rows(catalogue, newest), read.rows, is_complete=is_complete)
    return Checked(read, read.problems, difference)


def touched(checked: Checked) -> list[str]:
    """Return the codes that a table changes or retires, those that it retires or gives another meaning first."""
    if checked.difference is None:
        return []
    difference = checked.difference
    changes = (*difference.retired, *difference.reused, *difference.changed)
    return list(dict.fromkeys(change.code for change in changes))


def report(checked: Checked, language: Language) -> Json:
    """Return the row-by-row report and the difference as JSON."""
    problems = [issue_row(problem, language) for problem in checked.problems[:SHOWN]]
    answer: Json = {
        "rows": len(checked.table.rows),
        "encoding": checked.table.encoding,
        "is_loadable": checked.is_loadable,
        "problem_count": len(checked.problems),
        "problems": problems,
    }
    if checked.difference is not None:
        answer["diff"] = diff_report(checked.difference)
    return answer


def issue_row(issue: Issue, language: Language) -> Json:
    return {
        "code": issue.code,
        "severity": issue.severity,
        "at": issue.source or issue.expression,
        "text": issue.text(language),
        "fix": issue.fix(language),
    }


def diff_report(difference: Diff) -> Json:
    names = ("added", "changed", "retired", "reused")
    answer: dict[str, Any] = {
        name: {
            "count": len(getattr(difference, name)),
            "codes": [_change(change) for change in getattr(difference, name)[:SHOWN]],
        }
        for name in names
    }
    answer["broken"] = {
        "count": len(difference.broken),
        "codes": [{"code": code, "parent": parent} for code, parent in difference.broken[:SHOWN]],
    }
    return answer


def changes_report(changes: Sequence[Change]) -> list[Json]:
    """Return changes with the content before and after, for the person who decides about them."""
    return [
        {"code": change.code}
        | ({"parts": list(change.parts)} if change.parts else {})
        | ({"before": change.before.content()} if change.before else {})
        | ({"after": change.after.content()} if change.after else {})
        for change in changes
    ]


def _change(change: Change) -> Json:
    row: Json = {"code": change.code}
    if change.before is not None:
        row["before"] = change.before.display
    if change.after is not None:
        row["after"] = change.after.display
    if change.parts:
        row["parts"] = list(change.parts)
    return row
