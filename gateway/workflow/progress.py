"""What comes in about an order moves its Task: images, waveforms, specimens, reports (workflows W1–W5).

Events never turn a Task back: an older phase after a newer one is kept as data and changes nothing.
"""

from gateway.workflow.coordination import (
    OPEN,
    STATUS_REASON,
    TASK_CODE,
    TASK_INPUT,
    TASK_NUMBER,
    category_of,
    coding,
    coordination_task,
    receivers_of,
    task_id,
)
from gateway.workflow.draft import Draft, Move, codes_of, reference_of
from gateway.workflow.guarded import StepFirst
from gateway.workflow.limits import due
from gateway.workflow.needs import ISSUED
from gateway.workflow.phases import fits, is_later, phase, phase_at, phase_of
from gateway.workflow.work import ensure_reading, open_work, report_input
from terminology.fhirjson import Json

READABLE = frozenset({"imaging", "ecg", "pathology", "consult"})
"""Categories whose data a person reads; a laboratory's values come with their report."""

BEFORE_DATA = frozenset(
    {"ordered", "booked", "arrived", "collected", "in-transit", "received", "submitted", "created"}
)
"""Phases before anything was there to be read: no work Task was opened yet."""

WAVEFORM = frozenset({"131328", "11524-6", "34534-8", "8601-7"})
"""Codes of an ECG's waveform (value set ecg-code)."""


async def study(move: Move) -> None:
    """ImagingStudy: acquired with the first object, images-available when whole; without an order it is to be matched."""
    found = orders_of(move.current, "basedOn")
    if not found:
        if move.now in ("registered", "available") and move.current.get("subject"):
            await unmatched(move, "no-order")
        return
    await _close_match(move)
    event = {"registered": "acquired", "available": "available"}.get(move.now or "")
    if event is not None:
        await advance_all(move, found, event, is_readable=event == "available")


async def observation(move: Move) -> None:
    """An ECG's waveform with an order: it was acquired and can be read. Other results of an order: its analysis began."""
    found = orders_of(move.current, "basedOn")
    if not found:
        return
    is_waveform = bool(WAVEFORM & set(codes_of(move.current.get("code"))))
    if is_waveform:
        await advance_all(move, found, "available", is_readable=True)
    elif move.now in ("registered", "preliminary"):
        await advance_all(move, found, "acquired", is_readable=False, only={"lab", "pathology"})


async def document(move: Move) -> None:
    """A file that belongs to an order (context.related): an ECG as PDF or aECG, the papers of a consultation."""
    context = move.current.get("context") or {}
    found = [
        reference
        for row in context.get("related") or ()
        if (reference := reference_of(row)).startswith("ServiceRequest/")
    ]
    if found and move.is_new:
        await advance_all(move, found, "uploaded", is_readable=True, only={"ecg", "imaging"})


async def specimen(move: Move) -> None:
    """Specimen: collected, received; unsatisfactory fails the work, and a new order replaces this one (W3)."""
    found = orders_of(move.current, "request")
    status = move.current.get("status")
    if status == "unsatisfactory" and (move.is_new or move.was != status):
        for order in found:
            await _fail(move, order, "unsuitable-sample", "rejected-specimen")
        return
    event = "received" if move.current.get("receivedTime") else "collected"
    if found and (event == "received" or (move.current.get("collection") or {}).get("collectedDateTime")):
        await mark_all(move, found, event, only={"lab", "pathology"})


async def report(move: Move) -> None:
    """DiagnosticReport: the draft moves the Task on, the final one completes it and goes to the placer."""
    draft, resource = move.draft, move.current
    if (
        not move.is_new
        and move.was == move.now
        and (move.now != "preliminary" or move.actor.channel != "rest")
    ):
        return
    if move.is_new and move.now in ("registered", "cancelled", "unknown"):
        return
    found = orders_of(resource, "basedOn")
    receivers: list[str] = []
    for reference in found:
        task = await task_of(draft, reference)
        if task is not None:
            await _report_task(move, task)
        receivers += await receivers_of(draft, task, None) or await receivers_of(
            draft, None, await draft.read(reference)
        )
    if move.now in ("final", "appended") and (move.is_new or move.was != move.now):
        draft.tell(
            "report-final", move.reference, receivers, order=found[0] if found else _subject(resource),
            reason="addendum" if move.now == "appended" else "",
        )  # fmt: skip


async def _report_task(move: Move, task: Json) -> None:
    draft, status = move.draft, task.get("status")
    category = category_of(task)
    if status in ("rejected", "cancelled", "failed", "entered-in-error"):
        if move.now in ISSUED and (move.is_new or move.was != move.now):
            await unmatched(
                move, "order-ended", owner=task.get("owner"), order=reference_of(task.get("focus"))
            )
        return
    if move.now in ("partial", "preliminary"):
        if is_machine_reading(draft):
            # What the device says of its own waveform is the reader's material, not his draft.
            return
        await _advance(move, task, "draft", is_readable=False)
        await _note_draft(move, task)
        return
    if move.now not in ISSUED:
        return
    if status == "completed":
        output = list(task.get("output") or ())
        known = {reference_of(row.get("valueReference")) for row in output}
        event = phase_at(draft.packs, category, "addendum") if move.was in ISSUED else None
        changed = dict(task)
        if move.reference not in known:
            changed["output"] = [*output, report_input(move.reference, "report")]
        if event is not None and phase_of(task) != event and move.was != move.now:
            changed["businessStatus"] = phase(draft.packs, event)
        if changed != task:
            await draft.put(changed)
        return
    await _ready(move, task)
    if status == "on-hold":
        raise StepFirst(task, "in-progress")
    if phase_of(task) not in BEFORE_DATA:
        for work in await open_work(draft, f"Task/{task['id']}"):
            await _close_work(move, work)
    done = {
        **task,
        "status": "completed",
        "output": [*(task.get("output") or ()), report_input(move.reference, "report")],
    }
    issued = phase_at(draft.packs, category, "issued")
    if issued is not None:
        done["businessStatus"] = phase(draft.packs, issued)
    await draft.put(done)


def is_machine_reading(draft: Draft) -> bool:
    """Whether this commit brings a waveform: the report beside it is the device's."""
    return any(
        WAVEFORM & set(codes_of(resource.get("code")))
        for change in draft.changes.values()
        if (resource := getattr(change, "resource", None)) and resource["resourceType"] == "Observation"
    )


async def _note_draft(move: Move, task: Json) -> None:
    """The reading that somebody claimed has its draft now: it is under way, and the draft goes with it."""
    for work in await open_work(move.draft, f"Task/{task['id']}", "read-report"):
        if work["status"] not in ("accepted", "in-progress"):
            continue
        known = {reference_of(row.get("valueReference")) for row in work.get("output") or ()}
        changed = {**work, "status": "in-progress"}
        if move.reference not in known:
            changed["output"] = [*(work.get("output") or ()), report_input(move.reference, "draft")]
        if changed != work:
            await move.draft.put(changed)


async def _close_work(move: Move, work: Json) -> None:
    """A report that was signed ends the reading: what was begun is completed, what nobody took is cancelled."""
    if work["status"] == "in-progress":
        output = [*(work.get("output") or ()), report_input(move.reference, "report")]
        await move.draft.put({**work, "status": "completed", "output": output})
    elif work["status"] in ("accepted", "on-hold"):
        raise StepFirst(work, "in-progress")
    else:
        reason = coding(STATUS_REASON, "report-issued")
        await move.draft.put({**work, "status": "cancelled", "statusReason": reason})


async def advance_all(
    move: Move, orders: list[str], event: str, *, is_readable: bool, only: set[str] | None = None
) -> None:
    """Bring the Tasks of orders into work for an event; `only` these categories (None: all)."""
    for reference in orders:
        task = await task_of(move.draft, reference)
        if task is not None and (only is None or category_of(task) in only):
            await _advance(move, task, event, is_readable=is_readable)


async def _advance(move: Move, task: Json, event: str, *, is_readable: bool) -> None:
    """Bring a Task into work for an event, with its phase; data on the reading list where a person must read it."""
    status = task.get("status")
    if status in ("requested", "received"):
        await _ready(move, task)
    if status not in ("accepted", "in-progress"):
        return
    begun = {**task, "status": "in-progress"}
    changed = begun | _phase(move.draft, begun, event)
    if changed != task:
        await move.draft.put(changed)
    if is_readable and category_of(task) in READABLE:
        await ensure_reading(move.draft, changed)


async def mark_all(move: Move, orders: list[str], event: str, *, only: set[str] | None) -> None:
    """Note a phase without beginning the work; `only` these categories (None: all)."""
    for reference in orders:
        task = await task_of(move.draft, reference)
        if task is None or (only is not None and category_of(task) not in only):
            continue
        if task.get("status") not in OPEN:
            continue
        if event == "received" and task["status"] == "requested":
            raise StepFirst(task, "received")
        changed = {**task} | _phase(move.draft, task, event)
        if changed != task:
            await move.draft.put(changed)


async def _fail(move: Move, order: str, reason: str, event: str) -> None:
    task = await task_of(move.draft, order)
    if task is None or task.get("status") not in OPEN:
        return
    await _ready(move, task)
    changed = {**task, "status": "failed", "statusReason": coding(STATUS_REASON, reason)}
    await move.draft.put(changed | _phase(move.draft, changed, event))


async def _ready(move: Move, task: Json) -> None:
    """Data or a report for a Task that nobody accepted: the one who did the work accepted it; step by step."""
    is_done = move.machine.resource in ("DiagnosticReport", "Specimen")
    if task.get("status") in ("requested", "received"):
        steps = ("accepted", "in-progress") if is_done else ("accepted",)
        raise StepFirst(task, *steps, **_owner(move, task))
    if task.get("status") == "accepted" and is_done:
        raise StepFirst(task, "in-progress")


def _owner(move: Move, task: Json) -> Json:
    if task.get("owner"):
        return {}
    organization = move.draft.actor.organization
    return {"owner": {"reference": organization} if organization else {"display": move.draft.actor.name}}


def _phase(draft: Draft, task: Json, event: str) -> Json:
    category = category_of(task)
    code = phase_at(draft.packs, category, event)
    if code is None or not is_later(draft.packs, category, code, phase_of(task)):
        return {}
    if not fits(draft.packs, code, str(task.get("status"))):
        return {}
    return {"businessStatus": phase(draft.packs, code)}


async def task_of(draft: Draft, order: str) -> Json | None:
    """Return the stored Task of an order; one that this commit makes is left as the order's own effects make it."""
    task = await coordination_task(draft, order)
    return task if task is not None and (task.get("meta") or {}).get("versionId") else None


async def unmatched(move: Move, reason: str, *, owner: Json | None = None, order: str | None = None) -> None:
    """Ask a person to bring a result and an order together: images without order, a report for an order that ended."""
    draft, resource = move.draft, move.current
    id, now = task_id("match", resource["id"]), draft.now.isoformat(timespec="milliseconds")
    if await draft.read(f"Task/{id}") is not None:
        return
    suggested = [order] if order else await suggestions(draft, resource)
    end = due(draft.packs, "match-result", start=draft.now, category=None, priority="routine")
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "status": "requested",
        "statusReason": coding(STATUS_REASON, reason),
        "businessStatus": phase(draft.packs, "new"),
        "intent": "order",
        "priority": "routine",
        "code": coding(TASK_CODE, "match-result"),
        "focus": {"reference": move.reference},
        "for": resource.get("subject"),
        "authoredOn": now,
        "lastModified": now,
        "requester": {"display": "gateway"},
        "owner": owner or {"display": "信息中心 information centre"},
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
        "input": [
            {"type": coding(TASK_INPUT, "suggestion"), "valueReference": {"reference": row}}
            for row in suggested
        ],
    }
    await draft.put({name: value for name, value in task.items() if value})


async def suggestions(draft: Draft, resource: Json) -> list[str]:
    """Return the open orders of the same patient that a result may belong to, the newest first."""
    from gateway.search.parse import parse

    subject = reference_of(resource.get("subject"))
    if not subject.startswith("Patient/"):
        return []
    params = [("subject", subject), ("status", "active,on-hold"), ("_sort", "-_lastUpdated"), ("_count", "5")]
    page = await draft.store.search(
        parse("ServiceRequest", params, strict=True, parameters=draft.store.parameters)
    )
    return [f"ServiceRequest/{version.id}" for version in page.matches]


async def _close_match(move: Move) -> None:
    """A study that got its order needs no matching any more."""
    if move.is_new or orders_of(move.before or {}, "basedOn"):
        return
    task = await move.draft.read(f"Task/{task_id('match', move.current['id'])}")
    if task is not None and task.get("status") in ("requested", "received", "accepted"):
        reason = coding(STATUS_REASON, "matched")
        await move.draft.put({**task, "status": "cancelled", "statusReason": reason})


def orders_of(resource: Json, element: str) -> list[str]:
    """Return the orders that an element names."""
    return [
        reference
        for row in resource.get(element) or ()
        if (reference := reference_of(row)).startswith("ServiceRequest/")
    ]


def _subject(resource: Json) -> str:
    return reference_of(resource.get("subject")) or f"{resource['resourceType']}/{resource['id']}"
