"""Dates and times as FHIRPath sees them: as precise as they were written, and comparable only that far.

https://hl7.org/fhirpath/N1/#comparison, #datetime-arithmetic. `parts` are year, month, day, hour, minute, second (Time
starts at the hour); a second is a Decimal and carries its fraction. `zone` is "", "Z" or "+08:00".
"""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar, Self

DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
CLOCK = r"([0-9]{2})(?::([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,12})?))?)?"
TIME = re.compile(CLOCK)
DATE_TIME = re.compile(
    rf"([0-9]{{4}})(?:-([0-9]{{2}})(?:-([0-9]{{2}}))?)?(?:T(?:{CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?)?)?"
)

# A value without a zone lies somewhere between these offsets (minutes east of UTC).
EAST, WEST = 14 * 60, -12 * 60

Parts = tuple[int | Decimal, ...]


class Temporal:
    """A date, date-time or time; equal objects have equal parts and zone."""

    __slots__ = ("parts", "zone")
    kind: ClassVar[str]

    def __init__(self, parts: Sequence[int | Decimal], zone: str = "") -> None:
        self.parts: Parts = tuple(parts)
        self.zone = zone

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.parts == other.parts and self.zone == other.zone

    def __hash__(self) -> int:
        return hash((self.kind, self.parts, self.zone))

    def __repr__(self) -> str:
        return f"{self.kind}({self})"

    @property
    def offset(self) -> int | None:
        """Minutes east of UTC, None without a zone."""
        if not self.zone:
            return None
        if self.zone == "Z":
            return 0
        minutes = int(self.zone[1:3]) * 60 + int(self.zone[4:6])
        return -minutes if self.zone[0] == "-" else minutes


class Date(Temporal):
    """System.Date: year, year and month, or a day."""

    __slots__ = ()
    kind = "Date"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the date of a FHIR `date` text, None when it is none."""
        match = DATE.fullmatch(text)
        parts = _checked(match.groups()) if match else None
        return cls(parts) if parts else None

    def __str__(self) -> str:
        return _day_text(self.parts)


class DateTime(Temporal):
    """System.DateTime: from a year alone to fractions of a second, with or without a zone."""

    __slots__ = ()
    kind = "DateTime"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the value of a FHIR `dateTime` or `instant` text (hours alone are allowed), None when it is none."""
        match = DATE_TIME.fullmatch(text)
        if match is None:
            return None
        *fields, zone = match.groups()
        if fields[3] and not fields[2]:
            return None
        parts = _checked(fields)
        return cls(parts, zone or "") if parts and _is_zone(zone) else None

    def __str__(self) -> str:
        day = _day_text(self.parts[:3])
        return f"{day}T{_clock_text(self.parts[3:])}{self.zone}" if len(self.parts) > 3 else day


class Time(Temporal):
    """System.Time: hour, minute, second."""

    __slots__ = ()
    kind = "Time"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the time of a FHIR `time` text (hours alone are allowed), None when it is none."""
        match = TIME.fullmatch(text)
        parts = _checked((None, None, None, *match.groups())) if match else None
        return cls(parts) if parts else None

    def __str__(self) -> str:
        return _clock_text(self.parts)


@lru_cache(maxsize=2048)
def read_date(text: str) -> Date | None:
    return Date.parse(text)


@lru_cache(maxsize=2048)
def read_date_time(text: str) -> DateTime | None:
    return DateTime.parse(text)


@lru_cache(maxsize=512)
def read_time(text: str) -> Time | None:
    return Time.parse(text)


def compare(left: Temporal, right: Temporal) -> int | None:
    """Return -1, 0 or 1; None when precision or a missing zone leaves it open. A Time compares with a Time only."""
    mine, yours = left.parts, right.parts
    if left.kind != "Time" and len(mine) > 3 and len(yours) > 3 and left.zone != right.zone:
        if left.zone and right.zone:
            mine, yours = _utc(mine, left.offset or 0), _utc(yours, right.offset or 0)
        elif left.zone:
            mine = _utc(mine, left.offset or 0)
            return _same(_ordered(mine, _utc(yours, EAST)), _ordered(mine, _utc(yours, WEST)))
        else:
            yours = _utc(yours, right.offset or 0)
            return _same(_ordered(_utc(mine, EAST), yours), _ordered(_utc(mine, WEST), yours))
    return _ordered(mine, yours)


def utc(value: Temporal) -> Parts:
    """Return a value with zone and time as day number, hour, minute, second in UTC."""
    return _utc(value.parts, value.offset or 0)


def shift(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Return `value` moved by a number of calendar units ("year" … "millisecond"); None outside the years 1–9999.

    A fraction counts for seconds and milliseconds only; a unit finer than the value's precision is converted to that
    precision first: @2019 + 24 months is @2021.
    """
    if unit == "millisecond":
        amount, unit = amount / 1000, "second"
    if unit == "week":
        amount, unit = Decimal(int(amount)) * 7, "day"
    names = ("hour", "minute", "second") if value.kind == "Time" else UNITS
    if value.kind == "Time":
        seconds = amount * SECONDS[unit] if unit in SECONDS else Decimal(0)
        return _shift_clock(
            value, seconds if unit == "second" else Decimal(int(amount)) * SECONDS.get(unit, 0)
        )
    finest = names[len(value.parts) - 1]
    while names.index(unit) > names.index(finest):
        coarser = names[names.index(unit) - 1]
        amount = (
            Decimal(int(amount / PER[unit, finest])) if (unit, finest) in PER else amount / PER[unit, coarser]
        )
        unit = finest if (unit, finest) in PER else coarser
    if unit != "second":
        amount = Decimal(int(amount))
    if unit in ("year", "month"):
        return _shift_months(value, int(amount) * (12 if unit == "year" else 1))
    return _shift_time(value, amount * SECONDS[unit])


UNITS = ("year", "month", "day", "hour", "minute", "second")
SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
PER = {
    ("month", "year"): 12,
    ("day", "month"): 30,
    ("day", "year"): 365,
    ("hour", "day"): 24,
    ("minute", "hour"): 60,
    ("second", "minute"): 60,
}


def _shift_months(value: Temporal, months: int) -> Temporal | None:
    parts = list(value.parts)
    total = int(parts[0]) * 12 + (int(parts[1]) - 1 if len(parts) > 1 else 0) + months
    year, month = divmod(total, 12)
    if not 1 <= year <= 9999:
        return None
    parts[0] = year
    if len(parts) > 1:
        parts[1] = month + 1
    if len(parts) > 2:
        # The last day of a shorter month stands in: 31 January + 1 month = 28 February.
        parts[2] = min(int(parts[2]), monthrange(year, month + 1)[1])
    return type(value)(parts, value.zone)


def _shift_time(value: Temporal, seconds: Decimal) -> Temporal | None:
    """Move a value of day precision or finer."""
    parts = value.parts
    clock = [*parts[3:], *([0] * (6 - len(parts)))]
    total = int(clock[0]) * 3600 + int(clock[1]) * 60 + clock[2] + seconds
    days = int(total // 86_400)
    rest = total - days * 86_400
    if rest < 0:
        days, rest = days - 1, rest + 86_400
    try:
        day = date.fromordinal(date(int(parts[0]), int(parts[1]), int(parts[2])).toordinal() + days)
    except (ValueError, OverflowError):
        return None
    moved: Parts = (day.year, day.month, day.day, *_clock(rest))
    return type(value)(moved[: len(parts)], value.zone)


def _shift_clock(value: Temporal, seconds: Decimal) -> Temporal:
    parts = (*value.parts, 0, 0)[:3]
    total = (int(parts[0]) * 3600 + int(parts[1]) * 60 + parts[2] + seconds) % 86_400
    if total < 0:
        total += 86_400
    return type(value)(_clock(total)[: len(value.parts)])


def _clock(seconds: int | Decimal) -> Parts:
    minutes = int(seconds // 60)
    return minutes // 60, minutes % 60, seconds - minutes * 60


def _ordered(mine: Parts, yours: Parts) -> int | None:
    for left, right in zip(mine, yours, strict=False):
        if left != right:
            return -1 if left < right else 1
    return 0 if len(mine) == len(yours) else None


def _same(first: int | None, second: int | None) -> int | None:
    return first if first == second and first != 0 else None


def _utc(parts: Parts, offset: int) -> Parts:
    """Day number, hour, minute, second in UTC, as precise as the parts were."""
    day = date(int(parts[0]), int(parts[1]), int(parts[2])).toordinal()
    minutes = int(parts[3]) * 60 + (int(parts[4]) if len(parts) > 4 else 0) - offset
    day, minutes = day + minutes // 1440, minutes % 1440
    return (day, minutes // 60, minutes % 60, *parts[5:])[: len(parts) - 2]


def _checked(fields: Sequence[str | None]) -> Parts | None:
    """Return the present parts when they name an existing day and time."""
    year, month, day, hour, minute, second = (*fields, None, None, None)[:6]
    if year is not None and int(year) < 1:
        return None
    if month is not None and not 1 <= int(month) <= 12:
        return None
    if day is not None and not 1 <= int(day) <= monthrange(int(year or 1), int(month or 1))[1]:
        return None
    if (hour is not None and int(hour) > 23) or (minute is not None and int(minute) > 59):
        return None
    # A leap second is a second (datatypes.html#instant).
    if second is not None and Decimal(second) >= 61:
        return None
    whole = [int(text) for text in (year, month, day, hour, minute) if text is not None]
    return (*whole, Decimal(second)) if second is not None else tuple(whole)


def _is_zone(zone: str | None) -> bool:
    return not zone or zone == "Z" or (int(zone[1:3]) <= 14 and int(zone[4:6]) <= 59)


def _day_text(parts: Parts) -> str:
    return "-".join(f"{part:04d}" if place == 0 else f"{part:02d}" for place, part in enumerate(parts))


def _clock_text(parts: Parts) -> str:
    texts = [f"{int(part):02d}" for part in parts]
    if len(parts) == 3:
        fraction = f"{Decimal(parts[2]):f}".partition(".")
        texts[2] += fraction[1] + fraction[2]
    return ":".join(texts)
