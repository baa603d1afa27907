"""An order's appointment and visit move its Task: booked, arrived, and for a remote consultation the session (W1, W5)."""

from gateway.workflow.coordination import OPEN, category_of
from gateway.workflow.draft import Move
from gateway.workflow.guarded import StepFirst
from gateway.workflow.progress import advance_all, mark_all, orders_of, task_of


async def appointment(move: Move) -> None:
    """Appointment.basedOn: a slot that the centre booked accepts the order; who arrives is noted."""
    if not move.is_new and move.was == move.now:
        return
    found = orders_of(move.current, "basedOn")
    if move.now == "booked":
        for reference in found:
            task = await task_of(move.draft, reference)
            if task is not None and task.get("status") in ("requested", "received"):
                raise StepFirst(task, "accepted")
        await mark_all(move, found, "booked", only=None)
    elif move.now == "arrived":
        await mark_all(move, found, "arrived", only=None)


async def encounter(move: Move) -> None:
    """Encounter.basedOn: the patient is there; of a consultation the session has begun."""
    if not move.is_new and move.was == move.now:
        return
    found = orders_of(move.current, "basedOn")
    if move.now == "arrived":
        await mark_all(move, found, "arrived", only=None)
    elif move.now == "in-progress":
        sessions = [row for row in found if await _is_consultation(move, row)]
        await advance_all(move, sessions, "acquired", is_readable=False)
        await mark_all(move, [row for row in found if row not in sessions], "arrived", only=None)


async def _is_consultation(move: Move, order: str) -> bool:
    task = await task_of(move.draft, order)
    return task is not None and task.get("status") in OPEN and category_of(task) == "consult"
