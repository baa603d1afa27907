"""Quantities: a number with a UCUM unit or a calendar duration (https://hl7.org/fhirpath/N1/#quantity).

Calendar years and months are not the definite durations 'a' and 'mo' of UCUM; from weeks down both mean the same.
"""

from decimal import Decimal
from typing import Final

from terminology import ucum

CALENDAR_UNITS: Final = {
    **{f"{unit}{plural}": unit for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond") for plural in ("", "s")}
}  # fmt: skip
UCUM_OF: Final = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
CALENDAR_OF: Final = {code: unit for unit, code in UCUM_OF.items()}
YEARS_AND_MONTHS: Final = {"a": "year", "mo": "month"}
UCUM_SYSTEM: Final = "http://unitsofmeasure.org"

# Seconds in a calendar unit; months and years by the conversion factors of the specification (1 month = 30 days,
# 1 year = 365 days), 1 year = 12 months decided apart.
_SECONDS: Final = {
    "year": Decimal(31_536_000),
    "month": Decimal(2_592_000),
    "week": Decimal(604_800),
    "day": Decimal(86_400),
    "hour": Decimal(3_600),
    "minute": Decimal(60),
    "second": Decimal(1),
    "millisecond": Decimal("0.001"),
}


class Quantity:
    """A value with its unit as written; `is_calendar` tells `4 days` from `4 'd'`."""

    __slots__ = ("is_calendar", "unit", "value")

    def __init__(self, value: Decimal, unit: str = "1", *, is_calendar: bool = False) -> None:
        self.value = value
        self.unit = unit
        self.is_calendar = is_calendar

    def __str__(self) -> str:
        return f"{self.value:f} {self.unit}" if self.is_calendar else f"{self.value:f} '{self.unit}'"

    __repr__ = __str__

    @property
    def calendar_unit(self) -> str | None:
        """The calendar unit of date arithmetic: "day" for `days` and 'd'; None for other units, and for 'a' and 'mo'.

        Those two are no calendar years and months, and the specification forbids to add them to a date.
        """
        return CALENDAR_UNITS[self.unit] if self.is_calendar else CALENDAR_OF.get(self.unit)

    @property
    def ucum(self) -> str | None:
        """The UCUM code that means the same; None for calendar years and months."""
        return UCUM_OF.get(CALENDAR_UNITS[self.unit]) if self.is_calendar else self.unit


def to_json(quantity: Quantity) -> dict[str, object]:
    """Return the FHIR Quantity. A calendar duration has its word as `unit` and no code: no UCUM code says the same."""
    if quantity.is_calendar:
        return {"value": quantity.value, "unit": quantity.unit}
    return {"value": quantity.value, "unit": quantity.unit, "system": UCUM_SYSTEM, "code": quantity.unit}


def in_unit_of(quantity: Quantity, other: Quantity) -> Decimal | None:
    """Return the value of `quantity` in the unit of `other`; None when they cannot be compared."""
    if quantity.unit == other.unit and quantity.is_calendar == other.is_calendar:
        return quantity.value
    if quantity.is_calendar and other.is_calendar:
        source, target = CALENDAR_UNITS[quantity.unit], CALENDAR_UNITS[other.unit]
        if (source, target) == ("year", "month"):
            return quantity.value * 12
        if (source, target) == ("month", "year"):
            return quantity.value / 12
        return quantity.value * _SECONDS[source] / _SECONDS[target]
    source_code, target_code = quantity.ucum, other.ucum
    if source_code is None or target_code is None:
        return None
    return ucum.convert(quantity.value, source_code, target_code)


def convert(quantity: Quantity, unit: str) -> Quantity | None:
    """Return the quantity in another unit, `days` or a UCUM code (toQuantity); None when it cannot be.

    Between calendar and UCUM the source's own factors hold, then the unit is renamed: 182.5 days is 0.5 'a'.
    """
    is_calendar = unit in CALENDAR_UNITS
    target = Quantity(Decimal(1), unit, is_calendar=is_calendar)
    word = CALENDAR_OF.get(unit) or YEARS_AND_MONTHS.get(unit)
    if quantity.is_calendar and not is_calendar and word:
        value = in_unit_of(quantity, Quantity(Decimal(1), word, is_calendar=True))
    elif is_calendar and not quantity.is_calendar:
        value = in_unit_of(quantity, _definite(target))
    else:
        value = in_unit_of(quantity, target)
    return None if value is None else Quantity(value, unit, is_calendar=is_calendar)


def compare(left: Quantity, right: Quantity) -> int | None:
    """Return -1, 0 or 1; None for different dimensions, and for calendar years or months against UCUM's."""
    converted = in_unit_of(right, left)
    if converted is None:
        return None
    return (left.value > converted) - (left.value < converted)


def equivalent(left: Quantity, right: Quantity) -> bool:
    """Compare after rounding to the less precise of the two: 4 'g' ~ 4040 'mg'. Here a year is an 'a'."""
    if left.is_calendar != right.is_calendar:
        return equivalent(_definite(left), _definite(right))
    one = in_unit_of(Quantity(Decimal(1), left.unit, is_calendar=left.is_calendar), right)
    if one is None:
        return False
    # Both in the coarser unit, so that converting adds no precision: 21 'mm' ~ 2 'cm'.
    if one < 1:
        left, right = right, left
    converted = in_unit_of(right, left)
    if converted is None:
        return False
    places = min(_places(left.value), _places(converted))
    return round(left.value, places) == round(converted, places)


def add(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """Return the sum (difference for sign -1) in the left unit; None for different dimensions.

    Calendar years and months are not converted for a sum: their factors are approximate.
    """
    units = {CALENDAR_UNITS[row.unit] for row in (left, right) if row.is_calendar}
    if len(units) == 2 and units & {"year", "month"}:
        return None
    converted = in_unit_of(right, left)
    if converted is None:
        return None
    return Quantity(left.value + sign * converted, left.unit, is_calendar=left.is_calendar)


def multiply(left: Quantity, right: Quantity) -> Quantity | None:
    """Return the product; a calendar duration can be multiplied by a plain number only."""
    for duration, factor in ((left, right), (right, left)):
        if duration.is_calendar and factor.ucum == "1":
            return Quantity(duration.value * factor.value, duration.unit, is_calendar=True)
    if left.is_calendar or right.is_calendar:
        return None
    found = ucum.multiply(left.value, left.unit, right.value, right.unit)
    return None if found is None else Quantity(*found)


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """Return the quotient; None for a divisor of zero."""
    if left.is_calendar and right.ucum == "1" and right.value:
        return Quantity(left.value / right.value, left.unit, is_calendar=True)
    if left.is_calendar or right.is_calendar:
        return None
    found = ucum.divide(left.value, left.unit, right.value, right.unit)
    return None if found is None else Quantity(*found)


def comparable(left: Quantity, right: Quantity) -> bool:
    """Tell whether the units are of one dimension."""
    return in_unit_of(Quantity(Decimal(1), left.unit, is_calendar=left.is_calendar), right) is not None


def key(quantity: Quantity) -> tuple[object, ...]:
    """A hashable that is the same for quantities that compare as equal."""
    code = quantity.ucum
    found = ucum.canonical(quantity.value, code) if code else None
    if found is not None:
        return ("quantity", *found)
    if quantity.is_calendar:
        return ("quantity", quantity.value * (12 if CALENDAR_UNITS[quantity.unit] == "year" else 1), "month")
    return ("quantity", quantity.value, quantity.unit)


def _definite(quantity: Quantity) -> Quantity:
    if not quantity.is_calendar:
        return quantity
    unit = CALENDAR_UNITS[quantity.unit]
    return Quantity(quantity.value, UCUM_OF.get(unit) or {"year": "a", "month": "mo"}[unit])


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
