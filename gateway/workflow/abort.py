"""Stopping work that has begun: the placer's abort Task, and what the centre answers (workflows §1.2, §1.3)."""

from gateway.workflow.coordination import FHIR_TASK_CODE, STATUS_REASON, TASK_NUMBER, coding, task_id
from gateway.workflow.draft import Draft, Move, reference_of
from gateway.workflow.limits import due
from gateway.workflow.phases import phase
from terminology.fhirjson import Json


def abort_task(draft: Draft, task: Json, *, reason: Json, requester: Json) -> Json:
    """Return the Task that asks the centre to stop; its id follows from the Task, so asking twice is asking once."""
    id, now = task_id("abort", task["id"]), draft.now.isoformat(timespec="milliseconds")
    priority = task.get("priority") or "routine"
    end = due(draft.packs, "abort", start=draft.now, category=None, priority=priority)
    made: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": task.get("basedOn") or [],
        "partOf": [{"reference": f"Task/{task['id']}"}],
        "status": "requested",
        "statusReason": reason,
        "businessStatus": phase(draft.packs, "new"),
        "intent": "order",
        "priority": priority,
        "code": coding(FHIR_TASK_CODE, "abort"),
        "focus": {"reference": f"Task/{task['id']}"},
        "for": task.get("for"),
        "authoredOn": now,
        "lastModified": now,
        "requester": requester,
        "owner": task.get("owner"),
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
    }
    return {name: value for name, value in made.items() if value}


async def finish(move: Move) -> None:
    """An abort that is completed fails the work (a Task never goes from in-progress to cancelled) and revokes the order."""
    if move.kind != "abort":
        return
    draft = move.draft
    task = await draft.read(reference_of(move.current.get("focus")))
    if task is None or task.get("status") not in ("in-progress", "on-hold"):
        return
    reason = move.current.get("statusReason") or coding(STATUS_REASON, "aborted")
    await draft.put({**task, "status": "failed", "statusReason": reason})
    order_reference = reference_of(task.get("focus"))
    order = await draft.read(order_reference) if order_reference.startswith("ServiceRequest/") else None
    if order is not None and order.get("status") in ("active", "on-hold"):
        await draft.put({**order, "status": "revoked"})


async def close(move: Move) -> None:
    """An abort that the centre rejects leaves the work as it is; the placer is told why (topic `task-status`)."""
    if move.kind == "abort":
        move.notes.append("the work goes on")
