"""The timetable of a chronic patient's plan: visits by grade, done when they happened, the next one after (workflows W9).

A visit is an activity with our code; a plan's other activities are never touched.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from conformance.chronic import Disease, Grade
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"
GRADE = "https://hutong.health/fhir/StructureDefinition/grade"
VISIT, SPECIALIST, HOME = "chronic-visit", "specialist-visit", "home-follow-up"
WAY = ("not-started", "scheduled", "in-progress", "completed")
OPEN = frozenset({"not-started", "scheduled"})
WORDS = {VISIT: "慢病随访", SPECIALIST: "专科医师面对面随访", HOME: "下转后随访"}
EARLY = timedelta(days=21)
"""A visit so much before its day still is that visit."""
HORIZON = timedelta(days=366)


def is_for(plan: Json, disease: str) -> bool:
    """Whether a plan is about a disease, by its category."""
    return any(
        row.get("system") == f"{C}care-plan-category" and row.get("code") == disease
        for concept in plan.get("category", ())
        for row in concept.get("coding", ())
    )


def colour_of(plan: Json) -> str:
    return next(
        (str(row.get("valueCode", "")) for row in plan.get("extension", ()) if row.get("url") == GRADE), ""
    )


def regraded(plan: Json, found: Grade, assessment: str, *, today: date) -> Json | None:
    """Return the plan with its colour, assessment and a timetable for the grade; None when it is another disease's or the same."""
    if not is_for(plan, found.disease.id):
        return None
    known = [row.get("reference", "").partition("/_history/")[0] for row in plan.get("supportingInfo", ())]
    is_same = colour_of(plan) == found.colour
    if is_same and assessment in known and open_visits(plan):
        return None
    changed = {
        **plan,
        "extension": [
            *(row for row in plan.get("extension", ()) if row.get("url") != GRADE),
            {"url": GRADE, "valueCode": found.colour},
        ],
        "supportingInfo": [
            {"reference": assessment},
            *(
                row
                for row, text in zip(plan.get("supportingInfo", ()), known, strict=True)
                if text != assessment
            ),
        ],
    }
    return (
        changed
        if is_same and open_visits(plan)
        else scheduled(changed, found.disease, found.grade, start=today)
    )


def scheduled(plan: Json, disease: Disease, grade: str, *, start: date) -> Json:
    """Return the plan with the visits of a grade after `start`, in the place of those that have not begun."""
    kept = [row for row in plan.get("activity", ()) if not (code_of(row) in WORDS and status_of(row) in OPEN)]
    end = _end(plan, start)
    days = disease.days[grade]
    visits = [_visit(plan, VISIT, day) for day in _days(start, days, end)]
    if grade in disease.specialist_days and not _had_specialist(
        plan, start - timedelta(disease.specialist_days[grade])
    ):
        visits.append(_visit(plan, SPECIALIST, start + timedelta(days=days)))
    return {**plan, "activity": [*kept, *sorted(visits, key=lambda row: str(day_of(row)))]}


def done(plan: Json, day: date, evidence: str) -> list[Json]:
    """Return the plan state by state until the open visit that took place on a day is completed; [] when none was due.

    An activity goes its way one state at a time (workflows §1.4), each in a commit of its own.
    """
    rows = list(plan.get("activity", ()))
    if any(evidence in _outcomes(row) for row in rows):
        return []
    # One that was left on its way by a stop is completed too.
    open_rows = [
        (at, row) for at, row in enumerate(rows) if code_of(row) == VISIT and status_of(row) in WAY[:-1]
    ]
    due = [(at, row) for at, row in open_rows if (when := day_of(row)) is not None and when - EARLY <= day]
    if not due:
        return []
    at, row = min(due, key=lambda pair: str(day_of(pair[1])))
    found = []
    for status in WAY[WAY.index(status_of(row)) + 1 :]:
        changed = {**row, "detail": {**row["detail"], "status": status}}
        if status == WAY[-1]:
            changed["outcomeReference"] = [*row.get("outcomeReference", ()), {"reference": evidence}]
        found.append({**plan, "activity": [*rows[:at], changed, *rows[at + 1 :]]})
    return found


def open_visits(plan: Json) -> list[Mapping[str, Any]]:
    """Return the visits that have not taken place, the earliest first."""
    rows = [
        row
        for row in plan.get("activity", ())
        if code_of(row) in WORDS and status_of(row) in OPEN and day_of(row)
    ]
    return sorted(rows, key=lambda row: str(day_of(row)))


def code_of(activity: Mapping[str, Any]) -> str:
    rows = ((activity.get("detail") or {}).get("code") or {}).get("coding") or ()
    return next((str(row.get("code", "")) for row in rows if row.get("system") == f"{C}care-activity"), "")


def status_of(activity: Mapping[str, Any]) -> str:
    return str((activity.get("detail") or {}).get("status", ""))


def day_of(activity: Mapping[str, Any]) -> date | None:
    """Return the day of a visit: scheduledPeriod.start, or the date in scheduledString."""
    detail = activity.get("detail") or {}
    text = (detail.get("scheduledPeriod") or {}).get("start") or detail.get("scheduledString") or ""
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _visit(plan: Json, code: str, day: date) -> Json:
    detail: Json = {
        "kind": "Appointment",
        "code": {
            "coding": [{"system": f"{C}care-activity", "code": code, "display": WORDS[code]}],
            "text": WORDS[code],
        },
        "status": "not-started",
        "scheduledPeriod": {"start": day.isoformat(), "end": (day + timedelta(days=7)).isoformat()},
    }
    author = plan.get("author")
    if author:
        detail["performer"] = [author]
    # The state machine follows an activity by its id, wherever it stands in the list.
    return {"id": f"{code}-{day.isoformat()}", "detail": detail}


def _days(start: date, every: int, end: date) -> list[date]:
    count = max(1, (end - start).days // every)
    return [start + timedelta(days=every * number) for number in range(1, count + 1)]


def _end(plan: Json, start: date) -> date:
    text = str((plan.get("period") or {}).get("end", ""))[:10]
    try:
        end = date.fromisoformat(text)
    except ValueError:
        end = start + HORIZON
    return min(max(end, start), start + HORIZON)


def _had_specialist(plan: Json, since: date) -> bool:
    return any(
        code_of(row) == SPECIALIST
        and (status_of(row) == "completed" or status_of(row) in OPEN)
        and (day := day_of(row)) is not None
        and day >= since
        for row in plan.get("activity", ())
    )


def _outcomes(activity: Mapping[str, Any]) -> list[str]:
    return [str(row.get("reference", "")) for row in activity.get("outcomeReference", ())]
