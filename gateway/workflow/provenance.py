"""What a transition leaves behind: a Provenance in the store and a row for the audit.

https://hl7.org/fhir/R4/provenance.html, auditevent.html
"""

from gateway.workflow.actor import Actor
from gateway.workflow.draft import Draft, Move
from terminology.fhirjson import Json

CANONICAL = "https://hutong.health/fhir"
EXTENSION = f"{CANONICAL}/StructureDefinition"
AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def record(draft: Draft) -> None:
    """Add a Provenance and an audit row for each transition of the draft."""
    told = _told_by_sender(draft)
    for move in draft.moves:
        if not tells(move):
            continue
        draft.audit.append(audit_event(move))
        if move.reference not in told or move.actor.is_gateway:
            draft.create(provenance(move))


def tells(move: Move) -> bool:
    """Whether a change is a transition: from one state to another, or a Task that comes to be."""
    if move.machine.resource == "Task" and move.is_new:
        return True
    return not move.is_new and move.was != move.now


def provenance(move: Move) -> Json:
    """Return the Provenance of one transition: who, on whose behalf, why, under which rules."""
    draft, actor = move.draft, move.actor
    agents = [_agent(actor, "performer")]
    if actor.is_gateway and not draft.actor.is_gateway:
        # The gateway's own step follows from what somebody did.
        agents.append(_agent(draft.actor, "enterer"))
    resource: Json = {
        "resourceType": "Provenance",
        "id": draft.new_id(),
        "target": [{"reference": move.reference}],
        "recorded": draft.now.isoformat(timespec="milliseconds"),
        "policy": [f"{CANONICAL}/state-machine/{move.machine.resource}/{move.machine.version}"],
        "activity": {"text": activity(move)},
        "agent": agents,
        "entity": [{"role": "revision", "what": {"reference": draft.versioned(move.reference)}}],
    }
    if draft.actor.request_id:
        resource["extension"] = [{"url": f"{EXTENSION}/request-id", "valueString": draft.actor.request_id}]
    reason = (move.after or {}).get("statusReason")
    if isinstance(reason, dict) and reason:
        resource["reason"] = [reason]
    return resource


def activity(move: Move) -> str:
    text = f"{move.machine.path}: {move.was or '–'} → {move.now or 'deleted'}"
    return "; ".join([text, *move.notes])


def audit_event(move: Move) -> Json:
    """Return the audit row of one transition (an AuditEvent without id)."""
    draft, actor = move.draft, move.actor
    agent: Json = {"who": actor.who(), "requestor": not actor.is_gateway}
    if actor.organization and actor.practitioner:
        agent["policy"] = [actor.organization]
    return {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "action": "D" if move.after is None else "C" if move.is_new else "U",
        "recorded": draft.now.isoformat(timespec="milliseconds"),
        "outcome": "0",
        "agent": [agent],
        "source": {"observer": {"display": "hutong"}},
        "entity": [
            {
                "what": {"reference": draft.versioned(move.reference)},
                "description": activity(move),
                "detail": [{"type": "request-id", "valueString": draft.actor.request_id or "-"}],
            }
        ],
    }


def _agent(actor: Actor, type: str) -> Json:
    agent: Json = {"type": {"coding": [{"system": AGENT_TYPE, "code": type}]}}
    roles = sorted(actor.roles) if len(actor.roles) <= 4 else []
    if roles:
        agent["role"] = [
            {"coding": [{"system": f"{CANONICAL}/CodeSystem/role", "code": role}]} for role in roles
        ]
    agent["who"] = actor.who()
    if actor.practitioner and actor.organization:
        agent["onBehalfOf"] = {"reference": actor.organization}
    return agent


def _told_by_sender(draft: Draft) -> set[str]:
    """What a Provenance in the same commit speaks for already: a message's own says who sent it."""
    if draft.actor.channel != "message":
        return set()
    return {
        str(target.get("reference"))
        for change in draft.commit.changes
        if (resource := getattr(change, "resource", None)) and resource["resourceType"] == "Provenance"
        for target in resource.get("target", ())
    }
