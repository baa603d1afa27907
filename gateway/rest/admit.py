"""Whether a resource may be written: the rules of its type, at the level that the settings say.

http.html#create: "the server SHALL ensure" that what it stores is a resource of that type.
"""

import re
from collections.abc import Iterator
from typing import Any

from gateway.operations.profile_library import KINDS, library_of
from gateway.rest.context import Context
from terminology.fhirjson import Json
from terminology.issues import InvalidResource, Issue

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


def admit(resource: Json, context: Context, *, expression: str | None = None) -> None:
    """Raise InvalidResource with every problem of `resource`; warnings pass."""
    issues = problems(resource, context)
    if issues:
        error = InvalidResource(issues)
        raise error.at(expression) if expression else error


def problems(resource: Json, context: Context) -> list[Issue]:
    """Return the errors of a resource; an empty list admits it."""
    kind = resource["resourceType"]
    found = list(_identity(resource, kind))
    level = context.validation.level(kind)
    if level == "off":
        return found
    # The rules are compiled on first use; a server that only reads never loads them.
    from conformance.validation import Policy, validate

    options = _definitions(context) if level == "full" else {}
    if kind in KINDS and context.validation.has_full:
        library_of(context).touch()
    # A sender's own extensions are no mistake on the way in; $validate and hutong validate name them.
    issues = validate(resource, level=level, policy=Policy(unknown_extensions="allow"), **options)
    return [*found, *(row for row in issues if row.severity in ("error", "fatal"))]


def _definitions(context: Context) -> dict[str, Any]:
    """The profiles and the terminology in force; the edge has seen to it that they are fresh (asgi.py)."""
    from conformance.validation.service import ServiceTerminology
    from gateway.operations.terminology import library_of as terminology_of

    registry = library_of(context).registry
    return {
        "registry": registry,
        "terminology": ServiceTerminology(terminology_of(context).terminology, registry.terminology),
    }


def _identity(resource: Json, kind: str) -> Iterator[Issue]:
    """The id and meta, which the server itself reads and writes, whatever the level."""
    if "id" in resource and not (isinstance(resource["id"], str) and ID.fullmatch(resource["id"])):
        yield Issue("HT-REST-03", {"id": str(resource["id"])[:80]}, expression=f"{kind}.id")
    if "meta" in resource and not isinstance(resource["meta"], dict):
        yield Issue("HT-REST-49", {}, expression=f"{kind}.meta")
