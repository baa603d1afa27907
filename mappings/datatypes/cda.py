"""Statements of shared documents (mappings/cda/statements.py) → code, value, interpretation, range of an Observation.

WS 363 gives every observation a data element; its coding stands in Observation.code beside LOINC's where FHIR wants that
(mappings/cda/elements.csv). Results come in parts: item, value, unit, judgement; each part may be missing.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mappings.cda.statements import name_of
from mappings.datatypes.extension import filled
from mappings.datatypes.interpretation import INTERPRETATION, to_interpretation
from mappings.datatypes.nm import quantity, range_of
from mappings.datatypes.units import ucum_of
from mappings.datatypes.v3_cd import codings_of, to_concept
from mappings.datatypes.v3_pq import numeric, to_range, unit_of
from mappings.datatypes.v3_value import to_value
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

Typed = tuple[str, Any]

DATA_ELEMENTS = "urn:oid:2.16.156.10011.2.2.1"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_LOINC = "http://loinc.org"
_ITEM_CODE, _ITEM_NAME = "DE04.30.019.00", "DE04.30.020.00"
_VALUE, _UNIT, _JUDGEMENT = "DE04.30.015.00", "DE04.30.016.00", "DE04.30.017.00"
# 检查/检验结果代码 (WS 363 DE04.30.017.00): 1 normal, 2 abnormal, 3 not to be told.
_JUDGEMENTS = {"1": "N", "2": "A", "3": "IND"}
_UNIT_IN_NAME = re.compile(r"[(（]([^()（）]{1,12})[)）]$")
_RANGE_WORDS = ("参考", "正常值")


@dataclass(frozen=True)
class DataElement:
    """A row of elements.csv; empty texts where it says nothing."""

    element: str
    loinc: str
    loinc_name: str
    category: str
    unit: str
    name: str


@cache
def data_elements() -> dict[str, DataElement]:
    path = Path(__file__).parent.parent / "cda" / "elements.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["element"]: DataElement(**row) for row in rows}


@converter("cda_code", returns="CodeableConcept")
def to_code(value: Element, context: Context) -> Json | None:
    """What an observation says: LOINC where FHIR demands it, the data element, the name as sent."""
    element, name = value.get("de"), name_of(value)
    if not element:
        code = value.first("code")
        return to_concept(code, context) if code is not None else None
    known = data_elements().get(element)
    codings: list[Json] = []
    if known is not None and known.loinc:
        codings.append({"system": _LOINC, "code": known.loinc, "display": known.loinc_name})
    codings.append(
        filled({"system": DATA_ELEMENTS, "code": element, "display": name or (known.name if known else "")})
        or {}
    )
    return filled({"coding": codings, "text": name or (known.name if known else "")})


@converter("cda_category", returns="CodeableConcept")
def to_category(value: Element, context: Context) -> Json | None:
    known = data_elements().get(value.get("de"))
    if known is None or not known.category:
        return None
    return {"coding": [{"system": _CATEGORY, "code": known.category}]}


@converter("cda_value", returns="[x]")
def to_statement_value(value: Element, context: Context) -> Typed | None:
    """The value of an observation by its xsi:type; a unit that is missing is that of the data element or of its name."""
    found = value.first("value")
    if found is None:
        return None
    if found.get("xsi:type").rpartition(":")[2] == "MO":
        return _money(found)
    made: Typed | None = to_value(found, context, _unit_of(value) if not found.get("unit") else "")
    # What isn't of its declared type (BL 是, TS 不详) is kept as the text that it is.
    text = found.own_text() or found.get("displayName")
    return made or (("string", text) if text else None)


@converter("cda_item", returns="CodeableConcept")
def to_item(value: Element, context: Context) -> Json | None:
    """The item of a result: code and name, wherever the sender wrote which; the code of the observation itself when that
    is no data element."""
    own = value.first("code")
    if not value.get("de") and own is not None:
        return to_concept(own, context) or {}
    code, name = _element(value, _ITEM_CODE), _element(value, _ITEM_NAME)
    coded = code.first("value") if code is not None else None
    named = name.first("value") if name is not None else None
    concept = to_concept(coded, context) if coded is not None and coded.get("code") else None
    word = coded.own_text() if coded is not None and concept is None else ""
    title = named.own_text() if named is not None else ""
    if concept is not None:
        return {**concept, "text": title} if title else concept
    if not word:
        return {"text": title} if title else None
    if not title and not word.isascii():
        return {"text": word}
    codings = [filled({"code": word, "display": title})]
    return filled({"coding": codings, "text": title or word})


@converter("cda_result", returns="[x]")
def to_result(value: Element, context: Context) -> Typed | None:
    """The value of a result with its unit; a result that has only the judgement says that."""
    part = _part(value, _VALUE) or (value if not value.get("de") else None)
    found = part.first("value") if part is not None else None
    if found is None:
        judged = _part(value, _JUDGEMENT)
        concept = _judgement_of(judged, context)
        return ("CodeableConcept", concept) if concept else None
    unit = result_unit(value)
    text = found.own_text() if not found.get("code") else ""
    if unit and not found.get("unit"):
        made = quantity(text, unit_of(unit))
        if made is not None:
            return "Quantity", made
        between = range_of(text, unit_of(unit))
        if between is not None:
            return "Range", between
    typed: Typed | None = to_value(found, context)
    return typed


@converter("cda_interpretation", returns="CodeableConcept[]")
def to_flags(value: Element, context: Context) -> list[Json] | None:
    """interpretationCode of the result or of its value, and the judgement 1, 2, 3."""
    found: list[Json] = []
    for holder in (value, *value.all("part")):
        for flag in holder.all("interpretationCode"):
            made = _flag(flag, context)
            if made is not None:
                found.append(made)
    judged = _judgement_of(_part(value, _JUDGEMENT), context)
    if judged is not None:
        code = judged["coding"][0]["code"] if judged.get("coding") else ""
        word = _JUDGEMENTS.get(code)
        codings = [{"system": INTERPRETATION, "code": word}] if word and not found else []
        found.append({**judged, "coding": [*codings, *judged.get("coding", ())]})
    return found or None


@converter("cda_range", returns="BackboneElement[]")
def to_ranges(value: Element, context: Context) -> list[Json] | None:
    """referenceRange of the result or of its value, or an observation that calls itself 参考范围."""
    unit = result_unit(value)
    found: list[Json] = []
    for holder in (value, *value.all("part")):
        for given in holder.all("referenceRange"):
            inner = given.first("observationRange") or given
            found += _range(inner, unit, context)
        if holder is not value and any(word in name_of(holder) for word in _RANGE_WORDS):
            text = said.own_text() if (said := holder.first("value")) is not None else ""
            found += [_range_text(text, unit)] if text else []
    return found or None


@converter("cda_part_text", returns="string")
def to_part_text(value: Element, context: Context, code: str) -> str | None:
    """The text of one part (`. | cda_part_text DE04.50.134.00`): name before code."""
    part = _element(value, code)
    found = part.first("value") if part is not None else None
    if found is None:
        return None
    return found.get("displayName") or found.own_text() or found.get("code") or None


def result_unit(value: Element) -> str:
    """Return the unit of a result as sent."""
    part, unit = _part(value, _VALUE) or (value if not value.get("de") else None), _part(value, _UNIT)
    found = unit.first("value") if unit is not None else None
    if found is not None:
        return found.own_text() or found.get("displayName") or found.get("code") or found.get("unit")
    said = part.first("value") if part is not None else None
    return said.get("unit") if said is not None else ""


def _element(value: Element, code: str) -> Element | None:
    return value if value.get("de") == code else _part(value, code)


def _part(value: Element, code: str) -> Element | None:
    return next((part for part in value.all("part") if part.get("de") == code), None)


def _unit_of(value: Element) -> str:
    known = data_elements().get(value.get("de"))
    if known is not None and known.unit:
        return known.unit
    named = _UNIT_IN_NAME.search(name_of(value))
    return named[1] if named and ucum_of(named[1]) else ""


def _money(value: Element) -> Typed | None:
    currency = value.get("currency") or "CNY"
    text = value.own_text()
    made = quantity(text, {"unit": currency, "system": "urn:iso:std:iso:4217", "code": currency})
    return ("Quantity", made) if made and numeric(text) else None


def _judgement_of(part: Element | None, context: Context) -> Json | None:
    found = part.first("value") if part is not None else None
    if found is None:
        return None
    if found.get("code"):
        coded: Json | None = to_concept(found, context)
        return coded
    text = found.own_text()
    if text in _JUDGEMENTS:
        return {"coding": [{"code": text}]}
    return {"text": text} if text else None


def _flag(flag: Element, context: Context) -> Json | None:
    codings = codings_of(flag, context)
    word = flag.get("code") or flag.get("displayName") or flag.own_text()
    if not word:
        return None
    known = to_interpretation(word, context)
    text = flag.get("displayName")
    if known is None or not known.get("coding"):
        return filled({"coding": codings, "text": text or word})
    first = known["coding"][0]
    others = [row for row in codings if (row.get("system"), row["code"]) != (INTERPRETATION, first["code"])]
    others = [row for row in others if row["code"] != word or row.get("system")]
    return filled({"coding": [first, *others], "text": text or known.get("text")})


def _range(given: Element, unit: str, context: Context) -> list[Json]:
    said, value = given.first("text"), given.first("value")
    text = said.content() if said is not None else ""
    found: Json | None = None
    if value is not None:
        found = to_range(value, context, unit)
        if found is None and not text:
            text = value.own_text()
        found = {name: _with_unit(end, unit) for name, end in (found or {}).items()} or None
    if found is None:
        return [_range_text(text, unit)] if text else []
    return [{**found, "text": text} if text else found]


def _with_unit(end: Json, unit: str) -> Json:
    return end if "unit" in end else {**end, **(unit_of(unit) or {})}


def _range_text(text: str, unit: str) -> Json:
    given = unit_of(unit)
    between = range_of(text, given)
    if between is not None:
        return {**between, "text": text}
    limit = quantity(text, given)
    sign = limit.pop("comparator", "") if limit else ""
    if limit and sign:
        return {"high" if sign.startswith("<") else "low": limit, "text": text}
    return {"text": text}


@converter("cda_part", returns="CodeableConcept")
def to_part_concept(value: Element, context: Context, code: str) -> Json | None:
    """One part as a concept: coded, or its text."""
    part = _element(value, code)
    found = part.first("value") if part is not None else None
    if found is None:
        return None
    coded: Json | None = to_concept(found, context) if found.get("code") else None
    text = found.own_text()
    return coded or ({"text": text} if text else None)
