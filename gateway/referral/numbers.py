"""Number pools (号源): an Appointment takes its Slots and gives them back, on every path (china.md seed 22: no double booking).

The Slot is written with the Appointment, under the version that was read: of any number of bookings at once one wins.
"""

from gateway.care.record import find
from gateway.referral.order import extension
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

HOLDING = frozenset({"pending", "booked", "arrived", "checked-in", "fulfilled", "noshow"})
"""States of an Appointment that keep its Slot; who did not come had his time."""
EXPRESSION = "Appointment.slot"


async def slots(move: Move) -> None:
    """Take the Slots that an Appointment holds from now on, free those that it gives up (effect `slots`)."""
    before = _slots(move.before) if move.was in HOLDING else []
    after = _slots(move.after) if move.now in HOLDING else []
    for reference in after:
        if reference not in before:
            await _take(move, reference)
    for reference in before:
        slot = await move.draft.read(reference) if reference not in after else None
        if slot is not None and slot.get("status") == "busy":
            await move.draft.put({**slot, "status": "free"})


async def _take(move: Move, reference: str) -> None:
    slot = await move.draft.read(reference)
    is_message = move.actor.channel == "message"
    if slot is None:
        if is_message:
            # The pool stays with its hospital; only the booking was sent.
            return
        raise BusinessRule([Issue("HT-REF-20", {"reference": reference}, expression=EXPRESSION)])
    if slot.get("status") != "free" and not (is_message and await _is_nobodys(move, reference)):
        values = {"reference": reference, "status": str(slot.get("status"))}
        raise BusinessRule([Issue("HT-REF-21", values, expression=EXPRESSION)])
    issue = None if is_message else await _unfit(move, slot, reference)
    if issue is not None:
        raise BusinessRule([issue])
    if slot.get("status") != "busy":
        await move.draft.put({**slot, "status": "busy"})
    if move.after is not None:
        for name in ("start", "end"):
            if slot.get(name):
                move.after.setdefault(name, slot[name])


async def _unfit(move: Move, slot: Json, reference: str) -> Issue | None:
    schedule = await move.draft.read(reference_of(slot.get("schedule")))
    if schedule is not None and schedule.get("active") is False:
        values = {
            "reference": reference_of(slot.get("schedule")),
            "comment": str(schedule.get("comment") or "-"),
        }
        return Issue("HT-REF-22", values, expression=EXPRESSION)
    if extension(slot, "green-channel") is True and not await _is_green(move):
        return Issue("HT-REF-23", {"reference": reference}, expression=EXPRESSION)
    return None


async def _is_green(move: Move) -> bool:
    for row in move.current.get("basedOn") or ():
        order = await move.draft.read(reference_of(row))
        if order is not None and extension(order, "green-channel") is True:
            return True
    return False


async def _is_nobodys(move: Move, reference: str) -> bool:
    """Whether a Slot that its hospital marked as taken is the one of this Appointment: no other holds it."""
    params = [("slot", reference), ("status", ",".join(sorted(HOLDING)))]
    found = await find(move.draft.store, "Appointment", params, most=10)
    return all(f"Appointment/{row['id']}" == move.reference for row in found)


def _slots(appointment: Json | None) -> list[str]:
    return [
        found
        for row in (appointment or {}).get("slot") or ()
        if (found := reference_of(row)).startswith("Slot/")
    ]
