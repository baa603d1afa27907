"""Dates: an interval in the resource against an interval in the request (https://hl7.org/fhir/R4/search.html#date).

A value without an offset is read in the server's zone, +08:00 unless told otherwise (docs/design.md, decision 14).
"""

import re
from collections.abc import Iterator
from datetime import date as day
from functools import lru_cache
from typing import Any

from gateway.search.prefix import split_prefix
from gateway.search.query import Condition, Date, Op, Paths
from terminology.issues import InvalidInput

MIN, MAX = -(2**62), 2**62
"""An open end of a Period."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
EPOCH = day(1970, 1, 1).toordinal()

GRAMMAR = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


@lru_cache(maxsize=16384)
def date_range(value: str, offset_minutes: int = 480) -> tuple[int, int]:
    """Return [low, high) of `value` in microseconds since 1970 UTC: "2024-05" is the whole of May.

    Raises ValueError when `value` is no date, dateTime or instant of FHIR, or no day of the calendar.
    """
    found = GRAMMAR.fullmatch(value)
    if found is None:
        raise ValueError(value)
    year, month, dom, hour, minute, second, fraction, zone = found.groups()
    y = int(year)
    shift = offset_minutes * MINUTE
    if dom is None:
        first = day(y, int(month or 1), 1).toordinal()
        if month is None:
            last = day(y + 1, 1, 1).toordinal() if y < 9999 else first + 365
        else:
            m = int(month)
            last = first + 31 if m == 12 else day(y, m + 1, 1).toordinal()
        return (first - EPOCH) * DAY - shift, (last - EPOCH) * DAY - shift
    low = (day(y, int(month), int(dom)).toordinal() - EPOCH) * DAY
    if hour is None:
        return low - shift, low + DAY - shift
    if zone == "Z":
        shift = 0
    elif zone is not None:
        if int(zone[1:3]) > 14 or int(zone[4:6]) > 59:
            raise ValueError(value)
        shift = (int(zone[1:3]) * 60 + int(zone[4:6])) * MINUTE * (-1 if zone[0] == "-" else 1)
    h, mi, s = int(hour), int(minute), int(second or 0)
    if h > 24 or mi > 59 or s > 60 or (h == 24 and (mi or s)):
        raise ValueError(value)
    low += h * 60 * MINUTE + mi * MINUTE + s * SECOND - shift
    if second is None:
        return low, low + MINUTE
    if fraction is None:
        return low, low + SECOND
    low += int(fraction.ljust(6, "0")[:6])
    return low, low + 10 ** max(0, 6 - len(fraction))


def read_date(value: Any, offset_minutes: int) -> Iterator[tuple[int, int]]:
    """Yield the interval of a date, dateTime or instant; what breaks the grammar has none."""
    if isinstance(value, str):
        try:
            yield date_range(value, offset_minutes)
        except (ValueError, OverflowError):
            return


def read_period(value: Any, offset_minutes: int) -> Iterator[tuple[int, int]]:
    """Yield the interval of a Period; a missing bound is open (search.html#date)."""
    if not isinstance(value, dict):
        return
    starts = list(read_date(value.get("start"), offset_minutes))
    ends = list(read_date(value.get("end"), offset_minutes))
    low, high = starts[0][0] if starts else MIN, ends[0][1] if ends else MAX
    # per-1 forbids an end before the start; such a period is nowhere in time.
    if (starts or ends) and low < high:
        yield low, high


def read_timing(value: Any, offset_minutes: int) -> Iterator[tuple[int, int]]:
    """Yield the outer limits of a Timing: its events and its bounds ("the specified scheduling details are ignored")."""
    if not isinstance(value, dict):
        return
    found = [r for event in value.get("event", ()) for r in read_date(event, offset_minutes)]
    repeat = value.get("repeat")
    if isinstance(repeat, dict):
        found += read_period(repeat.get("boundsPeriod"), offset_minutes)
    if found:
        yield min(low for low, _ in found), max(high for _, high in found)


def bounds(text: str, offset_minutes: int, now: int) -> tuple[Op, int, int]:
    """Return prefix and interval of a search value; `ap` is widened by a tenth of the distance from `now`.

    Raises ValueError when the text after the prefix is no date.
    """
    op, rest = split_prefix(text)
    low, high = date_range(rest.replace(" ", "+"), offset_minutes)
    if op == "ap":
        slack = abs(now - (low + high) // 2) // 10
        low, high = low - slack, high + slack
    return op, low, high


def parse(name: str, paths: Paths, text: str, *, offset_minutes: int, now: int) -> Condition:
    """Return the condition of one value; raises InvalidInput when it is no date."""
    try:
        return Date(paths, *bounds(text, offset_minutes, now))
    except (ValueError, OverflowError):
        raise InvalidInput("HT-SEARCH-10", name=name, value=text[:80]) from None


def matches(op: Op, low: int, high: int, value_low: int, value_high: int) -> bool:
    """Decide one interval against another: [low, high) is asked, [value_low, value_high) is stored."""
    if op == "eq":
        return value_low >= low and value_high <= high
    if op == "ne":
        return not (value_low >= low and value_high <= high)
    if op == "gt":
        return value_high > high
    if op == "lt":
        return value_low < low
    if op == "ge":
        return value_high > high or (value_low >= low and value_high <= high)
    if op == "le":
        return value_low < low or (value_low >= low and value_high <= high)
    if op == "sa":
        return value_low >= high
    if op == "eb":
        return value_high <= low
    return value_low < high and value_high > low
