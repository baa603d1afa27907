"""Who saw a version that was corrected, and telling them (workflows §1.5: recall)."""

from collections.abc import Iterable

from gateway.recognition.correction import concerned
from gateway.search.parse import parse
from gateway.store.protocol import Put
from gateway.workflow.access import readers_of
from gateway.workflow.coordination import (
    STATUS_REASON,
    TASK_CODE,
    TASK_NUMBER,
    coding,
    coordination_task,
    receivers_of,
)
from gateway.workflow.draft import Draft, Move, reference_of
from gateway.workflow.limits import due
from gateway.workflow.needs import ISSUED
from gateway.workflow.phases import phase
from terminology.fhirjson import Json, decode_resource

CORRECTIONS = frozenset({"amended", "corrected", "entered-in-error", "cancelled"})
SAID = (
    "conclusion", "conclusionCode", "result", "imagingStudy", "presentedForm", "code", "subject", "effectiveDateTime",
    "effectivePeriod", "valueQuantity", "valueString", "valueCodeableConcept", "interpretation", "component", "media",
)  # fmt: skip
"""What a reader relied on; another text of these is a correction, whatever the status says."""
MOST_RESULTS = 200
"""Of one report, whose recognitions are looked for."""
RELIED_ON = ISSUED | {"available"}


async def tell_readers(move: Move) -> None:
    """When something that others may have seen is corrected or withdrawn, open a Task for each of them."""
    if move.was not in RELIED_ON or not is_correction(move):
        return
    draft = move.draft
    if move.machine.resource == "Observation" and _within_report(draft, move.reference):
        return
    await recall(draft, move.current, reason=move.now or "deleted")


def is_correction(move: Move) -> bool:
    if move.after is None:
        return True
    if move.was != move.now:
        return move.now in CORRECTIONS
    before = move.before or {}
    return any(before.get(name) != move.after.get(name) for name in SAID)


async def recall(draft: Draft, resource: Json, *, reason: str) -> list[str]:
    """Open an `acknowledge-correction` Task for everybody who saw an earlier version; return who they are.

    They are: whoever fetched it (AuditEvent), recognised it (the recognition's Task), and the placer, to whom it went.
    """
    reference = f"{resource['resourceType']}/{resource['id']}"
    seen = await readers_of(draft.store, reference)
    recognised = await _recognisers(draft, resource)
    orders = [reference_of(row) for row in resource.get("basedOn") or ()]
    placers: list[str] = []
    for order in orders:
        if order.startswith("ServiceRequest/"):
            task = await coordination_task(draft, order)
            placers += await receivers_of(draft, task, await draft.read(order))
    author = draft.actor.organization
    everybody = [row for row in dict.fromkeys([*seen, *recognised, *placers]) if row != author]
    for organization in everybody:
        draft.create(_acknowledge(draft, resource, organization, reason))
    draft.tell(
        "report-corrected", reference, everybody, order=orders[0] if orders else reference, reason=reason
    )
    return everybody


def _acknowledge(draft: Draft, resource: Json, organization: str, reason: str) -> Json:
    id, now = draft.new_id(), draft.now.isoformat(timespec="milliseconds")
    reference = f"{resource['resourceType']}/{resource['id']}"
    end = due(draft.packs, "acknowledge-correction", start=draft.now, category=None, priority="urgent")
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": resource.get("basedOn") or [],
        "status": "requested",
        "statusReason": coding(STATUS_REASON, reason),
        "businessStatus": phase(draft.packs, "notified"),
        "intent": "order",
        "priority": "urgent",
        "code": coding(TASK_CODE, "acknowledge-correction"),
        "focus": {"reference": reference},
        "for": resource.get("subject"),
        "authoredOn": now,
        "lastModified": now,
        "requester": {"reference": draft.actor.organization}
        if draft.actor.organization
        else draft.actor.who(),
        "owner": {"reference": organization},
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
    }
    return {name: value for name, value in task.items() if value}


async def _recognisers(draft: Draft, resource: Json) -> Iterable[str]:
    """Return the organisations that decided on a result, or on one that a report holds (docs/recognition.md)."""
    focus = ",".join(concerned(resource)[:MOST_RESULTS])
    params = [("focus", focus), ("code", f"{TASK_CODE}|mutual-recognition"), ("_count", "200")]
    page = await draft.store.search(parse("Task", params, strict=True, parameters=draft.store.parameters))
    owners = [reference_of(decode_resource(row.body or b"{}").get("owner")) for row in page.matches]
    return [owner for owner in owners if owner.startswith("Organization/")]


def _within_report(draft: Draft, observation: str) -> bool:
    """Whether the same commit corrects the report that holds an observation: one recall tells of both."""
    for change in draft.changes.values():
        if isinstance(change, Put) and change.resource["resourceType"] == "DiagnosticReport":
            results = [reference_of(row) for row in change.resource.get("result") or ()]
            if observation in results and change.resource.get("status") in CORRECTIONS:
                return True
    return False
