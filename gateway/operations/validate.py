"""$validate: what is wrong with a resource, or with writing it (https://hl7.org/fhir/R4/resource-operation-validate.html).

The answer is 200 and an OperationOutcome, also when the resource is bad; 4xx means that nothing could be checked.
"""

from typing import Any

import msgspec

from conformance.validation import validate as check
from conformance.validation.service import ServiceTerminology
from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.profile_library import library_of
from gateway.operations.terminology import library_of as terminology_of
from gateway.rest.context import Context
from gateway.rest.negotiate import sent
from gateway.rest.outcomes import outcome
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json, decode, decode_resource
from terminology.issues import InvalidInput, Issue

MODES = ("create", "update", "delete", "profile")


async def validate(request: Request, context: Context) -> Response:
    """Validate the resource of the body, or the stored one of an instance-level call without body."""
    raw, inputs = _inputs(request, context)
    mode = inputs.one("mode")
    if mode is not None and mode not in MODES:
        raise InvalidInput("HT-VAL-220", mode=str(mode)[:40])
    profiles = [url for url in inputs.all("profile") if isinstance(url, str)]
    if mode == "profile" and not profiles:
        raise InvalidInput("HT-VAL-221")
    resource = raw if raw is not None else inputs.one("resource")
    issues = await _mode_issues(mode, resource, request, context)
    if mode != "delete":
        if resource is None:
            resource = await _stored(request, context)
        registry = await library_of(context).current()
        terminology = ServiceTerminology(await terminology_of(context).current(), registry.terminology)
        issues += check(resource, profiles=profiles, registry=registry, terminology=terminology, locate=True)
    if not any(row.severity in ("fatal", "error") for row in issues):
        issues.append(Issue("HT-VAL-222", {}, "information"))
    return Response(200, outcome(issues, request, docs=context.docs))


def _inputs(request: Request, context: Context) -> tuple[bytes | None, Inputs]:
    """Return the body when it is the resource itself, as bytes so that problems can be located, and the parameters."""
    if request.method != "POST" or not request.body or request.resource is not None:
        return None, read_inputs(request, context)
    kind = _kind(request)
    if kind == "Parameters" and request.type != "Parameters":
        return None, read_inputs(request, context)
    if kind == "Parameters" and _is_call(request):
        return None, read_inputs(request, context)
    body, request.body = request.body, b""
    return body, read_inputs(request, context)


def _kind(request: Request) -> str | None:
    """Return the body's resourceType as far as it can be seen; what cannot be read is for the validator to tell."""
    if sent(request.headers.get("content-type") or "json") != "json":
        return "Parameters" if b"<Parameters" in request.body[:400] else None
    try:
        tree: Any = decode(request.body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return tree.get("resourceType") if isinstance(tree, dict) else None


def _is_call(request: Request) -> bool:
    """Parameters/$validate: inputs when they hold what is to be validated, else the very resource to validate."""
    rows = decode_resource(request.body).get("parameter")
    return any(
        isinstance(row, dict) and row.get("name") == "resource"
        for row in (rows if isinstance(rows, list) else ())
    )


async def _stored(request: Request, context: Context) -> Json:
    if request.id is None:
        raise InvalidInput("HT-VAL-223")
    version = await current(request, context)
    assert version.body is not None
    return decode_resource(version.body)


async def _mode_issues(mode: Any, resource: Any, request: Request, context: Context) -> list[Issue]:
    """What stands against the write that the client plans, beside the content."""
    if mode == "create" and request.id is not None:
        return [Issue("HT-VAL-224", {"mode": "create"}, "error")]
    if mode in ("update", "delete") and request.id is None and mode == "delete":
        raise InvalidInput("HT-VAL-225")
    if mode == "delete":
        await current(request, context)  # NotFound or Gone say it themselves
        return []
    tree: Any = resource
    if isinstance(resource, bytes):
        try:
            tree = decode(resource.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
    if not isinstance(tree, dict):
        return []
    found: list[Issue] = []
    kind = tree.get("resourceType")
    if request.type not in (None, "Resource") and kind != request.type:
        found.append(
            Issue("HT-REST-46", {"body": str(kind)[:64], "url": request.type}, "error", "resourceType")
        )
    if mode == "update" and request.id is not None and tree.get("id") != request.id:
        found.append(
            Issue("HT-REST-48", {"body": str(tree.get("id"))[:64], "url": request.id}, "error", f"{kind}.id")
        )
    return found
