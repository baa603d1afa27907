"""Where a code is in use that a new version of a catalogue changes or retires: prescriptions, orders, diagnoses.

The person who approves a change set must see whom it touches; the resources are named, what is in them is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.search.escape import escape
from gateway.search.parse import parse
from gateway.store.protocol import Store, Version
from terminology.fhirjson import Json, decode_resource

MAX_CODES = 1_000
CODES_A_SEARCH = 100
ROWS_A_SEARCH = 500
MAX_ROWS = 1_000

# Kind of a catalogue → the (resource type, search parameter) that carry its codes, those that are acted upon first.
USERS: dict[str, tuple[tuple[str, str], ...]] = {
    "drug": (
        ("MedicationRequest", "code"),
        ("MedicationRequest", "medication:Medication.code"),
        ("MedicationDispense", "code"),
        ("MedicationAdministration", "code"),
        ("MedicationStatement", "code"),
        ("Medication", "code"),
    ),
    "diagnosis": (("Condition", "code"), ("Encounter", "reason-code"), ("ServiceRequest", "code")),
    "procedure": (("Procedure", "code"), ("ServiceRequest", "code")),
    "lab-item": (("ServiceRequest", "code"), ("DiagnosticReport", "code"), ("Observation", "code")),
    "exam-item": (("ServiceRequest", "code"), ("DiagnosticReport", "code"), ("Procedure", "code")),
    "codes": (),
}
OPEN = frozenset(
    {"draft", "active", "on-hold", "unknown", "preparation", "in-progress", "planned", "arrived"}
)


@dataclass(frozen=True, slots=True)
class Use:
    """One stored resource that carries one of the codes; `is_open`: something still follows from it."""

    resource: str
    status: str
    code: str
    is_open: bool


async def uses_of(store: Store, *, kind: str, system: str, codes: Sequence[str]) -> list[Use]:
    """Return the resources that carry one of the first MAX_CODES codes, open ones first, each once."""
    found: dict[str, Use] = {}
    for start in range(0, min(len(codes), MAX_CODES), CODES_A_SEARCH):
        some = list(codes[start : start + CODES_A_SEARCH])
        value = ",".join(f"{escape(system)}|{escape(code)}" for code in some)
        for type, parameter in USERS.get(kind, ()):
            for version in await _search(store, type, parameter, value):
                found.setdefault(f"{version.type}/{version.id}", _use(version, system, some))
    return sorted(found.values(), key=lambda use: (not use.is_open, use.resource))


async def _search(store: Store, type: str, parameter: str, value: str) -> list[Version]:
    params = [(parameter, value), ("_count", str(ROWS_A_SEARCH))]
    query = parse(type, params, strict=True, parameters=store.parameters, max_count=ROWS_A_SEARCH)
    return list((await store.search(query)).matches)


def _use(version: Version, system: str, codes: Sequence[str]) -> Use:
    resource = decode_resource(version.body or b"{}")
    status = str(resource.get("status") or _code_of(resource.get("clinicalStatus")) or "")
    carried = next((code for code in codes if _carries(resource, system, code)), "")
    return Use(f"{version.type}/{version.id}", status, carried, status in OPEN)


def _code_of(concept: object) -> str:
    codings = concept.get("coding") if isinstance(concept, dict) else None
    return str(codings[0].get("code", "")) if codings else ""


def _carries(part: object, system: str, code: str) -> bool:
    """Whether a coding of the code stands anywhere in a resource."""
    if isinstance(part, dict):
        if part.get("system") == system and part.get("code") == code:
            return True
        return any(_carries(value, system, code) for value in part.values())
    return isinstance(part, list) and any(_carries(value, system, code) for value in part)


def report(uses: Sequence[Use], codes: Sequence[str]) -> Json:
    """Return uses as JSON; `codes_searched` tells when there were more codes than are looked for."""
    return {
        "count": len(uses),
        "open": sum(use.is_open for use in uses),
        "codes_searched": min(len(codes), MAX_CODES),
        "rows": [
            {"resource": use.resource, "status": use.status, "code": use.code, "open": use.is_open}
            for use in uses[:MAX_ROWS]
        ],
    }
