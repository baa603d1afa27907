"""vread: one version of a resource (https://hl7.org/fhir/R4/http.html#vread)."""

from gateway.rest.context import Context
from gateway.rest.read import answer
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Version
from terminology.issues import Gone, NotFound


async def vread(request: Request, context: Context) -> Response:
    """Return the version; 404 when it isn't there, 410 when this version is the deletion."""
    return answer(await version_of(request, context), request)


async def version_of(request: Request, context: Context) -> Version:
    """Return the version that the request names; raises NotFound, Gone."""
    assert request.type is not None
    assert request.id is not None
    text = request.version or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    version = await context.store.vread(request.type, request.id, number) if number else None
    if version is None:
        raise NotFound("HT-REST-08", type=request.type, id=request.id, version=text[:64])
    if version.body is None:
        raise Gone("HT-REST-07", type=request.type, id=request.id, version=version.version)
    return version
