"""Dual prescription (双处方): a visit for a chronic disease ends with a drug prescription and a health prescription.

Workflows W12; the public-health scheme's "医疗处方和健康处方“双处方”制度". The level is the pack `dual-prescription`:
warn notes it on the Encounter's Provenance and lets the visit end, error refuses.
"""

from typing import Any

from gateway.care.record import find
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

C = "https://hutong.health/fhir/CodeSystem/"


async def check(move: Move) -> None:
    """Look, when an outpatient visit ends, whether both prescriptions are there (effect `check-dual-prescription`)."""
    encounter = move.after
    if encounter is None or move.now != "finished" or move.was == "finished":
        return
    rules: dict[str, Any] = move.draft.packs.rules("dual-prescription")
    if rules["level"] == "off" or (encounter.get("class") or {}).get("code") not in rules["classes"]:
        return
    if not await _is_chronic(move, encounter, rules):
        return
    store, encounters = move.draft.store, [("encounter", move.reference)]
    missing = []
    if not await find(store, "MedicationRequest", encounters, most=1):
        missing.append("MedicationRequest")
    if not await _has_health_prescription(move, encounters):
        missing.append("CarePlan")
    if not missing:
        return
    issue = Issue(
        "HT-RX-20",
        {
            "reference": move.reference,
            "missing_zh": "、".join(_zh(row) for row in missing),
            "missing_en": ", ".join(_en(row) for row in missing),
        },
        expression="Encounter.status",
    )
    if rules["level"] == "error":
        raise BusinessRule([issue])
    move.notes.append(f"{issue.code} {issue.text('zh')} / {issue.text('en')}")


async def _is_chronic(move: Move, encounter: Json, rules: dict[str, Any]) -> bool:
    concepts = list(encounter.get("reasonCode", ()))
    for row in (
        *encounter.get("diagnosis", ()),
        *({"condition": one} for one in encounter.get("reasonReference", ())),
    ):
        condition = await move.draft.read(reference_of(row.get("condition")))
        if condition is not None:
            concepts.append(condition.get("code") or {})
    codes = {str(row.get("code", "")).upper() for concept in concepts for row in concept.get("coding", ())}
    return any(code.startswith(tuple(rules["diagnoses"])) for code in codes)


async def _has_health_prescription(move: Move, encounters: list[tuple[str, str]]) -> bool:
    """A CarePlan of the visit, or a message to the patient of the category health-prescription."""
    store = move.draft.store
    if await find(store, "CarePlan", encounters, most=1):
        return True
    params = [*encounters, ("category", f"{C}communication-category|health-prescription")]
    return bool(await find(store, "Communication", params, most=1))


def _zh(name: str) -> str:
    return {"MedicationRequest": "药品处方", "CarePlan": "健康处方"}[name]


def _en(name: str) -> str:
    return {"MedicationRequest": "a drug prescription", "CarePlan": "a health prescription"}[name]
