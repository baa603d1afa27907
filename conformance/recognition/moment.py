"""Instants and days of recognition."""

import re
from datetime import datetime, time, timedelta
from typing import Any

from conformance.recognition.pack import CHINA
from terminology.fhirjson import Json

FIRST_YEAR, LAST_YEAR = 1800, 9000
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")


def read_instant(text: Any) -> datetime | None:
    """Return a dateTime that has time and zone; None for everything else."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        # Fractions beyond microseconds are legal FHIR and of no weight here.
        return countable(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")))
    except ValueError:
        return None


def read_approximately(text: Any) -> datetime | None:
    """Return an instant also for a value without time or zone: its first moment in +08:00."""
    exact = read_instant(text)
    if exact is not None or not isinstance(text, str):
        return exact
    match = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2}))?.*)?)?)?", text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups())
    try:
        return countable(
            datetime(year or 1, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=CHINA)
        )
    except ValueError:
        return None


def countable(moment: datetime) -> datetime | None:
    """Return a moment from which days can be counted: None before 1800, an open end (9999-12-31) as the year 9000."""
    if moment.year < FIRST_YEAR:
        return None
    return moment if moment.year < LAST_YEAR else datetime(LAST_YEAR, 1, 1, tzinfo=moment.tzinfo)


def effective_text(resource: Json) -> str | None:
    """Return effective[x] as written: dateTime, instant, or the start of a period."""
    period = resource.get("effectivePeriod") or {}
    found = (
        resource.get("effectiveDateTime")
        or resource.get("effectiveInstant")
        or period.get("start")
        or period.get("end")
    )
    return found if isinstance(found, str) else None


def last_day_end(base: datetime, days: int) -> datetime:
    """Return 23:59:59 in +08:00 of the day `days` after the day of `base`."""
    day = base.astimezone(CHINA).date() + timedelta(days=days)
    return datetime.combine(day, time(23, 59, 59), CHINA)
