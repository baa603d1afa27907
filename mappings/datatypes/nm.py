"""NM, SN, CQ, NR and what people write for them → Quantity, Range, Ratio; units → UCUM.

Digits stay as sent ("1.50"). https://hl7.org/fhir/R4/datatypes.html#Quantity
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

from mappings.datatypes.extension import filled
from mappings.datatypes.units import UCUM, ucum_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

_FULL_WIDTH: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    0x3000: 0x20,
    0x2265: ">=",
    0x2264: "<=",
}
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?"
_WHOLE_NUMBER = re.compile(_NUMBER)
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_QUANTITY = re.compile(rf"(?P<comparator><=|>=|<|>|=)?\s*(?P<value>{_NUMBER})")
_RANGE = re.compile(rf"({_NUMBER})\s*(?:--?|~|～|—|–|至|到)\s*({_NUMBER})")


def tidy(text: str) -> str:
    """Return `text` with full-width digits and signs, ≥ and ≤ in ASCII."""
    return text.strip() if text.isascii() else text.translate(_FULL_WIDTH).strip()


def number(text: str) -> Decimal | int | None:
    """Return a number with its digits, None when `text` isn't one: "1.50", "+3", ".5"."""
    text = tidy(text)
    if not _WHOLE_NUMBER.fullmatch(text):
        return None
    value = Decimal(text)
    return int(value) if len(text) < 16 and _INTEGER.fullmatch(text) else value


def quantity(text: str, unit: Json | None) -> Json | None:
    """Return the Quantity of a number with or without comparator (">100", "≤0.5"), None when `text` isn't one."""
    found = _QUANTITY.fullmatch(tidy(text))
    if found is None:
        return None
    value = number(found["value"])
    comparator = found["comparator"] if found["comparator"] not in (None, "=") else None
    return filled({"value": value, "comparator": comparator}) | (unit or {})  # type: ignore[operator]  # value is never empty


def range_of(text: str, unit: Json | None) -> Json | None:
    """Return {low, high} of "3.5-9.5", "3.5～9.5", "-2--1"; None when `text` isn't such a range."""
    found = _RANGE.fullmatch(tidy(text))
    if found is None:
        return None
    low, high = quantity(found[1], unit), quantity(found[2], unit)
    return {"low": low, "high": high} if low and high else None


@lru_cache(maxsize=2048)
def _unit(code: str, text: str, system: str) -> tuple[tuple[str, str], ...]:
    is_other = system.startswith("urn:id:") and system[7:].upper() not in ("ISO", "ISO%2B", "ANS%2B")
    ucum = None if is_other else ucum_of(code)
    if ucum is None and text and not is_other:
        ucum = ucum_of(text)
    found = {"unit": text or code}
    if ucum:
        found |= {"system": UCUM, "code": ucum}
    elif system and code and system != UCUM:
        found |= {"system": system, "code": code}
    return tuple(found.items())


def unit_of(value: str, context: Context) -> Json | None:
    """Return unit, system and code of OBX-6 (a CWE, or a text whose ^ was not escaped: 10^9/L), None for nothing."""
    from mappings.datatypes.cwe import coding_system

    whole = context.text(value).strip()
    if not whole:
        return None
    if re.fullmatch(r"[×xX*]?\s*10\^-?\d+\s*/.*", whole):
        return dict(_unit(whole, "", ""))
    parts = [*(part.strip() for part in context.components(value)), "", ""]
    code, text = parts[0], parts[1]
    if not code and not text:
        return None
    return dict(_unit(code, text, coding_system(parts[2], "", context) or ""))


@converter("quantity", returns="Quantity", is_cached=True)
def to_quantity(value: str, context: Context, unit: str | None = None) -> Json | None:
    """CQ (quantity ^ units as subcomponents), or a bare number with the unit of the map: `sbp | quantity "mm[Hg]"`."""
    parts = context.components(value)
    text = parts[0].strip()
    if not text:
        return None
    if unit is None and len(parts) > 1:
        given: Json | None = dict(_unit(*[*context.subcomponents(value, 2), "", ""][:2], ""))
    else:
        given = dict(_unit(unit, "", "")) if unit else None
    found = quantity(text, given)
    if found is None:
        context.flag("HT-DT-03", value=text)
    return found


@converter("sn", returns="[x]", is_cached=True)
def to_structured(value: str, context: Context) -> tuple[str, Any] | None:
    return structured(context.components(value), None)


def structured(parts: list[str], unit: Json | None) -> tuple[str, Any] | None:
    """SN: comparator ^ number ^ separator or suffix ^ number → Quantity, Range, Ratio, or the text."""
    comparator, first, separator, second, *_ = [*(tidy(part) for part in parts), "", "", "", ""]
    low, high = number(first) if first else None, number(second) if second else None
    if low is not None and not separator and high is None:
        known = comparator if comparator in ("<", ">", "<=", ">=") else None
        if known or comparator in ("", "="):
            return "Quantity", filled({"value": low, "comparator": known}) | (unit or {})  # type: ignore[operator]  # never empty
    if low is not None and high is not None:
        ends = ({"value": low} | (unit or {}), {"value": high} | (unit or {}))
        if separator == "-":
            return "Range", {"low": ends[0], "high": ends[1]}
        if separator in ("/", ":"):
            return "Ratio", {"numerator": ends[0], "denominator": ends[1]}
    text = "".join((comparator, first, separator, second))
    return ("string", text) if text else None


@converter("positive", returns="positiveInt", is_cached=True)
def to_positive(value: str, context: Context) -> int | None:
    """A count that starts at one; 0 and 999 mean "not known" in RXA-2."""
    found = number(context.components(value)[0])
    return int(found) if found is not None and found == int(found) and 0 < found < 999 else None
