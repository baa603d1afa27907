"""Conversion (https://hl7.org/fhirpath/N1/#conversion). What cannot be converted is empty."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from conformance.fhirpath import quantity
from conformance.fhirpath.arithmetic import integer
from conformance.fhirpath.compare import single
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import Node, quantity_of
from conformance.fhirpath.quantity import CALENDAR_UNITS, Quantity
from conformance.fhirpath.registry import Step, special
from conformance.fhirpath.shape import BOOLEAN, Shape, system
from conformance.fhirpath.temporal import Date, DateTime, Temporal, Time
from terminology import ucum

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site

INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,12}")
DECIMAL_TEXT = re.compile(r"[+-]?[0-9]{1,60}(?:\.[0-9]{1,60})?")
QUANTITY_TEXT = re.compile(r"([+-]?[0-9]{1,60}(?:\.[0-9]{1,60})?)\s*(?:'([^']+)'|([a-zA-Z]+))?")
TRUE: Final = ("true", "t", "yes", "y", "1", "1.0")
FALSE: Final = ("false", "f", "no", "n", "0", "0.0")


def to_boolean(value: Any) -> bool | None:
    """The Boolean behind true, t, yes, y, 1, 1.0 and their opposites."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        folded = value.lower()
        return True if folded in TRUE else False if folded in FALSE else None
    return None


def to_integer(value: Any) -> int | None:
    """The Integer behind a Boolean or a text of digits."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, str) and INTEGER_TEXT.fullmatch(value):
        return integer(int(value))
    return None


def to_decimal(value: Any) -> Decimal | None:
    """The Decimal behind an Integer, a Boolean or a text."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool | int):
        return Decimal("1.0" if value else "0.0") if isinstance(value, bool) else Decimal(value)
    if isinstance(value, str) and DECIMAL_TEXT.fullmatch(value):
        return Decimal(value)
    return None


def to_string(value: Any) -> str | None:
    """The text of a value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, str | int | Temporal | Quantity):
        return str(value)
    return None


def to_date(value: Any) -> Date | None:
    """The Date behind a DateTime or a text."""
    if isinstance(value, Date):
        return value
    if isinstance(value, DateTime):
        return Date(value.parts[:3])
    # A text with a time is a date-time; its date is asked for by going through toDateTime().
    return Date.parse(value) if isinstance(value, str) else None


def to_date_time(value: Any) -> DateTime | None:
    """The DateTime behind a Date or a text."""
    if isinstance(value, DateTime):
        return value
    if isinstance(value, Date):
        return DateTime(value.parts)
    return DateTime.parse(value) if isinstance(value, str) else None


def to_time(value: Any) -> Time | None:
    """The Time behind a text."""
    if isinstance(value, Time):
        return value
    return Time.parse(value.removeprefix("T")) if isinstance(value, str) else None


def to_quantity(value: Any) -> Quantity | None:
    """The Quantity behind a number, a Boolean or a text such as "4 'mg'" and "4 days"."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool | int | Decimal):
        number = to_decimal(value)
        return None if number is None else Quantity(number)
    match = QUANTITY_TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit, word = Decimal(match[1]), match[2], match[3]
    if word:
        return Quantity(number, word, is_calendar=True) if word in CALENDAR_UNITS else None
    if unit in CALENDAR_UNITS:
        return Quantity(number, unit, is_calendar=True)
    if unit and not ucum.is_valid(unit):
        return None
    return Quantity(number, unit or "1")


CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Decimal": to_decimal,
    "String": to_string,
    "Date": to_date,
    "DateTime": to_date_time,
    "Time": to_time,
    "Quantity": to_quantity,
}


def _converted(items: list[Any], function: str, convert: Callable[[Any], Any], unit: str | None) -> Any:
    item = single(items, function)
    if item is None:
        return None
    value = quantity_of(item)
    found = None if value is None or isinstance(value, Node) else convert(value)
    if found is None or unit is None:
        return found
    return quantity.convert(found, unit)


def _register(name: str, convert: Callable[[Any], Any]) -> None:
    most = 1 if name == "Quantity" else 0

    def build_to(site: "Site") -> tuple[Step, Shape]:
        unit = site.argument(0)[0] if site.count else None

        def step(items: list[Any], run: Run) -> list[Any]:
            found = _converted(items, f"to{name}()", convert, _unit(unit(run)) if unit else None)
            return [] if found is None else [found]

        return step, system(name)

    def build_converts(site: "Site") -> tuple[Step, Shape]:
        unit = site.argument(0)[0] if site.count else None

        def step(items: list[Any], run: Run) -> list[Any]:
            if not items:
                return []
            return [
                _converted(items, f"convertsTo{name}()", convert, _unit(unit(run)) if unit else None)
                is not None
            ]

        return step, BOOLEAN

    build_to.__doc__ = convert.__doc__
    build_converts.__doc__ = f"True when to{name}() would give a value."
    special(f"to{name}", 0, most)(build_to)
    special(f"convertsTo{name}", 0, most)(build_converts)


def _unit(items: list[Any]) -> str | None:
    item = single(items, "unit")
    return None if item is None else str(quantity_of(item))


for _name, _convert in CONVERSIONS.items():
    _register(_name, _convert)
