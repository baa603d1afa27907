"""EI → Identifier: entity identifier ^ namespace ^ universal id ^ type."""

from mappings.datatypes.cwe import is_in_table
from mappings.datatypes.extension import filled
from mappings.datatypes.hd import organization_of, read, system_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def identifier_of(parts: list[str], context: Context, *, code: str = "") -> Json | None:
    """Return the Identifier of the four parts of an EI; `code`: its type in v2-0203 ("PLAC")."""
    value = parts[0].strip() if parts else ""
    authority = read(parts[1:4])
    if not value and not authority.universal:
        return None
    system = system_of(authority, context)
    if not value:
        # Only a universal id: the id is global by itself (a GUID, an OID).
        system, value = "urn:ietf:rfc:3986", system or authority.universal
    return filled(
        {
            "type": {
                "coding": [filled({"system": TYPES if is_in_table(TYPES, code) else None, "code": code})]
            }
            if code
            else None,
            "system": system,
            "value": value,
            "assigner": organization_of(authority, context) if authority.universal else None,
        }
    )


@converter("ei", returns="Identifier", by_sender=True)
def to_identifier(value: str, context: Context, code: str = "") -> Json | None:
    return identifier_of(context.components(value), context, code=code)


@converter("eip", returns="Identifier[]", by_sender=True)
def to_pair(value: str, context: Context, first: str = "PLAC", second: str = "FILL") -> list[Json] | None:
    """EIP: placer's ^ filler's identifier, their parts as subcomponents."""
    found = [
        identifier
        for number, code in ((1, first), (2, second))
        if (identifier := identifier_of(context.subcomponents(value, number), context, code=code))
    ]
    return found or None


@converter("ei_assigner", returns="Reference", by_sender=True)
def to_assigner(value: str, context: Context) -> Json | None:
    return organization_of(read(context.components(value)[1:]), context)


@converter("parent_request", returns="Reference", by_sender=True)
def to_parent_request(value: str, context: Context) -> Json | None:
    """EIP of a parent order (ORC-8, OBR-29) → a logical reference by its placer's number, else the filler's."""
    pair = to_pair(value, context)
    return {"type": "ServiceRequest", "identifier": pair[0]} if pair else None


@converter("parent_specimen", returns="Reference", by_sender=True)
def to_parent_specimen(value: str, context: Context) -> Json | None:
    """EIP of a parent specimen (SPM-3) → a logical reference."""
    pair = to_pair(value, context, "PGN", "FGN")
    return {"type": "Specimen", "identifier": pair[0]} if pair else None
