"""XCN, CNN, PPN → Practitioner: id ^ family ^ given ^ further ^ suffix ^ prefix ^ degree ^ table ^ authority ^ … .

The same number in one message is one Practitioner; different names under it are all kept. Chinese senders also write
only a name (李建国) or number and whole name (D01^李建国).
"""

from mappings.datatypes.cx import checked, identifier_type, local_system
from mappings.datatypes.dtm import period
from mappings.datatypes.extension import filled
from mappings.datatypes.hd import Authority, organization_of, read, system_of
from mappings.datatypes.xpn import is_chinese, is_code, name_of
from mappings.identifiers.kinds import kind_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("practitioner", returns="Reference", by_sender=True)
def to_reference(value: str, context: Context) -> Json | None:
    """The reference to a Practitioner made of an XCN, with the name to display."""
    return _reference(context.components(value), context, value)


@converter("practitioner_ndl", returns="Reference", by_sender=True)
def to_reference_of_result_reader(value: str, context: Context) -> Json | None:
    """NDL (OBR-32 … 35): its first component is a CNN with subcomponents."""
    parts = context.subcomponents(value, 1)
    if len(parts) == 1 and "^" in value and is_code(parts[0]):
        # Written as an XCN: 005454^李建国.
        return _reference(context.components(value), context, value)
    family = [*parts, *[""] * 11]
    order = [*family[:7], family[7], "", "", "", "", ""]
    return _reference(order, context, "", authority=read(family[8:11]))


@converter("xcn_text", returns="string", is_cached=True)
def to_text(value: str, context: Context) -> str | None:
    """The person as one text: the name, else the number."""
    parts = [*context.components(value), *[""] * 8]
    name = _name(parts, [parts[1]], context)
    return (name or {}).get("text") or parts[0].strip() or None


@converter("related_person_identifier", returns="Identifier[]", by_sender=True)
def to_identifiers(value: str, context: Context) -> list[Json] | None:
    parts = [*context.components(value), *[""] * 23]
    number, _ = _number_and_name(parts)
    return (
        _identifiers(parts, number, read(context.subcomponents(value, 9)), Authority("", "", ""), context)
        or None
    )


@converter("xcn_name", returns="HumanName", by_sender=True)
def to_name(value: str, context: Context) -> Json | None:
    parts = [*context.components(value), *[""] * 23]
    _, parts = _number_and_name(parts)
    family = context.subcomponents(value, 2) if context.delimiters.component in value else [parts[1]]
    return _name(parts, family, context, value)


def _reference(
    components: list[str], context: Context, value: str, *, authority: Authority | None = None
) -> Json | None:
    parts = [*(part.strip() for part in components), *[""] * 23]
    if not any(parts[:6]):
        return None
    number, parts = _number_and_name(parts)
    family = context.subcomponents(value, 2) if value and len(components) > 1 else [parts[1]]
    authority = authority or read(context.subcomponents(value, 9) if value else [])
    facility = read(context.subcomponents(value, 14) if value else [])
    name = _name(parts, family, context, value)
    identifiers = _identifiers(parts, number, authority, facility, context)
    body = filled({"identifier": identifiers, "name": [name] if name else None})
    if body is None:
        return None
    text = (name or {}).get("text") or number
    first = next((row for row in identifiers if row.get("use") != "old"), None)
    key = (first.get("system") or "", first["value"]) if first else ("name", text)
    made = context.make("Practitioner", key, body)
    return {**made, "display": text}


def _number_and_name(parts: list[str]) -> tuple[str, list[str]]:
    """Return the number and the parts with the name in place, for senders that write only a name."""
    first = parts[0].strip()
    if first and not parts[1] and not parts[2] and not is_code(first) and (is_chinese(first) or " " in first):
        return "", ["", first, *parts[2:]]
    return first, parts


def _name(parts: list[str], family: list[str], context: Context, value: str = "") -> Json | None:
    if not (parts[1] or parts[2]):
        return None
    return name_of(
        [part.strip() for part in family],
        parts[2],
        parts[3],
        suffixes=(parts[4], parts[6], parts[20]),
        prefix=parts[5],
        use=parts[9],
        validity=period(parts[18], parts[19], context) or _validity(value, context),
        order=parts[17],
    )


def _validity(value: str, context: Context) -> Json | None:
    start, end, *_ = [*context.subcomponents(value, 17), "", ""]
    return period(start, end, context)


def _identifiers(
    parts: list[str], number: str, authority: Authority, facility: Authority, context: Context
) -> list[Json]:
    if not number:
        return []
    code = parts[12]
    system = system_of(authority, context)
    kind = kind_of(system=system, words=(code, authority.name))
    if system is None and code == "NPI":
        system = "http://hl7.org/fhir/sid/us-npi"
    place = facility if not facility.is_empty else authority
    base = filled(
        {
            "type": identifier_type(code, kind),
            "system": system or local_system(context),
            "assigner": organization_of(place, context)
            if (place.name and place.universal) or not facility.is_empty
            else None,
        }
    )
    return checked(number, base or {}, kind, context, check_digit=parts[10], scheme=parts[11])
