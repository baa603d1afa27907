"""Diagnoses, drugs and places of shared documents → CodeableConcept, Dosage, Location, Organization.

A drug is a substanceAdministration (WS/T 500.4) or a row of data elements (WS 365: name, form, dose, frequency, route).
"""

import re
from datetime import date, timedelta
from typing import Any

from mappings.cda.statements import name_of
from mappings.datatypes.extension import filled
from mappings.datatypes.nm import number, quantity
from mappings.datatypes.v3_cd import to_concept
from mappings.datatypes.v3_ii import to_identifiers
from mappings.datatypes.v3_pq import to_quantity, unit_of
from mappings.datatypes.v3_ts import to_day
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_DIAGNOSIS_CODES = ("DE05.01.024.00", "DE05.10.130.00")
_DIAGNOSIS_NAMES = ("DE05.01.025.00", "DE05.10.172.00")
_DRUG, _FORM, _SPECIFICATION = "DE08.50.022.00", "DE08.50.011.00", "DE08.50.043.00"
_DOSE, _DOSE_UNIT, _FREQUENCY, _ROUTE = "DE08.50.023.00", "DE08.50.024.00", "DE06.00.133.00", "DE06.00.134.00"
_TOTAL, _DAYS = "DE06.00.135.00", "DE06.00.147.00"
_PER_DAY = re.compile(r"(次|/)?\s*/?\s*(d|日|天)", re.IGNORECASE)
# Roots of the places around a bed, innermost first: bed, room, ward, department, hospital.
_BED, _ROOM, _DEPARTMENT, _WARD, _HOSPITAL = (f"2.16.156.10011.1.{n}" for n in (22, 21, 26, 27, 5))


@converter("cda_diagnosis", returns="CodeableConcept")
def to_diagnosis(value: Element, context: Context) -> Json | None:
    """Code and name of a diagnosis, whichever of them the sender gave."""
    concept: Json | None = None
    coded = next((one for code in _DIAGNOSIS_CODES if (one := _value(value, code)) is not None), None)
    if coded is not None:
        concept = to_concept(coded, context) if coded.get("code") else _bare(coded.own_text())
    named = next((one for code in _DIAGNOSIS_NAMES if (one := _value(value, code)) is not None), None)
    text = (named.own_text() or named.get("displayName")) if named is not None else ""
    if concept is None:
        return {"text": text} if text else None
    return {**concept, "text": text} if text else concept


@converter("cda_procedure", returns="CodeableConcept")
def to_procedure(value: Element, context: Context) -> Json | None:
    """Code and name of an operation: of the act, or of its data elements."""
    act = value.first("code") if not value.get("de") else None
    coded = act if act is not None and act.get("code") else _value(value, "DE06.00.093.00")
    concept = None
    if coded is not None:
        concept = to_concept(coded, context) if coded.get("code") else _bare(coded.own_text())
    named = _value(value, "DE06.00.094.00")
    text = named.own_text() if named is not None else ""
    if concept is None:
        return {"text": text} if text else None
    return {**concept, "text": text} if text else concept


@converter("cda_drug", returns="CodeableConcept")
def to_drug(value: Element, context: Context) -> Json | None:
    """Code and generic name of a drug."""
    product = value.down("consumable", "manufacturedProduct")
    drug = None
    if product is not None:
        drug = product.first("manufacturedLabeledDrug") or product.first("manufacturedMaterial")
    code = drug.first("code") if drug is not None else None
    name = drug.first("name") if drug is not None else None
    concept = to_concept(code, context) if code is not None else None
    text = name.content() if name is not None else ""
    said = _value(value, _DRUG)
    if said is not None:
        text = text or said.own_text() or said.get("displayName")
        concept = concept or (to_concept(said, context) if said.get("code") else None)
    return {**(concept or {}), "text": text} if text else concept


@converter("cda_form", returns="CodeableConcept")
def to_form(value: Element, context: Context) -> Json | None:
    given = value.first("administrationUnitCode") or _value(value, _FORM)
    return to_concept(given, context) if given is not None and not _is_empty(given) else None


@converter("cda_specification", returns="string")
def to_specification(value: Element, context: Context) -> str | None:
    given = _value(value, _SPECIFICATION)
    return (given.own_text() or None) if given is not None else None


@converter("cda_dosage", returns="Dosage")
def to_dosage(value: Element, context: Context) -> Json | None:
    """Single dose, frequency and route."""
    text = value.first("text")
    route = value.first("routeCode") or _value(value, _ROUTE)
    concept = to_concept(route, context) if route is not None and not _is_empty(route) else None
    if concept is not None:
        mapped = context.translator.translate(
            "route", (concept.get("coding") or [{"display": concept.get("text", "")}])[0]
        )
        known = concept.get("coding", [])
        if mapped is not None and all(
            row.get("code") != mapped["code"] or row.get("system") != mapped["system"] for row in known
        ):
            concept = {**concept, "coding": [mapped, *known]}
    dose = _dose(value, context)
    return filled(
        {
            "text": text.content() if text is not None else "",
            "timing": _timing(value),
            "route": concept,
            "doseAndRate": [{"doseQuantity": dose}] if dose else None,
        }
    )


@converter("cda_total", returns="Quantity")
def to_total(value: Element, context: Context) -> Json | None:
    """药物使用总剂量; without a unit of its own, that of the single dose."""
    given = _value(value, _TOTAL)
    if given is None:
        return None
    made: Json | None = to_quantity(given, context, given.get("unit") or _dose_unit(value))
    return made


@converter("cda_days", returns="Duration")
def to_days(value: Element, context: Context) -> Json | None:
    """用药天数."""
    given = _value(value, _DAYS)
    days = number(given.own_text()) if given is not None else None
    return (
        {"value": days, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
        if days is not None
        else None
    )


@converter("cda_location", returns="Reference")
def to_location(value: Element, context: Context) -> Json | None:
    """encompassingEncounter → the innermost place: bed, room or ward, each part of the next."""
    places = _places(value)
    reference: Json | None = None
    for root in (_WARD, _ROOM, _BED):
        number_of, name = places.get(root, ("", ""))
        if not number_of and not name:
            continue
        body = filled(
            {
                "identifier": [{"system": f"urn:oid:{root}", "value": number_of}] if number_of else None,
                "name": name,
                "physicalType": _PHYSICAL[root],
                "partOf": reference,
            }
        )
        above = str(reference["reference"]) if reference else ""
        made = context.make("Location", ("place", root, number_of, name, above), body or {})
        reference = {**made, "display": name or number_of}
    return reference


@converter("cda_department", returns="Reference")
def to_department(value: Element, context: Context) -> Json | None:
    """encompassingEncounter, participant, providerOrganization → the department, part of its hospital; else the hospital."""
    places = _places(value)
    hospital = _organization(places.get(_HOSPITAL), _HOSPITAL, None, context)
    department = _organization(places.get(_DEPARTMENT), _DEPARTMENT, hospital, context)
    return department or hospital


@converter("cda_report_department", returns="Reference")
def to_report_department(value: Element, context: Context) -> Json | None:
    """The name of the reporting department, part of the custodian."""
    custodian = context.message.down("custodian", "assignedCustodian", "representedCustodianOrganization")
    hospital = (
        _organization(_places(custodian).get(_HOSPITAL), _HOSPITAL, None, context) if custodian else None
    )
    return _organization(("", value.own_text()), _DEPARTMENT, hospital, context)


@converter("cda_hospital", returns="Reference")
def to_hospital(value: Element, context: Context) -> Json | None:
    """The hospital of a department."""
    return _organization(_places(value).get(_HOSPITAL), _HOSPITAL, None, context)


_PLACE_TYPES = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_PHYSICAL = {
    _BED: {"coding": [{"system": _PLACE_TYPES, "code": "bd", "display": "Bed"}]},
    _ROOM: {"coding": [{"system": _PLACE_TYPES, "code": "ro", "display": "Room"}]},
    _WARD: {"coding": [{"system": _PLACE_TYPES, "code": "wa", "display": "Ward"}]},
}


def _places(value: Element) -> dict[str, tuple[str, str]]:
    """Return number and name of every organisation in the chain, by the root that tells what it is."""
    found: dict[str, tuple[str, str]] = {}
    for element in value.walk():
        id = element.first("id")
        if id is None or element.name in ("patient", "patientRole", "assignedEntity", "assignedAuthor"):
            continue
        name = element.first("name")
        said = name.content() if name is not None else ""
        if id.get("root") and (id.get("extension") or said):
            found.setdefault(id.get("root"), (id.get("extension"), said))
    return found


def _organization(
    given: tuple[str, str] | None, root: str, part_of: Json | None, context: Context
) -> Json | None:
    if given is None or not any(given):
        return None
    code, name = given
    element = Element("id", {"root": root, "extension": code}, None)
    ids = to_identifiers(element, context) if code else None
    kind = "dept" if root == _DEPARTMENT else ""
    system = "http://terminology.hl7.org/CodeSystem/organization-type"
    body = filled(
        {
            "identifier": ids,
            "type": [{"coding": [{"system": system, "code": kind}]}] if kind else None,
            "name": name,
            "partOf": part_of,
        }
    )
    if root == _DEPARTMENT:
        # 0301 is another department in every hospital.
        key: tuple[str, ...] = ("department", str(part_of["reference"]) if part_of else "", code or name)
    else:
        key = (ids[0].get("system") or "", ids[0]["value"]) if ids else ("name", name)
    return {**context.make("Organization", key, body or {}), "display": name or code}


def _value(statement: Element, code: str) -> Element | None:
    holder = (
        statement
        if statement.get("de") == code
        else next((part for part in statement.all("part") if part.get("de") == code), None)
    )
    found = holder.first("value") if holder is not None else None
    return found if found is not None and not _is_empty(found) else None


def _is_empty(element: Element) -> bool:
    return not (element.get("code") or element.get("displayName") or element.own_text())


def _bare(text: str) -> Json | None:
    """A code without system, or a name."""
    if not text:
        return None
    return {"coding": [{"code": text}], "text": text} if text.isascii() else {"text": text}


def _dose_unit(value: Element) -> str:
    given = _value(value, _DOSE_UNIT)
    if given is not None:
        return given.own_text() or given.get("displayName")
    dose = value.first("doseQuantity")
    return dose.get("unit") if dose is not None else ""


def _dose(value: Element, context: Context) -> Json | None:
    act = value.first("doseQuantity")
    if act is not None and act.own_text():
        inner = act.first("low") if not act.get("value") and act.first("low") is not None else act
        assert inner is not None
        return quantity(inner.own_text(), unit_of(inner.get("unit") or act.get("unit")))
    given = _value(value, _DOSE)
    return to_quantity(given, context, given.get("unit") or _dose_unit(value)) if given is not None else None


def _timing(value: Element) -> Json | None:
    """rateQuantity 2 次/d → frequency 2 in 1 day; the words of the frequency as sent."""
    rate = value.first("rateQuantity")
    times = number(rate.own_text()) if rate is not None else None
    repeat: Json | None = None
    if rate is not None and isinstance(times, int) and times > 0 and _PER_DAY.fullmatch(rate.get("unit")):
        repeat = {"frequency": times, "period": 1, "periodUnit": "d"}
    said: Any = _value(value, _FREQUENCY)
    text = (said.get("displayName") or said.own_text()) if said is not None else ""
    return filled({"repeat": repeat, "code": {"text": text} if text else None})


@converter("cda_unit", returns="Reference", takes_all=True)
def to_unit(values: list[Element], context: Context, *words: str) -> Json | None:
    """`section/finding[] | cda_unit 转入`: the unit that data elements of that name speak of: name, code, department."""
    found = dict.fromkeys(("DE08.10.013.00", "DE08.10.052.00", "DE08.10.026.00"), "")
    for statement in values:
        name, said = name_of(statement), statement.first("value")
        if statement.get("de") in found and said is not None and any(word in name for word in words):
            found[statement.get("de")] = found[statement.get("de")] or said.own_text()
    name, code, department = found.values()
    hospital = _organization((code, name), _HOSPITAL, None, context)
    return _organization(("", department), _DEPARTMENT, hospital, context) or hospital


@converter("cda_validity", returns="Period")
def to_validity(value: Element, context: Context) -> Json | None:
    """author/time and the days that a prescription is valid (处方有效天数, DE06.00.294.00) → its period."""
    days = next(
        (
            number(said.own_text())
            for section in context.message.all("section")
            for statement in section.all("finding")
            if statement.get("de") == "DE06.00.294.00" and (said := statement.first("value")) is not None
        ),
        None,
    )
    start = to_day(value, context)
    if not isinstance(days, int) or not 0 < days < 366 or start is None or len(start) < 10:
        return None
    end = date.fromisoformat(start) + timedelta(days=days - 1)
    return {"start": start, "end": end.isoformat()}
