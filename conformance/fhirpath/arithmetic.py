"""The arithmetic operators (https://hl7.org/fhirpath/N1/#math).

Decimals are exact; a quotient without end keeps 28 digits. What overflows (an Integer beyond 32 bits, a year beyond
9999) or divides by zero is empty.
"""

from decimal import Context, Decimal, DecimalException
from typing import Any, Final

from conformance.fhirpath import quantity, temporal
from conformance.fhirpath.compare import name_of
from conformance.fhirpath.model import MAX_EXPONENT, quantity_of
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.temporal import Temporal
from terminology.issues import InvalidInput

EXACT: Final = Context(prec=76)
QUOTIENT: Final = Context(prec=28)
MAX_AMOUNT: Final = 10**15
INTEGERS: Final = range(-(2**31), 2**31)


def apply(operator: str, left: Any, right: Any) -> Any:
    """Return the result of one operator on two items, None for empty. Raises InvalidInput HT-FP-12 for wrong types."""
    mine, yours = quantity_of(left), quantity_of(right)
    if mine is None or yours is None:
        return None
    try:
        if _is_number(mine) and _is_number(yours):
            return _numbers(operator, mine, yours)
        if isinstance(mine, str) and isinstance(yours, str) and operator == "+":
            return mine + yours
        if isinstance(mine, Temporal) and isinstance(yours, Quantity) and operator in "+-":
            return _moved(operator, mine, yours)
        if isinstance(mine, Quantity) or isinstance(yours, Quantity):
            return _quantities(operator, mine, yours)
    except (DecimalException, OverflowError):
        return None
    raise InvalidInput("HT-FP-12", operator=operator, left=name_of(left), right=name_of(right))


def negated(item: Any) -> Any:
    """Return the number or quantity with its sign turned."""
    value = quantity_of(item)
    if _is_number(value):
        return -value if isinstance(value, int) else value.copy_negate()
    if isinstance(value, Quantity):
        return Quantity(value.value.copy_negate(), value.unit, is_calendar=value.is_calendar)
    raise InvalidInput("HT-FP-12", operator="-", left="", right=name_of(item))


def _numbers(operator: str, mine: int | Decimal, yours: int | Decimal) -> Any:
    if operator in ("/", "div", "mod") and yours == 0:
        return None
    if operator == "/":
        return reduced(QUOTIENT.divide(Decimal(mine), Decimal(yours)))
    whole = isinstance(mine, int) and isinstance(yours, int)
    left, right = Decimal(mine), Decimal(yours)
    if operator == "+":
        found = EXACT.add(left, right)
    elif operator == "-":
        found = EXACT.subtract(left, right)
    elif operator == "*":
        found = EXACT.multiply(left, right)
    elif operator == "div":
        found = EXACT.divide_int(left, right)
        return integer(int(found)) if found.adjusted() < 12 else None
    elif operator == "mod":
        found = EXACT.remainder(left, right)
    else:
        raise InvalidInput("HT-FP-12", operator=operator, left="Decimal", right="Decimal")
    if whole:
        return integer(int(found))
    return found if abs(found.adjusted()) <= MAX_EXPONENT else None


def integer(value: int) -> int | None:
    """Return `value` as an Integer, None beyond 32 bits."""
    return value if value in INTEGERS else None


def reduced(value: Decimal) -> Decimal:
    """Return a quotient without superfluous zeros: 4 / 2 is 2, 1.2 / 0.5 is 2.4."""
    found = value.normalize(QUOTIENT)
    return found.quantize(Decimal(1)) if found == found.to_integral_value() and abs(found) < 10**27 else found


def _moved(operator: str, moment: Temporal, amount: Quantity) -> Temporal:
    unit = amount.calendar_unit
    if unit is None:
        raise InvalidInput("HT-FP-13", unit=amount.unit)
    value = amount.value if operator == "+" else -amount.value
    found = temporal.shift(moment, value, unit) if abs(value) < MAX_AMOUNT else None
    if found is None:
        raise InvalidInput("HT-FP-18", date=str(moment), amount=f"{operator} {amount}")
    return found


def _quantities(operator: str, mine: Any, yours: Any) -> Quantity | None:
    left = mine if isinstance(mine, Quantity) else Quantity(Decimal(mine)) if _is_number(mine) else None
    right = yours if isinstance(yours, Quantity) else Quantity(Decimal(yours)) if _is_number(yours) else None
    if left is None or right is None or operator not in ("+", "-", "*", "/"):
        raise InvalidInput("HT-FP-12", operator=operator, left=name_of(mine), right=name_of(yours))
    if operator == "*":
        return quantity.multiply(left, right)
    if operator == "/":
        return quantity.divide(left, right)
    # A plain number takes the unit of the quantity: 1 + 2 'cm' is 3 'cm'.
    if not isinstance(mine, Quantity):
        left = Quantity(left.value, right.unit, is_calendar=right.is_calendar)
    elif not isinstance(yours, Quantity):
        right = Quantity(right.value, left.unit, is_calendar=left.is_calendar)
    return quantity.add(left, right, 1 if operator == "+" else -1)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
