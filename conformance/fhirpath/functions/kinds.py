"""What functions take: a test for the value and one for its static type."""

from decimal import Decimal
from typing import Any, Final

from conformance.fhirpath.model import Type
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.registry import Kind
from conformance.fhirpath.temporal import Temporal

_TEXTUAL = ("String", "Date", "DateTime", "Time")


def _is_text_type(kind: Type) -> bool:
    # On the wire FHIR dates are texts; FHIRPath's own dates are not.
    return kind.system == "String" or (kind.namespace == "FHIR" and kind.system in _TEXTUAL)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _is_date(value: Any) -> bool:
    return isinstance(value, Temporal) and value.kind != "Time"


def _is_clock(value: Any) -> bool:
    return isinstance(value, Temporal) and value.kind != "Date"


STRING: Final = Kind("String", lambda value: type(value) is str, _is_text_type)
INTEGER: Final = Kind(
    "Integer",
    lambda value: isinstance(value, int) and not isinstance(value, bool),
    lambda kind: kind.system == "Integer",
)
NUMBER: Final = Kind("Decimal", _is_number, lambda kind: kind.system in ("Integer", "Decimal"))
MEASURE: Final = Kind(
    "Decimal or Quantity",
    lambda value: _is_number(value) or isinstance(value, Quantity),
    lambda kind: kind.system in ("Integer", "Decimal", "Quantity") or "Quantity" in kind.bases,
)
BOUNDED: Final = Kind(
    "Decimal, Quantity, Date, DateTime or Time",
    lambda value: _is_number(value) or isinstance(value, Quantity | Temporal),
    lambda kind: kind.system in ("Integer", "Decimal", "Quantity", *_TEXTUAL[1:]) or "Quantity" in kind.bases,
)
ANY_DATE: Final = Kind("Date or DateTime", _is_date, lambda kind: kind.system in ("Date", "DateTime"))
ANY_TIME: Final = Kind("DateTime or Time", _is_clock, lambda kind: kind.system in ("Time", "DateTime"))
