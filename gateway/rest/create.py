"""create: a new resource under an id of the server's choice (https://hl7.org/fhir/R4/http.html#create).

Conditional create: http.html#ccreate.
"""

from urllib.parse import urlencode

from gateway.rest.admit import admit
from gateway.rest.attachments import with_attachments
from gateway.rest.body import check_identity, read_resource
from gateway.rest.conditional import deciding, search_criteria
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.written import written
from gateway.store.protocol import Commit, Put


async def create(request: Request, context: Context) -> Response:
    """Store the body as a new resource; with If-None-Exist only when nothing matches (one match: 200, several: 412)."""
    assert request.type is not None
    resource = read_resource(request, context)
    check_identity(resource, type=request.type, id=None)
    admit(resource, context)
    criteria = request.headers.get("if-none-exist", _criteria_of(request, context))
    put = Put({**resource, "id": context.new_id()}, expected=0, method="POST")
    changes = with_attachments(put, context, size=len(request.body))
    if criteria is None:
        [version, *_] = await context.store.commit(Commit(changes))
        assert version is not None
        return written(version, request, context, is_new=True)
    return await _create_unless(criteria, changes, request, context)


async def _create_unless(criteria: str, changes: list[Put], request: Request, context: Context) -> Response:
    async def decide() -> Response:
        found = await search_criteria(request.type, criteria, context)
        if found.matches:
            # http.html#ccreate: one match → nothing is written, 200.
            return written(found.one(), request, context, is_new=False)
        [version, *_] = await context.store.commit(Commit(changes, guards=[found.guard]))
        assert version is not None
        return written(version, request, context, is_new=True)

    return await deciding(decide, context)


def _criteria_of(request: Request, context: Context) -> str | None:
    """Return the URL's search parameters. Some clients (fhirpy) say If-None-Exist this way; to ignore it makes doubles.

    Only parameters that exist count: a create has none of its own, so anything else there is noise.
    """
    if not request.query:
        return None
    known = context.parameters.of(request.type or "")
    params = [
        pair for pair in request.params if pair[0].partition(":")[0].partition(".")[0] in known and pair[1]
    ]
    return urlencode(params) if params else None
