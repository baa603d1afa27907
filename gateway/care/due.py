"""Whose visit is due: the open visits of active plans with their phase (workflows W9: due, overdue, lost)."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gateway.care.plan import C, code_of, colour_of, day_of, open_visits
from gateway.care.record import every
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from terminology.fhirjson import Json
from terminology.issues import FhirError, Unavailable, VersionConflict

log = logging.getLogger("gateway.care")

LOST = timedelta(days=180)
"""So long after its day an open visit means that the patient is lost to follow-up."""
AHEAD = timedelta(days=7)
MOST_PLANS = 200_000
COLUMNS = ("plan", "patient", "name", "category", "colour", "visit", "date", "phase", "days", "team")


@dataclass(frozen=True, slots=True)
class Due:
    """One open visit. `days`: after its day (negative: before)."""

    plan: str
    patient: str
    category: str
    colour: str
    visit: str
    day: date
    phase: str
    days: int
    team: str

    def row(self, name: str = "") -> dict[str, Any]:
        return {
            "plan": self.plan,
            "patient": self.patient,
            "name": name,
            "category": self.category,
            "colour": self.colour,
            "visit": self.visit,
            "date": self.day.isoformat(),
            "phase": self.phase,
            "days": self.days,
            "team": self.team,
        }


async def due_visits(
    store: Store, *, today: date, within: timedelta = AHEAD, team: str = "", phase: str = ""
) -> AsyncIterator[Due]:
    """Yield the first open visit of each active plan that is due within so many days, or was before."""
    async for plan in active_plans(store, team=team):
        found = first_due(plan, today, within)
        if found is not None and phase in ("", found.phase):
            yield found


def first_due(plan: Json, today: date, within: timedelta = AHEAD) -> Due | None:
    visits = open_visits(plan)
    day = day_of(visits[0]) if visits else None
    if day is None or day > today + within:
        return None
    late = today - day
    phase = "due" if late <= timedelta(0) else "overdue" if late <= LOST else "lost"
    return Due(
        plan=f"CarePlan/{plan['id']}",
        patient=str((plan.get("subject") or {}).get("reference", "")),
        category=_category(plan),
        colour=colour_of(plan),
        visit=code_of(visits[0]),
        day=day,
        phase=phase,
        days=late.days,
        team=str((plan.get("author") or {}).get("reference", "")),
    )


async def active_plans(store: Store, *, team: str = "") -> AsyncIterator[Json]:
    """Yield the active plans page by page, in a stable order."""
    async for plan in every(store, "CarePlan", [("status", "active")], most=MOST_PLANS):
        if not team or str((plan.get("author") or {}).get("reference", "")) == team:
            yield plan


async def remind(store: Store, *, today: date, now: str) -> int:
    """Tell the team of each visit that is due, once: the visit goes from not-started to scheduled in the same commit.

    A plan that cannot be written is logged and left for the next day. Raises VersionConflict, after all others, when
    somebody else wrote a plan meanwhile: looking again tells only what was not told.
    """
    told, crossed = 0, None
    async for plan in active_plans(store):
        found = first_due(plan, today)
        if found is None or found.phase == "lost":
            continue
        changed = _called(plan, found.day)
        if changed is None:
            continue
        number = int(plan["meta"]["versionId"])
        payload: Json = {
            "focus": f"{found.plan}/_history/{number + 1}",
            "receivers": [found.team] if found.team else [],
            "reason": found.phase,
            "at": now,
        }
        row = OutboxRow("careplan-due", found.patient, payload)
        try:
            await store.commit(Commit([Put(changed, expected=number)], outbox=[row]))
            told += 1
        except VersionConflict as error:
            crossed = error
        except Unavailable:
            raise
        except FhirError as error:
            log.warning("visit not called: %s", error, extra={"resource": found.plan})
    if crossed is not None:
        raise crossed
    return told


def _called(plan: Json, day: date) -> Json | None:
    """Return the plan with its first visit called, None when that was done before."""
    for at, row in enumerate(plan.get("activity", ())):
        if day_of(row) == day and code_of(row):
            if row["detail"].get("status") != "not-started":
                return None
            rows = list(plan["activity"])
            rows[at] = {**row, "detail": {**row["detail"], "status": "scheduled"}}
            return {**plan, "activity": rows}
    return None


def _category(plan: Json) -> str:
    return next(
        (
            str(row.get("code", ""))
            for concept in plan.get("category", ())
            for row in concept.get("coding", ())
            if row.get("system") == f"{C}care-plan-category"
        ),
        "",
    )
