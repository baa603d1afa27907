"""From results to a verdict on each requirement and on each role.

What was not evaluated is never a pass, and a role with anything mandatory that was not evaluated gets no certificate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from conformance.testing.requirements import Requirement
from conformance.testing.result import Result, State, worst
from terminology.issues import BusinessRule, InvalidInput

MAX_DAYS = 90
# What a role's mandatory requirements may come to.
GOOD: frozenset[State] = frozenset({"pass", "attested", "waived", "not-applicable"})


@dataclass(frozen=True, slots=True)
class Waiver:
    """A requirement that is let off for a while. `asked_by` cannot approve it; `until` is its last day."""

    requirement: str
    reason: str
    asked_by: str
    approver: str
    granted: date
    until: date

    def __post_init__(self) -> None:
        if not (self.requirement and self.reason.strip() and self.approver.strip()):
            raise BusinessRule("HT-CT-40", detail="requirement, reason, approver")
        if self.asked_by == self.approver:
            raise BusinessRule("HT-CT-40", detail=f"asked_by = approver = {self.approver[:40]}")
        if not self.granted <= self.until <= self.granted + timedelta(days=MAX_DAYS):
            raise BusinessRule("HT-CT-40", detail=f"{self.granted} … {self.until}")

    def is_valid(self, today: date) -> bool:
        return self.granted <= today <= self.until


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one requirement. `tests`: the ids of the tests that were evidence."""

    requirement: Requirement
    state: State
    tests: tuple[str, ...] = ()
    waiver: Waiver | None = None


def verdicts(
    register: Mapping[str, Requirement],
    results: Iterable[Result],
    *,
    role: str,
    today: date,
    waivers: Sequence[Waiver] = (),
    not_applicable: Mapping[str, str] | None = None,
) -> list[Verdict]:
    """Return the verdict of every requirement of a role, in the register's order.

    `not_applicable`: requirement → why (a capability that the member declares not to have); a MUST cannot be so
    declared away. Raises InvalidInput for an unknown role or requirement.
    """
    mine = [row for row in register.values() if role in row.roles]
    absent = not_applicable or {}
    unknown = (set(absent) | {row.requirement for row in waivers}) - set(register)
    if not mine or unknown:
        raise InvalidInput("HT-CT-31", name=", ".join(sorted(unknown)) or role)
    evidence: dict[str, list[Result]] = {}
    for result in results:
        for id in result.requirements:
            evidence.setdefault(id, []).append(result)
    return [_verdict(row, evidence.get(row.id, []), today, waivers, absent) for row in mine]


def _verdict(
    row: Requirement,
    evidence: Sequence[Result],
    today: date,
    waivers: Sequence[Waiver],
    absent: Mapping[str, str],
) -> Verdict:
    tests = tuple(result.id for result in evidence)
    state: State = worst([result.state for result in evidence])
    if state == "pass" and evidence and all(_is_attested(result) for result in evidence):
        state = "attested"
    if state not in GOOD:
        if row.id in absent and row.level != "MUST":
            return Verdict(row, "not-applicable", tests)
        waiver = next((one for one in waivers if one.requirement == row.id and one.is_valid(today)), None)
        if waiver is not None:
            return Verdict(row, "waived", tests, waiver)
    return Verdict(row, state, tests)


def _is_attested(result: Result) -> bool:
    kinds = {step.kind for step in result.steps}
    return "attest" in kinds and not kinds & {"expect", "validate", "assert"}


def blocking(rows: Iterable[Verdict]) -> list[Verdict]:
    """Return what stands in the way of a certificate: mandatory and not good, and anything not evaluated."""
    return [
        row
        for row in rows
        if row.state == "not-evaluated" or (row.requirement.level == "MUST" and row.state not in GOOD)
    ]
