"""The resources of one critical value: Communication, Flag, the Task to acknowledge it, and one to confirm it first.

All have ids that follow from result and value: detecting it twice makes nothing twice.
"""

from datetime import datetime, timedelta
from typing import Any

from gateway.care.record import id_of
from gateway.critical.detect import Critical
from gateway.workflow.coordination import TASK_CODE, TASK_NUMBER, coding
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"


def alert_id(observation: Json, found: Critical) -> str:
    return id_of("critical", f"Observation/{observation['id']}", found.value)


def to_communication(
    observation: Json, found: Critical, *, id: str, sender: str, receiver: str, now: datetime
) -> Json:
    """Return the Communication in preparation; it goes out when two have looked."""
    communication: Json = {
        "resourceType": "Communication",
        "id": id,
        "status": "preparation",
        "category": [coding(f"{C}communication-category", "critical-value")],
        "priority": "stat",
        "subject": observation.get("subject"),
        "encounter": observation.get("encounter"),
        "basedOn": observation.get("basedOn"),
        "topic": {"text": f"危急值 {found.item} {found.value}"},
        "about": [{"reference": f"Observation/{observation['id']}"}],
        "payload": [{"contentString": f"{found.item} {found.value}"}],
        "note": [{"text": found.rule, "time": now.isoformat(timespec="seconds")}],
    }
    if sender:
        communication["sender"] = {"reference": sender}
    if receiver:
        communication["recipient"] = [{"reference": receiver}]
    return {name: value for name, value in communication.items() if value}


def to_flag(communication: Json, *, now: datetime) -> Json:
    flag: Json = {
        "resourceType": "Flag",
        "id": f"flag-{communication['id']}"[:64],
        "status": "active",
        "category": [coding(f"{C}flag-category", "critical-value")],
        "code": {"text": communication["topic"]["text"]},
        "subject": communication.get("subject"),
        "period": {"start": now.isoformat(timespec="seconds")},
        "author": communication.get("sender"),
    }
    return {name: value for name, value in flag.items() if value}


def to_task(
    communication: Json, code: str, *, id: str, owner: str, minutes: float, now: datetime, parent: str = ""
) -> Json:
    """Return the Task about a critical value: `acknowledge-critical` of the placing side, `confirm-critical` of the centre."""
    moment = now.isoformat(timespec="milliseconds")
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": communication.get("basedOn"),
        "partOf": [{"reference": parent}] if parent else None,
        "status": "requested",
        "intent": "order",
        "priority": "stat",
        "code": coding(TASK_CODE, code),
        "description": communication["topic"]["text"],
        "focus": {"reference": f"Communication/{communication['id']}"},
        "for": communication.get("subject"),
        "encounter": communication.get("encounter"),
        "authoredOn": moment,
        "lastModified": moment,
        "requester": communication.get("sender"),
        "owner": {"reference": owner} if owner else None,
        "restriction": {"period": {"end": (now + timedelta(minutes=minutes)).isoformat(timespec="seconds")}},
    }
    return {name: value for name, value in task.items() if value}


def output(name: str, value: Any) -> Json:
    """Return a typed Task.output (workflows §3.4): text, moment or reference."""
    kind = (
        "valueReference"
        if isinstance(value, dict)
        else "valueDateTime"
        if name.endswith("-at")
        else "valueString"
    )
    return {"type": coding(f"{C}task-output", name), kind: value}


def outputs(task: Json) -> dict[str, Any]:
    """Return the outputs of a Task by name, the last of each."""
    found: dict[str, Any] = {}
    for row in task.get("output") or ():
        for code in (row.get("type") or {}).get("coding") or ():
            if code.get("system") == f"{C}task-output":
                found[str(code.get("code"))] = next(
                    (v for k, v in row.items() if k.startswith("value")), None
                )
    return found
