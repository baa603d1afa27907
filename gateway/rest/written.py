"""The answer to a write: status, Location, ETag, and the body that `Prefer: return` asks for.

https://hl7.org/fhir/R4/http.html#ops
"""

from gateway.rest.context import Context
from gateway.rest.outcomes import outcome
from gateway.rest.request import Request
from gateway.rest.response import Response, location, version_headers
from gateway.store.protocol import Version
from terminology.issues import Issue


def written(version: Version, request: Request, context: Context, *, is_new: bool) -> Response:
    """Return 201 or 200 with the version's headers; the representation is the default (http.html#return)."""
    headers = version_headers(version)
    headers["Location"] = location(request, version)
    response = Response(201 if is_new else 200, headers=headers, last_updated=version.last_updated)
    wish = request.preference("return")
    if wish == "minimal":
        return response
    if wish == "operationoutcome":
        values = {"type": version.type, "id": version.id, "version": version.version}
        done = Issue("HT-REST-09", values, severity="information")
        response.resource = outcome([done], request, docs=context.docs)
    else:
        response.stored = version.body
    return response
