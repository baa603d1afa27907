"""FHIR datatypes → those of HL7 v3 (II, CD, PQ, IVL, ANY): blocks of attributes, as mappings/outbound/xml.py writes them.

A system's URI becomes the OID that stands for it: its own (urn:oid:), the one of terminology.hl7.org, the receiver's own
(`systems` of the destination: OID → URI). https://hl7.org/fhir/R4/terminologies-systems.html
"""

from functools import cache
from typing import Any

from mappings.datatypes.v3_cd import CANONICAL
from mappings.identifiers.kinds import KINDS
from mappings.language.converters import Context, converter
from mappings.outbound.types.dates import to_ts
from mappings.outbound.xml import shown
from terminology.fhirjson import Json

_V2_TABLES = "http://terminology.hl7.org/CodeSystem/v2-"
# Systems of the Chinese standards come first: they are what the receiver reads.
_NATIONAL = "urn:oid:2.16.156."


@cache
def _oids() -> dict[str, str]:
    return {uri: oid for oid, uri in CANONICAL.items()}


def oid_of(system: str | None, context: Context) -> str:
    """Return the OID (or UUID) of a system's URI, "" when it has none."""
    if not system:
        return ""
    for local, told in context.systems.items():
        meant = KINDS[told].system if told in KINDS else told
        if meant == system and local[:1].isdigit():
            return local
    for start in ("urn:oid:", "urn:uuid:"):
        if system.startswith(start):
            return system.removeprefix(start)
    if system.startswith(_V2_TABLES) and system[len(_V2_TABLES) :].isdigit():
        return f"2.16.840.1.113883.12.{int(system[len(_V2_TABLES) :])}"
    return _oids().get(system, "")


@converter("to_ii", returns="xml")
def to_ii(value: Any, context: Context) -> Json | None:
    """`identifier[] | to_ii`: root and extension; an identifier whose system has no OID isn't written."""
    if not isinstance(value, dict) or not value.get("value"):
        return None
    if value.get("system") == "urn:ietf:rfc:3986":
        root = oid_of(str(value["value"]), context)
        return {"@root": root} if root else None
    root = oid_of(value.get("system"), context)
    return {"@root": root, "@extension": str(value["value"])} if root else None


@converter("to_cd", returns="xml")
def to_cd(value: Any, context: Context, type: str = "") -> Json | None:
    """`code | to_cd`: the code that the receiver reads, its name; `to_cd CD` with xsi:type. A mere text has no code."""
    if not isinstance(value, dict):
        return None
    rows = [row for row in value.get("coding", [value] if "code" in value else []) if row.get("code")]
    text = str(value.get("text") or "")
    chosen = min(rows, key=lambda row: _rank(row, context), default=None)
    kind = {"@xsi:type": type} if type else {}
    if chosen is None:
        return {**kind, "@displayName": text} if text else None
    oid = oid_of(chosen.get("system"), context)
    made: Json = {**kind, "@code": str(chosen["code"])}
    if oid:
        made["@codeSystem"] = oid
    display = str(chosen.get("display") or text)
    if display:
        made["@displayName"] = display
    if text and text != display:
        made["originalText"] = text
    return made


@converter("to_any", returns="xml")
def to_any(value: Any, context: Context) -> Json | None:
    """`$this | to_any`: value[x] of an Observation, component or Goal.target as `<value xsi:type=…>`."""
    for name, write in _WRITERS.items():
        for prefix in ("value", "detail"):
            if (found := value.get(f"{prefix}{name}")) is not None:
                made: Json | None = write(found, context)
                if made is not None:
                    return made
    return None


@converter("to_ivl_pq", returns="xml")
def to_ivl_pq(value: Any, context: Context) -> Json | None:
    """`$this | to_ivl_pq`: low and high of a Range or reference range as IVL_PQ."""
    ends = {name: pq_of(value[name]) for name in ("low", "high") if value.get(name)}
    return {"@xsi:type": "IVL_PQ", **ends} if ends else None


@converter("to_pq", returns="xml")
def to_pq(value: Any, context: Context, type: str = "") -> Json | None:
    """`doseQuantity | to_pq`: value and unit; `to_pq PQ` with xsi:type."""
    if not isinstance(value, dict) or value.get("value") is None:
        return None
    return {**({"@xsi:type": type} if type else {}), **pq_of(value)}


def pq_of(quantity: Json) -> Json:
    """Return value and unit attributes; the unit as people write it."""
    made: Json = {"@value": shown(quantity.get("value"))}
    unit = quantity.get("unit") or quantity.get("code")
    if unit:
        made["@unit"] = str(unit)
    return made


def _rank(coding: Json, context: Context) -> int:
    system = str(coding.get("system") or "")
    if system in context.systems.values():
        return 0
    if system.startswith(_NATIONAL):
        return 1
    return 2 if system.startswith("urn:oid:") or not system else 3


def _quantity(quantity: Json, context: Context) -> Json | None:
    if quantity.get("value") is None:
        return None
    if quantity.get("comparator"):
        text = f"{quantity['comparator']}{shown(quantity['value'])}"
        return {"@xsi:type": "ST", "#text": text}
    if quantity.get("system") == "urn:iso:std:iso:4217":
        return {"@xsi:type": "MO", "@value": shown(quantity["value"]), "@currency": quantity.get("code")}
    return {"@xsi:type": "PQ" if quantity.get("unit") else "REAL", **pq_of(quantity)}


def _concept(concept: Json, context: Context) -> Json | None:
    if not any(row.get("code") for row in concept.get("coding", ())):
        return {"@xsi:type": "ST", "#text": str(concept["text"])} if concept.get("text") else None
    made: Json | None = to_cd(concept, context, "CD")
    return made


def _text(text: str, context: Context) -> Json | None:
    return {"@xsi:type": "ST", "#text": text}


def _boolean(flag: bool, context: Context) -> Json | None:
    return {"@xsi:type": "BL", "@value": "true" if flag else "false"}


def _integer(number: int, context: Context) -> Json | None:
    return {"@xsi:type": "INT", "@value": str(number)}


def _time(text: str, context: Context) -> Json | None:
    stamp = to_ts(text, context)
    return {"@xsi:type": "TS", "@value": stamp} if stamp else None


def _range(given: Json, context: Context) -> Json | None:
    made: Json | None = to_ivl_pq(given, context)
    return made


def _period(period: Json, context: Context) -> Json | None:
    ends = {
        name: {"@value": to_ts(period[key], context)}
        for name, key in (("low", "start"), ("high", "end"))
        if period.get(key)
    }
    return {"@xsi:type": "IVL_TS", **ends} if ends else None


_WRITERS: dict[str, Any] = {
    "Quantity": _quantity,
    "CodeableConcept": _concept,
    "String": _text,
    "Boolean": _boolean,
    "Integer": _integer,
    "DateTime": _time,
    "Date": _time,
    "Range": _range,
    "Period": _period,
}
