"""Tasks of public health: with a limit, found again by id, finished with what was done."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.coordination import TASK_CODE, TASK_NUMBER, coding
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"
CODES = ("infectious-report", "discharge-follow-up", "home-visit")
WAY = ("requested", "received", "accepted", "in-progress", "completed")


def to_task(
    code: str,
    *,
    id: str,
    focus: str,
    patient: str,
    owner: str,
    now: datetime,
    limit: datetime,
    text: str,
    is_urgent: bool = False,
    security: Sequence[Json] = (),
    **more: Any,
) -> Json:
    """Return the Task `requested` of an owner; `limit`: when it must be done."""
    moment = now.isoformat(timespec="milliseconds")
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "meta": {"security": list(security)} if security else None,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "status": "requested",
        "intent": "order",
        "priority": "stat" if is_urgent else "routine",
        "code": coding(TASK_CODE, code),
        "description": text,
        "focus": {"reference": focus},
        "for": {"reference": patient} if patient else None,
        "authoredOn": moment,
        "lastModified": moment,
        "owner": {"reference": owner} if owner else None,
        "restriction": {"period": {"end": limit.isoformat(timespec="seconds")}},
        **more,
    }
    return {name: value for name, value in task.items() if value}


async def finish(
    task: Json, kind: str, output: str, store: Store, *, owner: str = "", more: Sequence[Put] = ()
) -> None:
    """Take a Task the whole way to completed with its output; `more` is written with the last step."""
    changed = {name: value for name, value in task.items() if name != "meta"}
    if labels := (task.get("meta") or {}).get("security"):
        changed["meta"] = {"security": labels}
    version = int(task["meta"]["versionId"])
    if not changed.get("owner") and owner:
        changed["owner"] = {"reference": owner}
    with acting_as(GATEWAY):
        for status in WAY[WAY.index(str(task["status"])) + 1 :]:
            changed = {**changed, "status": status}
            rest: Sequence[Put] = ()
            if status == "completed":
                rows = [
                    *changed.get("output", ()),
                    {"type": coding(f"{C}task-input", kind), "valueReference": {"reference": output}},
                ]
                changed, rest = {**changed, "output": rows}, more
            written = await store.commit(Commit([Put(changed, expected=version), *rest]))
            version += 1
            first = written[0]
            if first is not None and first.body is not None:
                from terminology.fhirjson import decode_resource

                changed = decode_resource(first.body)
