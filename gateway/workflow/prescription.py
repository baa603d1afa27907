"""Long prescriptions (长期处方): up to 28 days freely, up to 84 with grounds, never longer (workflows W11, §3.8).

Sources: 《长期处方管理规范(试行)》2021 (4 and 12 weeks, excluded classes, assessment and confirmation); the pilot
schemes' demand for an active family-doctor contract. Limits and classes are the pack `long-prescription`. All that is
wrong is told at once.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.care.grading import assessment_of, grade_of
from gateway.care.record import in_force
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue
from terminology.ucum import convert

LONG = "https://hutong.health/fhir/StructureDefinition/long-prescription"
DURATION = "MedicationRequest.dispenseRequest.expectedSupplyDuration"


async def check(move: Move) -> None:
    """Refuse an order for longer than the rules allow, and a drug that this tier does not have (effect `check-prescription`)."""
    request = move.after
    # What a member's system prescribed is done: it is kept, and looked at afterwards (post audit).
    if move.actor.channel == "message":
        return
    if request is None or request.get("intent") not in (
        "order",
        "original-order",
        "reflex-order",
        "filler-order",
    ):
        return
    if move.now not in ("active", "draft") or move.was == move.now:
        return
    rules: dict[str, Any] = move.draft.packs.rules("long-prescription")
    issues: list[Issue] = []
    day = str(request.get("authoredOn") or move.draft.now.isoformat())[:10]
    drugs = await _drugs(move, request)
    days, problem = days_of(request)
    if problem is not None:
        issues.append(problem)
    if days is not None and days > rules["most_days"]:
        values = {"days": _shown(days), "most": rules["most_days"]}
        issues.append(Issue("HT-RX-01", values, expression=DURATION))
    elif days is not None and days > rules["free_days"]:
        issues += await _grounds(move, request, rules, day=day, days=days)
        issues += [
            Issue(
                "HT-RX-06",
                {"drug": drug.name, "class": drug.excluded},
                expression="MedicationRequest.medication",
            )
            for drug in drugs
            if drug.excluded
        ]
        if drugs and not any(drug.is_chronic for drug in drugs):
            issues.append(
                Issue("HT-RX-07", {"drug": drugs[0].name}, expression="MedicationRequest.medication")
            )
    tier = await _tier(move, request, rules)
    if tier:
        issues += [
            Issue("HT-RX-08", {"drug": drug.name, "tier": tier}, expression="MedicationRequest.medication")
            for drug in drugs
            if drug.tiers and tier not in drug.tiers
        ]
    if issues:
        raise BusinessRule(issues)


def days_of(request: Json) -> tuple[Decimal | None, Issue | None]:
    """Return the days of supply, None when none is told; an Issue (HT-RX-02) for a duration that is none."""
    quantity = (request.get("dispenseRequest") or {}).get("expectedSupplyDuration")
    if not isinstance(quantity, dict) or quantity.get("value") is None:
        return None, None
    unit = str(quantity.get("code") or quantity.get("unit") or "d")
    unit = {"天": "d", "日": "d", "周": "wk", "月": "mo"}.get(unit, unit)
    try:
        value = Decimal(str(quantity["value"]))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite():
        value = Decimal(-1)
    found = value if unit == "d" else convert(value, unit, "d")
    if found is None or found <= 0:
        shown = f"{quantity.get('value')} {quantity.get('unit') or quantity.get('code') or ''}"
        return None, Issue("HT-RX-02", {"value": shown.strip()[:40]}, expression=DURATION)
    return found, None


async def _grounds(
    move: Move, request: Json, rules: dict[str, Any], *, day: str, days: Decimal
) -> list[Issue]:
    """Return what a supply of more than the free days lacks: assessment, confirmation, contract, a stable grade."""
    parts = _parts(request)
    patient = reference_of(request.get("subject"))
    shown = {"days": _shown(days), "free": rules["free_days"]}
    issues: list[Issue] = []
    assessment = reference_of(parts.get("assessment"))
    found = await move.draft.read(assessment) if assessment else None
    if found is None or reference_of(found.get("subject")) not in ("", patient):
        issues.append(Issue("HT-RX-03", shown, expression="MedicationRequest.extension"))
    if parts.get("patientConfirmed") is not True:
        issues.append(Issue("HT-RX-04", shown, expression="MedicationRequest.extension"))
    contract = await _contract(move, parts, patient, day)
    if contract is None:
        issues.append(Issue("HT-RX-05", shown, expression="MedicationRequest.extension"))
    for disease in rules["graded"]:
        current = await assessment_of(patient, disease, move.draft.store) if patient else None
        if current is not None and grade_of(current) in rules["unstable"]:
            issues.append(Issue("HT-RX-09", {"disease": disease}, expression="MedicationRequest.subject"))
    return issues


async def _contract(move: Move, parts: Json, patient: str, day: str) -> Json | None:
    """Return the contract in force: the one named, else the patient's own."""
    named = reference_of(parts.get("contract"))
    if named:
        found = await move.draft.read(named)
        subjects = [reference_of(row) for row in (found or {}).get("subject", ())]
        return found if found is not None and patient in subjects and in_force(found, day) else None
    from gateway.care.record import contracts_of

    rows = await contracts_of(patient, move.draft.store) if patient else []
    return next((row for row in rows if in_force(row, day)), None)


def _parts(request: Json) -> Json:
    for row in request.get("extension", ()):
        if row.get("url") == LONG:
            return {
                str(part.get("url")): next(
                    (value for key, value in part.items() if key.startswith("value")), None
                )
                for part in row.get("extension", ())
            }
    return {}


class Drug:
    """What the catalogue says of a drug; an unknown one has a name and nothing else."""

    def __init__(self, name: str, properties: dict[str, list[str]], rules: dict[str, Any]) -> None:
        self.name = name
        self.tiers = frozenset(properties.get("tiers", ()))
        self.is_chronic = bool(properties.get("chronic")) or "true" in properties.get("long-prescription", ())
        self.excluded = self._excluded(properties, rules)

    @staticmethod
    def _excluded(properties: dict[str, list[str]], rules: dict[str, Any]) -> str:
        controlled = [row for row in properties.get("controlled", ()) if row in rules["excluded_classes"]]
        atc = [
            code
            for code in properties.get("atc", ())
            if code.startswith(tuple(rules["excluded_atc"]))
            and not code.startswith(tuple(rules["allowed_atc"]))
        ]
        barred = ["long-prescription=false"] if "false" in properties.get("long-prescription", ()) else []
        return next(iter((*controlled, *atc, *barred)), "")


async def _drugs(move: Move, request: Json) -> list[Drug]:
    """Return the drugs of a prescription that the catalogue knows."""
    terminology = move.draft.terminology
    if terminology is None:
        return []
    rules: dict[str, Any] = move.draft.packs.rules("long-prescription")
    concept = request.get("medicationCodeableConcept")
    if concept is None:
        medication = await move.draft.read(reference_of(request.get("medicationReference")))
        concept = (medication or {}).get("code")
    library = (await terminology.current()).library
    found: list[Drug] = []
    for coding in (concept or {}).get("coding") or ():
        provider = library.code_system(str(coding.get("system", "")), None)
        at = provider.locate(str(coding.get("code", ""))) if provider is not None else None
        if provider is None or at is None:
            continue
        properties: dict[str, list[str]] = {}
        for row in provider.properties(at):
            value = next((part for key, part in row.items() if key.startswith("value")), None)
            value = value.get("code") if isinstance(value, dict) else value
            text = str(value).lower() if isinstance(value, bool) else str(value)
            properties.setdefault(str(row["code"]), []).append(text)
        name = str((concept or {}).get("text") or coding.get("display") or coding.get("code"))
        found.append(Drug(name, properties, rules))
    return found


async def _tier(move: Move, request: Json, rules: dict[str, Any]) -> str:
    """Return the tier of the prescriber's organisation: county, township or village; "" when it is not known."""
    reference = reference_of(request.get("requester"))
    if reference.startswith("PractitionerRole/"):
        role = await move.draft.read(reference)
        reference = reference_of((role or {}).get("organization"))
    if not reference.startswith("Organization/"):
        reference = move.actor.organization or ""
    organisation = await move.draft.read(reference) if reference.startswith("Organization/") else None
    for concept in (organisation or {}).get("type", ()):
        for row in concept.get("coding", ()):
            if row.get("code") in rules["tiers"]:
                return str(rules["tiers"][row["code"]])
    return ""


def _shown(days: Decimal) -> str:
    return f"{days.normalize():f}"
