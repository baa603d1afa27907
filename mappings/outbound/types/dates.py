"""date, dateTime, instant → DTM, and dates as vendors' systems print them.

A moment in the receiver's own zone is written without offset, as his systems do; any other keeps its offset.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from mappings.language.converters import Context, converter
from mappings.outbound.types.extensions import extension_text

_FHIR = re.compile(
    r"(?P<date>\d{4}(?:-\d\d(?:-\d\d)?)?)(?:T(?P<time>\d\d:\d\d(?::\d\d)?)(?P<fraction>\.\d+)?(?P<offset>Z|[+-]\d\d:\d\d)?)?"
)


@converter("to_ts", returns="v2", takes_text=True)
def to_ts(value: str, context: Context) -> str | None:
    """`birthDate | to_ts`: 2026-03-15T08:30:00+08:00 → 20260315083000; a day stays a day, a year a year."""
    found = _FHIR.fullmatch(value)
    if found is None:
        context.flag("HT-DT-01", value=value[:60])
        return None
    digits = found["date"].replace("-", "")
    if not found["time"]:
        return digits
    text = digits + found["time"].replace(":", "") + (found["fraction"] or "")
    offset = found["offset"]
    return text if offset is None or _is_local(value, offset, context) else text + _compact(offset)


@converter("to_dt", returns="v2", takes_text=True)
def to_dt(value: str, context: Context) -> str | None:
    """`birthDate | to_dt`: the date alone, 20260315."""
    found = _FHIR.fullmatch(value)
    if found is None:
        context.flag("HT-DT-01", value=value[:60])
        return None
    return found["date"].replace("-", "")


@converter("date_text", returns="string", takes_text=True)
def to_date_text(value: str, context: Context, pattern: str = "%Y-%m-%d %H:%M:%S") -> str | None:
    """`issued | date_text "%Y-%m-%d %H:%M"`: a moment in the receiver's zone as his system prints it.

    What is less precise than the pattern asks is written as precisely as it is known (2026-03).
    """
    found = _FHIR.fullmatch(value)
    if found is None:
        context.flag("HT-DT-01", value=value[:60])
        return None
    if len(found["date"]) < 10:
        return found["date"]
    if not found["time"]:
        return datetime.fromisoformat(found["date"]).strftime(pattern.split(" %H")[0].split("T%H")[0])
    moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return (moment.astimezone(context.zone) if moment.tzinfo else moment).strftime(pattern)


def _is_local(value: str, offset: str, context: Context) -> bool:
    moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    own = moment.replace(tzinfo=context.zone).utcoffset() or timedelta()
    return own == (moment.utcoffset() if offset != "Z" else UTC.utcoffset(None))


def _compact(offset: str) -> str:
    return "+0000" if offset == "Z" else offset.replace(":", "")


@converter("birth_time_of", returns="string")
def to_birth_time(value: Any, context: Context) -> str | None:
    """`_birthDate | birth_time_of`: the time of birth that stands beside the date (patient-birthTime)."""
    return extension_text(value, "http://hl7.org/fhir/StructureDefinition/patient-birthTime") or None
