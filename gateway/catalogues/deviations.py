"""A member's exceptions from the tiers of the drug catalogue: proposed with a reason, approved by a second person.

https://hutong.health/fhir/ValueSet/{catalogue}-{member} is what the member may prescribe: its tier, and its exceptions.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import apsw

from terminology.catalogue.row import Row
from terminology.drug.tiers import TIERS, Deviation, Tier, is_available
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Forbidden, InvalidInput, NotFound

SCHEMA = """
create table if not exists deviation(
  number integer primary key, catalogue text not null, member text not null, tier text not null, code text not null,
  available integer not null, reason text not null, state text not null, author text not null, approver text) strict;
"""
BASE = "https://hutong.health/fhir/ValueSet/"
MEMBER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?", re.ASCII)

State = Literal["submitted", "approved", "rejected"]
Step = Callable[[str, str, str, dict[str, Any]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Exemption:
    """One exception: `available` false drops a drug at the member, true adds it; `tier` is the member's own."""

    number: int
    catalogue: str
    member: str
    tier: Tier
    code: str
    available: bool
    reason: str
    state: State
    author: str
    approver: str | None


class Deviations:
    """The exceptions of all members, in the authoring database; `step` is its transaction with an audit row."""

    def __init__(self, database: apsw.Connection, step: Step) -> None:
        self._db, self._step = database, step
        database.execute(SCHEMA)

    def propose(
        self, catalogue: str, row: Row | None, *, member: str, tier: str, code: str, available: bool, reason: str, who: str
    ) -> Exemption:  # fmt: skip
        """Propose an exception for a drug; raises InvalidInput HT-CAT-62 for what cannot be one, NotFound HT-CAT-68."""
        if not MEMBER.fullmatch(member) or member in TIERS:
            raise InvalidInput("HT-CAT-65", value=member[:40])
        if tier not in TIERS:
            raise InvalidInput("HT-CAT-62", name="tier", value=tier[:40], expected=" | ".join(TIERS))
        if not reason.strip():
            raise InvalidInput("HT-CAT-62", name="reason", value="", expected="why / 原因")
        if row is None:
            raise NotFound("HT-CAT-68", concept=code[:80], catalogue=catalogue)
        with self._step(who, "deviate", f"{catalogue}@{member}", {"code": code, "available": available}):
            self._db.execute(
                "insert into deviation(catalogue, member, tier, code, available, reason, state, author)"
                " values(?,?,?,?,?,?,'submitted',?)",
                (catalogue, member, tier, code, available, reason, who),
            )
            number = self._db.last_insert_rowid()
        return self.get(number)

    def review(self, number: int, *, who: str, approve: bool) -> Exemption:
        """Approve or reject; raises BusinessRule HT-CAT-69 when it is decided, Forbidden HT-CAT-41 for its author."""
        found = self.get(number)
        state: State = "approved" if approve else "rejected"
        if found.state != "submitted" and not (found.state == "approved" and state == "rejected"):
            raise BusinessRule("HT-CAT-69", id=number, state=found.state)
        if who == found.author and approve:
            raise Forbidden("HT-CAT-41", id=number, who=who)
        with self._step(who, state, f"{found.catalogue}@{found.member}", {"deviation": number}):
            self._db.execute("update deviation set state=?, approver=? where number=?", (state, who, number))
        return self.get(number)

    def get(self, number: int) -> Exemption:
        found = self._select("number=?", (number,))
        if not found:
            raise NotFound("HT-CAT-45", id=number)
        return found[0]

    def all(self, catalogue: str, member: str | None = None) -> list[Exemption]:
        """Return exceptions, newest first."""
        return self._select(
            "catalogue=?1 and (?2 is null or member=?2) order by number desc", (catalogue, member)
        )

    def in_force(self, catalogue: str, member: str) -> list[Exemption]:
        """Return the approved exceptions of a member, of several for one drug the newest."""
        found = [row for row in self.all(catalogue, member) if row.state == "approved"]
        return list({row.code: row for row in reversed(found)}.values())

    def _select(self, where: str, bindings: Sequence[Any]) -> list[Exemption]:
        names = ", ".join(field.name for field in fields(Exemption))
        rows = self._db.execute(f"select {names} from deviation where {where}", bindings)  # noqa: S608  # the clauses are those above
        return [Exemption(**dict(zip(names.split(", "), row, strict=True))) for row in rows]


def shown(row: Exemption) -> Json:
    return asdict(row) | {"available": bool(row.available)}


def availability(row: Row, *, tier: Tier, member: str | None, exemptions: Iterable[Exemption]) -> Json:
    """Return whether a tier, or one of its members, may prescribe a drug, and by which exception."""
    held = list(exemptions)
    deviations = [Deviation(one.member, one.code, bool(one.available), one.reason) for one in held]
    answer: Json = {
        "code": row.code,
        "display": row.display,
        "tier": tier,
        "available": not row.is_inactive
        and is_available(row, tier=tier, member=member, deviations=deviations),
    }
    reason = next((one.reason for one in held if one.code == row.code), None)
    return answer | {
        name: value for name, value in (("member", member), ("reason", reason)) if value is not None
    }


def value_set(catalogue: str, system: str, exemptions: Sequence[Exemption]) -> Json:
    """Return what a member may prescribe as a ValueSet; `exemptions` are those in force, at least one."""
    newest = max(exemptions, key=lambda one: one.number)
    name = f"{catalogue}-{newest.member}"
    include: list[Json] = [
        {"system": system, "filter": [{"property": "tiers", "op": "=", "value": newest.tier}]}
    ]
    added, dropped = (
        [{"code": one.code} for one in exemptions if bool(one.available) is wanted]
        for wanted in (True, False)
    )
    if added:
        include.append({"system": system, "concept": added})
    compose: Json = {"include": include}
    if dropped:
        compose["exclude"] = [{"system": system, "concept": dropped}]
    return {
        "resourceType": "ValueSet",
        "id": name,
        "url": BASE + name,
        "name": "".join(part.capitalize() for part in name.split("-")),
        "title": f"{newest.member} 可用药品",
        "status": "active",
        "compose": compose,
    }
