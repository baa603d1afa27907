"""FHIRPath as the rules use it: on a value inside a resource, with that resource, the bundle and the catalogue around it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from conformance.fhirpath import Host, compile
from conformance.validation.references import resolve
from conformance.validation.run import Node, Run

Compiled = Callable[..., list[Any]]


@cache
def compiled(expression: str, path: str | None) -> Compiled:
    """Return the expression compiled for values of the type or element at `path`; None when the type is not known."""
    return compile(expression, path, is_strict=False)


def evaluate(expression: str, path: str | None, node: Node, run: Run) -> list[Any]:
    """Return what the expression yields on the node's value. Raises FhirError when it cannot be evaluated."""
    return evaluate_value(expression, path, node.value, node, run)


def evaluate_value(expression: str, path: str | None, value: Any, node: Node, run: Run) -> list[Any]:
    """The same for any value that stands in the node's resource."""
    scope = node.scope
    return compiled(expression, path)(
        value, host=host_of(node, run), resource=scope.resource, rootResource=scope.host.resource
    )


def host_of(node: Node, run: Run) -> Host:
    """Return the hooks of one resource: what it may reach by resolve(), memberOf() and conformsTo()."""
    key = ("host", id(node.scope))
    known = run.memory.get(key)
    if known is None:
        known = run.memory[key] = Host(
            resolve=lambda reference: _resource(reference, node, run),
            member_of=lambda value, value_set: member_of(value, value_set, run),
        )
    return known  # type: ignore[no-any-return]  # the memory holds what its keeper put there


def _resource(reference: str, node: Node, run: Run) -> Any:
    found = resolve(reference, node.scope, run)
    return found[0].resource if len(found) == 1 else None


def member_of(value: Any, value_set: str, run: Run) -> bool | None:
    """Tell whether a code, Coding or CodeableConcept is in a value set; None when nobody can tell."""
    if isinstance(value, str):
        return run.terminology.member_of(value_set, None, value)
    if not isinstance(value, dict):
        return None
    codings = value.get("coding") if "coding" in value else [value]
    answers = [
        run.terminology.member_of(value_set, row.get("system"), row["code"])
        for row in (codings if isinstance(codings, list) else ())
        if isinstance(row, dict) and isinstance(row.get("code"), str)
    ]
    return True if True in answers else (None if None in answers else False)
