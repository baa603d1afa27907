"""What a new version changes: added, changed, retired, reused codes, and what of ours it touches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from terminology.catalogue.row import Row
from terminology.workbench.likeness import likeness

REUSED_BELOW = 0.34
"""A code whose new name shares less than a third with the old one most likely means something else now."""


@dataclass(frozen=True, slots=True)
class Change:
    """One code that differs; `before` or `after` is None when it was added or is gone. `parts`: what of it changed."""

    code: str
    before: Row | None
    after: Row | None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """`reused` are changed codes whose meaning seems to be another; they need a person. `broken`: (code, parent) pairs
    of rows that stay below a retired parent."""

    added: tuple[Change, ...]
    changed: tuple[Change, ...]
    retired: tuple[Change, ...]
    reused: tuple[Change, ...]
    broken: tuple[tuple[str, str], ...]

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.retired)


def diff(before: Iterable[Row], after: Iterable[Row], *, is_complete: bool = True) -> Diff:
    """Compare two versions; with `is_complete` false, rows that `after` lacks stay (a supplement, not a new edition)."""
    old = {row.code: row for row in before}
    new = {row.code: row for row in after}
    added = tuple(Change(code, None, row) for code, row in new.items() if code not in old)
    changed = tuple(
        Change(code, old[code], row, parts)
        for code, row in new.items()
        if code in old and (parts := _parts(old[code], row))
    )
    gone = [code for code in old if code not in new] if is_complete else []
    newly_inactive = [
        change.code for change in changed if "inactive" in change.parts and new[change.code].is_inactive
    ]
    retired = tuple(
        Change(code, old[code], new.get(code))
        for code in [*gone, *newly_inactive]
        if not old[code].is_inactive
    )
    reused = tuple(
        change
        for change in changed
        if change.before and change.after and is_reused(change.before, change.after)
    )
    lost = {change.code for change in retired}
    left: Mapping[str, Row] = new if is_complete else old | new
    broken = tuple(
        (row.code, parent)
        for row in left.values()
        if row.code not in lost
        for parent in row.parents
        if parent in lost
    )
    return Diff(added, changed, retired, reused, broken)


def change_of(code: str, before: Row | None, after: Row | None) -> Change:
    """Return what became of one code."""
    return Change(code, before, after, _parts(before, after) if before and after else ())


def is_reused(before: Row, after: Row) -> bool:
    """Whether a code seems to mean another thing now (https://hl7.org/fhir/R4/codesystem.html#concept-permanence)."""
    return before.display != after.display and likeness(before.display, after.display) < REUSED_BELOW


def _parts(before: Row, after: Row) -> tuple[str, ...]:
    old, new = before.content(), after.content()
    return tuple(name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name))
