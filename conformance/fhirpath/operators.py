"""The binary operators as closures (https://hl7.org/fhirpath/N1/#operations)."""

from collections.abc import Callable
from typing import Any, Final

from conformance.fhirpath.arithmetic import apply, negated
from conformance.fhirpath.compare import (
    equal,
    equal_lists,
    equivalent_lists,
    key,
    order,
    single,
    truth,
)
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import atom, type_at, type_of
from conformance.fhirpath.registry import Evaluate, Step
from conformance.fhirpath.shape import BOOLEAN, STRING, Shape
from terminology.issues import InvalidInput

Operand = tuple[Evaluate, Shape]
Rest = list[tuple[str, Operand]]


def union(first: Operand, rest: Rest) -> Operand:
    evaluates = [first[0], *(operand[0] for _, operand in rest)]
    shape = first[1]
    for _, operand in rest:
        shape = shape | operand[1]

    def evaluate(run: Run) -> list[Any]:
        found: list[Any] = []
        seen: set[Any] = set()
        for operand in evaluates:
            for item in operand(run):
                mark = key(item)
                if mark not in seen:
                    seen.add(mark)
                    found.append(item)
        run.spend(len(found))
        return run.bound(found)

    return evaluate, shape


def conjunction(first: Operand, rest: Rest) -> Operand:
    evaluates = [first[0], *(operand[0] for _, operand in rest)]

    def evaluate(run: Run) -> list[Any]:
        found: bool | None = True
        for operand in evaluates:
            value = truth(operand(run), "and")
            if value is False:
                return [False]
            if value is None:
                found = None
        return [] if found is None else [True]

    return evaluate, BOOLEAN


def disjunction(first: Operand, rest: Rest) -> Operand:
    def evaluate(run: Run) -> list[Any]:
        found = truth(first[0](run), "or")
        for operator, operand in rest:
            if operator == "or":
                if found is not True:
                    value = truth(operand[0](run), "or")
                    found = True if value is True else None if found is None or value is None else False
            else:
                value = truth(operand[0](run), "xor")
                found = None if found is None or value is None else found is not value
        return [] if found is None else [found]

    return evaluate, BOOLEAN


def implication(first: Operand, rest: Rest) -> Operand:
    def evaluate(run: Run) -> list[Any]:
        found = truth(first[0](run), "implies")
        for _, operand in rest:
            if found is False:
                found = True
                continue
            value = truth(operand[0](run), "implies")
            found = True if value is True else None if found is None or value is None else False
        return [] if found is None else [found]

    return evaluate, BOOLEAN


def _folded(first: Evaluate, steps: list[Step]) -> Evaluate:
    """Apply the operators of a chain from the left, however many there are."""
    if len(steps) == 1:
        (only,) = steps
        return lambda run: only(first(run), run)

    def evaluate(run: Run) -> list[Any]:
        items = first(run)
        for step in steps:
            items = step(items, run)
        return items

    return evaluate


def equality(first: Operand, rest: Rest) -> Operand:
    return _folded(first[0], [_EQUALITY[operator](operand[0]) for operator, operand in rest]), BOOLEAN


def _equals(right: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        found = equal_lists(items, right(run))
        return [] if found is None else [found]

    return step


def _differs(right: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        found = equal_lists(items, right(run))
        return [] if found is None else [not found]

    return step


def _matches(right: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        other = right(run)
        run.spend(len(items) * len(other))
        return [equivalent_lists(items, other)]

    return step


def _mismatches(right: Evaluate) -> Step:
    same = _matches(right)
    return lambda items, run: [not same(items, run)[0]]


_EQUALITY: Final = {"=": _equals, "!=": _differs, "~": _matches, "!~": _mismatches}
_ORDERS: Final = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}


def comparison(first: Operand, rest: Rest) -> Operand:
    return _folded(first[0], [_compares(operator, operand[0]) for operator, operand in rest]), BOOLEAN


def _compares(operator: str, right: Evaluate) -> Step:
    wanted = _ORDERS[operator]

    def step(items: list[Any], run: Run) -> list[Any]:
        mine, yours = single(items, operator), single(right(run), operator)
        if mine is None or yours is None:
            return []
        found = order(mine, yours, operator)
        return [] if found is None else [found in wanted]

    return step


def membership(first: Operand, rest: Rest) -> Operand:
    return _folded(first[0], [_contains(operator, operand[0]) for operator, operand in rest]), BOOLEAN


def _contains(operator: str, right: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        other = right(run)
        group, member = (items, other) if operator == "contains" else (other, items)
        item = single(member, operator)
        if item is None:
            return []
        run.spend(len(group))
        return [any(equal(item, row) is True for row in group)]

    return step


def sums(first: Operand, rest: Rest) -> Operand:
    steps, shape = [], first[1]
    for operator, operand in rest:
        if operator == "&":
            steps.append(_concatenates(operand[0]))
            shape = STRING
        else:
            steps.append(_calculates(operator, operand[0]))
            shape = _arithmetic_shape(operator, shape, operand[1])
    return _folded(first[0], steps), shape


def products(first: Operand, rest: Rest) -> Operand:
    shape = first[1]
    for operator, operand in rest:
        shape = _arithmetic_shape(operator, shape, operand[1])
    return _folded(first[0], [_calculates(operator, operand[0]) for operator, operand in rest]), shape


def _calculates(operator: str, right: Evaluate) -> Step:
    def step(items: list[Any], run: Run) -> list[Any]:
        mine, yours = single(items, operator), single(right(run), operator)
        if mine is None or yours is None:
            return []
        found = apply(operator, mine, yours)
        if type(found) is str:
            run.bound_text(len(found))
        return [] if found is None else [found]

    return step


def _concatenates(right: Evaluate) -> Step:
    def text(items: list[Any]) -> str:
        item = single(items, "&")
        value = "" if item is None else atom(item)
        if value is None:
            return ""
        if type(value) is not str:
            raise InvalidInput("HT-FP-12", operator="&", left="String", right=type_of(item).label)
        return value

    def step(items: list[Any], run: Run) -> list[Any]:
        found = text(items) + text(right(run))
        run.bound_text(len(found))
        return [found]

    return step


def _arithmetic_shape(operator: str, left: Shape, right: Shape) -> Shape:
    """Keep the type where both sides agree; otherwise the run decides."""
    if left.types is not None and left.types == right.types and operator != "/":
        return Shape(left.types) if all(row.namespace == "System" for row in left.types) else Shape(None)
    return Shape(None)


def negate(operand: Evaluate) -> Evaluate:
    def evaluate(run: Run) -> list[Any]:
        item = single(operand(run), "-")
        return [] if item is None else [negated(item)]

    return evaluate


def type_test(operator: str, operand: Evaluate, shape: Shape, target: tuple[str | None, str]) -> Operand:
    namespace, name = target
    if operator == "is":

        def evaluate(run: Run) -> list[Any]:
            item = single(operand(run), "is")
            return [] if item is None else [type_of(item).is_a(namespace, name)]

        return evaluate, BOOLEAN
    return lambda run: of_type(operand(run), namespace, name), narrowed(shape, namespace, name)


def of_type(items: list[Any], namespace: str | None, name: str) -> list[Any]:
    """Keep the items of a type. `as` keeps them too, also of several: R4's own invariants use it so (dom-3)."""
    return [item for item in items if type_of(item).is_a(namespace, name)]


def narrowed(shape: Shape, namespace: str | None, name: str) -> Shape:
    """The static type after `as` or `ofType`: the subtypes that were possible, else the asked type."""
    if shape.types is not None:
        kept = frozenset(row for row in shape.types if row.is_a(namespace, name))
        if kept:
            return Shape(kept, is_many=shape.is_many, is_ordered=shape.is_ordered)
    found = type_at(name) if namespace != "System" else None
    return Shape(frozenset({found}) if found else None, is_many=shape.is_many, is_ordered=shape.is_ordered)


OPERATORS: Final[dict[int, Callable[[Operand, Rest], Operand]]] = {
    1: implication,
    2: disjunction,
    3: conjunction,
    4: membership,
    5: equality,
    6: comparison,
    7: union,
    9: sums,
    10: products,
}
