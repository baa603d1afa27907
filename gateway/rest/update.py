"""update: the next version of a resource, or its first under the caller's id (https://hl7.org/fhir/R4/http.html#update).

Update-as-create: http.html#upsert. Conditional update: http.html#cond-update.
"""

from gateway.rest.admit import admit
from gateway.rest.attachments import with_attachments
from gateway.rest.body import check_identity, read_resource
from gateway.rest.conditional import deciding, expected_of, search_criteria, swapping
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.written import written
from gateway.store.protocol import Commit, Guard, Put, Version
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, VersionConflict


async def update(request: Request, context: Context) -> Response:
    """Write the body under the id of the URL: 200, or 201 when nothing (or a deletion) was there."""
    assert request.type is not None
    assert request.id is not None
    resource = read_resource(request, context)
    check_identity(resource, type=request.type, id=request.id)
    admit(resource, context)
    current = await context.store.read(request.type, request.id)
    return await replace(resource, current, request, context)


async def replace(
    resource: Json, current: Version | None, request: Request, context: Context, *, guard: Guard | None = None
) -> Response:
    """Commit `resource` over `current` under the request's If-Match or If-None-Match."""
    changes = with_attachments(
        Put(resource, expected=await expected_of(request, current, resource, context)),
        context,
        size=len(request.body),
    )
    guards = [guard] if guard else []

    async def write() -> Version:
        [version, *_] = await context.store.commit(Commit(changes, guards=guards))
        assert version is not None
        return version

    version = await swapping(write, request)
    is_new = version.version == 1 or current is None or current.body is None
    return written(version, request, context, is_new=is_new)


async def conditional_update(request: Request, context: Context) -> Response:
    """Update the one match of the URL's criteria; none: create (under the body's id when it has one); several: 412."""
    assert request.type is not None
    resource = read_resource(request, context)
    check_identity(resource, type=request.type, id=None)
    admit(resource, context)

    async def decide() -> Response:
        found = await search_criteria(request.type, request.query, context)
        if found.matches:
            match = found.one()
            # http.html#cond-update: the body's id, when given, must be that of the match.
            if resource.get("id", match.id) != match.id:
                raise InvalidInput(
                    "HT-REST-48", body=resource["id"], url=match.id, expression=f"{request.type}.id"
                )
            return await replace({**resource, "id": match.id}, match, request, context, guard=found.guard)
        id = resource.get("id")
        if id is None:
            fresh = {**resource, "id": context.new_id()}
            return await replace(fresh, None, request, context, guard=found.guard)
        # No match, id provided: a resource with this id that doesn't match the criteria is a conflict (409).
        current = await context.store.read(resource["resourceType"], id)
        if current is not None and current.body is not None:
            raise VersionConflict("HT-REST-68", type=request.type, id=id)
        put = Put(resource, expected=current.version if current else 0)
        [version, *_] = await context.store.commit(
            Commit(with_attachments(put, context, size=len(request.body)), guards=[found.guard])
        )
        assert version is not None
        return written(version, request, context, is_new=True)

    return await deciding(decide, context)
