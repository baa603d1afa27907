"""Binary: a file as itself, or wrapped as a resource (https://hl7.org/fhir/R4/binary.html#rest).

Whoever asks for FHIR gets the resource, everyone else the bytes. A large file lies outside the resource's row: its
Base64 isn't kept, the bytes are in the context's blob store under their SHA-256, and the row names them.
"""

import base64
import binascii
import re

from gateway.rest import create as creating
from gateway.rest import update as updating
from gateway.rest.context import Context
from gateway.rest.negotiate import NAMES, accepted, media_type
from gateway.rest.ranges import read_range
from gateway.rest.read import current, is_known
from gateway.rest.request import Request
from gateway.rest.response import Response, version_headers
from gateway.rest.vread import version_of
from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput

MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+\-]{1,127}/[A-Za-z0-9!#$&^_.+\-]{1,127}(\s*;[ -~]{0,200})?", re.ASCII)
FHIR_ONLY = {"application/fhir+json", "application/fhir+xml"}
# Served as a download, whatever it claims to be: a page of a stranger must not run under our origin.
SAFE_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


async def read(request: Request, context: Context) -> Response:
    """GET Binary/[id]"""
    return await _answer(await current(request, context), request)


async def vread(request: Request, context: Context) -> Response:
    """GET Binary/[id]/_history/[version]"""
    return await _answer(await version_of(request, context), request)


async def create(request: Request, context: Context) -> Response:
    """POST Binary: a resource, or the bytes of a file with its media type."""
    _take(request, id=None)
    return await creating.create(request, context)


async def update(request: Request, context: Context) -> Response:
    """PUT Binary/[id]: a resource, or the bytes of a file with its media type."""
    _take(request, id=request.id)
    return await updating.update(request, context)


async def _answer(version: Version, request: Request) -> Response:
    headers = version_headers(version)
    if is_known(version, request):
        return Response(304, headers=headers)
    assert version.body is not None
    if _wants_resource(request):
        if not request.is_nested and "_format" not in request.query:
            request.format = accepted(request.headers["accept"], None)
        return Response(200, stored=version.body, headers=headers)
    resource = decode_resource(version.body)
    try:
        content = base64.b64decode(resource.get("data") or "", validate=False)
    except (ValueError, TypeError, binascii.Error):
        content = b""
    kind = str(resource.get("contentType") or "application/octet-stream")
    headers |= SAFE_HEADERS | {"Accept-Ranges": "bytes"}
    if isinstance(resource.get("securityContext"), dict):
        # binary.html#security-context: the bytes can't carry it, the header does.
        reference = str(resource["securityContext"].get("reference", ""))
        if reference.isascii() and reference.isprintable():
            headers["X-Security-Context"] = reference
    media = kind if MEDIA.fullmatch(kind) else "application/octet-stream"
    return _ranged(content, media, headers, request)


def _ranged(content: bytes, media: str, headers: dict[str, str], request: Request) -> Response:
    fresh = request.headers.get("if-range")
    header = request.headers.get("range") if fresh is None or fresh == headers["ETag"] else None
    try:
        part = read_range(header, len(content))
    except ValueError:
        return Response(416, content=b"", headers=headers | {"Content-Range": f"bytes */{len(content)}"})
    if part is None:
        return Response(200, content=content, media_type=media, headers=headers)
    headers |= {"Content-Range": part.header}
    return Response(206, content=content[part.start : part.end], media_type=media, headers=headers)


def _wants_resource(request: Request) -> bool:
    """binary.html#rest: FHIR media types get the resource; `_format` says the same; anything else the file."""
    if "_format" in request.query or request.is_nested:
        return True
    accept = request.headers.get("accept", "")
    kinds = {media_type(part) for part in accept.split(",")}
    return bool(kinds & FHIR_ONLY)


def _take(request: Request, *, id: str | None) -> None:
    """Put a file that came as itself into a Binary resource."""
    kind = request.headers.get("content-type", "")
    if request.resource is not None or media_type(kind) in FHIR_ONLY or not kind:
        return
    if media_type(kind) in NAMES and _looks_wrapped(request.body):
        return
    if not MEDIA.fullmatch(kind):
        raise InvalidInput(
            "HT-REST-15",
            name="Content-Type",
            value=kind[:80],
            expected_zh="媒体类型",
            expected_en="a media type",
        )
    wrapped: Json = {"resourceType": "Binary", "contentType": kind}
    if id is not None:
        wrapped["id"] = id
    reference = request.headers.get("x-security-context")
    if reference:
        wrapped["securityContext"] = {"reference": reference}
    if request.body:
        wrapped["data"] = base64.b64encode(request.body).decode("ascii")
    request.resource = wrapped


def _looks_wrapped(body: bytes) -> bool:
    """A plain application/json or xml body may be the wrapped form or a JSON file; the wrapped one says what it is."""
    head = body[:400]
    return (b'"resourceType"' in head and b'"Binary"' in head) or b"<Binary" in head
