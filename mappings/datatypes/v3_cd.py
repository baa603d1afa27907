"""CD, CE, CV, CO, CS → CodeableConcept, Coding, code; codeSystem OIDs → the canonical URIs that FHIR uses for them.

https://terminology.hl7.org/ names both of a system; a Chinese OID (2.16.156.10011.2…) stays urn:oid:, which is the
canonical of the county's catalogues too. `systems` of the sender tells what a private OID means.
"""

from functools import lru_cache

from mappings.datatypes.extension import filled
from mappings.datatypes.v3_ii import system_of
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

# https://hl7.org/fhir/R4/terminologies-systems.html
CANONICAL = {
    "2.16.840.1.113883.6.1": "http://loinc.org",
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "2.16.840.1.113883.6.90": "http://hl7.org/fhir/sid/icd-10-cm",
    "2.16.840.1.113883.6.103": "http://hl7.org/fhir/sid/icd-9-cm",
    "2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
    "2.16.840.1.113883.6.88": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "1.2.840.10008.2.16.4": "http://dicom.nema.org/resources/ontology/DCM",
    "2.16.840.1.113883.6.24": "urn:iso:std:iso:11073:10101",
    "2.16.840.1.113883.5.1": "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender",
    "2.16.840.1.113883.5.2": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
    "2.16.840.1.113883.5.4": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "2.16.840.1.113883.5.7": "http://terminology.hl7.org/CodeSystem/v3-ActPriority",
    "2.16.840.1.113883.5.25": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "2.16.840.1.113883.5.83": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "2.16.840.1.113883.5.111": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
    "2.16.840.1.113883.5.112": "http://terminology.hl7.org/CodeSystem/v3-RouteOfAdministration",
    "2.16.840.1.113883.5.1008": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    "2.16.840.1.113883.1.11.16866": "http://terminology.hl7.org/CodeSystem/v3-ActPriority",
}
_V2_TABLES = "2.16.840.1.113883.12."


@converter("cd", returns="CodeableConcept")
def to_concept(value: Element | str, context: Context) -> Json | None:
    """The code with its translations; a bare text is a concept without code."""
    if isinstance(value, str):
        return {"coding": [{"code": value}]}
    codings = codings_of(value, context)
    text = text_of(value)
    return filled({"coding": codings, "text": text})


@converter("cd_coding", returns="Coding")
def to_coding(value: Element | str, context: Context) -> Json | None:
    """The first coding."""
    concept = to_concept(value, context)
    codings = concept.get("coding") if concept else None
    return codings[0] if codings else None


@converter("cd_text", returns="string")
def to_text(value: Element | str, context: Context) -> str | None:
    """What a coded element says, for people: original text, name or code."""
    if isinstance(value, str):
        return value
    return text_of(value) or value.get("code") or None


def codings_of(element: Element, context: Context) -> list[Json]:
    """Return the coding of a CD and those of its translations."""
    found = []
    for one in (element, *element.all("translation")):
        code = one.get("code")
        display = _display(one)
        if code:
            found.append(
                filled(
                    {
                        "system": code_system(one.get("codeSystem"), context),
                        "version": one.get("codeSystemVersion"),
                        "code": code,
                        "display": display,
                    }
                )
            )
    return [coding for coding in found if coding]


def code_system(oid: str, context: Context) -> str | None:
    """Return the canonical URI of a code system's OID, None when it is empty."""
    if not oid:
        return None
    if oid in context.systems:
        return system_of(oid, context)
    return _canonical(oid) or system_of(oid, context)


@lru_cache(maxsize=2048)
def _canonical(oid: str) -> str | None:
    number = oid.removeprefix(_V2_TABLES)
    if number != oid and number.isdigit():
        return f"http://terminology.hl7.org/CodeSystem/v2-{number.zfill(4)}"
    return CANONICAL.get(oid)


def text_of(element: Element) -> str:
    """Return originalText, displayName, or the text that senders write where a code should be."""
    original = element.first("originalText")
    said = original.own_text() if original is not None else ""
    return said or _display(element) or (element.text.strip() if not element.get("code") else "")


def _display(element: Element) -> str:
    name = element.first("displayName")
    return element.get("displayName") or (name.own_text() if name is not None else "")


@converter("v3_drug", returns="CodeableConcept")
def to_drug(value: Element | str, context: Context) -> Json | None:
    """A manufactured product: its code, its name as text."""
    if isinstance(value, str):
        return {"text": value}
    code, name = value.first("code"), value.first("name")
    concept = (to_concept(code, context) if code is not None else None) or {}
    said = _name_text(name) if name is not None else ""
    return filled({**concept, "text": said or concept.get("text")})


def _name_text(name: Element) -> str:
    part = name.down("item", "part")
    return part.own_text() if part is not None else name.own_text()
