"""An issued report is told to its patient: once, masked, and only with his consent (effect `push-result`, pack `patient-push`).

The notice holds no result: the surname, what was examined (not for what bears a restricted label), and that it can be
read. Corrections go to the doctors, who tell the patient.
"""

from typing import Any

from gateway.care.own_record import ISSUED, RESTRICTED
from gateway.care.record import find, id_of
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"
NAME = 60


async def push(move: Move) -> None:
    report = move.after
    if report is None or move.now not in ISSUED or not (move.is_new or move.was != move.now):
        return
    rules: dict[str, Any] = move.draft.packs.rules("patient-push")
    patient = reference_of(report.get("subject"))
    if not rules["enabled"] or not patient.startswith("Patient/"):
        return
    id = id_of("result", move.reference)
    params = [
        ("patient", patient),
        ("status", "active"),
        ("category", f"{C}consent-category|{rules['consent']}"),
    ]
    today = move.draft.now.date().isoformat()
    consents = await find(move.draft.store, "Consent", params, most=20)
    if not any(_allows(row, today) for row in consents):
        return
    if await move.draft.read(f"Communication/{id}") is not None:
        return
    holder = await move.draft.read(patient) or {}
    await move.draft.put(
        {
            "resourceType": "Communication",
            "id": id,
            "status": "completed",
            "category": [
                {
                    "coding": [
                        {"system": f"{C}communication-category", "code": "result", "display": "结果通知"}
                    ]
                }
            ],
            "subject": {"reference": patient},
            "recipient": [{"reference": patient}],
            "about": [{"reference": move.reference}],
            "sent": move.draft.now.isoformat(timespec="seconds"),
            "payload": [{"contentString": notice(holder, report)}],
        }
    )
    move.draft.tell("patient-result", f"Communication/{id}", [patient], order=patient)


def notice(patient: Json, report: Json) -> str:
    """Return the masked text: “张**:您的血常规报告已出,可在本人档案中查看”."""
    name = next((str(row.get("text", "")) for row in patient.get("name", ()) if row.get("text")), "")
    labels = {row.get("code") for row in (report.get("meta") or {}).get("security") or ()}
    concept: Json = report.get("code") or {}
    rows = concept.get("coding") or [{}]
    item = str(concept.get("text") or rows[0].get("display") or "")[:NAME]
    shown = "检查检验" if labels & RESTRICTED or not item else item
    hidden = name[:1] + "*" * max(1, len(name) - 1) if name else "您好"
    return f"{hidden}：您的{shown}报告已出，可在本人档案中查看。Your report is ready."


def _allows(consent: Json, today: str) -> bool:
    provision: Json = consent.get("provision") or {}
    period = provision.get("period") or {}
    start, end = str(period.get("start", ""))[:10], str(period.get("end", ""))[:10]
    return provision.get("type") != "deny" and (not start or start <= today) and (not end or today <= end)
