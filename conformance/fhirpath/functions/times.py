"""The current moment and the parts of dates and times (https://hl7.org/fhirpath/N1/#current-date-and-time-functions)."""

from decimal import Decimal
from typing import Any

from conformance.fhirpath.functions.kinds import ANY_DATE, ANY_TIME
from conformance.fhirpath.host import Run
from conformance.fhirpath.registry import collection, scalar
from conformance.fhirpath.shape import Shape, system
from conformance.fhirpath.temporal import Date, DateTime, Time

DATE, DATE_TIME, TIME = system("Date"), system("DateTime"), system("Time")


def _gives(shape: Shape) -> Any:
    return lambda given: shape


@collection("now", gives=_gives(DATE_TIME))
def now(run: Run, items: list[Any]) -> list[Any]:
    """The moment of the evaluation with its zone."""
    return [DateTime.parse(run.now().isoformat(timespec="milliseconds"))]


@collection("today", gives=_gives(DATE))
def today(run: Run, items: list[Any]) -> list[Any]:
    """The date of the evaluation."""
    return [Date.parse(run.now().date().isoformat())]


@collection("timeOfDay", gives=_gives(TIME))
def time_of_day(run: Run, items: list[Any]) -> list[Any]:
    """The time of the evaluation."""
    return [Time.parse(run.now().time().isoformat(timespec="milliseconds"))]


def _part(place: int) -> Any:
    def read(run: Run, value: Any) -> int | None:
        return int(value.parts[place]) if place < len(value.parts) else None

    return read


def _clock_part(place: int) -> Any:
    def read(run: Run, value: Any) -> int | None:
        at = place if value.kind == "Time" else place + 3
        return int(value.parts[at]) if at < len(value.parts) else None

    return read


def _register() -> None:
    for place, name in enumerate(("year", "month", "day")):
        read = _part(place)
        read.__doc__, read.__module__ = f"The {name} of a date or date-time.", __name__
        scalar(f"{name}Of", ANY_DATE, gives="integer")(read)
    for place, name in enumerate(("hour", "minute", "second")):
        read = _clock_part(place)
        read.__doc__, read.__module__ = f"The {name} of a time or date-time.", __name__
        scalar(f"{name}Of", ANY_TIME, gives="integer")(read)


_register()


@scalar("millisecondOf", ANY_TIME, gives="integer")
def millisecond_of(run: Run, value: Any) -> int | None:
    """The milliseconds of a time or date-time."""
    at = 2 if value.kind == "Time" else 5
    return int(value.parts[at] % 1 * 1000) if at < len(value.parts) else None


@scalar("timezoneOffsetOf", ANY_DATE, gives="decimal")
def timezone_offset_of(run: Run, value: Any) -> Any:
    """The hours east of UTC of a date-time."""
    return None if value.offset is None else Decimal(value.offset) / 60


@scalar("dateOf", ANY_DATE, gives=_gives(DATE))
def date_of(run: Run, value: Any) -> Date:
    """The date of a date-time."""
    return Date(value.parts[:3])


@scalar("timeOf", ANY_DATE, gives=_gives(TIME))
def time_of(run: Run, value: Any) -> Time | None:
    """The time of a date-time."""
    return Time(value.parts[3:]) if len(value.parts) > 3 else None
