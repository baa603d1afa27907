"""From a diagnosis or a result to the reporting Task (传染病报告), and from several cases to a sign of an event."""

from datetime import datetime, timedelta

from gateway.care.record import find, id_of
from gateway.public_health.infectious import Notifiable, detect
from gateway.public_health.task import C, to_task
from gateway.rest.labels import CONFIDENTIALITY
from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.coordination import TASK_CODE, coding
from gateway.workflow.draft import codes_of, reference_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource

DISEASE = f"{C}infectious-disease"
INSTITUTION = "public-health"


async def reported(resource: Json, store: Store, packs: Packs, *, now: datetime) -> Json | None:
    """Write Task and Flag of a new case; returns the Task, None for no case or a known one."""
    rules = packs.rules("infectious-diseases")
    found = detect(resource, rules)
    patient = reference_of(resource.get("subject"))
    if found is None or not patient.startswith("Patient/"):
        return None
    focus = f"{resource['resourceType']}/{resource['id']}"
    id = id_of("infectious", patient, found.id, focus)
    known = await cases_of(found.id, store, patient=patient)
    since = (now - timedelta(days=int(rules["again_days"]))).isoformat()
    if await store.read("Task", id) is not None or any(str(row.get("authoredOn")) > since for row in known):
        return None
    owner = await reporter_of(resource, store)
    labels = [{"system": CONFIDENTIALITY, "code": "R"}] if found.sensitive else []
    task = to_task(
        "infectious-report",
        id=id,
        focus=focus,
        patient=patient,
        owner=owner,
        now=now,
        limit=now + timedelta(hours=found.hours),
        text=f"传染病报告（{found.category}类，{found.hours} 小时内） report within {found.hours} h",
        is_urgent=found.hours <= 2,
        security=labels,
        reasonCode={"coding": [{"system": DISEASE, "code": found.id, "display": found.zh}], "text": found.zh},
    )
    await store.commit(Commit([Put(task, expected=0), Put(_flag(task, found, now, labels), expected=0)]))
    await _cluster(found, store, packs, now=now)
    return task


async def cases_of(disease: str, store: Store, *, patient: str = "", since: str = "") -> list[Json]:
    """Return the reporting Tasks of a disease that weren't cancelled."""
    params = [("code", f"{TASK_CODE}|infectious-report")]
    params += [("patient", patient)] if patient else []
    params += [("authored-on", f"ge{since}")] if since else []
    rows = await find(store, "Task", params)
    return [
        row
        for row in rows
        if disease in codes_of(row.get("reasonCode"), DISEASE)
        and row.get("status") not in ("cancelled", "entered-in-error")
    ]


async def reporter_of(resource: Json, store: Store) -> str:
    """Return the organisation that has to report: that of the visit, else who performed or recorded it."""
    encounter = await _read(reference_of(resource.get("encounter")), store)
    named = [reference_of((encounter or {}).get("serviceProvider"))]
    named += [reference_of(row) for row in resource.get("performer") or ()]
    named += [reference_of(resource.get(name)) for name in ("recorder", "asserter")]
    for reference in named:
        if reference.startswith("Organization/"):
            return reference
        if reference.startswith("PractitionerRole/"):
            role = await _read(reference, store)
            place = reference_of((role or {}).get("organization"))
            if place:
                return place
    return ""


async def _cluster(found: Notifiable, store: Store, packs: Packs, *, now: datetime) -> None:
    """Tell the public-health institutions once a day of so many cases of one disease within so many days."""
    rule = packs.rules("infectious-diseases")["cluster"]
    since = (now - timedelta(days=int(rule["days"]))).date().isoformat()
    cases = await cases_of(found.id, store, since=since)
    id = id_of("event", found.id, now.date().isoformat())
    if len(cases) < int(rule["cases"]) or await store.read("Communication", id) is not None:
        return
    institutions = await find(
        store, "Organization", [("type", f"{C}organization-type|{INSTITUTION}")], most=50
    )
    moment = now.isoformat(timespec="seconds")
    report: Json = {
        "resourceType": "MeasureReport",
        "id": id,
        "status": "complete",
        "type": "summary",
        "measure": "https://hutong.health/fhir/Measure/infectious-disease-cluster",
        "date": moment,
        "period": {"start": since, "end": now.date().isoformat()},
        "group": [
            {
                "code": {"coding": [{"system": DISEASE, "code": found.id, "display": found.zh}]},
                "population": [{"count": len(cases)}],
            }
        ],
        "evaluatedResource": [{"reference": f"Task/{row['id']}"} for row in cases],
    }
    event: Json = {
        "resourceType": "Communication",
        "id": id,
        "status": "in-progress",
        "category": [coding(f"{C}communication-category", "public-health-event")],
        "priority": "urgent",
        "topic": {
            "text": f"{rule['days']} 天内 {len(cases)} 例{found.zh} / {len(cases)} cases of {found.en} in {rule['days']} days"
        },
        "about": [{"reference": f"MeasureReport/{id}"}],
        "sent": moment,
    }
    if institutions:
        event["recipient"] = [{"reference": f"Organization/{row['id']}"} for row in institutions]
    await store.commit(Commit([Put(report, expected=0), Put(event, expected=0)]))


def _flag(task: Json, found: Notifiable, now: datetime, labels: list[Json]) -> Json:
    flag: Json = {
        "resourceType": "Flag",
        "id": id_of("flag", task["id"]),
        "status": "active",
        "category": [coding(f"{C}flag-category", "infection")],
        "code": {"coding": [{"system": DISEASE, "code": found.id, "display": found.zh}], "text": found.zh},
        "subject": task["for"],
        "period": {"start": now.isoformat(timespec="seconds")},
    }
    return flag | ({"meta": {"security": labels}} if labels else {})


async def _read(reference: str, store: Store) -> Json | None:
    type, _, id = reference.partition("/")
    version = await store.read(type, id) if id and ":" not in type else None
    return decode_resource(version.body) if version is not None and version.body is not None else None
