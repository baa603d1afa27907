"""Encounter/[id]/$verify-cards: the resident's and the staff member's card, both recorded on the visit (两卡制验证, china §5, row 34)."""

from typing import Any

from gateway.care.record import find
from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.escape import escape
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import acting
from gateway.workflow.draft import local, reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput, Issue

TWO_CARDS = "https://hutong.health/fhir/StructureDefinition/two-cards"
LONGEST = 64


async def verify(request: Request, context: Context) -> Response:
    """Return the visit with both cards. Raises BusinessRule with all that is wrong: not the patient's card (HT-VC-01), not a card of its staff (02)."""
    version = await current(request, context)
    encounter = decode_resource(version.body or b"{}")
    inputs = read_inputs(request, context)
    cards = {name: str(inputs.one(name) or "").strip() for name in ("residentCard", "staffCard")}
    if missing := [name for name, value in cards.items() if not value or len(value) > LONGEST]:
        raise InvalidInput(
            "HT-WF-40", name=missing[0], expression=f"Parameters.parameter.where(name='{missing[0]}')"
        )
    if context.workflow is None:
        raise BusinessRule("HT-VC-03")
    rules: dict[str, Any] = context.workflow.packs().rules("two-cards")
    resident = await _resident(encounter, cards["residentCard"], rules, context)
    staff = await _staff(encounter, cards["staffCard"], rules, context)
    issues = [
        Issue(code, {"reference": f"Encounter/{request.id}"}, expression=path)
        for card, code, path in (
            (resident, "HT-VC-01", "Encounter.subject"),
            (staff, "HT-VC-02", "Encounter.participant"),
        )
        if card is None
    ]
    row = _audit(f"Encounter/{request.id}", [row.code for row in issues], context)
    if issues:
        await context.store.commit(Commit([], audit=[row]))
        raise BusinessRule(issues)
    assert resident is not None
    assert staff is not None
    changed = _with_cards(encounter, resident, staff, context.clock().isoformat(timespec="seconds"))
    [written] = await context.store.commit(Commit([Put(changed, expected=version.version)], audit=[row]))
    assert written is not None
    return Response(200, decode_resource(written.body or b"{}"))


def _with_cards(encounter: Json, resident: Json, staff: Json, at: str) -> Json:
    """Return the visit with both numbers as they are registered, and when they were shown; an earlier verification gives way."""
    kept = [row for row in encounter.get("extension", ()) if row.get("url") != TWO_CARDS]
    parts: list[Json] = [
        {"url": "residentCard", "valueIdentifier": resident},
        {"url": "staffCard", "valueIdentifier": staff},
        {"url": "verifiedAt", "valueDateTime": at},
    ]
    return {**encounter, "extension": [*kept, {"url": TWO_CARDS, "extension": parts}]}


async def _resident(encounter: Json, card: str, rules: dict[str, Any], context: Context) -> Json | None:
    patient = await _read(reference_of(encounter.get("subject")), context)
    return _identifier(patient, card, rules["resident"])


async def _staff(encounter: Json, card: str, rules: dict[str, Any], context: Context) -> Json | None:
    """Return the number of an active practitioner; where the visit names its staff he must be one of them."""
    wanted = ",".join(f"{system}|{escape(card)}" for system in rules["staff"])
    present = await _participants(encounter, context)
    for row in await find(context.store, "Practitioner", [("identifier", wanted)], most=10):
        if row.get("active") is not False and (not present or f"Practitioner/{row['id']}" in present):
            return _identifier(row, card, rules["staff"])
    return None


async def _participants(encounter: Json, context: Context) -> set[str]:
    found: set[str] = set()
    for row in encounter.get("participant", ()):
        reference = reference_of(row.get("individual"))
        if reference.startswith("PractitionerRole/"):
            reference = reference_of((await _read(reference, context) or {}).get("practitioner"))
        if reference.startswith("Practitioner/"):
            found.add(reference)
    return found


def _identifier(holder: Json | None, value: str, systems: list[str]) -> Json | None:
    for row in (holder or {}).get("identifier", ()):
        if str(row.get("value", "")).upper() == value.upper() and row.get("system") in systems:
            return {"system": row["system"], "value": row["value"]}
    return None


async def _read(reference: str, context: Context) -> Json | None:
    place = local(reference)
    version = await context.store.read(*place) if place is not None else None
    return decode_resource(version.body) if version is not None and version.body is not None else None


def _audit(encounter: str, refused: list[str], context: Context) -> Json:
    actor = acting()
    return {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
        "action": "U",
        "recorded": context.clock().isoformat(timespec="milliseconds"),
        "outcome": "4" if refused else "0",
        "agent": [{"who": actor.who(), "requestor": True}],
        "source": {"observer": {"display": "hutong"}},
        "entity": [
            {"what": {"reference": encounter}, "description": " ".join(["verify-cards", *refused])},
        ],
    }
