"""$cda: a stored resource as shared document (CDA; WS/T 500, WS/T 483).

GET Composition/[id]/$cda, also of DiagnosticReport, ServiceRequest, MedicationRequest, Encounter (docs/adapters/cda.md).
"""

import asyncio
from collections.abc import Iterator

from gateway.operations.convert import maps_of
from gateway.operations.document import gather
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput

# Composition → Encounter → bed → room → ward → hospital.
DEPTH = 6
MOST_BESIDE = 200
CHARSETS = ("UTF-8", "GB18030", "GBK")


async def cda(request: Request, context: Context) -> Response:
    """Return the document; raises UnmappableMessage (HT-CDA-05 … 07) where there is none, InvalidInput (HT-CDA-08)."""
    charset = (request.param("charset") or "UTF-8").upper()
    if charset not in CHARSETS:
        raise InvalidInput("HT-CDA-08", charset=charset[:40], known=", ".join(CHARSETS))
    version = await current(request, context)
    first, beside = await _document_of(version, context)
    versions = await gather(first, request, context, beside=beside, depth=DEPTH)
    resources = [decode_resource(one.body or b"{}") for one in versions]
    body, media = await asyncio.to_thread(_written, resources, context, charset)
    headers = {"Content-Disposition": f'inline; filename="{first.type}-{first.id}.xml"'}
    return Response(200, content=body, media_type=f"{media}; charset={charset.lower()}", headers=headers)


def _written(resources: list[Json], context: Context, charset: str) -> tuple[bytes, str]:
    from mappings.cda.write import write_document
    from mappings.outbound.compile import Envelope

    envelope = Envelope(id=str(resources[0].get("id", "")), now=context.clock(), charset=charset)
    written = write_document(resources[0], resources[1:], maps_of(context), envelope=envelope)
    return written.body, written.media_type


async def _document_of(version: Version, context: Context) -> tuple[Version, list[Version]]:
    """Return the Composition that holds a resource, else the resource and what belongs to its document."""
    if version.type == "Composition":
        return version, []
    reference = f"{version.type}/{version.id}"
    if version.type != "Encounter":
        held = await _found("Composition", [("entry", reference), ("_sort", "-date")], context)
        if held:
            return held[0], []
    beside: list[Version] = []
    for type, params in _beside(version, reference):
        beside += await _found(type, params, context)
    return version, [one for one in beside if (one.type, one.id) != (version.type, version.id)]


def _beside(version: Version, reference: str) -> Iterator[tuple[str, Params]]:
    if version.type == "ServiceRequest":
        yield "DiagnosticReport", [("based-on", reference)]
    if version.type == "Encounter":
        for type in ("Observation", "Condition", "MedicationRequest", "Procedure"):
            yield type, [("encounter", reference)]
        yield "MedicationStatement", [("context", reference)]
    if version.type == "MedicationRequest":
        group = decode_resource(version.body or b"{}").get("groupIdentifier") or {}
        subject = (decode_resource(version.body or b"{}").get("subject") or {}).get("reference")
        if group.get("value") and subject:
            yield "MedicationRequest", [("subject", str(subject))]


async def _found(type: str, params: Params, context: Context) -> list[Version]:
    query = parse(
        type,
        [*params, ("_count", str(MOST_BESIDE))],
        strict=True,
        parameters=context.parameters,
        max_count=MOST_BESIDE,
    )
    return list((await context.store.search(query)).matches)
