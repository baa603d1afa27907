"""The functions of the language: one table, from which the compiler and the documentation both read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from conformance.fhirpath.compare import name_of, single
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import Type, atom
from conformance.fhirpath.shape import BOOLEAN, DECIMAL, INTEGER, NOTHING, STRING, UNKNOWN, Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site

# A compiled expression starts from `run.this`; a compiled step takes the collection before it.
Evaluate = Callable[[Run], list[Any]]
Step = Callable[[list[Any], Run], list[Any]]
Build = Callable[["Site"], tuple[Step, Shape]]


@dataclass(frozen=True)
class Function:
    """`least` and `most` arguments; `summary` is the first line of the implementation's docstring."""

    name: str
    least: int
    most: int
    build: Build
    summary: str
    group: str


FUNCTIONS: Final[dict[str, Function]] = {}

SHAPES: Final = {
    "boolean": BOOLEAN,
    "string": STRING,
    "integer": INTEGER,
    "decimal": DECIMAL,
    "any": UNKNOWN,
    "nothing": NOTHING,
}


def _register(name: str, least: int, most: int, build: Build, source: Callable[..., Any]) -> None:
    summary = (source.__doc__ or "").strip().partition("\n")[0]
    FUNCTIONS[name] = Function(name, least, most, build, summary, source.__module__.rpartition(".")[2])


def special(name: str, least: int = 0, most: int | None = None) -> Callable[[Build], Build]:
    """Register a function that decides at compile time what becomes of its arguments (lambdas, type names)."""

    def decorate(build: Build) -> Build:
        _register(name, least, least if most is None else most, build, build)
        return build

    return decorate


def collection(
    name: str, least: int = 0, most: int | None = None, *, gives: str | Callable[[Shape], Shape]
) -> Callable[[Callable[..., list[Any]]], Callable[..., list[Any]]]:
    """Register a function `(run, items, *arguments)` on whole collections; arguments come evaluated, as collections."""

    def decorate(function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def build(site: "Site") -> tuple[Step, Shape]:
            shape = gives(site.input) if callable(gives) else SHAPES[gives]
            arguments = [site.argument(place)[0] for place in range(site.count)]
            if not arguments:
                return lambda items, run: function(run, items), shape
            if len(arguments) == 1:
                (only,) = arguments
                return lambda items, run: function(run, items, only(run)), shape
            return lambda items, run: function(run, items, *[argument(run) for argument in arguments]), shape

        _register(name, least, least if most is None else most, build, function)
        return function

    return decorate


@dataclass(frozen=True)
class Kind:
    """What a scalar function takes: `accepts` tests a value, `allows` a static type."""

    name: str
    accepts: Callable[[Any], bool]
    allows: Callable[[Type], bool]


def scalar(
    name: str,
    takes: Kind | None,
    *arguments: Kind | None,
    optional: int = 0,
    gives: str | Callable[[Shape], Shape],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function `(run, value, *arguments)` on single values; empty in, empty out; None means empty.

    The last `optional` arguments may be left out; one that is given but empty makes the result empty.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def build(site: "Site") -> tuple[Step, Shape]:
            site.check_input(takes)
            compiled = [(site.argument(place)[0], arguments[place]) for place in range(site.count)]
            shape = (gives(site.input) if callable(gives) else SHAPES[gives]).with_many(False)

            def step(items: list[Any], run: Run) -> list[Any]:
                if not items:
                    return []
                value = _taken(name, takes, items)
                if value is None:
                    return []
                given = []
                for evaluate, kind in compiled:
                    found = _taken(name, kind, evaluate(run))
                    if found is None:
                        return []
                    given.append(found)
                result = function(run, value, *given)
                return [] if result is None else [result]

            return step, shape

        _register(name, len(arguments) - optional, len(arguments), build, function)
        return function

    return decorate


def _taken(name: str, kind: Kind | None, items: list[Any]) -> Any:
    item = single(items, f"{name}()")
    if item is None or kind is None:
        return item
    value = atom(item)
    if value is None:
        return None
    if not kind.accepts(value):
        # A FHIR date is a text on the wire; string functions read it as such.
        if kind.name == "String" and hasattr(value, "parts"):
            return str(value)
        raise InvalidInput("HT-FP-07", function=f"{name}()", expected=kind.name, found=name_of(item))
    return value
