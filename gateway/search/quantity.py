"""Quantities and numbers, compared as values with their precision (search.html#quantity, search.html#number).

A quantity in UCUM units is compared after normalisation: 5400 umol/L is found by 5.4|http://unitsofmeasure.org|mmol/L.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from gateway.search.escape import split, unescape
from gateway.search.prefix import split_prefix
from gateway.search.query import Condition, Op, Paths, Quantity
from terminology.issues import InvalidInput
from terminology.ucum import canonical

UCUM = "http://unitsofmeasure.org"
INFINITY = float("inf")


def parse(name: str, paths: Paths, text: str, *, is_number: bool = False) -> Condition:
    """Return the condition of `[prefix]number` or `[prefix]number|system|code`; raises InvalidInput."""
    parts = [text] if is_number else split(text, "|")
    op, digits = split_prefix(parts[0])
    if len(parts) > 3 or len(digits) > 64:
        raise InvalidInput("HT-SEARCH-12", name=name, value=text[:80])
    number = to_number(digits)
    if number is None:
        raise InvalidInput("HT-SEARCH-12", name=name, value=text[:80])
    low, high = bounds(op, number)
    if len(parts) == 1 or not any(parts[1:]):
        return Quantity(paths, op, float(low), float(high))
    system, unit = (unescape(part) for part in ([*parts, ""])[1:3])
    if system == UCUM and unit:
        base_low, base_high = normalise(low, unit), normalise(high, unit)
        if base_low is not None and base_high is not None:
            return Quantity(paths, op, float(base_low[0]), float(base_high[0]), ("ucum", base_low[1]))
    return Quantity(paths, op, float(low), float(high), (system, unit))


def to_number(digits: str) -> Decimal | None:
    """Return the number with its digits, None when it is none."""
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 100 else None


def bounds(op: Op, number: Decimal) -> tuple[Decimal, Decimal]:
    """Return what the number stands for: 100 → [99.5, 100.5) for eq and ne, itself for the comparing prefixes."""
    if op in ("eq", "ne"):
        exponent = number.as_tuple().exponent
        half = Decimal((0, (5,), int(exponent) - 1))
        return number - half, number + half
    if op == "ap":
        slack = abs(number) / 10
        return number - slack, number + slack
    return number, number


def normalise(number: Decimal, unit: str) -> tuple[Decimal, str] | None:
    """Return the value in UCUM base units, None when the unit is not UCUM."""
    return canonical(number, unit)


def read_number(value: Any) -> Iterator[tuple[float, float, str, str, str]]:
    if isinstance(value, (int, Decimal, float)) and not isinstance(value, bool):
        yield float(value), float(value), "", "", ""


def read_quantity(value: Any) -> Iterator[tuple[float, float, str, str, str]]:
    """Yield (low, high, system, code, unit); "<5" reaches down to minus infinity."""
    if not isinstance(value, dict) or not isinstance(value.get("value"), (int, Decimal, float)):
        return
    number = float(value["value"])
    comparator = value.get("comparator")
    low = -INFINITY if comparator in ("<", "<=") else number
    high = INFINITY if comparator in (">", ">=") else number
    yield low, high, _text(value.get("system")), _text(value.get("code")), _text(value.get("unit"))


def read_money(value: Any) -> Iterator[tuple[float, float, str, str, str]]:
    if isinstance(value, dict) and isinstance(value.get("value"), (int, Decimal, float)):
        number = float(value["value"])
        yield (
            number,
            number,
            "urn:iso:std:iso:4217",
            _text(value.get("currency")),
            _text(value.get("currency")),
        )


def read_range(value: Any) -> Iterator[tuple[float, float, str, str, str]]:
    """Yield the interval of a Range; a missing bound is open."""
    if not isinstance(value, dict):
        return
    lows, highs = list(read_quantity(value.get("low"))), list(read_quantity(value.get("high")))
    if lows or highs:
        _, _, system, code, unit = (lows or highs)[0]
        low, high = lows[0][0] if lows else -INFINITY, highs[0][1] if highs else INFINITY
        # rng-2: the low end is not above the high end.
        if low <= high:
            yield low, high, system, code, unit


def read_sampled(value: Any) -> Iterator[tuple[float, float, str, str, str]]:
    """Yield the origin of SampledData, the only number of it that has a unit."""
    if isinstance(value, dict):
        yield from read_quantity(value.get("origin"))


@lru_cache(maxsize=16384)
def base_value(low: float, high: float, system: str, code: str) -> tuple[float, float, str]:
    """Return the interval in UCUM base units, ("" as unit) when it has none."""
    if system != UCUM or not code:
        return 0.0, 0.0, ""
    bounds = [low, high] if low != high else [low]
    found: list[float] = []
    unit = ""
    for bound in bounds:
        if bound in (INFINITY, -INFINITY):
            found.append(bound)
            continue
        normal = canonical(Decimal(repr(bound)), code)
        if normal is None:
            return 0.0, 0.0, ""
        found.append(float(normal[0]))
        unit = normal[1]
    return found[0], found[-1], unit


def matches(op: Op, low: float, high: float, value_low: float, value_high: float) -> bool:
    """Decide [low, high) asked against [value_low, value_high] stored; a plain number has value_low == value_high."""
    if op == "eq":
        return value_low >= low and value_high < high
    if op == "ne":
        return not (value_low >= low and value_high < high)
    if op == "gt":
        return value_high > low
    if op == "lt":
        return value_low < low
    if op == "ge":
        return value_high >= low
    if op == "le":
        return value_low <= low
    if op == "sa":
        return value_low > low
    if op == "eb":
        return value_high < low
    return value_low <= high and value_high >= low


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
