"""$meta, $meta-add, $meta-delete: profiles, tags and security labels of one resource.

https://hl7.org/fhir/R4/resource-operation-meta.html. A change is a new version like any other, so that nobody's
ETag is silently wrong.
"""

from collections.abc import Callable
from typing import Any

from gateway.operations.parameters import output, read_inputs
from gateway.rest.conditional import deciding, expected_version
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response, version_headers
from gateway.store.protocol import Commit, GuardFailed, Put
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, PreconditionFailed, VersionConflict

Change = Callable[[Json, Json], Json]
LISTS = ("profile", "security", "tag")


async def meta(request: Request, context: Context) -> Response:
    """Return the resource's meta."""
    version = await current(request, context)
    assert version.body is not None
    found = decode_resource(version.body).get("meta", {})
    return Response(200, output(("return:valueMeta", found)), headers=version_headers(version))


async def meta_add(request: Request, context: Context) -> Response:
    """Add what isn't there yet; the rest stays."""
    return await _change(request, context, added)


async def meta_delete(request: Request, context: Context) -> Response:
    """Remove what is named and there."""
    return await _change(request, context, removed)


def added(meta: Json, more: Json) -> Json:
    """Return `meta` with the profiles, tags and labels of `more` that it lacks; codings are told by system and code."""
    fresh = dict(meta)
    for name in LISTS:
        have = {_key(item) for item in meta.get(name, ())}
        new = [item for item in more.get(name, ()) if _key(item) not in have]
        if new:
            fresh[name] = [*meta.get(name, ()), *new]
    return fresh


def removed(meta: Json, less: Json) -> Json:
    """Return `meta` without the profiles, tags and labels of `less`."""
    fresh = dict(meta)
    for name in LISTS:
        gone = {_key(item) for item in less.get(name, ())}
        kept = [item for item in meta.get(name, ()) if _key(item) not in gone]
        if kept:
            fresh[name] = kept
        else:
            fresh.pop(name, None)
    return fresh


def _key(item: Any) -> Any:
    return (item.get("system"), item.get("code")) if isinstance(item, dict) else item


async def _change(request: Request, context: Context, change: Change) -> Response:
    given = read_inputs(request, context).one("meta")
    if not isinstance(given, dict):
        raise InvalidInput(
            "HT-REST-34", operation=request.operation.name if request.operation else "", name="meta"
        )

    async def decide() -> Response:
        version = await current(request, context)
        expected_version(request, version)
        assert version.body is not None
        resource = decode_resource(version.body)
        before = resource.get("meta", {})
        after = change(before, given)
        if after == before:
            return Response(200, output(("return:valueMeta", before)), headers=version_headers(version))
        try:
            [stored] = await context.store.commit(
                Commit([Put({**resource, "meta": after}, expected=version.version)])
            )
        except VersionConflict:
            if "if-match" in request.headers:
                raise PreconditionFailed(
                    "HT-REST-61", value=request.headers["if-match"][:80], version="?"
                ) from None
            raise GuardFailed from None
        assert stored is not None
        assert stored.body is not None
        fresh = decode_resource(stored.body).get("meta", {})
        return Response(200, output(("return:valueMeta", fresh)), headers=version_headers(stored))

    return await deciding(decide, context)
