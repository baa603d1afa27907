"""Header of shared documents → patient, narrative, references to other documents."""

from html import escape
from urllib.parse import quote

from mappings.datatypes.extension import filled
from mappings.datatypes.v3_cd import to_concept
from mappings.datatypes.v3_en import to_names
from mappings.datatypes.v3_ii import to_identifiers
from mappings.datatypes.v3_ts import text_of, to_moment
from mappings.language.converters import Context, converter
from mappings.language.result import INVALID_IDENTIFIER
from mappings.xml.tree import Element
from terminology.fhirjson import Json

# patientRole/id holds every number of the document; these are no numbers of the patient.
_ROOT = "urn:oid:2.16.156.10011.1."
_VISITS = frozenset(f"{_ROOT}{number}" for number in (10, 11, 12))
_OTHERS = frozenset(f"{_ROOT}{number}" for number in (1, 14, 20, 24, 28, 32, 33, 5, 26))
_XHTML = "http://www.w3.org/1999/xhtml"
# CDA narrative → XHTML (https://hl7.org/fhir/R4/narrative.html#html).
_TAGS = {
    "paragraph": "p", "list": "ul", "item": "li", "caption": "caption", "content": "span", "table": "table",
    "thead": "thead", "tbody": "tbody", "tfoot": "tfoot", "tr": "tr", "th": "th", "td": "td", "sub": "sub", "sup": "sup",
}  # fmt: skip


@converter("cda_patient_ids", returns="Identifier[]")
def to_patient_identifiers(role: Element, context: Context) -> list[Json] | None:
    """The numbers of a patientRole that are the patient's own.

    Visit numbers repeat from hospital to hospital under the same national root, so that they identify nobody: they stand in
    Encounter. Only of a patient who has no other number they become one of the custodian's name space.
    """
    patient = role.first("patient")
    found = [
        row
        for holder in (patient, role)
        for id in (holder.all("id") if holder is not None else ())
        for row in to_identifiers(id, context) or ()
        if row.get("system") not in _OTHERS
    ]
    own = [row for row in found if row.get("system") not in _VISITS]
    if any(_tells(row) for row in own):
        return list({str(row): row for row in own}.values())
    space = context.made.space
    system = f"urn:id:{quote(space, safe='')}" if space else None
    visits = [
        filled({"type": row.get("type"), "system": system, "value": row["value"]}) or {}
        for row in found
        if row.get("system") in _VISITS
    ]
    return [*own, *visits] or None


@converter("cda_patient_key", returns="string")
def to_patient_key(role: Element, context: Context) -> str | None:
    """What makes the patient the same one in the next document: the first number that is valid."""
    told = len(context.notes)
    found = to_patient_identifiers(role, context) or []
    # What is wrong with a number is told once, where it is stored.
    del context.notes[told:]
    first = next((row for row in found if _tells(row)), found[0] if found else None)
    return f"{first.get('system', '')}|{first['value']}" if first else None


@converter("cda_gender", returns="code")
def to_gender(value: Element, context: Context) -> str | None:
    """GB/T 2261.1 (1, 2, 9, 0) or the word."""
    code, display = value.get("code"), value.get("displayName") or value.own_text()
    question = filled({"code": code, "display": display or code})
    answer = context.translator.translate("administrative-gender", question) if question else None
    if answer is None:
        if question:
            context.unmapped("administrative-gender", system=None, code=code or None, display=display or None)
        return None
    return str(answer["code"])


@converter("en_one", returns="HumanName")
def to_one_name(value: Element | str, context: Context) -> Json | None:
    found = to_names(value, context)
    return found[0] if found else None


@converter("cda_parent", returns="Reference")
def to_parent(value: Element, context: Context) -> Json | None:
    """The document that this one replaces, as a logical reference."""
    found = to_identifiers(value, context)
    return {"type": "DocumentReference", "identifier": found[0]} if found else None


@converter("reference_url", returns="url")
def to_url(value: Json, context: Context) -> str | None:
    """`ref original | reference_url`: where a resource of this message stands, for elements of type url."""
    return str(value["reference"])


@converter("cda_vaccine", returns="CodeableConcept")
def to_vaccine(value: Element, context: Context) -> Json | None:
    for holder in (value, *value.all("part")):
        found = holder.first("value")
        if holder.get("de") == "DE08.50.016.00" and found is not None:
            return to_concept(found, context) if found.get("code") else {"text": found.own_text()}
    return None


@converter("issued", returns="instant")
def to_issued(value: Element, context: Context) -> str | None:
    """author/time as an instant; where that is only a day, the time of the document when it is of the same day."""
    given = text_of(value)
    if len(given.partition("+")[0]) >= 12:
        moment: str | None = to_moment(value, context)
        return moment
    document = context.message.first("effectiveTime")
    whole = text_of(document) if document is not None else ""
    return to_moment(whole, context) if len(whole) >= 12 and whole.startswith(given[:8]) else None


@converter("narrative", returns="xhtml")
def to_narrative(value: Element | str, context: Context) -> str:
    """The text of a section as XHTML: paragraphs, lists and tables stay, everything else is its text."""
    inner = escape(value, quote=False) if isinstance(value, str) else _inner(value)
    return f'<div xmlns="{_XHTML}">{inner}</div>'


def _tells(identifier: Json) -> bool:
    """Tell whether a number can identify its patient."""
    return identifier.get("use") != "old" and not any(
        row.get("url") == INVALID_IDENTIFIER for row in identifier.get("extension", ())
    )


def _inner(element: Element) -> str:
    pieces = [escape(element.text, quote=False)]
    for child in element.children:
        tag = _TAGS.get(child.name)
        if child.name == "br":
            pieces.append("<br/>")
        elif tag is None:
            pieces.append(_inner(child))
        else:
            pieces.append(f"<{tag}>{_inner(child)}</{tag}>")
        pieces.append(escape(child.tail, quote=False))
    return "".join(pieces).strip()
