"""The six ones (六个一) of a chronic patient: one record, agreement, assessment, plan, timetable, continuous log.

Policy of the Xinjiang pilot for primary care; workflows §3.8.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from gateway.care.grading import grade_of
from gateway.care.plan import colour_of, day_of, open_visits, status_of
from gateway.care.record import contracts_of, find, in_force
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource

NAMES = {
    "record": "一份健康档案",
    "contract": "一份签约协议",
    "assessment": "一次评估",
    "plan": "一个管理计划",
    "timetable": "一张时间表",
    "log": "一份连续服务记录",
}
FRESH = timedelta(days=366)
HEALTH_RECORD = "urn:oid:2.16.156.10011.1.2"
MOST_EVIDENCE = 20


@dataclass(frozen=True, slots=True)
class One:
    """One of the six: `evidence` are the references that prove it; none = it is missing."""

    name: str
    evidence: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        return bool(self.evidence)


@dataclass(frozen=True, slots=True)
class SixOnes:
    ones: tuple[One, ...]
    colour: str

    @property
    def missing(self) -> list[str]:
        return [one.name for one in self.ones if not one.is_there]


async def six_ones(plan: Json, store: Store, *, today: date) -> SixOnes:
    """Return the six for the patient of a plan, as they stand on a day."""
    patient = str((plan.get("subject") or {}).get("reference", ""))
    reference = f"CarePlan/{plan['id']}"
    day = today.isoformat()
    contracts = [f"Contract/{row['id']}" for row in await contracts_of(patient, store) if in_force(row, day)]
    visits = open_visits(plan)
    completed = [row for row in plan.get("activity", ()) if status_of(row) == "completed"]
    ones = (
        One("record", await _record(patient, store)),
        One("contract", tuple(contracts)),
        One("assessment", await _assessments(plan, store, today)),
        One("plan", (reference,) if plan.get("status") == "active" and plan.get("goal") else ()),
        One(
            "timetable",
            (reference,) if any((when := day_of(row)) and when >= today for row in visits) else (),
        ),
        One("log", await _log(plan, patient, completed, store)),
    )
    return SixOnes(ones, colour_of(plan))


async def _record(patient: str, store: Store) -> tuple[str, ...]:
    """A patient with a number of the health record, or with a document filed."""
    type, _, id = patient.partition("/")
    version = await store.read(type, id) if id else None
    if version is None or version.body is None:
        return ()
    rows = decode_resource(version.body).get("identifier", ())
    if any(row.get("system") == HEALTH_RECORD and row.get("value") for row in rows):
        return (patient,)
    documents = await find(store, "DocumentReference", [("subject", patient)], most=1)
    return tuple(f"DocumentReference/{row['id']}" for row in documents)


async def _assessments(plan: Json, store: Store, today: date) -> tuple[str, ...]:
    found = []
    for row in plan.get("supportingInfo", ()):
        reference = str(row.get("reference", "")).partition("/_history/")[0]
        type, _, id = reference.partition("/")
        version = await store.read(type, id) if type == "RiskAssessment" and id else None
        if version is None or version.body is None:
            continue
        assessment = decode_resource(version.body)
        when = str(assessment.get("occurrenceDateTime", ""))[:10]
        if grade_of(assessment) and when >= (today - FRESH).isoformat():
            found.append(reference)
    return tuple(found)


async def _log(plan: Json, patient: str, completed: list[Json], store: Store) -> tuple[str, ...]:
    """Visits that were done within the plan, else the encounters since it began."""
    outcomes = [str(row.get("reference", "")) for one in completed for row in one.get("outcomeReference", ())]
    if outcomes:
        return tuple(dict.fromkeys(outcomes))[:MOST_EVIDENCE]
    start = str((plan.get("period") or {}).get("start", ""))[:10]
    if not start:
        return ()
    params = [("subject", patient), ("date", f"ge{start}"), ("status", "finished")]
    found = await find(store, "Encounter", params, most=MOST_EVIDENCE)
    return tuple(f"Encounter/{row['id']}" for row in found)
