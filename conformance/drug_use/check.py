"""What is questionable about one prescribed drug for one patient (china §5, row 23: 合理用药).

A finding has a severity: critical (an allergy), warning (sex, age, level, place, course, duplicate), information (what
only the payment depends on: disease, insurance).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from conformance.drug_use.restrictions import Restriction, restrictions_of
from terminology.issues import Issue

CHILD_UNDER = 18
"""儿童: under 18. The tables don't say where childhood ends; this is the reading of the law on minors."""
INPATIENT = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC", "SS", "EMER"})
"""Classes of Encounter that count as 住院; the payment notes name emergency beside it."""
SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Other:
    """Another drug the patient has, or an allergy: where it is recorded, its names and codes ("system|code")."""

    reference: str
    names: tuple[str, ...]
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What the check may know; what is not known ("" or None) is not held against anybody."""

    drug: Other
    on: date
    nhsa: tuple[str, ...] = ()
    sex: str = ""
    born: date | None = None
    visit: str = ""
    level: int | None = None
    days: float | None = None
    diagnoses: tuple[str, ...] = ()
    others: Sequence[Other] = ()
    allergies: Sequence[Other] = ()

    @property
    def age(self) -> int | None:
        born = self.born
        if born is None:
            return None
        return self.on.year - born.year - ((self.on.month, self.on.day) < (born.month, born.day))

    @property
    def name(self) -> str:
        return self.drug.names[0] if self.drug.names else next(iter(self.drug.codes), "?")


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind`: code of detected-issue-code; `about`: the record that it rests on."""

    kind: str
    severity: str
    issue: Issue
    about: str = ""


def check(case: Case) -> list[Finding]:
    """Return all findings, the gravest first, none twice."""
    found = [*_allergies(case), *_duplicates(case)]
    for row in restrictions_of(case.drug.names, case.nhsa):
        found += _restricted(case, row)
    unique = {(row.issue.code, row.about): row for row in found}
    grave = {"critical": 0, "warning": 1, "information": 2}
    return sorted(unique.values(), key=lambda row: grave[row.severity])


def _allergies(case: Case) -> list[Finding]:
    return [
        Finding(
            "ALGY",
            "critical",
            Issue("HT-DU-01", {"drug": case.name, "allergen": (*row.names, *row.codes)[0]}),
            row.reference,
        )
        for row in case.allergies
        if set(row.codes) & set(case.drug.codes)
        or any(len(name) >= SHORTEST and name in drug for name in row.names for drug in case.drug.names)
    ]


def _duplicates(case: Case) -> list[Finding]:
    return [
        Finding(
            "DUPTHPY",
            "warning",
            Issue("HT-DU-02", {"drug": case.name, "other": row.reference}),
            row.reference,
        )
        for row in case.others
        if set(row.codes) & set(case.drug.codes) or set(row.names) & set(case.drug.names)
    ]


def _restricted(case: Case, row: Restriction) -> list[Finding]:
    found: list[Finding] = []

    def add(kind: str, severity: str, code: str, **values: object) -> None:
        found.append(Finding(kind, severity, Issue(code, {"drug": case.name, **values})))

    if row.sex and case.sex in ("male", "female") and case.sex != row.sex:
        male = row.sex == "male"
        add(
            "GEND",
            "warning",
            "HT-DU-03",
            sex_zh="男性" if male else "女性",
            sex_en="men" if male else "women",
        )
    if row.is_for_children and case.age is not None and case.age >= CHILD_UNDER:
        add("AGE", "warning", "HT-DU-04", age=case.age, limit=CHILD_UNDER)
    if row.level and case.level is not None and case.level < row.level:
        add("COMPLY", "warning", "HT-DU-05", needed=row.level, level=case.level)
    if row.is_for_inpatients and case.visit and case.visit not in INPATIENT:
        add("COMPLY", "warning", "HT-DU-06", visit=case.visit)
    if row.days and case.days is not None and case.days > row.days:
        add("DOSE", "warning", "HT-DU-07", days=f"{case.days:g}", limit=row.days)
    if row.diseases and not any(re.search(row.diseases, name) for name in case.diagnoses):
        add("COMPLY", "information", "HT-DU-08", diseases=row.diseases.replace("|", "、").strip("()"))
    if row.insurance:
        add("COMPLY", "information", "HT-DU-09", insurance=row.insurance)
    return found
