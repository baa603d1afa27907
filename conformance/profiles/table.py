"""The authored form of a profile: rows of `path | cardinality | rules | Chinese | English | source`, and invariants."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
STRUCTURES = FOLDER / "structures"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Row:
    """One element. `path` is relative to the type, a slice stands after a colon: "identifier:resident.system".

    `card` is empty where the base type decides. `rules` as `conformance.profiles.build` reads them.
    """

    path: str
    card: str
    rules: tuple[str, ...]
    zh: str
    en: str
    source: str

    @property
    def least(self) -> int:
        return int(self.card.partition("..")[0]) if self.card else 0


@dataclass(frozen=True)
class Invariant:
    """`at`: path of the element, empty for the resource; `severity` error or warning."""

    key: str
    at: str
    severity: str
    zh: str
    en: str
    expression: str


@dataclass(frozen=True)
class Table:
    """A profile before it is compiled. `base`: the profile it refines, empty for the type itself."""

    id: str
    type: str
    base: str
    zh: str
    en: str
    about_zh: str
    about_en: str
    rows: tuple[Row, ...]
    invariants: tuple[Invariant, ...] = field(default=())


def table_ids() -> list[str]:
    return sorted(path.stem for path in STRUCTURES.glob("*.yaml"))


@cache
def load_table(identity: str) -> Table:
    """Return one table; `include` names tables whose rows and invariants come first."""
    raw = load_yaml(STRUCTURES / f"{identity}.yaml")
    rows: list[Row] = []
    invariants: list[Invariant] = []
    for name in raw.get("include", ()):
        part = load_yaml(FOLDER / "parts" / f"{name}.yaml")
        rows += read_rows(part.get("elements", ""))
        invariants += read_invariants(part.get("invariants") or {})
    own = list(read_rows(raw["elements"]))
    told = {row.path for row in own}
    return Table(
        identity,
        raw["type"],
        raw.get("base", ""),
        raw["zh"],
        raw["en"],
        raw["about_zh"],
        raw["about_en"],
        _by_place([row for row in rows if row.path not in told] + own),
        (*invariants, *read_invariants(raw.get("invariants") or {})),
    )


def read_rows(text: str) -> Iterator[Row]:
    """Yield the rows of a table; raises ValueError for a line that is none."""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) not in (5, 6):
            raise ValueError(f"{len(cells)} cells instead of 5 or 6: {line.strip()}")
        path, card, rules, zh, en, source = (*cells, "")[:6]
        yield Row(
            path, card, tuple(rule.strip() for rule in rules.split(";") if rule.strip()), zh, en, source
        )


def read_invariants(raw: dict[str, Any]) -> Iterator[Invariant]:
    for key, row in raw.items():
        yield Invariant(
            key,
            row.get("at", ""),
            row.get("severity", "error"),
            row["zh"],
            row["en"],
            " ".join(row["expression"].split()),
        )


def load_yaml(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=_LOADER)  # noqa: S506  # both loaders are safe
    return found


def _by_place(rows: list[Row]) -> tuple[Row, ...]:
    """Put each row after its parent, slices after the sliced element; otherwise as they were written."""
    places: dict[str, int] = {}
    for row in rows:
        places.setdefault(row.path.split(".")[0].partition(":")[0], len(places))
    return tuple(sorted(rows, key=lambda row: places[row.path.split(".")[0].partition(":")[0]]))
