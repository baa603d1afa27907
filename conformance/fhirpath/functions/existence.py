"""Existence (https://hl7.org/fhirpath/N1/#existence)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import key, name_of, truth
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import atom
from conformance.fhirpath.registry import Evaluate, Step, collection, special
from conformance.fhirpath.shape import BOOLEAN, Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@collection("empty", gives="boolean")
def empty(run: Run, items: list[Any]) -> list[Any]:
    """True when the collection has no items."""
    return [not items]


@special("exists", 0, 1)
def exists(site: "Site") -> tuple[Step, Shape]:
    """True when there is an item, or one that meets the criterion."""
    if not site.count:
        return lambda items, run: [bool(items)], BOOLEAN
    criterion, _ = site.body(0, site.input)
    return lambda items, run: [_first(items, run, criterion, wanted=True)], BOOLEAN


@special("all", 1)
def all_(site: "Site") -> tuple[Step, Shape]:
    """True when every item meets the criterion; true for none."""
    criterion, _ = site.body(0, site.input)
    return lambda items, run: [not _first(items, run, criterion, wanted=False)], BOOLEAN


def _first(items: list[Any], run: Run, criterion: Evaluate, *, wanted: bool) -> bool:
    """Tell whether the criterion is true for one item (`wanted`), or not true for one."""
    this, index = run.this, run.index
    run.spend(len(items))
    for place, item in enumerate(items):
        run.this, run.index = [item], place
        if (truth(criterion(run), "criterion") is True) is wanted:
            run.this, run.index = this, index
            return True
    run.this, run.index = this, index
    return False


def _booleans(items: list[Any], function: str) -> list[bool]:
    found = []
    for item in items:
        value = atom(item)
        if type(value) is not bool:
            raise InvalidInput("HT-FP-07", function=f"{function}()", expected="Boolean", found=name_of(item))
        found.append(value)
    return found


@collection("allTrue", gives="boolean")
def all_true(run: Run, items: list[Any]) -> list[Any]:
    """True when all items are true; true for none."""
    return [all(_booleans(items, "allTrue"))]


@collection("anyTrue", gives="boolean")
def any_true(run: Run, items: list[Any]) -> list[Any]:
    """True when an item is true."""
    return [any(_booleans(items, "anyTrue"))]


@collection("allFalse", gives="boolean")
def all_false(run: Run, items: list[Any]) -> list[Any]:
    """True when all items are false; true for none."""
    return [not any(_booleans(items, "allFalse"))]


@collection("anyFalse", gives="boolean")
def any_false(run: Run, items: list[Any]) -> list[Any]:
    """True when an item is false."""
    return [not all(_booleans(items, "anyFalse"))]


@collection("subsetOf", 1, gives="boolean")
def subset_of(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """True when every item is in the other collection."""
    run.spend(len(items) + len(other))
    return [{key(item) for item in items} <= {key(item) for item in other}]


@collection("supersetOf", 1, gives="boolean")
def superset_of(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """True when every item of the other collection is here."""
    run.spend(len(items) + len(other))
    return [{key(item) for item in items} >= {key(item) for item in other}]


@collection("count", gives="integer")
def count(run: Run, items: list[Any]) -> list[Any]:
    """The number of items."""
    return [len(items)]


@collection("distinct", gives=lambda given: given)
def distinct(run: Run, items: list[Any]) -> list[Any]:
    """The items without repetitions."""
    run.spend(len(items))
    return list({key(item): item for item in reversed(items)}.values())[::-1] if len(items) > 1 else items


@collection("isDistinct", gives="boolean")
def is_distinct(run: Run, items: list[Any]) -> list[Any]:
    """True when no item repeats."""
    run.spend(len(items))
    return [len({key(item) for item in items}) == len(items)]


@collection("not", gives="boolean")
def not_(run: Run, items: list[Any]) -> list[Any]:
    """The opposite of a condition."""
    value = truth(items, "not()")
    return [] if value is None else [not value]
