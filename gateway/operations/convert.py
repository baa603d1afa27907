"""$convert: what a message would become, without storing anything; every value tells its map line and source fields.

`POST /fhir/$convert?adapter=NAME`, the message itself as body. `adapter` is a format (hl7v2, json, table, aecg, …), the
name of a map, or absent: then the first bytes decide. With the name of a map that runs back, the body is a Bundle and
the answer the message that would be sent. `waveform=true`: an ECG's Observation holds its samples.
"""

import weakref
from datetime import UTC, datetime
from typing import Any

from gateway.rest.context import Context
from gateway.rest.outcomes import outcome
from gateway.rest.request import Request
from gateway.rest.response import Response
from mappings.convert import convert as convert_bytes
from mappings.language.active import ActiveMaps
from mappings.language.preview import preview
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

# A preview is for people: a batch or sheet shows its first messages only.
MESSAGES_SHOWN = 20

_default_maps: weakref.WeakKeyDictionary[Context, ActiveMaps] = weakref.WeakKeyDictionary()


async def convert(request: Request, context: Context) -> Response:
    if not request.body:
        raise InvalidInput(
            "HT-MAP-36", format=request.param("adapter") or "HL7 v2", reason="the body is empty"
        )
    adapter = request.param("adapter") or ""
    if adapter and maps_of(context).is_outbound(adapter):
        return _written(request, context, adapter)
    results = list(
        convert_bytes(
            request.body,
            maps_of(context),
            adapter=adapter,
            explain=True,
            limit=MESSAGES_SHOWN,
            waveform=_flag(request, "waveform"),
        )
    )
    parameters: list[Json] = []
    for result in results:
        parameters += preview(result, base=request.base)
        if result.issues:
            told = outcome(result.issues, request, docs=context.docs)
            parameters[-1]["part"].append({"name": "issues", "resource": told})
    return Response(resource={"resourceType": "Parameters", "parameter": parameters})


def _written(request: Request, context: Context, name: str) -> Response:
    """What a map that runs back would write about the Bundle in the body."""
    from mappings.outbound.preview import preview_written, write_preview

    now = datetime.now(UTC).astimezone()
    written = write_preview(request.body, maps_of(context), name, now=now, explain=True)
    parameters = preview_written(written)
    if written.issues:
        told = outcome(written.issues, request, docs=context.docs)
        parameters[-1]["part"].append({"name": "issues", "resource": told})
    return Response(resource={"resourceType": "Parameters", "parameter": parameters})


def _flag(request: Request, name: str) -> bool:
    text = request.param(name) or "false"
    if text not in ("true", "false"):
        raise InvalidInput("HT-ECG-31", name=name, value=text[:40])
    return text == "true"


def maps_of(context: Context) -> ActiveMaps:
    """Return the gateway's maps; a context built without (a library's, a test's) has the shipped ones."""
    given: Any = context.maps
    if isinstance(given, ActiveMaps):
        return given
    if context not in _default_maps:
        _default_maps[context] = ActiveMaps()
    return _default_maps[context]
