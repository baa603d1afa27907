"""A referral as an order: which way it goes, from whom, to whom (workflows W6–W8)."""

from typing import Any

from gateway.workflow.coordination import category_of, organization_of, placer_of
from gateway.workflow.draft import Draft, codes_of, reference_of
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"
E = "https://hutong.health/fhir/StructureDefinition/"
DIRECTION = f"{C}referral-direction"
REASONS = f"{C}referral-override-reason"
DIRECTIONS = ("up", "down")


def is_referral(order: Json | None) -> bool:
    return order is not None and category_of(order) == "referral"


def direction_of(order: Json) -> str:
    """Return up, down, or "" where the order doesn't say."""
    return next((code for code in codes_of(order.get("code")) if code in DIRECTIONS), "")


def extension(resource: Json, name: str) -> Any:
    """Return the value of an extension of ours, None without one."""
    for row in resource.get("extension") or ():
        if row.get("url") == E + name:
            return next((value for key, value in row.items() if key.startswith("value")), None)
    return None


async def sender_of(draft: Draft, order: Json) -> str:
    """Return the organisation that refers: the one named, else the requester's, else the caller's."""
    named = reference_of(extension(order, "referring-organization"))
    if named:
        return named
    asked = await organization_of(draft, reference_of(order.get("requester")))
    return asked or await placer_of(draft, order) or ""


async def receiver_of(draft: Draft, order: Json) -> str:
    """Return the organisation that the patient is referred to, "" where the order names none."""
    for row in order.get("performer") or ():
        found = await organization_of(draft, reference_of(row))
        if found:
            return found
    return ""
