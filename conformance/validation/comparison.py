"""How values compare: patterns, regular expressions, numbers, dates and quantities, limits counted from now."""

import calendar
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any


def matches_pattern(value: Any, wanted: Any) -> bool:
    """Tell whether everything in a pattern is in the value (elementdefinition.html#pattern)."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            name in value and matches_pattern(value[name], item) for name, item in wanted.items()
        )
    if isinstance(wanted, list):
        rows = value if isinstance(value, list) else []
        return all(any(matches_pattern(row, item) for row in rows) for item in wanted)
    return bool(value == wanted)


def matches_regex(pattern: str, value: str) -> bool | None:
    """Tell whether the whole value matches; None when the pattern is none, or too long to be tried on strangers' text."""
    if len(pattern) > 300 or len(value) > 2000:
        return None
    try:
        return bool(re.fullmatch(pattern, value))
    except re.error:
        return None


# UCUM units of time in seconds; months and years are counted by the calendar.
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "wk": 604800}


def shifted(now: datetime, duration: dict[str, Any]) -> datetime | None:
    """Return `now` moved by a Duration of UCUM; None for what is no time or leaves the calendar."""
    value, unit = duration.get("value"), duration.get("code") or duration.get("unit")
    if not isinstance(value, int | Decimal):
        return None
    try:
        if unit in _SECONDS:
            return now + timedelta(seconds=float(value) * _SECONDS[unit])
        if unit in ("mo", "a"):
            months = now.year * 12 + now.month - 1 + int(value * (12 if unit == "a" else 1))
            year, month = divmod(months, 12)
            last = calendar.monthrange(year, month + 1)[1]
            return now.replace(year=year, month=month + 1, day=min(now.day, last))
    except (OverflowError, ValueError):
        return None
    return None


def compare(value: Any, limit: Any) -> int | None:
    """Return -1, 0 or 1 of two numbers, dates or quantities of one unit; None when they cannot be compared."""
    if isinstance(value, dict) and isinstance(limit, dict):
        return compare_quantities(value, limit)
    if isinstance(value, int | Decimal) and isinstance(limit, int | Decimal):
        return (value > limit) - (value < limit)
    if isinstance(value, str) and isinstance(limit, str) and "T" in value and "T" in limit:
        return compare_moments(value, limit)
    if isinstance(value, str) and isinstance(limit, str) and len(value) == len(limit):
        return (value > limit) - (value < limit)
    if isinstance(value, str) and isinstance(limit, str):
        short = min(len(value), len(limit))
        head = (value[:short] > limit[:short]) - (value[:short] < limit[:short])
        return head or None
    return None


def compare_moments(value: str, limit: str) -> int | None:
    """Compare two instants, each in its own zone; None when one is no instant or only one has a zone."""
    try:
        left, right = datetime.fromisoformat(value), datetime.fromisoformat(limit)
        return (left > right) - (left < right)
    except (ValueError, TypeError):
        return None


def compare_quantities(left: dict[str, Any], right: dict[str, Any]) -> int | None:
    """Compare two quantities through UCUM; None without formal units or of different dimensions."""
    from terminology.ucum import convert

    one, other = left.get("value"), right.get("value")
    if not isinstance(one, int | Decimal) or not isinstance(other, int | Decimal):
        return None
    if left.get("code") is None or left.get("system") != right.get("system"):
        return None
    converted = Decimal(one) if left["code"] == right.get("code") else None
    if (
        converted is None
        and left.get("system") == "http://unitsofmeasure.org"
        and isinstance(right.get("code"), str)
    ):
        converted = convert(Decimal(one), left["code"], right["code"])
    if converted is None:
        return None
    return (converted > other) - (converted < other)
