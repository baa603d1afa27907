"""Work tasks below a coordination Task: reading and verifying a report (workflows §1.2)."""

from gateway.search.parse import parse
from gateway.workflow.coordination import (
    OPEN,
    STATUS_REASON,
    TASK_CODE,
    TASK_INPUT,
    TASK_NUMBER,
    category_of,
    coding,
    open_tasks,
)
from gateway.workflow.draft import Draft, Move, reference_of
from gateway.workflow.guarded import StepFirst
from gateway.workflow.needs import ISSUED
from gateway.workflow.phases import is_later, phase, phase_at, phase_of
from terminology.fhirjson import Json

WORK = frozenset({"read-report", "verify-report"})


def work_task(
    draft: Draft, parent: Json, code: str, *, report: str | None = None, inputs: list[Json] | None = None
) -> Json:
    """Return a new work Task of a centre below its coordination Task."""
    id, now = draft.new_id(), draft.now.isoformat(timespec="milliseconds")
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": parent.get("basedOn") or [],
        "partOf": [{"reference": f"Task/{parent['id']}"}],
        "status": "requested",
        "businessStatus": parent.get("businessStatus") or phase(draft.packs, "new"),
        "intent": "order",
        "priority": parent.get("priority") or "routine",
        "code": coding(TASK_CODE, code),
        "focus": parent.get("focus"),
        "for": parent.get("for"),
        "encounter": parent.get("encounter"),
        "authoredOn": now,
        "lastModified": now,
        "requester": parent.get("owner"),
        "owner": parent.get("owner"),
        "restriction": parent.get("restriction"),
        "input": list(inputs or ()),
    }
    category = category_of(parent)
    if category is not None:
        task["code"]["coding"].append(
            {"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": category}
        )
    if report is not None:
        task["input"].append(report_input(report, "draft"))
    return {name: value for name, value in task.items() if value}


def report_input(reference: str, kind: str) -> Json:
    """Return an input or output of a Task that names a report (`draft`, `report`)."""
    return {"type": coding(TASK_INPUT, kind), "valueReference": {"reference": reference}}


async def open_work(draft: Draft, parent: str, *codes: str) -> list[Json]:
    """Return the open work Tasks below a coordination Task, also those that this commit opens."""
    system = f"{TASK_CODE}|"
    found = await open_tasks(
        draft, part_of=parent, code=",".join(f"{system}{code}" for code in codes or WORK)
    )
    known = {task["id"] for task in found}
    for change in draft.changes.values():
        resource = getattr(change, "resource", None)
        if resource and resource["resourceType"] == "Task" and resource["id"] not in known:
            above = [reference_of(row) for row in resource.get("partOf") or ()]
            wanted = set(codes or WORK)
            own = {row.get("code") for row in (resource.get("code") or {}).get("coding") or ()}
            if parent in above and wanted & own and resource.get("status") in OPEN:
                found.append(resource)
    return found


async def done_readings(draft: Draft, parent: str) -> list[Json]:
    """Return the reading Tasks below a coordination Task that somebody took."""
    params = [("part-of", parent), ("code", f"{TASK_CODE}|read-report"), ("_count", "20")]
    params.append(("status", "in-progress,on-hold,completed"))
    page = await draft.store.search(parse("Task", params, strict=True, parameters=draft.store.parameters))
    return [task for row in page.matches if (task := await draft.read(f"Task/{row.id}")) is not None]


async def open_verification(move: Move) -> None:
    """A reading that is completed with a draft goes to an auditor, unless the report is issued already."""
    if move.kind != "read-report":
        return
    report = next(
        (
            reference_of(row.get("valueReference"))
            for row in move.current.get("output") or ()
            if reference_of(row.get("valueReference")).startswith("DiagnosticReport/")
        ),
        "",
    )
    parent, found = await _parent(move), await move.draft.read(report) if report else None
    if parent is None or parent.get("status") not in OPEN or (found or {}).get("status") in ISSUED:
        return
    if not await open_work(move.draft, f"Task/{parent['id']}", "verify-report"):
        move.draft.create(work_task(move.draft, parent, "verify-report", report=report or None))


async def ensure_reading(draft: Draft, parent: Json) -> None:
    """Put the report of an order on the reading list, once."""
    if not await open_work(draft, f"Task/{parent['id']}"):
        draft.create(work_task(draft, parent, "read-report"))


async def accept_parent(move: Move) -> None:
    """A reader who claims a work Task accepts the order for his centre (§1.3 row 3)."""
    if move.kind not in WORK:
        return
    parent = await _parent(move)
    if parent is None:
        return
    if parent.get("status") in ("requested", "received"):
        raise StepFirst(parent, "accepted")
    await _mark(move, parent, "claimed")
    if parent.get("status") == "accepted":
        await move.draft.put(
            {**parent, "status": "in-progress", "businessStatus": _phase(move, parent, "claimed")}
        )


async def _mark(move: Move, parent: Json, event: str) -> None:
    if parent.get("status") in ("in-progress",):
        found = _phase(move, parent, event)
        if found != parent.get("businessStatus"):
            await move.draft.put({**parent, "businessStatus": found})
        move.current["businessStatus"] = found


def _phase(move: Move, parent: Json, event: str) -> Json:
    packs, category = move.draft.packs, category_of(parent)
    code = phase_at(packs, category, event)
    if code is None or not is_later(packs, category, code, phase_of(parent)):
        kept = parent.get("businessStatus")
        return kept if isinstance(kept, dict) else phase(packs, code or "claimed")
    return phase(packs, code)


async def cancel_work(move: Move) -> None:
    """When the order's work ends without a report, what was open below it ends too."""
    if move.kind not in ("fulfill", "referral"):
        return
    for task in await open_tasks(move.draft, part_of=move.reference):
        status = "cancelled" if task["status"] in ("requested", "received", "accepted") else "failed"
        reason = task.get("statusReason") or coding(STATUS_REASON, "order-ended")
        await move.draft.put({**task, "status": status, "statusReason": reason})


async def _parent(move: Move) -> Json | None:
    reference = next((reference_of(row) for row in move.current.get("partOf") or ()), "")
    return await move.draft.read(reference) if reference.startswith("Task/") else None
