"""What happens to an order: it is routed to a centre, held, resumed, revoked; and its Task goes along (workflows §1.3)."""

from dataclasses import replace

from gateway.workflow.coordination import (
    OPEN,
    STATUS_REASON,
    TASK_CODE,
    TASK_NUMBER,
    build,
    category_of,
    coding,
    coordination_task,
    is_coordination,
    organization_of,
    placer_of,
    task_id,
)
from gateway.workflow.draft import Draft, Move, codes_of, reference_of
from gateway.workflow.limits import due
from gateway.workflow.needs import STATUS_REASON as REASON_EXTENSION
from gateway.workflow.phases import phase
from gateway.workflow.routing import Route, route_for
from terminology.fhirjson import Json
from terminology.issues import BusinessRule

ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
PLACERS = frozenset({"ord", "ref", "fdt"})


async def route(move: Move) -> None:
    """Make the coordination Task of an order that is active; without a route an entry that a person finds and repairs."""
    order, draft, actor = move.current, move.draft, move.actor
    if move.now != "active" or order.get("intent", "order") not in ORDERS:
        return
    # A laboratory's result that names an order places none.
    if not actor.may(PLACERS) and not actor.is_gateway:
        return
    category = category_of(order)
    wanted = [reference_of(row) for row in order.get("performer") or ()]
    if category is None and actor.channel != "message" and not any(_is_place(row) for row in wanted):
        return
    if await coordination_task(draft, move.reference) is not None or _is_reported(draft, move.reference):
        return
    found = await route_for(draft, order, category, wanted)
    place_task(draft, order, category, found, requester=await requester_of(draft, order))


def place_task(
    draft: Draft, order: Json, category: str | None, found: Route, *, requester: Json, id: str = ""
) -> Json:
    """Add the coordination Task for a route, or the entry for an order that has none; return it."""
    if found.owner is None:
        task = unrouted(draft, order, found)
    else:
        task = build(
            draft, order, owner=found.owner, requester=requester, category=category,
            id=id or task_id("order", order["id"]),
        )  # fmt: skip
        if found.note:
            task["note"] = [{"time": task["authoredOn"], "text": found.note}]
    draft.create(task)
    return task


def unrouted(draft: Draft, order: Json, found: Route) -> Json:
    """Return the Task that asks a person to find a centre for an order."""
    reference = f"ServiceRequest/{order['id']}"
    now = draft.now.isoformat(timespec="milliseconds")
    id = task_id("route", order["id"])
    priority = order.get("priority") or "routine"
    end = due(draft.packs, "route-order", start=draft.now, category=category_of(order), priority=priority)
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": [{"reference": reference}],
        "status": "requested",
        "statusReason": coding(STATUS_REASON, "no-route") | {"text": found.note},
        "businessStatus": phase(draft.packs, "new"),
        "intent": "order",
        "priority": priority,
        "code": coding(TASK_CODE, "route-order"),
        "focus": {"reference": reference},
        "authoredOn": now,
        "lastModified": now,
        "requester": {"display": "gateway"},
        "owner": {"display": "信息中心 information centre"},
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
    }
    if order.get("subject"):
        task["for"] = order["subject"]
    return task


def _is_reported(draft: Draft, order: str) -> bool:
    """Whether the same commit brings the order and its report: the work was done before anybody could be asked for it."""
    return any(
        order in [reference_of(row) for row in resource.get("basedOn") or ()]
        for change in draft.changes.values()
        if (resource := getattr(change, "resource", None)) and resource["resourceType"] == "DiagnosticReport"
    )


async def requester_of(draft: Draft, order: Json) -> Json:
    """Return who asks for the work: the placing organisation, else the order's requester, else the caller by name."""
    placer = await placer_of(draft, order)
    if placer is not None:
        return {"reference": placer}
    given = order.get("requester")
    return given if isinstance(given, dict) and given else {"display": draft.actor.name}


def _is_place(reference: str) -> bool:
    return reference.startswith(("Organization/", "HealthcareService/"))


async def placer_only(move: Move) -> None:
    """Refuse a change by an organisation that did not place the order (Clinical Order Workflows)."""
    actor = move.actor
    if actor.is_gateway or actor.organization is None or actor.channel == "message" or "ops" in actor.roles:
        return
    task = await coordination_task(move.draft, move.reference)
    asked = reference_of((task or {}).get("requester")) or reference_of((move.before or {}).get("requester"))
    placer = await organization_of(move.draft, asked)
    if placer is None or placer == actor.organization:
        return
    raise BusinessRule(
        "HT-WF-10",
        reference=move.reference,
        placer=placer,
        caller=actor.organization,
        expression="ServiceRequest",
    )


async def no_open_task(move: Move) -> None:
    """An order that is worked on is revoked, not deleted: its Task would point to nothing."""
    task = await coordination_task(move.draft, move.reference)
    if task is not None and task.get("status") in OPEN:
        raise BusinessRule(
            "HT-WF-11",
            reference=move.reference,
            task=f"Task/{task['id']}",
            status=task["status"],
            expression="ServiceRequest",
        )


async def hold_task(move: Move) -> None:
    """An order on hold: the work that began pauses; what did not begin waits with it, visible by the order."""
    task = await coordination_task(move.draft, move.reference)
    if task is not None and task.get("status") == "in-progress":
        reason = _reason(move) or coding(STATUS_REASON, "order-on-hold")
        await move.draft.put(
            {**task, "status": "on-hold", "statusReason": reason},
            replace(move.actor, roles=move.actor.roles | {"disp"}),
        )


async def resume_task(move: Move) -> None:
    task = await coordination_task(move.draft, move.reference)
    if task is not None and task.get("status") == "on-hold":
        await move.draft.put({**task, "status": "in-progress"})


async def cancel_task(move: Move) -> None:
    """An order that is revoked takes its Task with it, as long as the work has not begun."""
    task = await coordination_task(move.draft, move.reference)
    if task is None:
        unfound = await move.draft.read(f"Task/{task_id('route', move.current['id'])}")
        task = unfound
    if task is not None and task.get("status") in ("requested", "received", "accepted"):
        reason = _reason(move) or coding(STATUS_REASON, "order-revoked")
        await move.draft.put({**task, "status": "cancelled", "statusReason": reason})


async def revoke(move: Move) -> None:
    """A coordination Task that is cancelled revokes its order (§1.3 row 5)."""
    if move.kind not in ("fulfill", "referral") or _is_claimed_elsewhere(move.current):
        return
    reference = reference_of(move.current.get("focus"))
    order = await move.draft.read(reference) if reference.startswith("ServiceRequest/") else None
    if order is None or order.get("status") not in ("active", "on-hold"):
        return
    extensions = [row for row in order.get("extension") or () if row.get("url") != REASON_EXTENSION]
    reason = move.current.get("statusReason")
    if reason:
        extensions.append({"url": REASON_EXTENSION, "valueCodeableConcept": reason})
    await move.draft.put({**order, "status": "revoked", "extension": extensions})


def _is_claimed_elsewhere(task: Json) -> bool:
    return bool({"request-claimed", "released", "redirected"} & set(codes_of(task.get("statusReason"))))


async def complete(move: Move) -> None:
    """The order is completed with its Task, where the pack `phases` says so (§1.3 row 9: auto-complete)."""
    if move.kind not in ("fulfill", "referral") or not is_coordination(move.current):
        return
    if not move.draft.packs.rules("phases").get("auto_complete", True):
        return
    reference = reference_of(move.current.get("focus"))
    order = await move.draft.read(reference) if reference.startswith("ServiceRequest/") else None
    if order is not None and order.get("status") in ("active", "unknown"):
        await move.draft.put({**order, "status": "completed"})


def _reason(move: Move) -> Json | None:
    for row in move.current.get("extension") or ():
        if row.get("url") == REASON_EXTENSION:
            found = row.get("valueCodeableConcept")
            return found if isinstance(found, dict) else None
    return None
