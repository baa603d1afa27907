"""delete: mark as deleted; history stays (https://hl7.org/fhir/R4/http.html#delete).

Conditional delete, of one or of several: http.html#cdelete.
"""

from gateway.rest.conditional import deciding, expected_version, search_criteria, swapping
from gateway.rest.context import Context
from gateway.rest.outcomes import outcome
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Delete, Version
from terminology.issues import Issue, PreconditionFailed


async def delete(request: Request, context: Context) -> Response:
    """Delete the resource: 200 with an outcome, 204 under return=minimal or when there was nothing to delete."""
    assert request.type is not None
    assert request.id is not None
    current = await context.store.read(request.type, request.id)
    expected = expected_version(request, current)
    if current is None or current.body is None:
        # Deleting twice is no error (http.html#delete).
        return Response(204)
    change = Delete(request.type, request.id, expected)

    async def write() -> Version | None:
        [version] = await context.store.commit(Commit([change]))
        return version

    version = await swapping(write, request)
    return _deleted([version] if version else [], request, context)


async def conditional_delete(request: Request, context: Context) -> Response:
    """Delete what matches the URL's criteria: at most one, or up to `_count` of several when the caller allows it.

    The FHIR rule for several matches is the server's choice (http.html#cdelete): 412, unless the query says
    `_count` with the number that may be deleted at once.
    """
    allowed = _allowed(request, context)

    async def decide() -> Response:
        found = await search_criteria(request.type, _criteria(request), context, most=allowed + 1)
        if len(found.matches) > allowed:
            raise PreconditionFailed("HT-REST-65", criteria=request.query[:200], allowed=allowed)
        changes = [Delete(match.type, match.id, match.version) for match in found.matches]
        if not changes:
            return Response(204)
        versions = await context.store.commit(Commit(changes, guards=[found.guard]))
        return _deleted([version for version in versions if version], request, context)

    return await deciding(decide, context)


def _allowed(request: Request, context: Context) -> int:
    text = request.param("_count") or "1"
    return (
        min(int(text), context.limits.matches) if text.isascii() and text.isdigit() and len(text) < 9 else 1
    )


def _criteria(request: Request) -> str:
    return "&".join(part for part in request.query.split("&") if not part.startswith("_count="))


def _deleted(versions: list[Version], request: Request, context: Context) -> Response:
    headers = {"ETag": f'W/"{versions[0].version}"'} if len(versions) == 1 else {}
    if not versions or request.preference("return") == "minimal":
        return Response(204, headers=headers)
    issues = [
        Issue("HT-REST-66", {"type": version.type, "id": version.id}, severity="information")
        for version in versions
    ]
    return Response(200, outcome(issues, request, docs=context.docs), headers=headers)
