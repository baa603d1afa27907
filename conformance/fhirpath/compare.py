"""Equality, equivalence and order (https://hl7.org/fhirpath/N1/#equality, #comparison).

`None` is the empty answer: not comparable as precisely as asked.
"""

import re
from decimal import Decimal
from typing import Any

from conformance.fhirpath import quantity, temporal
from conformance.fhirpath.model import Node, TypeInfo, atom, quantity_of, type_of
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.temporal import Temporal
from terminology.issues import InvalidInput

WHITE_SPACE = re.compile(r"\s")


def key(item: Any) -> Any:
    """Return a hashable that is the same for equal items; what serves `distinct`, `|`, `intersect` and their kin."""
    value = quantity_of(item)
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return ("boolean", value)
    if kind is int or kind is Decimal:
        return ("number", value)
    if isinstance(value, Temporal):
        if value.zone and len(value.parts) > 3:
            return ("instant", temporal.utc(value))
        return ("time" if value.kind == "Time" else "date", value.parts)
    if kind is Quantity:
        return quantity.key(value)
    if kind is TypeInfo:
        return ("type", value.namespace, value.name)
    if isinstance(item, Node):
        # A primitive without a value is its extensions.
        return ("node", frozen(item.value if item.value is not None else item.extra))
    return ("other", repr(value))


def frozen(value: Any) -> Any:
    """Return a JSON value as a hashable, equal for equal content."""
    if isinstance(value, dict):
        return frozenset((name, frozen(entry)) for name, entry in value.items())
    if isinstance(value, list):
        return tuple(frozen(entry) for entry in value)
    return ("boolean", value) if isinstance(value, bool) else value


def equal_lists(left: list[Any], right: list[Any]) -> bool | None:
    """`=` on collections: same length, equal pairwise in order; empty when either is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    open_question = False
    for mine, yours in zip(left, right, strict=True):
        found = equal(mine, yours)
        if found is False:
            return False
        open_question = open_question or found is None
    return None if open_question else True


def equal(left: Any, right: Any) -> bool | None:
    mine, yours = quantity_of(left), quantity_of(right)
    if type(mine) is str or type(yours) is str:
        return type(mine) is type(yours) and bool(mine == yours)
    if type(mine) is bool or type(yours) is bool:
        return mine is yours
    if isinstance(mine, Temporal) and isinstance(yours, Temporal):
        if (mine.kind == "Time") != (yours.kind == "Time"):
            return False
        found = temporal.compare(mine, yours)
        return None if found is None else found == 0
    if isinstance(mine, int | Decimal) and isinstance(yours, int | Decimal):
        return mine == yours
    if isinstance(mine, Quantity) and isinstance(yours, Quantity):
        order = quantity.compare(mine, yours)
        return None if order is None else order == 0
    if isinstance(mine, Quantity) and isinstance(yours, int | Decimal):
        return equal(mine, Quantity(Decimal(yours)))
    if isinstance(yours, Quantity) and isinstance(mine, int | Decimal):
        return equal(Quantity(Decimal(mine)), yours)
    return bool(key(left) == key(right))


def equivalent_lists(left: list[Any], right: list[Any]) -> bool:
    """`~` on collections: the same items whatever their order; two empty collections are equivalent."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent(left[0], right[0])
    rest = list(right)
    for mine in left:
        place = next((place for place, yours in enumerate(rest) if equivalent(mine, yours)), None)
        if place is None:
            return False
        del rest[place]
    return True


def equivalent(left: Any, right: Any) -> bool:
    mine, yours = quantity_of(left), quantity_of(right)
    if type(mine) is str and type(yours) is str:
        return fold(mine) == fold(yours)
    if type(mine) is bool or type(yours) is bool:
        return mine is yours
    if isinstance(mine, Temporal) and isinstance(yours, Temporal):
        return (mine.kind == "Time") == (yours.kind == "Time") and temporal.compare(mine, yours) == 0
    if isinstance(mine, int | Decimal) and isinstance(yours, int | Decimal):
        return quantity.equivalent(Quantity(Decimal(mine)), Quantity(Decimal(yours)))
    if isinstance(mine, Quantity) and isinstance(yours, Quantity):
        return quantity.equivalent(mine, yours)
    if isinstance(left, Node) and isinstance(right, Node):
        return bool(_loose(left.value) == _loose(right.value))
    return False


def order(left: Any, right: Any, operator: str) -> int | None:
    """Return -1, 0 or 1, None where precision or unit leave it open. Raises InvalidInput HT-FP-12 for other types."""
    mine, yours = quantity_of(left), quantity_of(right)
    if type(mine) is str and type(yours) is str:
        return (mine > yours) - (mine < yours)
    if (
        isinstance(mine, Temporal)
        and isinstance(yours, Temporal)
        and (mine.kind == "Time") == (yours.kind == "Time")
    ):
        return temporal.compare(mine, yours)
    if _is_number(mine) and _is_number(yours):
        return int(mine > yours) - int(mine < yours)
    if isinstance(mine, Quantity) and _is_number(yours):
        return quantity.compare(mine, Quantity(Decimal(yours)))
    if isinstance(yours, Quantity) and _is_number(mine):
        return quantity.compare(Quantity(Decimal(mine)), yours)
    if isinstance(mine, Quantity) and isinstance(yours, Quantity):
        return quantity.compare(mine, yours)
    if mine is None or yours is None:
        return None
    raise InvalidInput("HT-FP-12", operator=operator, left=name_of(left), right=name_of(right))


def name_of(item: Any) -> str:
    """The type of an item for a message."""
    found = type_of(item)
    return found.label


def fold(text: str) -> str:
    """Case does not count in equivalence, and one white space character is like another."""
    return WHITE_SPACE.sub(" ", text.casefold())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _loose(value: Any) -> Any:
    """JSON content for equivalence of complex values: ids aside, case folded, lists as bags."""
    if isinstance(value, dict):
        return frozenset((name, _loose(entry)) for name, entry in value.items() if name != "id")
    if isinstance(value, list):
        counted: dict[Any, int] = {}
        for entry in value:
            loose = _loose(entry)
            counted[loose] = counted.get(loose, 0) + 1
        return frozenset(counted.items())
    if isinstance(value, bool):
        return ("boolean", value)
    return fold(value) if isinstance(value, str) else value


def single(items: list[Any], what: str) -> Any:
    """Return the only item, None for none. Raises InvalidInput HT-FP-11 for several."""
    if not items:
        return None
    if len(items) > 1:
        raise InvalidInput("HT-FP-11", what=what, count=len(items))
    return items[0]


def truth(items: list[Any], what: str) -> bool | None:
    """Return a collection as a condition: empty is None, a single item that is no boolean is true.

    https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
    """
    if not items:
        return None
    if len(items) > 1:
        raise InvalidInput("HT-FP-11", what=what, count=len(items))
    value = atom(items[0])
    return value if type(value) is bool else True
