"""CarePlan.activity.detail.status: a machine of its own, activity by activity (workflows §1.4)."""

from gateway.workflow.draft import Move
from gateway.workflow.judge import judge
from gateway.workflow.machine import machines
from terminology.fhirjson import Json


async def states(move: Move) -> None:
    """Judge each activity that the plan had before, found by its id, else by its place."""
    machine = machines()["CarePlan.activity.detail"]
    before = _statuses(move.before or {})
    for key, status in _statuses(move.current).items():
        was = before.get(key)
        if was is not None and was != status:
            judge(machine, "", was, status, move.actor, reference=f"{move.reference}#activity[{key}]")
            move.notes.append(f"activity[{key}] {was} → {status}")


def _statuses(plan: Json) -> dict[str, str]:
    found = {}
    for number, row in enumerate(plan.get("activity") or ()):
        status = (row.get("detail") or {}).get("status")
        if isinstance(status, str):
            found[str(row.get("id") or number)] = status
    return found
