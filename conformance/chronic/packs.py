"""The packs of chronic diseases: one YAML file a disease and version; the newest in force counts, a county's own first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from terminology.issues import InvalidInput, Issue

SHIPPED = Path(__file__).parent / "packs"
GRADES = ("low", "medium", "high")
LIMITS = ("at_least", "at_most", "below", "above")


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured: `codes` of any system, `unit` (UCUM) in which the limits are written."""

    name: str
    codes: frozenset[str]
    unit: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that may hold: a measure beyond a limit, or a diagnosis by the beginning of its code."""

    measure: Measure | None
    limits: tuple[tuple[str, Decimal], ...] = ()
    diagnoses: tuple[str, ...] = ()
    zh: str = ""
    en: str = ""


@dataclass(frozen=True, slots=True)
class Disease:
    """One pack. `grades`: (grade, conditions), the first that holds counts; `days`: between visits, by grade; `goal`: of a plan, in words."""

    id: str
    version: str
    effective: date
    source: str
    zh: str
    en: str
    diagnoses: tuple[str, ...]
    measures: Mapping[str, Measure]
    grades: tuple[tuple[str, tuple[Condition, ...]], ...]
    days: Mapping[str, int]
    specialist_days: Mapping[str, int]
    urgent: tuple[Condition, ...]
    unsatisfactory: tuple[Condition, ...]
    in_a_row: int
    goal: str

    @property
    def name(self) -> str:
        return f"{self.id}|{self.version}"

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all its measures."""
        return frozenset(code for measure in self.measures.values() for code in measure.codes)


class Diseases:
    """All versions of all packs."""

    def __init__(self, packs: Iterable[Disease]) -> None:
        self.packs = tuple(packs)

    def at(self, day: date) -> dict[str, Disease]:
        """Return the packs in force on a day, by id."""
        found: dict[str, Disease] = {}
        for pack in sorted(self.packs, key=lambda row: row.effective):
            if pack.effective <= day:
                found[pack.id] = pack
        return found


@cache
def load_diseases(folder: Path | None = None) -> Diseases:
    """Return the shipped packs, with those of a county's folder; raises InvalidInput (HT-CARE-01) naming every bad file."""
    found: list[Disease] = []
    problems: list[Issue] = []
    for place in (SHIPPED, folder):
        for path in sorted(place.glob("*.yaml")) if place is not None and place.is_dir() else ():
            try:
                found.append(read_disease(yaml.safe_load(path.read_text("utf-8"))))
            except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
                detail = f"{type(error).__name__}: {error}"[:200]
                problems.append(Issue("HT-CARE-01", {"file": path.name, "detail": detail}))
    if problems:
        raise InvalidInput(problems)
    return Diseases(found)


def read_disease(tree: Any) -> Disease:
    """Return a pack; raises KeyError, TypeError or ValueError for a tree that is none."""
    measures = {
        name: Measure(
            name, frozenset(map(str, row["codes"])), str(row["unit"]), str(row["zh"]), str(row["en"])
        )
        for name, row in tree["measures"].items()
    }
    referral = tree["referral"]
    visits = {grade: tree["visits"][grade] for grade in GRADES}
    grades = tuple((str(row["grade"]), _conditions(row["any"], measures)) for row in tree["grades"])
    if unknown := {grade for grade, _ in grades} - set(GRADES):
        raise ValueError(f"grades are {', '.join(GRADES)}, not {', '.join(sorted(unknown))}")
    effective = tree["effective"]
    return Disease(
        id=str(tree["pack"]),
        version=str(tree["version"]),
        effective=effective if isinstance(effective, date) else date.fromisoformat(str(effective)),
        source=str(tree["source"]),
        zh=str(tree["zh"]),
        en=str(tree["en"]),
        diagnoses=tuple(map(str, tree["diagnoses"])),
        measures=measures,
        grades=grades,
        days={grade: int(row["days"]) for grade, row in visits.items()},
        specialist_days={
            grade: int(row["specialist_days"]) for grade, row in visits.items() if "specialist_days" in row
        },
        urgent=_conditions(referral["urgent"], measures),
        unsatisfactory=_conditions(referral["unsatisfactory"], measures),
        in_a_row=int(referral["in_a_row"]),
        goal=str(tree.get("goal") or f"{tree['zh']} / {tree['en']}"),
    )


def _conditions(rows: Iterable[Any], measures: Mapping[str, Measure]) -> tuple[Condition, ...]:
    found = []
    for row in rows:
        if unknown := row.keys() - {"measure", *LIMITS, "diagnoses", "zh", "en"}:
            raise ValueError(f"not known in a condition: {', '.join(map(str, sorted(unknown, key=str)))}")
        limits = tuple((name, Decimal(str(row[name]))) for name in LIMITS if name in row)
        measure = measures[row["measure"]] if "measure" in row else None
        diagnoses = tuple(map(str, row.get("diagnoses", ())))
        if (measure is None) == (not diagnoses) or (measure is not None and not limits):
            raise ValueError(f"a condition has a measure with a limit, or diagnoses: {row}")
        found.append(Condition(measure, limits, diagnoses, str(row.get("zh", "")), str(row.get("en", ""))))
    return tuple(found)
