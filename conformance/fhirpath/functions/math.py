"""Math (https://hl7.org/fhirpath/N1/#math-1). What has no finite value is empty."""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, DecimalException
from typing import Any, Final

from conformance.fhirpath.arithmetic import EXACT, integer, reduced
from conformance.fhirpath.functions.kinds import INTEGER, MEASURE, NUMBER
from conformance.fhirpath.host import Run
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.registry import scalar
from conformance.fhirpath.shape import INTEGER as WHOLE
from conformance.fhirpath.shape import Shape
from terminology.issues import InvalidInput

CONTEXT: Final = Context(prec=28)
MAX_MAGNITUDE: Final = 200


def _finite(operation: Any, *values: Any) -> Decimal | None:
    try:
        found = operation(*(Decimal(value) for value in values))
    except DecimalException:
        return None
    # The exponents of these are far beyond any measurement, and would make long texts.
    return reduced(found) if found.is_finite() and abs(found.adjusted()) < MAX_MAGNITUDE else None


@scalar("abs", MEASURE, gives=lambda given: given)
def abs_(run: Run, value: Any) -> Any:
    """The absolute value."""
    if isinstance(value, Quantity):
        return Quantity(abs(value.value), value.unit, is_calendar=value.is_calendar)
    return value.copy_abs() if isinstance(value, Decimal) else integer(abs(value))


def _whole(given: Shape) -> Shape:
    return (
        Shape(None) if given.types is None or any("Quantity" in row.bases for row in given.types) else WHOLE
    )


def _to_whole(value: Any, rounding: str) -> Any:
    if isinstance(value, Quantity):
        return Quantity(value.value.to_integral_value(rounding), value.unit, is_calendar=value.is_calendar)
    return integer(int(Decimal(value).to_integral_value(rounding)))


@scalar("ceiling", MEASURE, gives=_whole)
def ceiling(run: Run, value: Any) -> Any:
    """The least integer that is not less."""
    return _to_whole(value, ROUND_CEILING)


@scalar("floor", MEASURE, gives=_whole)
def floor(run: Run, value: Any) -> Any:
    """The greatest integer that is not greater."""
    return _to_whole(value, ROUND_FLOOR)


@scalar("truncate", MEASURE, gives=_whole)
def truncate(run: Run, value: Any) -> Any:
    """The integer part."""
    return _to_whole(value, ROUND_DOWN)


@scalar("round", MEASURE, INTEGER, optional=1, gives=lambda given: Shape(None))
def round_(run: Run, value: Any, places: int = 0) -> Any:
    """The value rounded to so many decimal places, halves away from zero."""
    if places < 0:
        raise InvalidInput("HT-FP-07", function="round()", expected="Integer ≥ 0", found=str(places))
    if isinstance(value, Quantity):
        return Quantity(_rounded(value.value, places), value.unit, is_calendar=value.is_calendar)
    return _rounded(Decimal(value), places)


def _rounded(number: Decimal, places: int) -> Decimal:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= places:
        return number
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, EXACT)


@scalar("sqrt", NUMBER, gives="decimal")
def sqrt(run: Run, value: Any) -> Decimal | None:
    """The square root; empty for a negative number."""
    return _finite(CONTEXT.sqrt, value) if value >= 0 else None


@scalar("exp", NUMBER, gives="decimal")
def exp(run: Run, value: Any) -> Decimal | None:
    """e raised to the value."""
    return _finite(CONTEXT.exp, value) if abs(value) < MAX_MAGNITUDE * 3 else None


@scalar("ln", NUMBER, gives="decimal")
def ln(run: Run, value: Any) -> Decimal | None:
    """The natural logarithm; empty for zero and negative numbers."""
    return _finite(CONTEXT.ln, value) if value > 0 else None


@scalar("log", NUMBER, NUMBER, gives="decimal")
def log(run: Run, value: Any, base: Any) -> Decimal | None:
    """The logarithm to a base; empty where it does not exist."""
    if value <= 0 or base <= 0 or base == 1:
        return None
    # Two digits more than shown, so that 16.log(2) is 4 and not 3.99….
    wide = Context(prec=40)
    return _finite(lambda x, b: CONTEXT.plus(wide.divide(wide.ln(x), wide.ln(b))), value, base)


@scalar("power", NUMBER, NUMBER, gives=lambda given: given)
def power(run: Run, value: Any, exponent: Any) -> Any:
    """The value raised to a power; empty where it does not exist."""
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        if abs(value) > 1 and exponent > 31:
            return None
        return integer(value ** min(exponent, 32 + exponent % 2))
    if value == 0 and exponent <= 0:
        return None
    if abs(exponent) > 10_000:
        return None
    return _finite(CONTEXT.power, value, exponent)
