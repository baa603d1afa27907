"""FHIRPath as the rules use it: on a value inside a resource, with that resource, the bundle and the catalogue around it."""

from typing import Any

from conformance.fhirpath import Expression, Host, compile
from conformance.validation.references import resolve
from conformance.validation.run import Run, Scope
from terminology.fhirjson import Json


def expression(text: str, path: str | None) -> Expression:
    """Return the expression compiled for values of the type or element at `path`; None when the type is not known."""
    return compile(text, path, strict=False)


def holds(
    text: str,
    path: str | None,
    value: Any,
    scope: Scope,
    run: Run,
    extra: Any = None,
    variables: Json | None = None,
    *,
    empty_is_met: bool = True,
) -> bool:
    """Tell whether an invariant is met by a value that stands in the scope's resource.

    An empty result counts as met: the specification has invariants such as bdl-8 that yield nothing where there is
    nothing to check. Authors of profiles test theirs with validators that want a true: `empty_is_met` false. Raises FhirError when the expression cannot be read or evaluated.
    """
    found = expression(text, path)
    env = {"resource": scope.resource, "rootResource": scope.host.resource, **(variables or {})}
    host = host_of(scope, run)
    if empty_is_met:
        return not found.is_broken(value, extra=extra, host=host, **env)
    return found.holds(value, extra=extra, host=host, **env)


def evaluate(text: str, path: str | None, value: Any, scope: Scope, run: Run) -> list[Any]:
    """Return what the expression yields on a value that stands in the scope's resource, as JSON values."""
    found = expression(text, path)
    return found(value, host=host_of(scope, run), resource=scope.resource, rootResource=scope.host.resource)


def host_of(scope: Scope, run: Run) -> Host:
    """Return the hooks of one resource: what it may reach by resolve(), memberOf() and conformsTo()."""
    key = ("host", id(scope.resource))
    known = run.memory.get(key)
    if known is None:
        known = run.memory[key] = Host(
            resolve=lambda reference: _resource(reference, scope, run),
            member_of=lambda value, value_set: member_of(value, value_set, run),
            conforms_to=lambda value, url: _conforms(value, url, scope, run),
        )
    return known


def _resource(reference: Any, scope: Scope, run: Run) -> Any:
    text = reference.get("reference") if isinstance(reference, dict) else reference
    found = resolve(text, scope, run) if isinstance(text, str) else []
    return found[0].resource if len(found) == 1 else None


def _conforms(value: Any, url: str, scope: Scope, run: Run) -> bool | None:
    from conformance.validation.profiles import conforms

    return conforms(value, url, scope, run)


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
