"""Institutions: community, place, level, licence; how far apart the producer and the requester are."""

from typing import Literal

from conformance.identifiers import systems
from conformance.recognition.names import (
    LEVEL,
    LEVEL_ONE_TYPES,
    MARK,
    ORGANIZATION_TYPE,
    SCOPE,
    SCOPES,
)
from conformance.recognition.pack import Item, Packs
from conformance.recognition.record import Record, code_value, extension, reference_of
from terminology.fhirjson import Json

Distance = Literal["community", "city", "province", "region", "national"]
MAX_PARENTS = 16


def community_of(organization: Json | None, record: Record) -> Json | None:
    """Return the Organization of type community above (or the organisation itself)."""
    current = organization
    for _ in range(MAX_PARENTS):
        if current is None or _has_type(current, frozenset({"community"})):
            return current
        current = record.resolve(current.get("partOf"), current)
    return None


def is_inside(producer: Json | None, requester: Json | None, record: Record) -> bool:
    """Return whether both belong to one community; an institution is always inside with itself.

    An asker without organisation is the community's own gateway desk: results of a member are inside then.
    """
    if producer is None:
        return False
    own = community_of(producer, record)
    if requester is None:
        return own is not None
    if reference_of(producer) == reference_of(requester):
        return True
    other = community_of(requester, record)
    return own is not None and other is not None and reference_of(own) == reference_of(other)


def distance(producer: Json | None, requester: Json | None, record: Record, packs: Packs) -> Distance:
    """Return the narrowest scope that reaches from the producer to the requester."""
    if is_inside(producer, requester, record):
        return "community"
    own, other = _place(producer, record), _place(requester, record)
    if own and other and own[0] and own[0] == other[0]:
        return "city" if own[1] and own[1] == other[1] else "province"
    if own and other and packs.same_region(own[0], other[0]):
        return "region"
    return "national"


def effective_scope(
    result: Json, report: Json | None, producer: Json | None, item: Item | None, *, inside: bool
) -> str | None:
    """Return the narrowest of mark, organisation scope and item scope; None when an outside result has no mark."""
    mark = code_value(extension(result, MARK)) or code_value(extension(report, MARK))
    if mark is None and not inside:
        return None
    held = [mark or "community", code_value(extension(producer, SCOPE)), item.scope if item else None]
    ranked = [SCOPES.index(scope) for scope in held if scope in SCOPES]
    return SCOPES[min(ranked)] if ranked else "community"


def covers(scope: str, needed: str) -> bool:
    return SCOPES.index(scope) >= SCOPES.index(needed)


def level_of(organization: Json | None) -> int | None:
    """Return 1, 2 or 3; township centres and clinics without a level are 1."""
    text = code_value(extension(organization, LEVEL))
    if text in ("1", "2", "3"):
        return int(text)
    return 1 if organization is not None and _has_type(organization, LEVEL_ONE_TYPES) else None


def has_licence(organization: Json) -> bool:
    """Return whether a practice licence number (登记号) is among the identifiers."""
    return any(
        row.get("value")
        and (
            row.get("system") == systems.MEDICAL_LICENCE
            or any(coding.get("code") == "LN" for coding in (row.get("type") or {}).get("coding") or ())
        )
        for row in organization.get("identifier") or ()
    )


def producer_of(result: Json, report: Json | None, record: Record) -> Json | None:
    """Return the organisation that answers for a result: performer of the report, else of the observation."""
    for resource in (report, result):
        for element in ("performer", "resultsInterpreter"):
            for reference in (resource or {}).get(element) or ():
                found = record.resolve(reference, resource)
                if found is not None and found["resourceType"] == "PractitionerRole":
                    found = record.resolve(found.get("organization"), found)
                if found is not None and found["resourceType"] == "Organization":
                    return found
    return None


def _has_type(organization: Json, codes: frozenset[str]) -> bool:
    return any(
        coding.get("code") in codes and coding.get("system") in (None, ORGANIZATION_TYPE)
        for concept in organization.get("type") or ()
        for coding in concept.get("coding") or ()
    )


def _place(organization: Json | None, record: Record) -> tuple[str, str] | None:
    """Return province and city, of the organisation or of the next one above that has an address."""
    current = organization
    for _ in range(MAX_PARENTS):
        if current is None:
            return None
        for address in current.get("address") or ():
            if address.get("state"):
                return address["state"], address.get("city") or ""
        current = record.resolve(current.get("partOf"), current)
    return None
