"""CWE, CE, CNE, CF, IS, ID → CodeableConcept, Coding, code: code ^ text ^ system, twice more, versions, original text.

The sender's codings all stay. The language's own converter `code` (`OBX-3 | code lab-item`) puts the county's coding of
the same concept before them.
"""

from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import quote

from mappings.datatypes.extension import ABSENT, extension, filled
from mappings.datatypes.xpn import is_chinese
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

# Table 0396 → FHIR systems (https://hl7.org/fhir/R4/terminologies-systems.html); the Chinese names are what is met.
SYSTEMS = {
    "LN": "http://loinc.org",
    "LOINC": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNOMED": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct",
    "SCT2": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "urn:oid:2.16.156.10011.2.3.3.11",
    "ICD-10": "urn:oid:2.16.156.10011.2.3.3.11",
    "I10C": "http://hl7.org/fhir/sid/icd-10-cm",
    "I9": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
    "I9CDX": "http://hl7.org/fhir/sid/icd-9-cm",
    "ICD9CM3": "urn:oid:2.16.156.10011.2.3.3.12",
    "ICD-9-CM-3": "urn:oid:2.16.156.10011.2.3.3.12",
    "C4": "http://www.ama-assn.org/go/cpt",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "UCUM": "http://unitsofmeasure.org",
    "RXNORM": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CVX": "http://hl7.org/fhir/sid/cvx",
    "MVX": "http://terminology.hl7.org/CodeSystem/MVX",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "MDC": "urn:iso:std:iso:11073:10101",
    "NCIT": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "CDCREC": "urn:oid:2.16.840.1.113883.6.238",
    "ISO3166_1": "urn:iso:std:iso:3166",
    "ISO4217": "urn:iso:std:iso:4217",
    "ATC": "http://www.whocc.no/atc",
}
# Names that say "mine": the sender's settings may give them a URI, nothing else can.
_LOCAL = frozenset({"L", "LOCAL", "99ZZZ", "LB", "99LOCAL", "本地"})
# https://hl7.org/fhir/R4/observation-vitalsigns.html
_VITAL_SIGNS = frozenset(
    "85353-1 9279-1 8867-4 2708-6 59408-5 8310-5 8302-2 9843-4 29463-7 39156-5 85354-9 8480-6 8462-4 8478-0".split()  # noqa: SIM905  # a table
)
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_PLACES = ((0, 6, 13), (3, 7, 16), (9, 12, 19))


@lru_cache(maxsize=1024)
def _named_system(name: str) -> str | None:
    folded = name.upper().removesuffix(" ")
    if folded in SYSTEMS:
        return SYSTEMS[folded]
    for prefix in ("HL7", "HL70"):
        number = folded.removeprefix(prefix)
        if number.isdigit() and len(number) in (3, 4):
            return f"http://terminology.hl7.org/CodeSystem/v2-{number.zfill(4)}"
    if folded in _LOCAL or folded.startswith("99"):
        return None
    if name.startswith(("http:", "https:", "urn:")):
        return name
    return f"urn:id:{quote(name, safe='')}"


def coding_system(name: str, oid: str, context: Context) -> str | None:
    """Return the URI of a coding system by its name in the message (table 0396), or by its OID in CWE.14."""
    name, oid = name.strip(), oid.strip()
    for text in (name, oid):
        if text and text in context.systems:
            return context.systems[text]
    if oid and not (name and name.upper() in SYSTEMS):
        return oid if oid.startswith("urn:") else f"urn:oid:{oid}"
    return _named_system(name) if name else None


def codings_of(parts: list[str], context: Context, *, system: str | None = None) -> list[Json]:
    """Return the up to three codings of a CWE's components; `system`: of codes that name none (a v2 table's)."""
    parts = [*(part.strip() for part in parts), *[""] * 22]
    found: list[Json] = []
    for first, version, oid in _PLACES:
        code, display, name = parts[first : first + 3]
        if not (code or (parts[first + 2] and display)):
            continue
        named = coding_system(name, parts[oid], context)
        coding = filled(
            {
                "system": named
                or (system if not name and not parts[oid] and is_in_table(system, code) else None),
                "version": parts[version],
                "code": code,
                "display": display,
            }
        )
        if coding:
            found.append(coding)
    return found


def concept_of(parts: list[str], context: Context, *, system: str | None = None) -> Json | None:
    """Return the CodeableConcept of a CWE's components; `system`: of codes that name none (a v2 table's)."""
    padded = [*(part.strip() for part in parts), *[""] * 10]
    text = padded[8] or padded[1] or padded[4]
    if is_chinese(padded[0]) and not padded[1] and not padded[2]:
        # A name where the code should be.
        text, padded = text or padded[0], ["", *padded[1:]]
        codings: list[Json] = codings_of(padded, context, system=system)
    else:
        codings = codings_of(parts, context, system=system)
    if not codings and not text:
        return None
    return filled({"coding": codings, "text": text})


@cache
def _tables() -> dict[str, frozenset[str]]:
    lines = (Path(__file__).parent / "v2_tables.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {f"http://terminology.hl7.org/CodeSystem/v2-{row[0]}": frozenset(row[1:]) for row in rows}


def is_in_table(system: str | None, code: str) -> bool:
    """Tell whether a bare code is one of the v2 table that its field is bound to; local codes get no system."""
    known = _tables().get(system or "")
    return known is None or code in known


def table_system(table: str | None) -> str | None:
    """Return the URI of a v2 table named "0007" (or HL70007), or the URI itself."""
    if not table:
        return None
    return _named_system(table if not table.isdigit() else f"HL7{table}")


@converter("cwe", returns="CodeableConcept", is_cached=True)
def to_concept(value: str, context: Context, table: str | None = None) -> Json | None:
    """`table`: the v2 table of codes that name no system: `PV1-4 | cwe 0007`."""
    return concept_of(context.components(value), context, system=table_system(table))


@converter("sub_cwe", returns="CodeableConcept", is_cached=True)
def to_concept_of_component(value: str, context: Context, table: str | None = None) -> Json | None:
    """A CWE within a component, its parts as subcomponents: `OBR-15.4 | sub_cwe 0163`."""
    return concept_of(context.subcomponents(value, 1), context, system=table_system(table))


@converter("additive", returns="Reference", is_cached=True)
def to_additive(value: str, context: Context) -> Json | None:
    """A coded additive (SPM-6) where FHIR takes a Substance: a logical reference by its code."""
    found = codings_of(context.components(value), context, system=table_system("0371"))
    if not found:
        return None
    identifier = filled({"system": found[0].get("system"), "value": found[0].get("code")})
    return filled({"type": "Substance", "identifier": identifier, "display": found[0].get("display")})


@converter("table_coding", returns="Coding", is_cached=True)
def to_coding(value: str, context: Context, table: str | None = None) -> Json | None:
    found = codings_of(context.components(value), context, system=table_system(table))
    return found[0] if found else None


@converter("unknown_concept", returns="CodeableConcept", is_cached=True)
def to_unknown_concept(value: str, context: Context) -> Json:
    """A concept that FHIR demands and the sender left out: `(OBR-4 | cwe) or ("?" | unknown_concept)`."""
    return {"extension": [extension(ABSENT, "Code", "unknown")]}


@converter("vital_category", returns="CodeableConcept", is_cached=True)
def to_vital_category(value: str, context: Context) -> Json | None:
    """The category vital-signs when a LOINC code is one of FHIR's vital signs (observation-vitalsigns.html)."""
    parts = [*context.components(value), "", "", "", "", ""]
    for code, system in ((parts[0], parts[2]), (parts[3], parts[5])):
        if system.upper() in ("LN", "LOINC") and code in _VITAL_SIGNS:
            return {"coding": [{"system": _CATEGORY, "code": "vital-signs", "display": "Vital Signs"}]}
    return None


@converter("lab_category", returns="CodeableConcept", is_cached=True)
def to_laboratory_category(value: str, context: Context) -> Json | None:
    """The category laboratory when the county's catalogue of laboratory items knows the code or its name."""
    parts = [*(part.strip() for part in context.components(value)), "", "", "", "", ""]
    for code, display in ((parts[0], parts[1]), (parts[3], parts[4])):
        sent = {name: text for name, text in (("code", code), ("display", display)) if text}
        if sent and context.translator.translate("lab-item", sent):
            return {"coding": [{"system": _CATEGORY, "code": "laboratory", "display": "Laboratory"}]}
    return None


@converter("code_text", returns="string", is_cached=True)
def to_code_text(value: str, context: Context) -> str | None:
    """What a coded field says, for people: its original text, name or code."""
    parts = [*(part.strip() for part in context.components(value)), *[""] * 9]
    return parts[8] or parts[1] or parts[4] or parts[0] or parts[3] or None


@converter("concept_text", returns="CodeableConcept", is_cached=True)
def to_concept_text(value: str, context: Context) -> Json | None:
    """A free text as a concept without code."""
    text = context.text(value).strip()
    return {"text": text} if text else None


@converter("county_code", returns="code", is_cached=True)
def to_county_code(value: str, context: Context, domain: str) -> str | None:
    """The bare code of a domain, for elements of type code: `PID-8 | county_code administrative-gender`."""
    parts = [*(part.strip() for part in context.components(value)), "", ""]
    question = filled({"code": parts[0], "display": parts[1] or parts[0]})
    if question is None:
        return None
    answer = context.translator.translate(domain, question)
    if answer is None:
        context.unmapped(domain, system=None, code=parts[0], display=parts[1] or None)
        return None
    return str(answer["code"])
