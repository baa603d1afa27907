"""`<value xsi:type="…">` of an observation → value[x] by its type; without a type, by what it holds."""

from collections.abc import Callable
from typing import Any

from mappings.datatypes.nm import tidy
from mappings.datatypes.v3_cd import to_concept
from mappings.datatypes.v3_pq import numeric, ratio, to_quantity, to_range
from mappings.datatypes.v3_ts import to_interval, to_time
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

Typed = tuple[str, Any]


@converter("v3value", returns="[x]")
def to_value(value: Element | str, context: Context, unit: str = "") -> Typed | None:
    """`unit`: of a number that carries none."""
    if isinstance(value, str):
        return _plain(value, context, unit)
    kind = value.get("xsi:type").rpartition(":")[2].upper() or _guess(value)
    make = _BY_TYPE.get(kind)
    if make is None:
        return _plain(value.own_text(), context, value.get("unit") or unit)
    return make(value, context, unit)


def _guess(value: Element) -> str:
    if value.get("code"):
        return "CD"
    if value.first("low") is not None or value.first("high") is not None:
        return "IVL_PQ"
    return "PQ" if value.get("unit") else ""


def _plain(text: str, context: Context, unit: str) -> Typed | None:
    """A number is a Quantity also where the sender says ST; everything else is a text."""
    text = text.strip()
    if not text:
        return None
    if numeric(text) or (unit and tidy(text)[:1] in "<>" and numeric(tidy(text).lstrip("<>= "))):
        return _typed("Quantity", to_quantity(text, context, unit))
    return "string", text


def _typed(kind: str, made: Json | str | None) -> Typed | None:
    return (kind, made) if made else None


def _text(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("string", value.own_text())


def _st(value: Element, context: Context, unit: str) -> Typed | None:
    return _plain(value.own_text(), context, unit) if unit else _text(value, context, unit)


def _boolean(value: Element, context: Context, unit: str) -> Typed | None:
    word = value.own_text().lower()
    return ("boolean", word in ("true", "1")) if word in ("true", "false", "1", "0") else None


def _number(value: Element, context: Context, unit: str) -> Typed | None:
    text = value.own_text()
    if not numeric(text):
        return _typed("string", text)
    return _typed("Quantity", to_quantity(value, context, unit))


def _range(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("Range", to_range(value, context, unit))


def _concept(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("CodeableConcept", to_concept(value, context))


def _ratio(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("Ratio", ratio(value, context))


def _time(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("dateTime", to_time(value, context))


def _period(value: Element, context: Context, unit: str) -> Typed | None:
    return _typed("Period", to_interval(value, context))


_BY_TYPE: dict[str, Callable[[Element, Context, str], Typed | None]] = {
    **dict.fromkeys(("CD", "CE", "CV", "CO", "CS"), _concept),
    **dict.fromkeys(("PQ", "INT", "REAL", "MO"), _number),
    "IVL_PQ": _range,
    "IVL_INT": _range,
    "IVL_REAL": _range,
    "RTO": _ratio,
    "RTO_PQ_PQ": _ratio,
    "ST": _st,
    "SC": _text,
    "ED": _text,
    "BL": _boolean,
    "TS": _time,
    "IVL_TS": _period,
}
