"""XON → Organization: name ^ name type ^ number ^ check digit ^ scheme ^ authority ^ id type ^ facility ^ ^ identifier.

Departments as CWE (020101^心血管内科) are organisations too: converter `department`.
"""

from mappings.datatypes.cx import checked, identifier_type, local_system
from mappings.datatypes.extension import HUTONG, extension, filled
from mappings.datatypes.hd import identifiers_of, organization_of, read, system_of
from mappings.datatypes.pl import location_of
from mappings.datatypes.xpn import is_code
from mappings.identifiers.kinds import KINDS, kind_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("organization", returns="Reference", by_sender=True)
def to_reference(value: str, context: Context) -> Json | None:
    """The reference to an Organization made of an XON."""
    identifiers = to_identifiers(value, context)
    name = to_name(value, context)
    return reference(identifiers or [], name, context)


@converter("organization_hd", returns="Reference", by_sender=True)
def to_reference_of_hd(value: str, context: Context) -> Json | None:
    """The reference to an Organization made of an HD (MSH-4)."""
    authority = read(context.components(value))
    if authority.universal:
        return organization_of(authority, context)
    return reference(identifiers_of(authority), authority.name or None, context)


@converter("organization_id", returns="Reference", by_sender=True)
def to_reference_of_cwe(value: str, context: Context) -> Json | None:
    """The reference to an Organization made of a coded field: OBX-15, RXA-15: code ^ name."""
    parts = [*(part.strip() for part in context.components(value)), "", "", ""]
    identifiers = [{"value": parts[0]}] if parts[0] else []
    return reference(identifiers, parts[1] or None, context)


@converter("department", returns="Reference", by_sender=True)
def to_department(value: str, context: Context) -> Json | None:
    """The reference to a department: code ^ name, or a mere name."""
    parts = [*(part.strip() for part in context.components(value)), "", ""]
    code, name = parts[0], parts[1]
    if code and not name and not is_code(code):
        code, name = "", code
    kind = KINDS["department"]
    identifiers = (
        [{"type": {"text": kind.title}, "system": local_system(context) or kind.system, "value": code}]
        if code
        else []
    )
    return reference(identifiers, name or None, context, type_code="dept")


@converter("xon_identifiers", returns="Identifier[]", by_sender=True)
def to_identifiers(value: str, context: Context) -> list[Json] | None:
    parts = [*(part.strip() for part in context.components(value)), *[""] * 10]
    number = parts[9] or parts[2]
    if not number:
        return None
    authority = read(context.subcomponents(value, 6))
    facility = read(context.subcomponents(value, 8))
    system = system_of(authority, context)
    kind = kind_of(system=system, words=(parts[6], authority.name))
    if kind and kind.system:
        system = kind.system
    base = filled(
        {
            "type": identifier_type(parts[6], kind),
            "system": system,
            "assigner": organization_of(facility if not facility.is_empty else authority, context),
        }
    )
    found = checked(number, base or {}, kind, context, check_digit=parts[3], scheme=parts[4])
    place = location_of(facility, context)
    if place is not None:
        # XON.8 names the site where the number was given, which isn't the organisation that gave it.
        where = extension(f"{HUTONG}identifier-location", "Reference", place)
        found = [{**row, "extension": [*row.get("extension", ()), where]} for row in found]
    return found


@converter("xon_name", returns="string", is_cached=True)
def to_name(value: str, context: Context) -> str | None:
    return context.components(value)[0].strip() or None


def reference(
    identifiers: list[Json], name: str | None, context: Context, *, type_code: str | None = None
) -> Json | None:
    """Return the reference to an Organization with these identifiers and name; None when nothing is known of it."""
    if not identifiers and not name:
        return None
    kind = (
        [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": type_code}
                ]
            }
        ]
        if type_code
        else None
    )
    first = next((row for row in identifiers if row.get("system")), identifiers[0] if identifiers else None)
    key = (first.get("system", ""), first["value"]) if first else ("name", name or "")
    body = filled({"identifier": identifiers, "type": kind, "name": name}) or {}
    return {**context.make("Organization", key, body), "display": name or first["value"] if first else name}
