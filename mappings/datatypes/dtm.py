"""DTM, TS, DT, TM → date, dateTime, instant, time: precision kept, seconds with their fraction, offset or source's zone.

HL7 v2.8 §2A.22; https://hl7.org/fhir/R4/datatypes.html#dateTime (a time needs seconds and an offset).
"""

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from mappings.datatypes.extension import extension
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

_DTM = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)(?:(?P<second>\d\d)"
    r"(?P<fraction>\.\d{1,9})?)?)?)?)?)?(?P<offset>[+-]\d{4})?"
)
# What databases and people write instead: 2026-03-15 08:30:12, 2026/3/15, 2026年3月15日, ISO 8601.
_LOOSE = re.compile(
    r"(?P<year>\d{4})\s*[-/.年]\s*(?P<month>\d{1,2})(?:\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?"
    r"(?:[T\s]\s*(?P<hour>\d{1,2})[:时](?P<minute>\d{1,2})(?:[:分](?P<second>\d{1,2})(?P<fraction>\.\d{1,9})?秒?)?)?)?"
    r"\s*(?P<offset>Z|[+-]\d\d:?\d\d)?"
)
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,9})?)?)?")
# Systems without a null write these.
_NEVER = ("0000", "00000000", "19000101000000", "00010101", "00010101000000")


class Moment(NamedTuple):
    """A point in time as precise as it was sent. `digits`: 4 year, 6 month, 8 day, 12 minute, 14 second."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    fraction: str
    offset: str | None
    digits: int

    @property
    def date(self) -> str:
        return f"{self.year:04}-{self.month:02}-{self.day:02}"[: {4: 4, 6: 7}.get(self.digits, 10)]

    def text(self, context: Context) -> str:
        """Return the FHIR dateTime; a time without offset is the sender's local time."""
        if self.digits <= 8:
            return self.date
        clock = f"{self.hour:02}:{self.minute:02}:{self.second:02}{self.fraction}"
        return f"{self.date}T{clock}{self.offset or _local_offset(self, context)}"


@lru_cache(maxsize=4096)
def read(text: str) -> Moment | None:
    """Return the moment that a DTM, or a date as databases write it, stands for; None when it isn't one."""
    text = text.strip()
    if text in _NEVER:
        return None
    found = _DTM.fullmatch(text) or _LOOSE.fullmatch(text) or _tolerant(text)
    if found is None:
        return None
    part = found.groupdict()
    digits = 4
    for name, reach in (("month", 6), ("day", 8), ("hour", 10), ("minute", 12), ("second", 14)):
        if part[name] is not None:
            digits = reach
    year, month, day = int(part["year"]), int(part["month"] or 1), int(part["day"] or 1)
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    rolls = hour == 24 and not minute and not second
    try:
        start = datetime(year, month, day, 0 if rolls else hour, minute, min(second, 59))  # offset kept apart
        if rolls:
            # ISO 8601 end of day; FHIR has no 24:00.
            start += timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return Moment(
        start.year,
        start.month,
        start.day,
        start.hour,
        start.minute,
        start.second,
        part["fraction"] or "",
        _offset(part["offset"]),
        digits,
    )


@converter("date", returns="date", is_cached=True)
def to_date(value: str, context: Context) -> str | None:
    """The date of a moment, a time of day left out."""
    moment = _moment(value, context)
    return moment.date if moment else None


@converter("datetime", returns="dateTime", is_cached=True)
def to_datetime(value: str, context: Context) -> str | None:
    moment = _moment(value, context)
    return moment.text(context) if moment else None


@converter("instant", returns="instant", is_cached=True)
def to_instant(value: str, context: Context) -> str | None:
    """An instant; a minute is its first second. Nothing for a day: no time is invented (the caller may `or` another)."""
    moment = _moment(value, context)
    if moment is None:
        return None
    if moment.digits < 12:
        context.flag("HT-DT-02", value=value)
        return None
    return moment.text(context)


@converter("time", returns="time", is_cached=True)
def to_time(value: str, context: Context) -> str | None:
    found = _TIME.match(value.strip())
    if not found or int(found[1]) > 23 or int(found[2] or 0) > 59 or int(found[3] or 0) > 60:
        context.flag("HT-DT-01", value=value)
        return None
    return f"{found[1]}:{found[2] or '00'}:{found[3] or '00'}{found[4] or ''}"


@converter("birth_time", returns="Element", is_cached=True)
def to_birth_time(value: str, context: Context) -> Json | None:
    """The extension patient-birthTime, for `_birthDate`, when the time of birth was sent."""
    moment = read(_text(value, context))
    if moment is None or moment.digits <= 8 or not (moment.hour or moment.minute or moment.second):
        # 19280410000000 is how systems store a date; nobody means midnight.
        return None
    return {"extension": [extension("patient-birthTime", "DateTime", moment.text(context))]}


@converter("period", returns="Period", is_cached=True)
def to_period(value: str, context: Context) -> Json | None:
    """DR: start ^ end."""
    start, end, *_ = [*context.components(value), "", ""]
    return period(start, end, context)


def period(start: str, end: str, context: Context) -> Json | None:
    """Return the Period between two DTM texts, either of which may be empty or not readable."""
    found = {
        name: moment.text(context)
        for name, text in (("start", start), ("end", end))
        if text and (moment := read(text))
    }
    return found or None


def _text(value: str, context: Context) -> str:
    return context.components(value)[0].strip()


def _moment(value: str, context: Context) -> Moment | None:
    text = _text(value, context)
    if not text or text in _NEVER:
        return None
    moment = read(text)
    if moment is None:
        context.flag("HT-DT-01", value=text)
    return moment


def _tolerant(text: str) -> re.Match[str] | None:
    """A good date with a broken offset ("20230816123358-050"): the offset is left out rather than the date."""
    found = re.fullmatch(r"(\d{4,14}(?:\.\d+)?)[+-]\d*", text)
    return _DTM.fullmatch(found[1]) if found else None


def _offset(text: str | None) -> str | None:
    if not text:
        return None
    if text == "Z":
        return "Z"
    hours, minutes = int(text[1:3]), int(text[-2:])
    return f"{text[0]}{hours:02}:{minutes:02}" if hours <= 14 and minutes < 60 else None


def _local_offset(moment: Moment, context: Context) -> str:
    if context.sender.zone == "UTC":
        return "Z"
    local = datetime(*moment[:6], tzinfo=context.zone)
    minutes = round((local.utcoffset() or timedelta()).total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
