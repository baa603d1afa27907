"""The gate: whether a member may do an interaction, or send a type of message, in production.

A pure function over certificates; the gateway asks it for every request and message. What needs which role is the
table `conformance/requirements/interactions.csv`.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from conformance.testing.certificate import WORKING, Certificate
from terminology.issues import BusinessRule, Issue

TABLE = Path(__file__).parent.parent / "requirements" / "interactions.csv"
MAX_HOURS = 24


@dataclass(frozen=True, slots=True)
class Override:
    """An emergency: two people let a member in for some hours. Every use is to be audited."""

    member: str
    reason: str
    approvers: tuple[str, str]
    begins: datetime
    ends: datetime

    def __post_init__(self) -> None:
        first, second = self.approvers
        if not first.strip() or not second.strip() or first.strip() == second.strip():
            raise BusinessRule("HT-CT-45", detail="approvers")
        if not self.reason.strip():
            raise BusinessRule("HT-CT-45", detail="reason")
        if not self.begins < self.ends <= self.begins + timedelta(hours=MAX_HOURS):
            raise BusinessRule(
                "HT-CT-45", detail=f"{self.begins:%Y-%m-%d %H:%M} … {self.ends:%Y-%m-%d %H:%M}"
            )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a member got no certificate: the requirements that stood in the way by role, and the run that shows it."""

    run: str
    roles: Mapping[str, tuple[str, ...]]

    def failing(self, roles: Iterable[str]) -> tuple[str, ...]:
        """Return the requirements of these roles that did not hold."""
        return tuple(id for role in roles for id in self.roles.get(role, ()))


@dataclass(frozen=True, slots=True)
class Admission:
    """`issue`: why not; `by_override`: let in by an emergency, so it has to be audited."""

    is_admitted: bool
    issue: Issue | None = None
    by_override: bool = False


@cache
def roles_of(interaction: str) -> tuple[str, ...]:
    """Return the roles that may do an interaction ("create Observation") or send a message ("ORU^R01")."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(dict.fromkeys(row["role"] for row in rows if fnmatchcase(interaction, row["interaction"])))


def admits(
    member: str,
    interaction: str,
    *,
    certificates: Mapping[str, Iterable[Certificate]],
    now: datetime,
    role: str | None = None,
    overrides: Iterable[Override] = (),
    refusals: Mapping[str, Refusal] | None = None,
) -> Admission:
    """Tell whether a member may do an interaction now; `certificates` are verified ones by member.

    With `role` only that role counts, otherwise any role that may do it. An interaction that the table doesn't name
    is nobody's: it is refused.
    """
    may = roles_of(interaction)
    wanted = tuple(one for one in may if one == role) if role is not None else may
    reason = "no-role"
    today = now.date()
    for certificate in certificates.get(member, ()) if wanted else ():
        state = certificate.state_on(today)
        shared = [one for one in certificate.roles if one in wanted]
        if certificate.member != member:
            reason = "other-member"
        elif not shared:
            reason = "no-certificate"
        elif state in WORKING:
            return Admission(True)
        else:
            reason = state
    if wanted and not list(certificates.get(member, ())):
        reason = "no-certificate"
    if any(row.member == member and row.begins <= now < row.ends for row in overrides):
        return Admission(True, by_override=True)
    shown = role or ", ".join(wanted) or "-"
    values = {"member": member[:80], "interaction": interaction[:80], "role": shown, "reason": reason}
    refused = (refusals or {}).get(member)
    failing = refused.failing(wanted) if refused is not None else ()
    if refused is not None and failing:
        # Not only that it may not, but which requirement keeps it out, and where its evidence is.
        where = f"/conformance/runs/{refused.run}/html"
        return Admission(
            False, Issue("HT-CT-53", {**values, "requirements": ", ".join(failing[:5]), "where": where})
        )
    return Admission(False, Issue("HT-CT-44", values))
