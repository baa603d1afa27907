"""patch: change parts of a resource (https://hl7.org/fhir/R4/http.html#patch).

JSON Patch, JSON Merge Patch and FHIRPath Patch, on an id or on the one match of criteria (http.html#cond-patch).
"""

from gateway.rest.admit import admit
from gateway.rest.attachments import with_attachments
from gateway.rest.body import parse_json, parse_resource
from gateway.rest.conditional import deciding, expected_version, search_criteria
from gateway.rest.context import Context
from gateway.rest.json_patch import apply_json_patch
from gateway.rest.merge_patch import apply_merge_patch
from gateway.rest.negotiate import media_type
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.written import written
from gateway.store.protocol import Commit, Guard, GuardFailed, Put, Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import (
    FhirError,
    Gone,
    InvalidInput,
    NotFound,
    PreconditionFailed,
    UnsupportedMedia,
    VersionConflict,
)

JSON_PATCH = {"application/json-patch+json", "application/merge-patch+json", "application/json"}
XML_PATCH = {"application/xml-patch+xml"}


async def patch(request: Request, context: Context) -> Response:
    """Apply the body to the resource of the URL."""
    assert request.type is not None
    assert request.id is not None

    async def decide() -> Response:
        assert request.type is not None
        assert request.id is not None
        current = await context.store.read(request.type, request.id)
        if current is None:
            raise NotFound("HT-REST-01", type=request.type, id=request.id)
        if current.body is None:
            raise Gone("HT-REST-07", type=request.type, id=request.id, version=current.version)
        return await _patch(current, request, context)

    return await deciding(decide, context)


async def conditional_patch(request: Request, context: Context) -> Response:
    """Apply the body to the one match of the URL's criteria; none: 404, several: 412."""
    if not request.query:
        # http.html#cond-patch: 412 is for criteria that are not selective enough, and none at all select everything.
        raise PreconditionFailed("HT-REST-63")

    async def decide() -> Response:
        found = await search_criteria(request.type, request.query, context)
        if not found.matches:
            raise NotFound("HT-REST-67", criteria=request.query[:200])
        return await _patch(found.one(), request, context, guard=found.guard)

    return await deciding(decide, context)


async def _patch(
    current: Version, request: Request, context: Context, *, guard: Guard | None = None
) -> Response:
    await _check_version(current, request, context)
    wanted = patched(current, request, context)
    if context.workflow is not None and "if-match" not in request.headers:
        context.workflow.check_match(wanted, current)
    put = Put(wanted, expected=current.version)
    changes = with_attachments(put, context, size=len(request.body))
    try:
        [version, *_] = await context.store.commit(Commit(changes, guards=[guard] if guard else []))
    except VersionConflict:
        if "if-match" in request.headers:
            raise PreconditionFailed(
                "HT-REST-61", value=request.headers["if-match"][:80], version="?"
            ) from None
        # Another write came between; the patch is applied to what it left.
        raise GuardFailed from None
    assert version is not None
    return written(version, request, context, is_new=False)


async def _check_version(current: Version, request: Request, context: Context) -> None:
    """Raise PreconditionFailed for a stale If-Match, before the patch is looked at; a lost claim is told who won (409)."""
    try:
        expected_version(request, current)
    except PreconditionFailed:
        if context.workflow is not None and current.type == "Task":
            try:
                wanted = patched(current, request, context)
            except FhirError:
                # The patch was made for another version; that it does not fit this one is no news.
                wanted = {}
            await context.workflow.explain_claim(wanted, current)
        raise


def patched(current: Version, request: Request, context: Context) -> Json:
    """Return the resource after the patch in the request's body; raises InvalidInput when it isn't a good one then."""
    assert current.body is not None
    before = decode_resource(current.body)
    after = _apply(before, request, context)
    for name in ("resourceType", "id"):
        if after.get(name) != before[name]:
            raise InvalidInput("HT-REST-78", name=name, expression=f"{current.type}.{name}")
    try:
        admit(after, context)
    except FhirError as error:
        # The resource was good before: what is wrong came with the patch (http.html: 400, basic validation failed).
        raise InvalidInput(error.issues) from None
    return after


def _apply(before: Json, request: Request, context: Context) -> Json:
    from gateway.rest.fhirpath_patch import apply_fhirpath_patch

    if request.resource is not None:
        return apply_fhirpath_patch(before, request.resource)
    kind = media_type(request.headers.get("content-type", ""))
    if kind in XML_PATCH:
        raise UnsupportedMedia("HT-REST-27", value=kind)
    if kind in JSON_PATCH:
        if not request.body.strip():
            raise InvalidInput("HT-REST-40")
        document = parse_json(request.body, context)
        # A plain application/json says nothing of the kind: Parameters are a FHIRPath Patch, another object a merge.
        if (
            isinstance(document, dict)
            and kind == "application/json"
            and document.get("resourceType") == "Parameters"
        ):
            return apply_fhirpath_patch(before, document)
        if isinstance(document, dict) and kind != "application/json-patch+json":
            return apply_merge_patch(before, document)
        return apply_json_patch(before, document)
    return apply_fhirpath_patch(
        before, parse_resource(request.body, request.headers.get("content-type", ""), context)
    )
