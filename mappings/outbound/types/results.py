"""Observation.value[x] → OBX-2, OBX-5, OBX-6, OBX-7: the type by what the value is, the digits as they were measured."""

from base64 import b64decode
from typing import Any

from mappings.language.converters import Context, converter
from mappings.language.sources.rows import to_text
from mappings.outbound.types.codes import cwe_of
from mappings.outbound.types.dates import to_ts
from terminology.fhirjson import Json

Parts = tuple[Any, ...]

# A text that a receiver shows in one line is ST, a longer one TX (v2.4 §2.A).
_LINE = 200


def _value(row: Json) -> tuple[str, Any]:
    """Return (type, value) of value[x] ("String", "CodeableConcept"); ("", None) when there is none."""
    for key, value in row.items():
        if key.startswith("value") and key[5:6].isupper():
            return key[5:], value
    return "", None


@converter("obx_type", returns="v2")
def to_type(value: Json, context: Context, concepts: str = "CE") -> str | None:
    """`$this | obx_type`: OBX-2 of an Observation (or component). `concepts`: CE up to v2.4, CWE later."""
    kind, found = _value(value)
    if kind == "Quantity":
        return "ST" if found.get("comparator") or found.get("value") is None else "NM"
    if kind == "String":
        return "TX" if len(found) > _LINE or "\n" in found else "ST"
    known = {"CodeableConcept": concepts, "Integer": "NM", "Boolean": "ID", "DateTime": "TS", "Time": "TM"}
    known |= {"Range": "SN", "Ratio": "SN", "Period": "DR", "SampledData": "TX"}
    return known.get(kind) or ("ST" if _absent(value) else None)


@converter("obx_value", returns="v2")
def to_value(value: Json, context: Context) -> Any:
    """OBX-5 of an Observation (or component); why there is none stands as text."""
    kind, found = _value(value)
    if kind == "Quantity":
        return f"{found.get('comparator') or ''}{_number(found)}" or None
    if kind == "CodeableConcept":
        return cwe_of(found, context)
    if kind == "Boolean":
        return "Y" if found else "N"
    if kind == "DateTime":
        return to_ts(found, context)
    if kind == "Time":
        return str(found).replace(":", "")
    if kind == "Period":
        return tuple(to_ts(found[end], context) if found.get(end) else "" for end in ("start", "end"))
    if kind in ("Range", "Ratio"):
        ends = ("low", "high") if kind == "Range" else ("numerator", "denominator")
        low, high = (_number(found.get(end) or {}) for end in ends)
        return ("", low, "-" if kind == "Range" else "/", high)
    if kind == "SampledData":
        return str(found.get("data") or "") or None
    return to_text(found) or _absent(value) or None


@converter("obx_unit", returns="v2")
def to_unit(value: Json, context: Context) -> Parts | None:
    """OBX-6: the unit as it was sent, with the UCUM code beside it when that is another."""
    kind, found = _value(value)
    quantity = (
        found
        if kind == "Quantity"
        else next(
            (
                part
                for end in ("low", "high", "numerator")
                if kind in ("Range", "Ratio") and (part := found.get(end))
            ),
            {},
        )
    )
    unit, code = str(quantity.get("unit") or ""), str(quantity.get("code") or "")
    if not unit and not code:
        return None
    if code and unit and code != unit:
        name = "UCUM" if "unitsofmeasure" in str(quantity.get("system")) else "L"
        return (unit, "", "", code, "", name)
    return (unit or code,)


@converter("obx_range", returns="v2")
def to_range(value: Json, context: Context) -> str | None:
    """OBX-7: the reference range as it was sent, else low-high, <high, >low."""
    for row in value.get("referenceRange", ()):
        if row.get("text"):
            return str(row["text"])
        low, high = _number(row.get("low") or {}), _number(row.get("high") or {})
        if low and high:
            return f"{low}-{high}"
        if low or high:
            return f">{low}" if low else f"<{high}"
    return None


@converter("obx_flag", returns="v2")
def to_flag(value: Json, context: Context) -> str | None:
    """`interpretation[] | obx_flag`: the code of table 0078, or the sender's own word where it has none."""
    codes = [str(row["code"]) for row in value.get("coding", ()) if row.get("code")]
    return codes[0] if codes else str(value.get("text") or "") or None


@converter("file_part", returns="v2")
def to_file(value: Json, context: Context) -> Parts | None:
    """`presentedForm[] | file_part`: an Attachment as ED (^type^subtype^Base64^data), or as RP when it has only an address."""
    kind, _, subtype = (
        str(value.get("contentType") or "application/octet-stream").partition(";")[0].partition("/")
    )
    if value.get("data"):
        return ("", kind, subtype, "Base64", str(value["data"]))
    return (str(value["url"]), "", kind, subtype) if value.get("url") else None


@converter("attached_type", returns="v2")
def to_attached_type(value: Json, context: Context) -> str:
    """OBX-2 of a document's content: TX for a plain text, ED for a file, RP for an address."""
    if _plain_text(value) is not None:
        return "TX"
    return "ED" if value.get("data") else "RP"


@converter("attached_value", returns="v2")
def to_attached_value(value: Json, context: Context) -> Any:
    """OBX-5 of a document's content: the text itself, or the file (ED, RP)."""
    text = _plain_text(value)
    return text if text is not None else to_file(value, context)


def _plain_text(value: Json) -> str | None:
    if not str(value.get("contentType") or "").startswith("text/plain") or not value.get("data"):
        return None
    try:
        return b64decode(str(value["data"])).decode()
    except ValueError:
        return None


def _absent(value: Json) -> str:
    reason = value.get("dataAbsentReason") or {}
    rows = reason.get("coding", ())
    return str(reason.get("text") or next((row.get("display") or "" for row in rows), ""))


def _number(quantity: Json) -> str:
    return to_text(quantity.get("value"))


@converter("to_cq", returns="v2")
def to_cq(value: Json, context: Context) -> Parts | None:
    """A Quantity as CQ: number ^ unit."""
    number = _number(value)
    return (number, (str(value.get("unit") or value.get("code") or ""),)) if number else None


@converter("to_section", returns="v2")
def to_section(value: Json, context: Context) -> str | None:
    """`category | to_section`: the code of table 0074 (OBR-24), when the report has one."""
    rows = value.get("coding", ())
    return next((str(row["code"]) for row in rows if str(row.get("system")).endswith("/v2-0074")), None)
