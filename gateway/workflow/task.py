"""What happens with a Task: it is announced, its times and phase are kept, others are told (workflows §1.3)."""

from datetime import timedelta
from typing import Any

from gateway.workflow.coordination import (
    FHIR_TASK_CODE,
    STATUS_REASON,
    TASK_CODE,
    TASK_NUMBER,
    TERMINAL,
    category_of,
    coding,
    open_tasks,
    organization_of,
)
from gateway.workflow.draft import Move, codes_of, reference_of
from gateway.workflow.limits import due
from gateway.workflow.moment import read_moment
from gateway.workflow.phases import fallback, fits, phase, phase_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule

PAUSED = "https://hutong.health/fhir/StructureDefinition/paused-since"
OFFERS = "https://hutong.health/fhir/StructureDefinition/several-offers"
SEVERAL: Json = {"url": OFFERS, "valueBoolean": True}
PAUSES = "https://hutong.health/fhir/StructureDefinition/paused-seconds"


async def announce(move: Move) -> None:
    """Tell the owner of a Task that is asked for; a draft is nobody's business yet."""
    if move.is_new:
        await _shape(move)
    if move.now != "requested":
        return
    if not move.actor.is_gateway and move.kind in ("fulfill", "referral"):
        await _note_rivals(move)
    draft, task = move.draft, move.current
    owner = await organization_of(draft, reference_of(task.get("owner")))
    draft.tell("task-requested", move.reference, [owner or ""], order=_order_key(task))


async def times(move: Move) -> None:
    """Keep lastModified, executionPeriod, phase; refuse a new owner without a transition (§3.4)."""
    await _shape(move)
    if move.actor.is_gateway and move.was == move.now:
        return
    task, now = move.current, move.draft.now.isoformat(timespec="milliseconds")
    if move.was != move.now:
        task["lastModified"] = now
        period = dict(task.get("executionPeriod") or {})
        if move.now == "in-progress":
            period.setdefault("start", now)
        elif move.now in TERMINAL and period.get("start"):
            period["end"] = now
        if period:
            task["executionPeriod"] = period
        return
    _check_owner(move)


def _check_owner(move: Move) -> None:
    before, after = move.before or {}, move.current
    if move.was in ("draft", "requested", "received") or not is_ours(after):
        return
    if reference_of(before.get("owner")) != reference_of(after.get("owner")):
        raise BusinessRule("HT-WF-12", reference=move.reference, current=move.was, expression="Task.owner")


def is_ours(task: Json) -> bool:
    """Whether a Task belongs to a workflow of the county: its code is one of ours."""
    return bool(codes_of(task.get("code"), FHIR_TASK_CODE) or codes_of(task.get("code"), TASK_CODE))


async def _shape(move: Move) -> None:
    """A phase must fit the status: one that was set wrongly is refused, one that was left behind is moved along."""
    task, packs = move.current, move.draft.packs
    if move.kind in ("read-report", "verify-report"):
        # A work task shows the phase of its order, whatever its own status.
        return
    code = phase_of(task)
    if code is None or move.now is None or fits(packs, code, move.now):
        return
    if move.is_new or code != phase_of(move.before or {}):
        raise BusinessRule(
            "HT-WF-09",
            reference=move.reference,
            phase=code,
            status=move.now,
            expression="Task.businessStatus",
        )
    task["businessStatus"] = phase(packs, fallback(packs, category_of(task), move.now, code))


async def tell_status(move: Move) -> None:
    """Tell both sides of a Task that it went on (topic `task-status`)."""
    draft, task = move.draft, move.current
    sides = [
        await organization_of(draft, reference_of(task.get(name))) or "" for name in ("requester", "owner")
    ]
    reason = next(iter(codes_of(task.get("statusReason"))), "")
    draft.tell("task-status", move.reference, sides, order=_order_key(task), reason=reason)


async def _note_rivals(move: Move) -> None:
    """A second offer of an order: both are marked, so that accepting one looks for the other."""
    rivals = await _rivals(move)
    for rival in rivals:
        if not _value(rival, OFFERS, "valueBoolean"):
            await move.draft.put({**rival, "extension": [*(rival.get("extension") or ()), SEVERAL]})
    if rivals and not _value(move.current, OFFERS, "valueBoolean"):
        move.current["extension"] = [*(move.current.get("extension") or ()), SEVERAL]


async def _rivals(move: Move) -> list[Json]:
    focus = reference_of(move.current.get("focus"))
    if not focus:
        return []
    found = await open_tasks(move.draft, focus=focus, code=f"{FHIR_TASK_CODE}|fulfill")
    return [row for row in found if f"Task/{row['id']}" != move.reference]


async def cancel_rivals(move: Move) -> None:
    """The order was offered to several centres: the first to accept it has it, the other offers end (`request-claimed`)."""
    if not _value(move.current, OFFERS, "valueBoolean"):
        return
    for rival in await _rivals(move):
        if rival["status"] in ("requested", "received"):
            ended = {
                **rival,
                "status": "cancelled",
                "statusReason": coding(STATUS_REASON, "request-claimed"),
                "businessStatus": phase(move.draft.packs, "claimed-by-other"),
            }
            await move.draft.put(ended)


async def ask_placer(move: Move) -> None:
    """Work that waits for the placer asks him: a `provide-info` Task (§1.3 row 7)."""
    if move.kind not in ("fulfill", "referral"):
        return
    draft, task = move.draft, move.current
    requester = task.get("requester")
    if not isinstance(requester, dict) or not requester.get("reference"):
        return
    id, now = draft.new_id(), draft.now.isoformat(timespec="milliseconds")
    priority = task.get("priority") or "routine"
    end = due(draft.packs, "provide-info", start=draft.now, category=category_of(task), priority=priority)
    question: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": task.get("basedOn") or [],
        "partOf": [{"reference": move.reference}],
        "status": "requested",
        "statusReason": task.get("statusReason"),
        "businessStatus": phase(draft.packs, "new"),
        "intent": "order",
        "priority": priority,
        "code": coding(TASK_CODE, "provide-info"),
        "focus": task.get("focus"),
        "for": task.get("for"),
        "authoredOn": now,
        "lastModified": now,
        "requester": task.get("owner"),
        "owner": requester,
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
    }
    draft.create({name: value for name, value in question.items() if value})


async def keep(move: Move) -> None:
    """A Task of a workflow is never deleted: somebody waits for it."""
    if is_ours(move.before or {}) and move.was not in ("draft", "entered-in-error"):
        raise BusinessRule("HT-WF-14", reference=move.reference, expression="Task")


async def answer_question(move: Move) -> None:
    """When the placer has answered, the work goes on and the answer stands in its input (§1.3 row 8)."""
    if move.kind != "provide-info":
        return
    parent = next((reference_of(row) for row in move.current.get("partOf") or ()), "")
    task = await move.draft.read(parent) if parent.startswith("Task/") else None
    if task is None or task.get("status") != "on-hold":
        return
    answers = [
        {**row, "type": row.get("type") or {"text": "info"}} for row in move.current.get("output") or ()
    ]
    await move.draft.put({**task, "status": "in-progress", "input": [*(task.get("input") or ()), *answers]})


async def pause_clock(move: Move) -> None:
    """A Task on hold: its time limit stands still from here (§1.3 row 7)."""
    task = move.current
    kept = [row for row in task.get("extension") or () if row.get("url") != PAUSED]
    task["extension"] = [
        *kept, {"url": PAUSED, "valueInstant": move.draft.now.isoformat(timespec="milliseconds")}
    ]  # fmt: skip


async def resume_clock(move: Move) -> None:
    """The limit moves by as long as the Task was on hold; the pauses are added up (§1.3 row 8)."""
    task = move.current
    since = read_moment(_value(move.before or {}, PAUSED, "valueInstant"))
    if since is None:
        return
    seconds = max(0, int((move.draft.now - since).total_seconds()))
    total = int(_value(task, PAUSES, "valueInteger") or 0) + seconds
    kept = [row for row in task.get("extension") or () if row.get("url") not in (PAUSED, PAUSES)]
    task["extension"] = [*kept, {"url": PAUSES, "valueInteger": total}]
    restriction = dict(task.get("restriction") or {})
    period = dict(restriction.get("period") or {})
    # A limit that somebody gave as a day stays that day.
    if (limit := read_moment(period.get("end"))) is not None:
        end = limit + timedelta(seconds=seconds)
        task["restriction"] = {**restriction, "period": {**period, "end": end.isoformat(timespec="seconds")}}


def _value(resource: Json, url: str, name: str) -> Any:
    return next((row.get(name) for row in resource.get("extension") or () if row.get("url") == url), None)


def _order_key(task: Json) -> str:
    return reference_of(task.get("focus")) or f"Task/{task['id']}"
