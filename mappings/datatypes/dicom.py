"""DICOM values → FHIR datatypes: names (PN), coded entries, measured values."""

import base64
import csv
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mappings.datatypes.extension import extension, filled
from mappings.datatypes.units import UCUM, ucum_of
from mappings.datatypes.xpn import is_chinese, name_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

REPRESENTATION = "iso21090-EN-representation"
# How the three component groups of a PN write a name: letters, characters, sounds (PS3.5 §6.2.1.1).
_WRITINGS = ("ABC", "IDE", "SYL")
# NumericValueQualifierCodeSequence, CID 42 → http://terminology.hl7.org/CodeSystem/data-absent-reason.
_ABSENT = {
    "114000": "not-a-number", "114001": "negative-infinity", "114002": "positive-infinity", "114006": "error",
    "114007": "not-performed", "114008": "not-performed", "114009": "not-performed", "114003": "error",
    "114004": "error", "114005": "error",
}  # fmt: skip
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


@converter("pn", returns="HumanName[]")
def to_names(value: str, context: Context) -> list[Json] | None:
    """`PatientName | pn`: one name for each way of writing; the Chinese characters come first."""
    found: list[tuple[bool, Json]] = []
    groups = str(value).split("=")
    for writing, group in zip(_WRITINGS, groups, strict=False):
        parts = [part.strip() for part in group.split("^")] + [""] * 5
        if not any(parts):
            continue
        name = name_of([parts[0]], parts[1], parts[2], prefix=parts[3], suffixes=(parts[4],))
        if name is None:
            continue
        if len([part for part in groups if part.strip("^ ")]) > 1:
            name = {"extension": [extension(REPRESENTATION, "Code", writing)], **name}
        found.append((is_chinese(name.get("text", "")), name))
    found.sort(key=lambda row: not row[0])
    return [name for _, name in found] or None


@converter("pn_text", returns="string")
def to_text(value: str, context: Context) -> str | None:
    """`ReferringPhysicianName | pn_text`: the name as people read it, in characters when it is written in them."""
    names = to_names(value, context)
    return names[0].get("text") if names else None


@converter("dicom_code", returns="CodeableConcept")
def to_concept(value: Any, context: Context) -> Json | None:
    """`ProcedureCodeSequence[] | dicom_code`: a coded entry (PS3.3 §8) with its scheme as system."""
    coding = coding_of(value, context)
    if coding is None:
        return None
    text = coding.get("display") or coding.get("code")
    return {"coding": [coding], "text": text} if coding.get("code") else {"text": text}


@converter("dicom_coding", returns="Coding")
def to_coding(value: Any, context: Context) -> Json | None:
    """The same as one Coding."""
    return coding_of(value, context)


@converter("measured", returns="Quantity")
def to_quantity(value: Any, context: Context) -> Json | None:
    """`MeasuredValueSequence[1] | measured`: the number as sent, the unit as UCUM where it is or stands for one."""
    if not isinstance(value, dict):
        return None
    number = _number(_one(value.get("NumericValue")))
    if number is None:
        return None
    unit: Json = next(iter(value.get("MeasurementUnitsCodeSequence") or ()), {})
    code, meaning = str(unit.get("CodeValue") or ""), str(unit.get("CodeMeaning") or "")
    known = code if unit.get("CodingSchemeDesignator") == "UCUM" else ucum_of(code) or ucum_of(meaning)
    coded = {"system": UCUM, "code": known} if known else {}
    return filled({"value": number, "unit": meaning if meaning and meaning != "no units" else code, **coded})


@converter("measured_absent", returns="CodeableConcept")
def to_absent(value: Any, context: Context) -> Json | None:
    """Why a measurement has no number: its qualifier, `unknown` when the device says nothing."""
    if not isinstance(value, dict) or _number(_one(value.get("NumericValue"))) is not None:
        return None
    qualifier: Json = next(iter(value.get("NumericValueQualifierCodeSequence") or ()), {})
    code = _ABSENT.get(str(qualifier.get("CodeValue") or ""), "unknown")
    return filled({"coding": [{"system": DATA_ABSENT, "code": code}], "text": qualifier.get("CodeMeaning")})


@converter("utf8_base64", returns="base64Binary", takes_text=True)
def to_base64(value: str, context: Context) -> str:
    """`Narrative | utf8_base64`: a text as the data of an attachment."""
    return base64.b64encode(value.encode()).decode()


def coding_of(value: Any, context: Context) -> Json | None:
    """Return the Coding of a coded entry, None when it is empty."""
    if not isinstance(value, dict):
        return None
    code = _one(value.get("CodeValue") or value.get("LongCodeValue") or value.get("URNCodeValue"))
    designator = str(_one(value.get("CodingSchemeDesignator")) or "").strip()
    system = context.systems.get(designator) or _schemes().get(designator)
    if system is None and value.get("CodingSchemeUID"):
        system = f"urn:oid:{_one(value['CodingSchemeUID'])}"
    if system is None and designator:
        system = f"urn:id:{quote(designator, safe='')}"
    return filled(
        {
            "system": system if code else None,
            "version": _one(value.get("CodingSchemeVersion")) if code else None,
            "code": str(code) if code else None,
            "display": _one(value.get("CodeMeaning")),
        }
    )


@cache
def _schemes() -> dict[str, str]:
    with (Path(__file__).parent / "coding_schemes.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["designator"]: row["system"] for row in rows}


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and len(str(value)) <= 40 else None
