"""Compiled expressions as callers hold them, and the cache of them."""

from functools import lru_cache
from typing import Any

from conformance.fhirpath import functions  # noqa: F401  fills the registry
from conformance.fhirpath.compare import truth
from conformance.fhirpath.compile import Compiler, Scope
from conformance.fhirpath.host import DEFAULT, Host, Run
from conformance.fhirpath.model import Type, items_of, resource_type, type_at
from conformance.fhirpath.parse import parse
from conformance.fhirpath.registry import Evaluate
from conformance.fhirpath.result import fhir_type, to_json
from conformance.fhirpath.shape import UNKNOWN, Shape
from terminology.issues import InvalidInput, TooCostly

# Longer expressions are compiled each time: a cache of them could be filled by a stranger.
MAX_CACHED_LENGTH = 4_000


class Expression:
    """A compiled expression; calling it evaluates it on a resource or element.

    Keyword arguments other than `host` are environment variables: `%resource`, `%context` and `%rootResource` are the
    input itself unless given; hyphenated names come by unpacking (`**{"vs-x": "…"}`).
    """

    def __init__(self, text: str, type: str | None = None, *, strict: bool = True) -> None:
        self.text = text
        self.type = type
        self.is_strict = strict
        self._tree = parse(text)
        self._root: Type | None = None
        self._evaluates: dict[Type | None, tuple[Evaluate, Shape]] = {}
        if type is not None:
            self._root = type_at(type)
            if self._root is None:
                raise InvalidInput("HT-FP-06", name=type, position=0)
            self._compiled(self._root)

    def __repr__(self) -> str:
        return f"Expression({self.text!r}, {self.type!r})"

    def __call__(self, resource: Any = None, /, *, host: Host = DEFAULT, **env: Any) -> list[Any]:
        """Return the result as JSON values."""
        return [to_json(item) for item in self._items(resource, None, host, env)]

    def typed(self, resource: Any = None, /, *, host: Host = DEFAULT, **env: Any) -> list[tuple[Any, str]]:
        """Return the result as pairs (JSON value, FHIR type name)."""
        return [(to_json(item), fhir_type(item)) for item in self._items(resource, None, host, env)]

    def holds(self, value: Any, /, *, extra: Any = None, host: Host = DEFAULT, **env: Any) -> bool:
        """Tell whether an invariant is met: the result is true, or one that is no boolean; empty is not enough.

        `extra` is the `_name` sibling of a primitive `value`.
        """
        return truth(self._items(value, extra, host, env), "invariant") is True

    def is_broken(self, value: Any, /, *, extra: Any = None, host: Host = DEFAULT, **env: Any) -> bool:
        """Tell whether an invariant is broken: the result is false. An empty result breaks nothing."""
        return truth(self._items(value, extra, host, env), "invariant") is False

    @property
    def shape(self) -> Shape:
        """What is known of the result beforehand; only for a declared type."""
        return self._compiled(self._root)[1] if self._root is not None else UNKNOWN

    def _items(self, value: Any, extra: Any, host: Host, env: dict[str, Any]) -> list[Any]:
        root = self._root
        if type(value) is dict and "resourceType" in value:
            own = resource_type(value)
            if root is None or root.is_any:
                root = own or root
            elif own is not None and own is not root and root.is_resource:
                raise InvalidInput("HT-FP-03", name=root.label, type=own.label, position=0)
        run = Run(items_of(value, root, extra), root, env, host)
        try:
            return self._compiled(root)[0](run)
        except RecursionError as error:
            raise TooCostly("HT-FP-21", limit="Python") from error

    def _compiled(self, root: Type | None) -> tuple[Evaluate, Shape]:
        found = self._evaluates.get(root)
        if found is None:
            this = UNKNOWN if root is None else Shape(frozenset({root}))
            found = Compiler(root, is_strict=self.is_strict).compile(self._tree, Scope(this))
            self._evaluates[root] = found
        return found


def compile(expression: str, type: str | None = None, *, strict: bool = True) -> Expression:
    """Return the expression ready to be called as often as you like; compiled expressions are cached.

    `type`: the type of what it will be called on ("Patient", "Patient.contact", "HumanName"). It is checked against that
    type now; without it, against the resource's own type at the first call. `strict=False` leaves those checks out: then
    an unknown element is just empty. Raises InvalidInput (HT-FP-01 … -10) and TooCostly (HT-FP-20, -21).
    """
    try:
        if len(expression) > MAX_CACHED_LENGTH:
            return Expression(expression, type, strict=strict)
        return _cached(expression, type, strict)
    except RecursionError as error:
        # The caller's own stack was nearly used up; the limit on nesting holds everywhere else.
        raise TooCostly("HT-FP-21", limit="Python") from error


def evaluate(expression: str, resource: Any = None, /, *, host: Host = DEFAULT, **env: Any) -> list[Any]:
    """Return the result of an expression on a resource as JSON values; see `compile` and `Expression`."""
    return compile(expression)(resource, host=host, **env)


@lru_cache(maxsize=8192)
def _cached(expression: str, type: str | None, strict: bool) -> Expression:
    return Expression(expression, type, strict=strict)
