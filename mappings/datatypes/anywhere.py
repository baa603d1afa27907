"""Values that a message carries under one of several names, somewhere below an element.

The regional platform's drafts wrap the same data in many ways, and every province renames it. `. | anywhere "reason
referralReason"` is the first element (or attribute) of these names, in document order, whatever stands around it; names
are compared without case and prefix. What such a line reads counts as read (mappings/language/measure.py).
"""

from collections.abc import Iterator

from mappings.datatypes.hd import universal_uri
from mappings.datatypes.v3_cd import to_concept
from mappings.datatypes.v3_en import to_names
from mappings.datatypes.v3_ii import URI, to_identifiers
from mappings.datatypes.v3_role import to_organization, to_practitioner
from mappings.datatypes.v3_ts import to_day, to_moment, to_time
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
MINUTES = 12
"""Digits of a time that says its minute."""


@converter("anywhere", returns="string")
def to_text(value: Element, context: Context, names: str) -> str | None:
    """The text: of the element, its `value`, its number or its code."""
    for found in below(value, names):
        text = text_of(found)
        if text:
            return text
    return None


@converter("ii_anywhere", returns="Identifier[]")
def to_numbers(value: Element, context: Context, names: str, kind: str = "") -> list[Json] | None:
    made: list[Json] = []
    for found in below(value, names):
        rows = to_identifiers(found, context, kind)
        if not rows and not found.children and (text := text_of(found)):
            rows = to_identifiers(text, context, kind)
        made += [row for row in rows or () if row not in made]
    return made or None


@converter("ii_key_anywhere", returns="string")
def to_key(value: Element, context: Context, names: str, kind: str = "") -> str | None:
    found = to_numbers(value, context, names, kind)
    return f"{found[0].get('system', '')}|{found[0]['value']}" if found else None


@converter("cd_anywhere", returns="CodeableConcept")
def to_code(value: Element, context: Context, names: str) -> Json | None:
    for found in below(value, names):
        concept: Json | None = to_concept(found, context)
        if concept:
            return concept
    return None


@converter("en_anywhere", returns="HumanName[]")
def to_people(value: Element, context: Context, names: str) -> list[Json] | None:
    return next((made for found in below(value, names) if (made := to_names(found, context))), None)


@converter("ts_anywhere", returns="dateTime")
def to_instant(value: Element, context: Context, names: str) -> str | None:
    return next((made for found in below(value, names) if (made := to_time(found, context))), None)


@converter("ts_instant_anywhere", returns="instant")
def to_exact(value: Element, context: Context, names: str) -> str | None:
    return next((made for found in below(value, names) if (made := to_moment(found, context))), None)


@converter("ts_absent_anywhere", returns="Element")
def to_absence(value: Element, context: Context, names: str) -> Json | None:
    """The extension data-absent-reason, for `_when`, when no instant stands anywhere: a day says no time, and none is invented."""
    known = any(sum(map(str.isdigit, text_of(found))) >= MINUTES for found in below(value, names))
    return None if known else {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}


@converter("ts_date_anywhere", returns="date")
def to_date(value: Element, context: Context, names: str) -> str | None:
    return next((made for found in below(value, names) if (made := to_day(found, context))), None)


@converter("organization_anywhere", returns="Reference")
def to_place(
    value: Element, context: Context, names: str, numbers: str = "", titles: str = ""
) -> Json | None:
    """An organisation by an element that holds it, else by a number and a name that stand apart."""
    for found in below(value, names):
        place: Json | None = to_organization(found, context)
        if place is not None:
            return place
    number = next((element for element in below(value, numbers)), None) if numbers else None
    title = to_text(value, context, titles) if titles else None
    ids = to_numbers(value, context, numbers) if number is not None else None
    if not ids:
        return to_organization(title, context) if title else None
    body = {"identifier": ids, **({"name": title} if title else {})}
    made = context.make("Organization", (ids[0].get("system") or "", ids[0]["value"]), body)
    return {**made, "display": title or ids[0]["value"]}


@converter("practitioner_anywhere", returns="Reference")
def to_person(
    value: Element, context: Context, names: str, numbers: str = "", titles: str = ""
) -> Json | None:
    """A practitioner by an element that holds one, else by a number and a name that stand apart."""
    for found in below(value, names):
        person: Json | None = to_practitioner(found, context)
        if person is not None:
            return person
    title = to_text(value, context, titles) if titles else None
    ids = to_numbers(value, context, numbers, "staff") if numbers else None
    if not ids:
        return to_practitioner(title, context) if title else None
    body = {"identifier": ids, **({"name": [{"text": title}]} if title else {})}
    made = context.make("Practitioner", (ids[0].get("system") or "", ids[0]["value"]), body)
    return {**made, "display": title or ids[0]["value"]}


def below(element: Element, names: str) -> Iterator[Element]:
    """Yield the elements of these names below one, in the order of the names, then of the document."""
    for name in names.casefold().split():
        yield from element.named(name)


def text_of(element: Element) -> str:
    """Return what an element says: text, `value`, number, code, the name of its code."""
    inner = element.first("value")
    return (
        element.own_text()
        or element.get("extension")
        or element.get("code")
        or element.get("displayName")
        or (text_of(inner) if inner is not None else "")
    )


@converter("request_anywhere", returns="Reference")
def to_request(value: Element, context: Context, names: str) -> Json | None:
    """The logical reference to a request by its number."""
    found = to_numbers(value, context, names)
    return {"type": "ServiceRequest", "identifier": found[0]} if found else None


@converter("location_anywhere", returns="Reference")
def to_location(value: Element, context: Context, names: str) -> Json | None:
    """A place by its name."""
    title = to_text(value, context, names)
    return {**context.make("Location", ("name", title), {"name": title}), "display": title} if title else None


@converter("document_id", returns="Identifier")
def to_document_id(value: Element | str, context: Context) -> Json | None:
    """The unique id of a document: an OID or UUID as URI, anything else as the number that it is."""
    text = value if isinstance(value, str) else text_of(value)
    uri = universal_uri(text, "") if text else None
    if uri:
        return {"system": URI, "value": uri}
    return {"value": text} if text else None
