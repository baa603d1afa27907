"""Drug use when a prescription is written (事中监督): findings become DetectedIssues, or refuse it (effect `check-drug-use`).

The level of the pack `drug-use`: off, warn (kept, the prescription is written), error (findings of `refuse` refuse it).
What a member's system already prescribed is looked at afterwards (`MedicationRequest/$audit-drug-use`).
"""

from typing import Any

from conformance.drug_use import Finding, check
from gateway.care.record import id_of
from gateway.drug_use.case import case_of
from gateway.drug_use.stage import audit_row
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule

ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
SEVERITY = {"critical": "high", "warning": "moderate", "information": "low"}
CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


async def check_prescription(move: Move) -> None:
    request = move.after
    rules: dict[str, Any] = move.draft.packs.rules("drug-use")
    if request is None or rules["level"] == "off" or move.actor.channel == "message":
        return
    if request.get("intent") not in ORDERS or move.now != "active" or move.was == move.now:
        return
    case = await case_of(
        request,
        read=move.draft.read,
        store=move.draft.store,
        on=move.draft.now.date(),
        organization=move.actor.organization or "",
    )
    found = check(case)
    barred = [row for row in found if row.severity in rules["refuse"]]
    if rules["level"] == "error" and barred:
        raise BusinessRule([row.issue for row in barred])
    patient = reference_of(request.get("subject"))
    move.draft.audit.append(
        audit_row("create", found, move.actor, about=[move.reference, patient], now=move.draft.now)
    )
    for row in found:
        await move.draft.put(detected(move, row, patient))


def detected(move: Move, found: Finding, patient: str) -> Json:
    """Return the DetectedIssue of a finding: always the same one for the same prescription, code and record."""
    issue: Json = {
        "resourceType": "DetectedIssue",
        "id": id_of("drug", move.reference, found.issue.code, found.about),
        "status": "final",
        "code": {
            "coding": [
                {"system": CODES, "code": found.kind},
                {"system": "https://hutong.health/fhir/CodeSystem/error-code", "code": found.issue.code},
            ],
            "text": found.issue.text("zh"),
        },
        "severity": SEVERITY[found.severity],
        "identifiedDateTime": move.draft.now.isoformat(timespec="seconds"),
        "implicated": [{"reference": row} for row in (move.reference, found.about) if row],
        "detail": f"{found.issue.text('zh')} / {found.issue.text('en')}",
    }
    if patient:
        issue["patient"] = {"reference": patient}
    return issue
