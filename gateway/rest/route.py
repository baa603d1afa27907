"""Path and method → interaction (https://hl7.org/fhir/R4/http.html#summary).

Every form of the specification's table is here once; what isn't is answered with the methods that exist.
"""

import re
from collections.abc import Awaitable, Callable
from functools import cache
from importlib import import_module

from conformance.definitions import is_resource, resource_types
from gateway.operations.registry import Level
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.issues import InvalidInput, NotAllowed, NotFound

Interaction = Callable[[Request, Context], Awaitable[Response]]

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)

# (shape of the path, method) → module:function. Shapes: what follows the base, T a type, I an id, V a version.
ROUTES: dict[tuple[str, str], str] = {
    ("", "GET"): "search:search_system",
    ("", "POST"): "bundle:receive",
    ("metadata", "GET"): "capabilities:capabilities",
    ("_history", "GET"): "history:history",
    ("_search", "POST"): "search:search_system",
    ("T", "GET"): "search:search_type",
    ("T", "POST"): "create:create",
    ("T", "PUT"): "update:conditional_update",
    ("T", "PATCH"): "patch:conditional_patch",
    ("T", "DELETE"): "delete:conditional_delete",
    ("T/_search", "POST"): "search:search_type",
    ("T/_history", "GET"): "history:history",
    ("T/I", "GET"): "read:read",
    ("T/I", "PUT"): "update:update",
    ("T/I", "PATCH"): "patch:patch",
    ("T/I", "DELETE"): "delete:delete",
    ("T/I/_history", "GET"): "history:history",
    ("T/I/_history/V", "GET"): "vread:vread",
    ("T/I/T", "GET"): "search:search_compartment",
    ("T/I/T/_search", "POST"): "search:search_compartment",
    ("T/I/_search", "POST"): "search:search_compartment",
    ("async/J", "GET"): "respond_async:status",
    ("async/J", "DELETE"): "respond_async:cancel",
}
BINARY_ROUTES = {
    ("T/I", "GET"): "binary:read",
    ("T", "POST"): "binary:create",
    ("T/I", "PUT"): "binary:update",
    ("T/I/_history/V", "GET"): "binary:vread",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def match(request: Request, context: Context) -> Interaction:
    """Return the interaction of a request and note type, id, version, operation in it.

    Raises NotFound for a path that means nothing, InvalidInput for an id that can't be one, NotAllowed (with the
    methods that exist) for a method without meaning there.
    """
    shape = _shape(request, context)
    method = "GET" if request.method == "HEAD" else request.method
    if request.operation is not None:
        return _operation(request, method)
    routes = BINARY_ROUTES if request.type == "Binary" and (shape, method) in BINARY_ROUTES else ROUTES
    target = routes.get((shape, method))
    if target is None:
        allowed = sorted(verb for place, verb in ROUTES if place == shape)
        if "GET" in allowed:
            allowed.append("HEAD")
        raise NotAllowed(
            "HT-REST-05", method=request.method[:16], path=request.path[:200], allowed=", ".join(allowed)
        )
    return _load(target)


def _shape(request: Request, context: Context) -> str:
    """Return the path with T, I, V, J in place of its names; notes them in the request."""
    parts = request.path.split("/") if request.path else []
    if parts and parts[-1] == "":
        parts.pop()
    if not parts:
        return ""
    first = parts[0]
    if first.startswith("$"):
        _find(request, context, "system", first, parts[1:])
        return ""
    if not is_resource(first):
        if len(parts) == 2 and first == "async" and ID.fullmatch(parts[1]):
            request.id = parts[1]
            return "async/J"
        if len(parts) == 1 and first in ("metadata", "_history", "_search"):
            return first
        raise NotFound("HT-REST-02", type=first[:64], near=_near(first))
    request.type = first
    if len(parts) == 1:
        return "T"
    second = parts[1]
    if second.startswith("$"):
        _find(request, context, "type", second, parts[2:])
        return "T"
    if second in ("_search", "_history") and len(parts) == 2:
        return f"T/{second}"
    if not ID.fullmatch(second):
        raise InvalidInput("HT-REST-03", id=second[:80])
    request.id = second
    if len(parts) == 2:
        return "T/I"
    third = parts[2]
    if third.startswith("$"):
        _find(request, context, "instance", third, parts[3:])
        return "T/I"
    if third == "_history" and len(parts) == 3:
        return "T/I/_history"
    if third == "_history" and len(parts) == 4:
        request.version = parts[3]
        return "T/I/_history/V"
    if third == "_search" and len(parts) == 3:
        request.compartment = "*"
        return "T/I/_search"
    if third == "*" or is_resource(third):
        request.compartment = third
        if len(parts) == 3:
            return "T/I/T"
        if parts[3:] == ["_search"]:
            return "T/I/T/_search"
    raise NotFound("HT-REST-04", path=request.path[:200])


def _find(request: Request, context: Context, level: Level, segment: str, rest: list[str]) -> None:
    operation = context.operations.find(level, request.type or "", segment[1:])
    if operation is None or rest:
        names = ", ".join(f"${name}" for name in context.operations.names(level, request.type or ""))
        raise NotFound("HT-REST-06", path=request.path[:200], names=names)
    request.operation = operation


def _operation(request: Request, method: str) -> Interaction:
    operation = request.operation
    assert operation is not None
    allowed = ["POST"] if operation.affects_state else ["GET", "HEAD", "POST"]
    if method not in allowed:
        raise NotAllowed(
            "HT-REST-05", method=request.method[:16], path=request.path[:200], allowed=", ".join(allowed)
        )
    return operation.call


@cache
def _load(target: str) -> Interaction:
    module, _, name = target.partition(":")
    found: Interaction = getattr(import_module(f"gateway.rest.{module}"), name)
    return found


@cache
def _lower_names() -> dict[str, str]:
    return {name.lower(): name for name in resource_types()}


def _near(name: str) -> str:
    """Return the resource type that was probably meant."""
    from difflib import get_close_matches

    close = get_close_matches(name[:64].lower(), _lower_names(), n=1, cutoff=0.6)
    return _lower_names()[close[0]] if close else "metadata"
