"""What happens to a referral moves its Task: slot, arrival, admission, letters, the outcome, the follow-up (W6, W7).

The phases are those of IHE 360X and BSeR: scheduled, no-show, arrived, admitted, interim-note, completed.
"""

from datetime import timedelta

from gateway.referral.order import C, direction_of, is_referral, sender_of
from gateway.workflow.coordination import TASK_INPUT, coding, is_coordination, organization_of, task_id
from gateway.workflow.draft import Draft, Move, reference_of
from gateway.workflow.guarded import StepFirst
from gateway.workflow.phases import is_later, phase, phase_of
from gateway.workflow.progress import orders_of, task_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

OUTCOMES = frozenset({"DocumentReference", "Composition", "DiagnosticReport", "Bundle"})
WORKING = ("accepted", "in-progress")


async def tell(move: Move) -> None:
    """Tell both sides of each new state and phase (topic `referral-status`; reason: the phase)."""
    if move.kind != "referral" or move.after is None:
        return
    before, after = phase_of(move.before or {}), phase_of(move.after)
    if move.was == move.now and before == after:
        return
    task = move.after
    sides = [
        await organization_of(move.draft, reference_of(task.get(name))) or ""
        for name in ("requester", "owner")
    ]
    move.draft.tell(
        "referral-status",
        move.reference,
        sides,
        order=reference_of(task.get("focus")),
        reason=after or str(move.now),
    )


async def appointment(move: Move) -> None:
    """Appointment.basedOn: booked, arrived (the work begins), not come, taken back."""
    if not move.is_new and move.was == move.now:
        return
    for reference in orders_of(move.current, "basedOn"):
        task = await _task(move.draft, reference)
        if task is None:
            continue
        if move.now == "booked":
            await _show(move.draft, task, "scheduled")
        elif move.now == "noshow":
            await _show(move.draft, task, "no-show")
        elif move.now == "cancelled" and phase_of(task) == "scheduled":
            order = await move.draft.read(reference) or {}
            await _show(
                move.draft, task, "home-follow-up-due" if direction_of(order) == "down" else "accepted"
            )
        elif move.now == "arrived":
            await _begin(move.draft, task, "arrived")


async def encounter(move: Move) -> None:
    """Encounter.basedOn: the patient came, or was admitted (class IMP)."""
    if not move.is_new and move.was == move.now:
        return
    for reference in orders_of(move.current, "basedOn"):
        order = await move.draft.read(reference)
        if not is_referral(order) or order is None:
            continue
        await _from(move, order)
        task = await _task(move.draft, reference)
        if task is None or move.now not in ("arrived", "triaged", "in-progress", "finished"):
            continue
        is_in = (move.current.get("class") or {}).get("code") in ("IMP", "ACUTE", "NONAC")
        await _begin(move.draft, task, "admitted" if is_in and move.now != "arrived" else "arrived")


async def document(move: Move) -> None:
    """A document about the referral (context.related) from the one who treats: a letter on the way."""
    if not move.is_new:
        return
    related = (move.current.get("context") or {}).get("related") or ()
    for reference in (found for row in related if (found := reference_of(row)).startswith("ServiceRequest/")):
        task = await _task(move.draft, reference)
        if task is None or task.get("status") != "in-progress":
            continue
        letter = {"type": coding(TASK_INPUT, "interim-note"), "valueReference": {"reference": move.reference}}
        changed = {**task, "output": [*(task.get("output") or ()), letter]}
        await move.draft.put({**changed, "businessStatus": phase(move.draft.packs, "interim-note")})


async def outcome(move: Move) -> Issue | None:
    """A referral is closed with a document for the sender: what was found and done (need `outcome`)."""
    if move.kind != "referral":
        return None
    patient = reference_of(move.current.get("for"))
    for row in move.current.get("output") or ():
        reference = reference_of(row.get("valueReference"))
        if reference.partition("/")[0] not in OUTCOMES:
            continue
        found = await move.draft.read(reference)
        if found is not None and reference_of(found.get("subject")) in ("", patient):
            return None
    return Issue("HT-REF-10", {"reference": move.reference}, expression="Task.output")


async def follow_up(move: Move) -> None:
    """A down-referral that is accepted: the team's plan with the first visit, within the days of the pack (W7)."""
    if move.kind != "referral" or not is_coordination(move.current):
        return
    order = await move.draft.read(reference_of(move.current.get("focus")))
    if order is None or direction_of(order) != "down" or not order.get("subject"):
        return
    draft, days = move.draft, int(move.draft.packs.rules("referral")["down"]["follow_up_days"])
    today = draft.now.date()
    last = (today + timedelta(days=days)).isoformat()
    visit = {"coding": [{"system": f"{C}care-activity", "code": "home-follow-up", "display": "下转后随访"}]}
    plan: Json = {
        "resourceType": "CarePlan",
        "id": task_id("referral", order["id"]),
        "status": "active",
        "intent": "plan",
        "category": [
            {
                "coding": [
                    {"system": f"{C}care-plan-category", "code": "post-discharge", "display": "出院后随访"}
                ]
            }
        ],
        "title": "下转患者随访 Follow-up after a referral down",
        "subject": order["subject"],
        "created": draft.now.isoformat(timespec="seconds"),
        "period": {"start": today.isoformat(), "end": last},
        "author": move.current.get("owner"),
        "activity": [
            {
                "id": "home-follow-up",
                "detail": {
                    "kind": "Appointment",
                    "code": {**visit, "text": "下转后随访"},
                    "status": "not-started",
                    "scheduledPeriod": {"start": last, "end": last},
                },
            }
        ],
    }
    given = [row for row in order.get("supportingInfo") or () if reference_of(row).startswith("CarePlan/")]
    if given:
        plan["basedOn"] = given[:1]
    await draft.put({name: value for name, value in plan.items() if value})
    row = {"type": coding(TASK_INPUT, "follow-up"), "valueReference": {"reference": f"CarePlan/{plan['id']}"}}
    move.current["output"] = [*(move.current.get("output") or ()), row]
    move.current["businessStatus"] = phase(draft.packs, "home-follow-up-due")


async def _from(move: Move, order: Json) -> None:
    """A stay tells where the patient came from (workflows §3.2: filled from the referral)."""
    if move.after is None or (move.after.get("class") or {}).get("code") not in ("IMP", "ACUTE", "NONAC"):
        return
    stay = dict(move.after.get("hospitalization") or {})
    sender = await sender_of(move.draft, order)
    if sender.startswith("Organization/") and not stay.get("origin"):
        move.after["hospitalization"] = {**stay, "origin": {"reference": sender}}


async def _task(draft: Draft, order: str) -> Json | None:
    """Return the open Task of a referral; None for any other order's."""
    found = await draft.read(order)
    if not is_referral(found):
        return None
    task = await task_of(draft, order)
    if task is not None and task.get("status") in ("requested", "received"):
        # Who gives a slot or treats the patient has accepted him.
        raise StepFirst(task, "accepted")
    return task if task is not None and task.get("status") in WORKING else None


async def _show(draft: Draft, task: Json, code: str) -> None:
    if phase_of(task) != code:
        await draft.put({**task, "businessStatus": phase(draft.packs, code)})


async def _begin(draft: Draft, task: Json, code: str) -> None:
    """The patient is there: the Task is in progress; a later phase stays."""
    changed = {**task, "status": "in-progress"}
    if is_later(draft.packs, "referral", code, phase_of(task)):
        changed["businessStatus"] = phase(draft.packs, code)
    if changed != task:
        await draft.put(changed)


def refuse_ended(task: Json) -> None:
    """Raise BusinessRule (HT-REF-11) for a referral that is too far to be passed on."""
    if task.get("status") not in ("requested", "received", "accepted"):
        values = {"reference": f"Task/{task['id']}", "status": str(task.get("status"))}
        raise BusinessRule([Issue("HT-REF-11", values, expression="Task.status")])
