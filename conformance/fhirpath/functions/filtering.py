"""Filtering, projection, iteration (https://hl7.org/fhirpath/N1/#filtering-and-projection, #aggregates)."""

from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import key, order, single, truth
from conformance.fhirpath.host import Run
from conformance.fhirpath.registry import Evaluate, Step, special
from conformance.fhirpath.result import to_json
from conformance.fhirpath.shape import UNKNOWN, Shape
from conformance.fhirpath.tree import Polarity

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@special("where", 1)
def where(site: "Site") -> tuple[Step, Shape]:
    """The items that meet the criterion."""
    criterion, _ = site.body(0, site.input)

    def step(items: list[Any], run: Run) -> list[Any]:
        if not items:
            return items
        this, index = run.this, run.index
        run.spend(len(items))
        found = []
        for place, item in enumerate(items):
            run.this, run.index = [item], place
            if truth(criterion(run), "where()") is True:
                found.append(item)
        run.this, run.index = this, index
        return found

    return step, site.input


@special("select", 1)
def select(site: "Site") -> tuple[Step, Shape]:
    """What the projection gives for each item, in one collection."""
    projection, shape = site.body(0, site.input)

    def step(items: list[Any], run: Run) -> list[Any]:
        if not items:
            return items
        this, index = run.this, run.index
        run.spend(len(items))
        found: list[Any] = []
        for place, item in enumerate(items):
            run.this, run.index = [item], place
            found.extend(projection(run))
            run.bound(found)
        run.this, run.index = this, index
        return found

    return step, shape.with_many(shape.is_many or site.input.is_many)


@special("repeat", 1)
def repeat(site: "Site") -> tuple[Step, Shape]:
    """What the projection gives for each item and again for each result, without repetitions."""
    return _repeated(site, is_distinct=True)


@special("repeatAll", 1)
def repeat_all(site: "Site") -> tuple[Step, Shape]:
    """Like repeat(), keeping repetitions."""
    return _repeated(site, is_distinct=False)


def _repeated(site: "Site", *, is_distinct: bool) -> tuple[Step, Shape]:
    projection, shape = _closed_body(site)

    def step(items: list[Any], run: Run) -> list[Any]:
        this, index = run.this, run.index
        found: list[Any] = []
        seen: set[Any] = set()
        waiting = items
        while waiting:
            run.spend(len(waiting))
            given: list[Any] = []
            for place, item in enumerate(waiting):
                run.this, run.index = [item], place
                for result in projection(run):
                    if is_distinct:
                        mark = key(result)
                        if mark in seen:
                            continue
                        seen.add(mark)
                    given.append(result)
                run.bound(given)
            found.extend(given)
            run.bound(found)
            waiting = given
        run.this, run.index = this, index
        return found

    return step, shape


def _closed_body(site: "Site") -> tuple[Evaluate, Shape]:
    """Compile the projection for the input's types and for the types that it gives itself, until no new ones come."""
    given = site.input
    for _ in range(8):
        projection, shape = site.body(0, given)
        if given.types is None or shape.types is None:
            break
        if shape.types <= given.types:
            return projection, shape.with_many(True)
        given = Shape(given.types | shape.types, is_many=True, is_ordered=given.is_ordered)
    projection, _ = site.body(0, UNKNOWN)
    return projection, UNKNOWN


@special("iif", 2, 3)
def iif(site: "Site") -> tuple[Step, Shape]:
    """The second argument when the first is true, else the third; only the chosen one is evaluated."""
    if site.compiler.is_strict and not site.is_first:
        site.check_single()
    criterion, shape = site.branch(0)
    site.check_single_condition(shape)
    then, then_shape = site.branch(1)
    otherwise, otherwise_shape = site.branch(2) if site.count == 3 else (None, Shape(frozenset()))

    def step(items: list[Any], run: Run) -> list[Any]:
        this = run.this
        if not site.is_first:
            single(items, "iif()")
            run.this = items
        chosen = then if truth(criterion(run), "iif()") is True else otherwise
        found = chosen(run) if chosen else []
        run.this = this
        return found

    joined = then_shape | otherwise_shape
    return step, joined.with_many(then_shape.is_many or otherwise_shape.is_many)


@special("aggregate", 1, 2)
def aggregate(site: "Site") -> tuple[Step, Shape]:
    """The last `$total` after evaluating the argument for each item; the second argument is the first total."""
    start = site.argument(1)[0] if site.count == 2 else None
    body, shape = site.body(0, site.input, UNKNOWN)

    def step(items: list[Any], run: Run) -> list[Any]:
        this, index, total = run.this, run.index, run.total
        run.total = start(run) if start else []
        run.spend(len(items))
        for place, item in enumerate(items):
            run.this, run.index = [item], place
            run.total = run.bound(body(run))
        found = run.total
        run.this, run.index, run.total = this, index, total
        return found

    return step, UNKNOWN if shape.types is None else shape


Row = tuple[Any, list[tuple[Any, str]]]


@special("sort", 0, 9)
def sort(site: "Site") -> tuple[Step, Shape]:
    """The items in order, by themselves or by keys, each `asc`, `desc` or, as in the suite, with a minus."""
    keys: list[tuple[Evaluate, str]] = []
    for place, node in enumerate(site.call.arguments):
        turned = node.sign if isinstance(node, Polarity) and node.sign in ("-", "desc") else ""
        keys.append((site.sort_key(place) if turned else site.body(place, site.input)[0], turned))

    def step(items: list[Any], run: Run) -> list[Any]:
        run.spend(len(items) * 8)
        this, index = run.this, run.index
        rows: list[Row] = []
        for place, item in enumerate(items):
            run.this, run.index = [item], place
            rows.append(
                (
                    item,
                    [(single(evaluate(run), "sort()"), turned) for evaluate, turned in keys] or [(item, "")],
                )
            )
        run.this, run.index = this, index
        rows.sort(key=cmp_to_key(_compare_rows))
        return [item for item, _ in rows]

    return step, Shape(site.input.types, is_many=site.input.is_many)


def _compare_rows(left: Row, right: Row) -> int:
    for (mine, turned), (yours, _) in zip(left[1], right[1], strict=True):
        if mine is None or yours is None:
            # An absent key is the lowest, and with the older form `-key` first too (the official suite has it so).
            found: int | None = (mine is not None) - (yours is not None)
            if turned == "-":
                turned = ""
        else:
            found = order(mine, yours, "sort()")
        if found:
            return -found if turned else found
    return 0


@special("coalesce", 1, 20)
def coalesce(site: "Site") -> tuple[Step, Shape]:
    """The first argument that is not empty."""
    arguments = [site.argument(place)[0] for place in range(site.count)]

    def step(items: list[Any], run: Run) -> list[Any]:
        for argument in arguments:
            found = argument(run)
            if found:
                return found
        return []

    return step, UNKNOWN


@special("trace", 1, 2)
def trace(site: "Site") -> tuple[Step, Shape]:
    """The input itself; the host's sink receives it, or its projection, under a name."""
    name, _ = site.argument(0)
    projection = site.body(1, site.input)[0] if site.count == 2 else None

    def step(items: list[Any], run: Run) -> list[Any]:
        sink = run.host.trace
        if sink is None:
            return items
        given = items
        if projection is not None:
            this = run.this
            given = []
            for item in items:
                run.this = [item]
                given.extend(projection(run))
            run.this = this
        sink(str(single(name(run), "trace()")), [to_json(item) for item in given])
        return items

    return step, site.input
