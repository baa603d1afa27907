"""The facts that the check of a prescription asks, brought from the store."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

from conformance.drug_use import Case, Other
from gateway.care.record import find
from gateway.store.protocol import Store
from gateway.workflow.draft import reference_of
from gateway.workflow.prescription import days_of
from terminology.fhirjson import Json

Read = Callable[[str], Awaitable[Json | None]]

NHSA = "https://hutong.health/fhir/CodeSystem/drug-nhsa"
LEVEL = "https://hutong.health/fhir/StructureDefinition/institution-level"
MOST = 200


async def case_of(
    request: Json, *, read: Read, store: Store, on: date, beside: Sequence[Json] = (), organization: str = ""
) -> Case:
    """Return the case of a MedicationRequest. `beside`: drafts of the same screen; `organization`: who asks, when the request doesn't tell."""
    patient_reference = reference_of(request.get("subject"))
    patient = (await read(patient_reference) if patient_reference else None) or {}
    own = f"MedicationRequest/{request.get('id')}"
    drug, nhsa = await drug_of(request, read)
    active = (
        await find(
            store, "MedicationRequest", [("subject", patient_reference), ("status", "active")], most=MOST
        )
        if patient_reference
        else []
    )
    rows = {f"MedicationRequest/{row.get('id')}": row for row in (*active, *beside)}
    rows.pop(own, None)
    encounter = await read(reference_of(request.get("encounter"))) or {}
    days, _ = days_of(request)
    return Case(
        drug=drug,
        nhsa=nhsa,
        on=on,
        sex=str(patient.get("gender", "")),
        born=_day(patient.get("birthDate")),
        visit=str((encounter.get("class") or {}).get("code", "")),
        level=await _level(request, encounter, read, organization),
        days=float(days) if days is not None else None,
        diagnoses=await _diagnoses(patient_reference, request, store),
        others=[(await drug_of(row, read))[0] for row in rows.values()],
        allergies=await _allergies(patient_reference, store),
    )


async def drug_of(request: Json, read: Read) -> tuple[Other, tuple[str, ...]]:
    """Return names and codes of a request's drug, and its national codes."""
    concept = request.get("medicationCodeableConcept")
    if concept is None:
        medication = await read(reference_of(request.get("medicationReference")))
        concept = (medication or {}).get("code")
    other = to_other(f"MedicationRequest/{request.get('id')}", concept)
    codes = (row.partition("|") for row in other.codes)
    return other, tuple(code for system, _, code in codes if system == NHSA)


def to_other(reference: str, concept: object) -> Other:
    """Return the names and codes of a CodeableConcept."""
    tree = concept if isinstance(concept, dict) else {}
    codings = tree.get("coding")
    rows = [row for row in codings if isinstance(row, dict)] if isinstance(codings, list) else []
    names = [tree.get("text"), *(row.get("display") for row in rows)]
    codes = [f"{row.get('system', '')}|{row['code']}" for row in rows if row.get("code")]
    return Other(
        reference,
        tuple(dict.fromkeys(str(name).strip() for name in names if name)),
        tuple(dict.fromkeys(codes)),
    )


async def _diagnoses(patient: str, request: Json, store: Store) -> tuple[str, ...]:
    concepts = [row for row in request.get("reasonCode") or () if isinstance(row, dict)]
    if patient:
        found = await find(store, "Condition", [("subject", patient)], most=MOST)
        concepts += [row["code"] for row in found if isinstance(row.get("code"), dict)]
    return tuple(name for concept in concepts for name in to_other("", concept).names)


async def _allergies(patient: str, store: Store) -> list[Other]:
    if not patient:
        return []
    rows = await find(store, "AllergyIntolerance", [("patient", patient)], most=MOST)
    return [to_other(f"AllergyIntolerance/{row['id']}", row.get("code")) for row in rows if _is_allergic(row)]


def _is_allergic(row: Json) -> bool:
    def code(name: str) -> str:
        rows = (row.get(name) or {}).get("coding") or [{}]
        return str(rows[0].get("code", ""))

    return code("clinicalStatus") not in ("inactive", "resolved") and code("verificationStatus") not in (
        "refuted",
        "entered-in-error",
    )


async def _level(request: Json, encounter: Json, read: Read, organization: str) -> int | None:
    """Return the level of the prescribing institution: of the prescriber's, else the visit's, else the caller's."""
    reference = reference_of(request.get("requester"))
    if reference.startswith("PractitionerRole/"):
        reference = reference_of((await read(reference) or {}).get("organization"))
    for one in (reference, reference_of(encounter.get("serviceProvider")), organization):
        if one.startswith("Organization/"):
            for row in (await read(one) or {}).get("extension") or ():
                if row.get("url") == LEVEL and str(row.get("valueCode", "")).isdigit():
                    return int(row["valueCode"])
    return None


def _day(value: object) -> date | None:
    """Return a birth date; of a month or a year its first day."""
    text = str(value or "")
    try:
        return date.fromisoformat((text + "-01-01")[:10] if len(text) == 4 else (text + "-01")[:10])
    except ValueError:
        return None
