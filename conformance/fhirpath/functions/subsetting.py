"""Subsetting (https://hl7.org/fhirpath/N1/#subsetting)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import key, name_of, single
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import atom
from conformance.fhirpath.registry import Step, collection, special
from conformance.fhirpath.shape import Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@collection("single", gives=lambda given: given.with_many(False))
def single_(run: Run, items: list[Any]) -> list[Any]:
    """The only item; several are an error."""
    single(items, "single()")
    return items


@collection("first", gives=lambda given: given.with_many(False))
def first(run: Run, items: list[Any]) -> list[Any]:
    """The first item."""
    return items[:1]


@special("last")
def last(site: "Site") -> tuple[Step, Shape]:
    """The last item."""
    site.check_order()
    return lambda items, run: items[-1:], site.input.with_many(False)


@special("tail")
def tail(site: "Site") -> tuple[Step, Shape]:
    """All but the first item."""
    site.check_order()
    return lambda items, run: items[1:], site.input


@special("skip", 1)
def skip(site: "Site") -> tuple[Step, Shape]:
    """All but the first so many items."""
    site.check_order()
    number, _ = site.argument(0)

    def step(items: list[Any], run: Run) -> list[Any]:
        count = _count(number(run), "skip()")
        return [] if count is None else items[max(0, count) :]

    return step, site.input


@special("take", 1)
def take(site: "Site") -> tuple[Step, Shape]:
    """The first so many items."""
    site.check_order()
    number, _ = site.argument(0)

    def step(items: list[Any], run: Run) -> list[Any]:
        count = _count(number(run), "take()")
        return [] if count is None else items[: max(0, count)]

    return step, site.input


def _count(items: list[Any], function: str) -> int | None:
    item = single(items, function)
    value = None if item is None else atom(item)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidInput("HT-FP-07", function=function, expected="Integer", found=name_of(item))
    return value


@collection("intersect", 1, gives=lambda given: given)
def intersect(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """The items that are in both collections, without repetitions."""
    run.spend(len(items) + len(other))
    marks = {key(item) for item in other}
    found: dict[Any, Any] = {}
    for item in items:
        mark = key(item)
        if mark in marks:
            found.setdefault(mark, item)
    return list(found.values())


@collection("exclude", 1, gives=lambda given: given)
def exclude(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """The items that are not in the other collection; order and repetitions stay."""
    run.spend(len(items) + len(other))
    marks = {key(item) for item in other}
    return [item for item in items if key(item) not in marks]
