"""The grade of one person's disease: which findings hold, and what they come to (workflows W9)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from conformance.chronic.measures import Measured, latest, measured
from conformance.chronic.packs import GRADES, Condition, Disease
from terminology.fhirjson import Json

COLOURS = {"low": "green", "medium": "yellow", "high": "red"}
FRESH = timedelta(days=366)
"""Older values say nothing of the risk now: an assessment is to be newer than 12 months."""

COMPARE = {
    "at_least": lambda value, limit: value >= limit,
    "at_most": lambda value, limit: value <= limit,
    "below": lambda value, limit: value < limit,
    "above": lambda value, limit: value > limit,
}
WORDS = {
    "at_least": ("≥", "≥"),
    "at_most": ("≤", "≤"),
    "below": ("＜", "<"),
    "above": ("＞", ">"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition that holds, worded, with what it rests on."""

    grade: str
    zh: str
    en: str
    source: str


@dataclass(frozen=True, slots=True)
class Grade:
    """`findings` explain it: those of this grade, () for a low one. `basis`: the resources it rests on."""

    disease: Disease
    grade: str
    findings: tuple[Finding, ...]
    basis: tuple[str, ...]

    @property
    def colour(self) -> str:
        return COLOURS[self.grade]


@dataclass(frozen=True, slots=True)
class Visit:
    """The values of one day."""

    day: date
    values: tuple[Measured, ...]


def grade(
    disease: Disease, observations: Iterable[Json], conditions: Iterable[Json], *, on: date
) -> Grade | None:
    """Return the grade on a day; None for somebody without the diagnosis, or without any value of the last 12 months."""
    diagnoses = active_codes(conditions)
    if not has_any(diagnoses, disease.diagnoses):
        return None
    values = [row for row in measured(observations, disease) if on - FRESH <= row.at <= on]
    if not values:
        return None
    newest = latest(values)
    basis = tuple(dict.fromkeys(row.source for row in newest.values()))
    for name, rows in disease.grades:
        findings = tuple(
            found for row in rows if (found := _finding(row, newest, diagnoses, name)) is not None
        )
        if findings:
            more = tuple(row.source for row in findings if row.source not in basis)
            return Grade(disease, name, findings, (*basis, *more))
    return Grade(disease, GRADES[0], (), basis)


def urgent(disease: Disease, values: Sequence[Measured]) -> list[Finding]:
    """Return what sends a person up at once, by the newest day's values."""
    visits = visits_of(values)
    if not visits:
        return []
    newest = latest(visits[0].values)
    return [found for row in disease.urgent if (found := _finding(row, newest, {}, "high")) is not None]


def unsatisfactory(disease: Disease, values: Sequence[Measured]) -> list[Finding]:
    """Return the findings of the newest visit when so many visits in a row were not satisfactory, else []."""
    visits = visits_of(values)[: disease.in_a_row]
    if len(visits) < disease.in_a_row:
        return []
    found = [
        [one for row in disease.unsatisfactory if (one := _finding(row, latest(visit.values), {}, "medium"))]
        for visit in visits
    ]
    return found[0] if all(found) else []


def visits_of(values: Iterable[Measured]) -> list[Visit]:
    """Return the values by day, the newest first."""
    days: dict[date, list[Measured]] = {}
    for row in values:
        days.setdefault(row.at, []).append(row)
    return [Visit(day, tuple(days[day])) for day in sorted(days, reverse=True)]


def active_codes(conditions: Iterable[Json]) -> dict[str, str]:
    """Return code → reference of the diagnoses that count: not refuted, not resolved, not entered in error."""
    found: dict[str, str] = {}
    for condition in conditions:
        states = {
            str(row.get("code"))
            for name in ("clinicalStatus", "verificationStatus")
            for row in (condition.get(name) or {}).get("coding") or ()
        }
        if states & {"resolved", "inactive", "refuted", "entered-in-error"}:
            continue
        for row in (condition.get("code") or {}).get("coding") or ():
            if row.get("code"):
                found.setdefault(str(row["code"]), f"Condition/{condition.get('id', '')}")
    return found


def has_any(codes: Iterable[str], beginnings: Sequence[str]) -> bool:
    """Whether a code begins as one of ICD-10's categories: "I10.x00" is an "I10"."""
    return any(code.upper().startswith(tuple(beginnings)) for code in codes)


def _finding(
    row: Condition, newest: dict[str, Measured], diagnoses: dict[str, str], name: str
) -> Finding | None:
    if row.measure is None:
        found = next((code for code in diagnoses if has_any([code], row.diagnoses)), None)
        return (
            Finding(name, f"{row.zh}（{found}）", f"{row.en} ({found})", diagnoses[found]) if found else None
        )
    value = newest.get(row.measure.name)
    if value is None or not all(COMPARE[word](value.value, limit) for word, limit in row.limits):
        return None
    zh = "".join(f"{WORDS[word][0]}{limit}" for word, limit in row.limits)
    en = " ".join(f"{WORDS[word][1]} {limit}" for word, limit in row.limits)
    unit = row.measure.unit
    return Finding(
        name,
        f"{row.measure.zh} {value.value} {unit}（{zh}）",
        f"{row.measure.en} {value.value} {unit} ({en})",
        value.source,
    )
