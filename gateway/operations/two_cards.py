"""Encounter/[id]/$verify-cards: the resident's and the staff member's card, both recorded on the visit (两卡制验证, china §5, row 34)."""

from typing import Any

from gateway.care.record import find, read_one
from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.escape import escape
from gateway.store.protocol import Commit, Put
from gateway.workflow.audited import operation_audit
from gateway.workflow.draft import reference_of
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
    row = operation_audit(
        f"Encounter/{request.id}",
        " ".join(["verify-cards", *(issue.code for issue in issues)]),
        action="U",
        is_refused=bool(issues),
        now=context.clock(),
    )
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
    patient = await read_one(context.store, reference_of(encounter.get("subject")))
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
            reference = reference_of((await read_one(context.store, reference) or {}).get("practitioner"))
        if reference.startswith("Practitioner/"):
            found.add(reference)
    return found


def _identifier(holder: Json | None, value: str, systems: list[str]) -> Json | None:
    for row in (holder or {}).get("identifier", ()):
        if str(row.get("value", "")).upper() == value.upper() and row.get("system") in systems:
            return {"system": row["system"], "value": row["value"]}
    return None
