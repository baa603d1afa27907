"""Boundaries and precision (https://build.fhir.org/ig/HL7/FHIRPath/#boundary-functions; in R4 through the test suite)."""

from calendar import monthrange
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from conformance.fhirpath.functions.kinds import BOUNDED, INTEGER
from conformance.fhirpath.host import Run
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.registry import scalar
from conformance.fhirpath.shape import Shape
from conformance.fhirpath.temporal import Date, DateTime, Temporal, Time

DEFAULT_DIGITS: Final = 8
MAX_DIGITS: Final = 31
WIDE: Final = Context(prec=100)

# Digits of a precision → number of parts (year 4, month 6, day 8, hour 10, minute 12, second 17 with milliseconds).
DATE_DIGITS: Final = {4: 1, 6: 2, 8: 3}
DATE_TIME_DIGITS: Final = {**DATE_DIGITS, 10: 4, 12: 5, 14: 6, 17: 7}
TIME_DIGITS: Final = {2: 1, 4: 2, 6: 3, 9: 4}


def _same(given: Shape) -> Shape:
    return Shape(None)


@scalar("lowBoundary", BOUNDED, INTEGER, optional=1, gives=_same)
def low_boundary(run: Run, value: Any, digits: int | None = None) -> Any:
    """The least value that the input may stand for, to a precision in digits."""
    return boundary(value, digits, is_low=True)


@scalar("highBoundary", BOUNDED, INTEGER, optional=1, gives=_same)
def high_boundary(run: Run, value: Any, digits: int | None = None) -> Any:
    """The greatest value that the input may stand for, to a precision in digits."""
    return boundary(value, digits, is_low=False)


@scalar("precision", BOUNDED, gives="integer")
def precision(run: Run, value: Any) -> int:
    """The number of digits that were written."""
    if isinstance(value, Temporal):
        text = str(value).removesuffix(value.zone) if value.zone else str(value)
        return sum(character.isdigit() for character in text)
    number = value.value if isinstance(value, Quantity) else Decimal(value)
    return _places(number)


def boundary(value: Any, digits: int | None, *, is_low: bool) -> Any:
    """Return the boundary, None when the precision does not exist for the type."""
    if isinstance(value, Quantity):
        found = decimal_boundary(value.value, digits, is_low=is_low)
        return None if found is None else Quantity(found, value.unit, is_calendar=value.is_calendar)
    if isinstance(value, Temporal):
        return temporal_boundary(value, digits, is_low=is_low)
    return decimal_boundary(Decimal(value), digits, is_low=is_low)


def decimal_boundary(value: Decimal, digits: int | None, *, is_low: bool) -> Decimal | None:
    """Half a unit of the last written digit down or up, then cut to `digits` decimal places.

    Towards zero the cut drops digits, away from zero it rounds: 1.587 has 1.58 and 1.59 to two places.
    """
    if digits is None:
        digits = DEFAULT_DIGITS
    if not 0 <= digits <= MAX_DIGITS:
        return None
    half = Decimal(5).scaleb(-_places(value) - 1)
    found = WIDE.subtract(value, half) if is_low else WIDE.add(value, half)
    is_outward = (found.is_signed()) is is_low
    cut = WIDE.copy()
    cut.rounding = ROUND_HALF_UP if is_outward else ROUND_DOWN
    return found.quantize(Decimal(1).scaleb(-digits), context=cut)


def temporal_boundary(value: Temporal, digits: int | None, *, is_low: bool) -> Temporal | None:
    """The first or last moment, with the zone that makes it so when none is given (+14:00, -12:00)."""
    if isinstance(value, Time):
        count = TIME_DIGITS.get(9 if digits is None else digits)
        parts = None if count is None else _filled((1, 1, 1, *value.parts), is_low=is_low)[3:]
        return None if parts is None or count is None else Time(_cut(parts, count, 3))
    if isinstance(value, Date):
        count = DATE_DIGITS.get(8 if digits is None else digits)
        return None if count is None else Date(_filled(value.parts, is_low=is_low)[:count])
    count = DATE_TIME_DIGITS.get(17 if digits is None else digits)
    if count is None:
        return None
    parts = _cut(_filled(value.parts, is_low=is_low), count, 6)
    zone = value.zone or ("+14:00" if is_low else "-12:00")
    return DateTime(parts, zone if len(parts) > 3 else "")


def _filled(parts: tuple[int | Decimal, ...], *, is_low: bool) -> tuple[int | Decimal, ...]:
    """Complete the parts with the first or last of what is open; a second gets milliseconds."""
    full = list(parts)
    if len(full) < 2:
        full.append(1 if is_low else 12)
    if len(full) < 3:
        full.append(1 if is_low else monthrange(int(full[0]), int(full[1]))[1])
    if len(full) < 4:
        full.append(0 if is_low else 23)
    if len(full) < 5:
        full.append(0 if is_low else 59)
    if len(full) < 6:
        full.append(Decimal("0.000") if is_low else Decimal("59.999"))
    else:
        second = Decimal(full[5])
        missing = 3 - _places(second)
        if missing > 0:
            fraction = Decimal(0 if is_low else 10**missing - 1).scaleb(-3)
            full[5] = (second + fraction).quantize(Decimal("0.001"))
    return tuple(full)


def _cut(parts: tuple[int | Decimal, ...], count: int, second: int) -> tuple[int | Decimal, ...]:
    """Keep `count` parts, milliseconds counting as one after the second (which is part number `second`)."""
    if count > second:
        return parts
    kept = parts[:count]
    return (*kept[:-1], Decimal(int(kept[-1]))) if count == second else kept


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
