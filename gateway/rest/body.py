"""The body of a request as a resource tree: format, size, depth, and what every resource must have."""

from typing import Any

import msgspec

from conformance.definitions import is_resource
from gateway.rest.context import Context
from gateway.rest.negotiate import sent
from gateway.rest.request import Request
from terminology.fhirjson import Json, decode
from terminology.issues import FhirError, InvalidInput, Issue, TooLarge


def read_resource(request: Request, context: Context) -> Json:
    """Return the resource of the body; raises InvalidInput, UnsupportedMedia, TooLarge."""
    resource = request.resource
    if resource is None:
        resource = parse_resource(request.body, request.headers.get("content-type", ""), context)
    if request.operation is not None and resource["resourceType"] == "Parameters":
        check_parameters(resource)
    return resource


def parse_resource(body: bytes, content_type: str, context: Context) -> Json:
    """Return the resource in `body` (http.html#mime-type); a body without Content-Type is taken as JSON."""
    if not body.strip():
        raise InvalidInput("HT-REST-40")
    tree = parse_json(body, context) if sent(content_type or "json") == "json" else _from_xml(body)
    if not isinstance(tree, dict):
        raise InvalidInput("HT-REST-42", kind=type(tree).__name__)
    resource_type = tree.get("resourceType")
    if not isinstance(resource_type, str):
        raise InvalidInput("HT-REST-43")
    if not is_resource(resource_type):
        raise InvalidInput("HT-REST-44", type=resource_type[:64], expression="resourceType")
    return tree


def parse_json(body: bytes, context: Context) -> Any:
    """Return any JSON value within the limit of depth."""
    try:
        tree = decode(body.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise TooLarge("HT-REST-45", limit=context.limits.depth) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("HT-REST-41", detail=str(error)) from None
    if not is_shallow(body, context.limits.depth) and too_deep(tree, context.limits.depth):
        raise TooLarge("HT-REST-45", limit=context.limits.depth)
    return tree


NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def is_shallow(body: bytes, limit: int) -> bool:
    """Tell quickly that a JSON text nests no deeper than `limit`; False means that somebody has to look.

    Innermost pairs are removed layer by layer. A bracket inside a string can only make the answer False.
    """
    brackets = body.translate(None, NO_BRACKETS)
    for _ in range(limit):
        if not brackets:
            return True
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return False
        brackets = fewer
    return not brackets


def too_deep(tree: Any, limit: int) -> bool:
    """Tell whether objects and arrays nest deeper than `limit`."""
    level = [tree] if type(tree) is dict or type(tree) is list else []
    for _ in range(limit + 1):
        below: list[Any] = []
        for node in level:
            values = node.values() if type(node) is dict else node
            below.extend(value for value in values if type(value) is dict or type(value) is list)
        if not below:
            return False
        level = below
    return True


def check_parameters(resource: Json) -> None:
    """Raise InvalidInput with every structural problem of an operation's inputs, so that operations can trust them.

    Resources inside are left to the operation: $validate takes wrong ones on purpose.
    """
    from conformance.validation import is_valid_structure, validate

    bare = _without_resources(resource)
    if not is_valid_structure(bare):
        issues = [
            issue for issue in validate(bare, level="structure") if issue.severity in ("error", "fatal")
        ]
        if issues:
            raise InvalidInput(issues)


def _without_resources(node: Json) -> Json:
    bare = {key: value for key, value in node.items() if key != "resource" or not isinstance(value, dict)}
    for name in ("parameter", "part"):
        if isinstance(node.get(name), list):
            bare[name] = [_without_resources(row) if isinstance(row, dict) else row for row in node[name]]
    return bare


def check_identity(resource: Json, *, type: str, id: str | None) -> None:
    """Raise InvalidInput with every disagreement between the URL and the body's resourceType and id.

    http.html#update: the id in the body SHALL be the id of the URL, else 400. `id` None: the body's id is ignored.
    """
    problems: list[Issue] = []
    if resource["resourceType"] != type:
        problems.append(
            Issue("HT-REST-46", {"body": resource["resourceType"], "url": type}, expression="resourceType")
        )
    if id is not None and "id" not in resource:
        problems.append(Issue("HT-REST-47", {"id": id}, expression=f"{type}.id"))
    elif id is not None and resource["id"] != id:
        problems.append(
            Issue("HT-REST-48", {"body": str(resource["id"])[:64], "url": id}, expression=f"{type}.id")
        )
    if problems:
        raise InvalidInput(problems)


def _from_xml(body: bytes) -> Any:
    from conformance.formats.xml import to_json

    try:
        return to_json(body)
    except FhirError:
        raise
    except RecursionError:
        raise TooLarge("HT-REST-45", limit=64) from None
