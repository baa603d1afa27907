"""CX → Identifier: id ^ check digit ^ scheme ^ authority ^ type ^ facility ^ from ^ to ^ jurisdiction ^ agency.

A Chinese number that we can check is checked: a valid one is folded (full-width digits, x → X, 15 → 18 characters with
the old one kept beside it), an invalid one is kept as sent and flagged, so that it never identifies anybody.
"""

from functools import lru_cache
from urllib.parse import quote

from conformance.identifiers import read_resident_id
from mappings.datatypes import dtm
from mappings.datatypes.cwe import is_in_table
from mappings.datatypes.dtm import period
from mappings.datatypes.ei import TYPES
from mappings.datatypes.extension import HUTONG, INVALID, ORIGINAL, extension, filled
from mappings.datatypes.hd import organization_of, read, system_of
from mappings.hl7v2.message import Message, Segment
from mappings.identifiers.check import check_resident
from mappings.identifiers.kinds import KINDS, Kind, kind_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json
from terminology.issues import UnmappableMessage

# v2-0203 codes under which senders write a resident's number; without an authority its check digit decides.
NATIONAL = frozenset(("", "SS", "SB", "NI", "ID"))


@converter("cx", returns="Identifier[]", by_sender=True)
def to_identifiers(value: str, context: Context, code: str = "") -> list[Json] | None:
    """The identifier, and the 15-digit one that an upgraded resident number replaces.

    `code`: its type when CX.5 is empty. Without any authority the number belongs to the sending facility.
    """
    parts = [*context.components(value), *[""] * 10]
    if not parts[0].strip():
        return None
    authority = read(context.subcomponents(value, 4))
    facility = read(context.subcomponents(value, 6))
    kind_code = parts[4].strip() or code
    system = system_of(authority, context)
    kind = kind_of(system=system, words=(kind_code, authority.name))
    if kind is None and system is None and (kind_code in NATIONAL or kind_code == code):
        # A number without any authority that passes the check of a resident's number is one.
        found = KINDS["resident"]
        kind, kind_code = (
            (found, "") if len(parts[0]) >= 15 and check_resident(parts[0]).is_valid else (None, kind_code)
        )
    if kind and kind.system:
        system = kind.system
    base = filled(
        {
            "type": identifier_type(kind_code, kind, code),
            "system": system or local_system(context),
            "period": period(parts[6], parts[7], context),
            "assigner": organization_of(facility if not facility.is_empty else authority, context)
            if not facility.is_empty or authority.universal
            else None,
        }
    )
    return checked(parts[0].strip(), base or {}, kind, context, check_digit=parts[1], scheme=parts[2])


@converter("cx_one", returns="Identifier", by_sender=True)
def to_identifier(value: str, context: Context, code: str = "") -> Json | None:
    """The identifier alone, for elements that take one."""
    found = to_identifiers(value, context, code)
    return found[0] if found else None


@converter("cx_old", returns="Identifier[]", by_sender=True)
def to_old_identifiers(value: str, context: Context, code: str = "") -> list[Json] | None:
    """A number that was replaced or moved away: kept and searchable, but `use: old`, so that it matches nobody."""
    found = to_identifiers(value, context, code)
    return [{**row, "use": "old"} for row in found] if found else None


@converter("cx_key", returns="string", by_sender=True)
def to_key(value: str, context: Context) -> str | None:
    """What makes a person the same one next time: system and number of an identifier, whoever's way of writing it."""
    return _key(value, context)


@converter("patient_key", returns="string")
def to_patient_key(value: str, context: Context) -> str | None:
    """`cx_key` of the one patient that a message is about.

    Raises UnmappableMessage (HT-ID-14) when the message names two: results must never reach the wrong record.
    """
    segments = getattr(context.message, "segments", ())
    people = {segment.raw(3) or segment.raw(2) for segment in segments if segment.name == "PID"}
    if len(people) > 1:
        raise UnmappableMessage("HT-ID-14", source="PID[2]", count=len(people))
    return _key(value, context)


@converter("identity_check", returns="Extension", reads={"PID": (3, 7, 8, 19)})
def check_identity(segment: Segment, context: Context) -> Json | None:
    """Flag a birth date or sex that differs from the resident number (PID-3, PID-19); both stay as sent."""
    numbers = [context.components(text)[0] for text in (*segment.repetitions(3), *segment.repetitions(19))]
    person = next((found for text in numbers if text and (found := read_resident_id(text)).is_valid), None)
    if person is None or person.birth_date is None:
        return None
    conflicts = []
    born = dtm.read(context.components(segment.raw(7))[0]) if segment.raw(7) else None
    if born and born.digits >= 8 and born.date != person.birth_date.isoformat():
        context.flag("HT-ID-11", given=born.date, expected=person.birth_date.isoformat())
        conflicts.append("birthDate")
    sent = context.components(segment.raw(8))[0] if segment.raw(8) else ""
    sex = (
        context.translator.translate("administrative-gender", {"code": sent, "display": sent})
        if sent
        else None
    )
    if sex and sex["code"] in ("male", "female") and sex["code"] != person.gender:
        context.flag("HT-ID-12", given=sent, expected=person.gender)
        conflicts.append("gender")
    return extension(f"{HUTONG}identity-conflict", "String", " ".join(conflicts)) if conflicts else None


def checked(
    text: str, base: Json, kind: Kind | None, context: Context, *, check_digit: str = "", scheme: str = ""
) -> list[Json]:
    """Return Identifiers for a number of a kind: `base` with the checked value, flagged or accompanied by its old form."""
    extensions = [
        *([extension("identifier-checkDigit", "String", check_digit)] if check_digit else []),
        *(
            [extension("namingsystem-checkDigit", "Code" if " " not in scheme else "String", scheme)]
            if scheme
            else []
        ),
    ]
    if kind is None or kind.check is None:
        return [_ordered({**base, "value": text}, extensions)]
    outcome = kind.check(text)
    if not outcome.is_valid:
        assert outcome.problem is not None
        context.flag(outcome.problem, **outcome.facts)
        return [_ordered({**base, "value": text}, [*extensions, extension(INVALID, "Code", outcome.problem)])]
    if outcome.older:
        older = {key: part for key, part in base.items() if key != "period"} | {
            "use": "old",
            "value": outcome.older,
        }
        return [_ordered({**base, "value": outcome.value}, extensions), older]
    if outcome.value != text:
        extensions.append(extension(ORIGINAL, "String", text))
    return [_ordered({**base, "value": outcome.value}, extensions)]


def _key(value: str, context: Context) -> str | None:
    found = to_identifiers(value, context)
    return f"{found[0].get('system', '')}|{found[0]['value']}" if found else None


def identifier_type(code: str, kind: Kind | None, of_field: str = "") -> Json | None:
    """Return Identifier.type for a code of table 0203, with the Chinese title of a kind that we know.

    `of_field`: what every number of this field is (PV1-19: VN), whatever else it is. The result is shared.
    """
    return _remembered_type(code, kind, of_field) if len(code) < 40 else _type(code, kind, of_field)


def _type(code: str, kind: Kind | None, of_field: str) -> Json | None:
    if not code and kind is None and not of_field:
        return None
    chosen = (kind.code if kind else "") if not code or not code.isascii() else code
    codings = [coding for part in dict.fromkeys((chosen, of_field)) if part and (coding := type_coding(part))]
    text = kind.title if kind else code if not code.isascii() or not codings else ""
    return filled({"coding": codings, "text": text})


_remembered_type = lru_cache(maxsize=2048)(_type)


def type_coding(code: str) -> Json | None:
    """Return the Coding of an identifier type; no system for what R4's table 0203 doesn't have, None for a text."""
    if is_in_table(TYPES, code):
        return {"system": TYPES, "code": code}
    return None if " " in code else {"code": code}


def local_system(context: Context) -> str | None:
    """Return the namespace of numbers that name no authority: the facility that sent them."""
    facility = context.sender.facility
    if not facility and isinstance(context.message, Message):
        application, facility = context.message.origin
        facility = facility or application
    return f"urn:id:{quote(facility, safe='')}" if facility else None


def _ordered(identifier: Json, extensions: list[Json]) -> Json:
    return {"extension": extensions, **identifier} if extensions else identifier


@converter("identifier", returns="Identifier[]")
def to_identifiers_of_kind(value: str, context: Context, name: str) -> list[Json] | None:
    """A bare number of a known kind (`sfzh | identifier resident`): mappings/identifiers/kinds.py."""
    text = str(value).strip()
    kind = KINDS[name]
    if not text:
        return None
    base = filled({"type": identifier_type("", kind), "system": kind.system or local_system(context)})
    return checked(text, base or {}, kind, context)
