"""read: the current version of a resource, its bytes as stored (https://hl7.org/fhir/R4/http.html#read).

Conditional read: http.html#cread.
"""

from gateway.rest.context import Context
from gateway.rest.request import Request, etag_version, http_date
from gateway.rest.response import Response, version_headers
from gateway.rest.shipped import read_shipped
from gateway.store.protocol import Version
from terminology.issues import Gone, NotFound


async def read(request: Request, context: Context) -> Response:
    """Return the resource; 304 when the caller has this version, 404 when there never was one, 410 when deleted."""
    try:
        version = await current(request, context)
    except NotFound:
        shipped = await read_shipped(str(request.type), str(request.id))
        if shipped is None:
            raise
        version = shipped
    return answer(version, request)


async def current(request: Request, context: Context) -> Version:
    """Return the current version of the request's resource; raises NotFound, Gone."""
    assert request.type is not None
    assert request.id is not None
    version = await context.store.read(request.type, request.id)
    if version is None:
        raise NotFound("HT-REST-01", type=request.type, id=request.id)
    if version.body is None:
        raise Gone("HT-REST-07", type=request.type, id=request.id, version=version.version)
    return version


def answer(version: Version, request: Request) -> Response:
    """Return 200 with the version's bytes, or 304 when the request's conditions say that the caller has them."""
    headers = version_headers(version)
    if is_known(version, request):
        return Response(304, headers=headers)
    return Response(200, stored=version.body, headers=headers, last_updated=version.last_updated)


def is_known(version: Version, request: Request) -> bool:
    """Tell whether the caller has this version; If-None-Match decides over If-Modified-Since (RFC 9110 §13.2.2)."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or any(
            etag_version(tag, "If-None-Match") == version.version for tag in tags.split(",")
        )
    since = request.headers.get("if-modified-since")
    return since is not None and version.last_updated.replace(microsecond=0) <= http_date(
        since, "If-Modified-Since"
    )
