"""What a transition needs besides the right caller: a reason, an owner, an output, a certain state elsewhere.

A function `(Move) → Issue | None`; a machine's row names it.
"""

from collections.abc import Awaitable, Callable

from gateway.workflow.draft import Move, codes_of, reference_of
from terminology.issues import Issue

STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"

Need = Callable[[Move], Awaitable[Issue | None]]


async def reason(move: Move) -> Issue | None:
    """Task.statusReason, coded or as text (workflows §1.3)."""
    given = move.current.get("statusReason")
    if isinstance(given, dict) and (given.get("coding") or str(given.get("text") or "").strip()):
        return None
    return _lacks(move, "statusReason")


async def owner(move: Move) -> Issue | None:
    given = move.current.get("owner")
    if isinstance(given, dict) and (
        given.get("reference") or given.get("identifier") or given.get("display")
    ):
        return None
    return _lacks(move, "owner")


async def output(move: Move) -> Issue | None:
    """A completed Task has at least one output; of a fulfilled order that is a report that is final."""
    rows = move.current.get("output")
    if not rows:
        return _lacks(move, "output")
    if move.kind not in ("fulfill", "referral"):
        return None
    for row in rows:
        reference = reference_of(row.get("valueReference")) if isinstance(row, dict) else ""
        if not reference.startswith("DiagnosticReport/"):
            return None
        report = await move.draft.read(reference)
        if report is None or report.get("status") in ISSUED:
            return None
    return Issue("HT-WF-06", {"reference": move.reference}, expression="Task.output")


async def active_focus(move: Move) -> Issue | None:
    """Work is only asked for an order that is active (§1.3 row 1)."""
    focus = reference_of(move.current.get("focus"))
    if not focus.startswith("ServiceRequest/"):
        return None
    order = await move.draft.read(focus)
    if order is None or order.get("status") in ("active", "unknown"):
        return None
    values = {"reference": focus, "status": order.get("status")}
    return Issue("HT-WF-07", values, expression="Task.focus")


async def task_not_begun(move: Move) -> Issue | None:
    """An order is revoked directly only before its work began; later an abort task asks for it (§1.4)."""
    from gateway.workflow.coordination import coordination_task

    task = await coordination_task(move.draft, move.reference)
    if task is None or task.get("status") not in ("in-progress", "on-hold"):
        return None
    return Issue(
        "HT-WF-08",
        {"reference": move.reference, "task": f"Task/{task['id']}", "status": task["status"]},
        expression="ServiceRequest.status",
    )


async def second_person(move: Move) -> Issue | None:
    """Reader and auditor are two (gateway/workflow/two_persons.py)."""
    from gateway.workflow.two_persons import second_person as ask

    return await ask(move)


async def outcome(move: Move) -> Issue | None:
    """A referral ends with a document for its sender (gateway/referral/progress.py)."""
    if move.kind != "referral":
        return None
    from gateway.referral.progress import outcome as ask

    return await ask(move)


ISSUED = frozenset({"final", "amended", "corrected", "appended"})
"""States of a report that somebody may rely on."""

NEEDS: dict[str, Need] = {
    "reason": reason,
    "owner": owner,
    "output": output,
    "outcome": outcome,
    "active-focus": active_focus,
    "task-not-begun": task_not_begun,
    "second-person": second_person,
}


def _lacks(move: Move, element: str) -> Issue:
    values = {
        "reference": move.reference,
        "current": move.was,
        "wanted": move.now,
        "element": f"{move.machine.resource}.{element}",
    }
    return Issue("HT-WF-03", values, expression=f"{move.machine.resource}.{element}")


def kind_of(resource_type: str, resource: dict[str, object]) -> str:
    """Return the kind that chooses the groups of roles: for a Task its code; a referral's is "referral"."""
    if resource_type != "Task":
        return ""
    codes = codes_of(resource.get("code"))
    if "fulfill" in codes and "referral" in codes:
        return "referral"
    return codes[0] if codes else ""
