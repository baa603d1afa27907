"""Composition/$document: a Composition and all that it refers to, as one document Bundle.

https://hl7.org/fhir/R4/composition-operation-document.html, documents.html
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Raw

from gateway.operations.parameters import read_inputs
from gateway.rest.admit import ID
from gateway.rest.context import Context
from gateway.rest.labels import confidentiality
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.written import written
from gateway.store.protocol import Commit, Put, Version
from terminology.fhirjson import Json, decode, decode_resource, encode
from terminology.issues import InvalidInput, NotAllowed, TooCostly

MOST = 1_000
DEPTH = 3


async def document(request: Request, context: Context) -> Response:
    """Return the document; with `persist=true` it is stored as a Bundle too (201).

    References are followed three steps far. What isn't here (another server's, a deleted resource) stays a
    reference, as documents.html#content allows for external content.
    """
    inputs = read_inputs(request, context)
    if inputs.one("persist") is True and request.method != "POST":
        # operations.html#executing: GET only for what changes nothing.
        raise NotAllowed(
            "HT-REST-05", method=request.method, path=f"{request.path}?persist=true", allowed="POST"
        )
    if request.id is None:
        text = str(inputs.one("id") or "").removeprefix(f"{request.base}/").removeprefix("Composition/")
        if not ID.fullmatch(text):
            raise InvalidInput("HT-REST-34", operation="document", name="id")
        request.id = text
    composition = await current(request, context)
    versions = await gather(composition, request, context)
    bundle: Json = {
        "resourceType": "Bundle",
        **confidentiality(versions),
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid.uuid4()}"},
        "type": "document",
        "timestamp": context.clock().isoformat(timespec="seconds"),
        "entry": [
            {"fullUrl": f"{request.base}/{version.type}/{version.id}", "resource": Raw(version.body or b"{}")}
            for version in versions
        ],
    }
    if inputs.one("persist") is not True:
        return Response(200, bundle)
    resource = decode(encode({**bundle, "id": context.new_id()}))
    [stored] = await context.store.commit(Commit([Put(resource, expected=0, method="POST")]))
    assert stored is not None
    return written(stored, request, context, is_new=True)


async def gather(
    first: Version, request: Request, context: Context, *, beside: Iterable[Version] = (), depth: int = DEPTH
) -> list[Version]:
    """Return a resource with those `beside` it and what they refer to, nearest first, each once.

    Raises TooCostly (HT-REST-36) for more than 1,000 resources.
    """
    layer = [first, *beside]
    found = {(version.type, version.id): version for version in layer}
    for _ in range(depth):
        below: list[Version] = []
        for version in layer:
            assert version.body is not None
            for key in _references(decode_resource(version.body), request.base):
                if key in found:
                    continue
                other = await context.store.read(*key)
                if other is not None and other.body is not None:
                    found[key] = other
                    below.append(other)
                if len(found) > MOST:
                    raise TooCostly("HT-REST-36", limit=MOST)
        layer = below
    return list(found.values())


def _references(node: Any, base: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        text = node.get("reference")
        if isinstance(text, str):
            parts = text.removeprefix(f"{base}/").split("/")
            if len(parts) >= 2 and ":" not in parts[0] and ID.fullmatch(parts[1]):
                yield parts[0], parts[1]
        for value in node.values():
            yield from _references(value, base)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item, base)
