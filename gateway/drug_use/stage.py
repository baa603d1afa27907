"""The three stages of checking drug use, each kept in the audit: before (事前), at writing (事中), afterwards (事后)."""

from collections.abc import Sequence
from datetime import datetime

from conformance.drug_use import Finding
from gateway.workflow.actor import Actor
from terminology.fhirjson import Json

STAGE = "https://hutong.health/fhir/CodeSystem/drug-use-stage"
STAGES = {"before": "事前提醒", "create": "事中监督", "after": "事后审核"}


def audit_row(
    stage: str,
    findings: Sequence[Finding],
    actor: Actor,
    *,
    about: Sequence[str],
    now: datetime,
    note: str = "",
) -> Json:
    """Return the AuditEvent of one check: who asked, about what, which findings there were (by code)."""
    codes = ", ".join(dict.fromkeys(row.issue.code for row in findings)) or "none"
    entities: list[Json] = [{"what": {"reference": reference}} for reference in about if reference]
    detail = [{"type": "findings", "valueString": codes}]
    if note:
        detail.append({"type": "note", "valueString": note[:400]})
    entities.append({"what": {"display": "drug-use check"}, "description": STAGES[stage], "detail": detail})
    return {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": STAGE, "code": stage, "display": STAGES[stage]}],
        "action": "E",
        "recorded": now.isoformat(timespec="milliseconds"),
        "outcome": "0" if not findings else "4",
        "agent": [{"who": actor.who(), "requestor": not actor.is_gateway}],
        "source": {"observer": {"display": "hutong"}},
        "entity": entities,
    }
