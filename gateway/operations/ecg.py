"""$ecg-svg and $ecg-waveform: the tracing of a stored ECG as a drawing, and as SampledData.

The waveform is kept once, as the original file (DocumentReference + Binary); both are made of it on demand. An
Observation that holds its leads itself is drawn from them.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, cast

from gateway.operations.convert import maps_of
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, InvalidInput, NotFound, UnmappableMessage

if TYPE_CHECKING:
    from mappings.ecg.convert import Examined
    from mappings.ecg.draw import Chart
    from mappings.ecg.recording import Measurement, Recording

SVG = "image/svg+xml"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}
MOST_FOLLOWED = 20


async def svg(request: Request, context: Context) -> Response:
    """GET [type]/[id]/$ecg-svg?layout=3x4+1&speed=25&gain=10&language=zh&anonymous=false"""
    chart = _chart(request)
    body = decode_resource((await current(request, context)).body or b"{}")
    recording = await _recording(body, request, context)
    from mappings.ecg.draw import draw

    text = await asyncio.to_thread(draw, recording, chart)
    return Response(200, content=text.encode(), media_type=SVG, headers=dict(HEADERS))


async def waveform(request: Request, context: Context) -> Response:
    """GET [type]/[id]/$ecg-waveform: the ECG Observation with SampledData of every lead."""
    body = decode_resource((await current(request, context)).body or b"{}")
    async for observation in _observations(body, request, context):
        if _has_leads(observation):
            return Response(200, resource=observation)
        examined = await _examined(observation, request, context)
        if examined is not None:
            return Response(200, resource=await _completed(observation, examined, context))
    examined = await _examined(body, request, context)
    if examined is None:
        raise NotFound("HT-ECG-30", reference=f"{request.type}/{request.id}")
    made = await _completed({}, examined, context)
    return Response(200, resource={**made, **({"subject": body["subject"]} if "subject" in body else {})})


async def _completed(observation: Json, examined: "Examined", context: Context) -> Json:
    """Return the stored Observation with the leads of its file before its measurements; {} takes the map's own."""
    from mappings.ecg.convert import convert_ecg, day_of
    from mappings.ecg.quality import has_waveform

    if not has_waveform(examined.recording, day=day_of(examined.recording)):
        raise UnmappableMessage(
            [issue for issue in examined.issues if issue.code == "HT-ECG-08"] or examined.issues
        )
    result = await asyncio.to_thread(convert_ecg, examined, maps_of(context), waveform=True)
    made = next(entry.resource for entry in result.entries if entry.type == "Observation")
    if not observation:
        return made
    leads = [row for row in made["component"] if "valueSampledData" in row]
    return {**observation, "component": [*leads, *observation.get("component", ())]}


async def _recording(body: Json, request: Request, context: Context) -> "Recording":
    async for observation in _observations(body, request, context):
        if _has_leads(observation):
            return await _of_components(observation, context)
        examined = await _examined(observation, request, context)
        if examined is not None:
            return examined.recording
    examined = await _examined(body, request, context)
    if examined is None:
        raise NotFound("HT-ECG-30", reference=f"{request.type}/{request.id}")
    return examined.recording


async def _observations(body: Json, request: Request, context: Context) -> AsyncIterator[Json]:
    """Yield the Observation itself, or the results of a report."""
    if body["resourceType"] == "Observation":
        yield body
    for row in body.get("result", ())[:MOST_FOLLOWED]:
        found = await _read(row.get("reference"), "Observation", request, context)
        if found is not None:
            yield found


async def _examined(body: Json, request: Request, context: Context) -> "Examined | None":
    """Return the first ECG file that a resource leads to: its own content, or that of a document it comes from."""
    documents = [body] if body["resourceType"] == "DocumentReference" else []
    for row in body.get("derivedFrom", ())[:MOST_FOLLOWED]:
        found = await _read(row.get("reference"), "DocumentReference", request, context)
        if found is not None:
            documents.append(found)
    attachments = [
        row.get("attachment") or {} for document in documents for row in document.get("content", ())
    ]
    attachments += body.get("presentedForm", ())
    for attachment in attachments[:MOST_FOLLOWED]:
        examined = await _of_attachment(attachment, request, context)
        if examined is not None:
            return examined
    return None


async def _of_attachment(attachment: Json, request: Request, context: Context) -> "Examined | None":
    from mappings.ecg.convert import examine
    from mappings.ecg.formats import format_of

    data = attachment.get("data")
    if not data:
        binary = await _read(attachment.get("url"), "Binary", request, context)
        data = binary.get("data") if binary is not None else None
    if not isinstance(data, str):
        return None
    try:
        raw = base64.b64decode(data, validate=False)
    except (ValueError, binascii.Error):
        return None
    if format_of(raw) is None:
        return None
    return await asyncio.to_thread(examine, raw)


async def _read(reference: object, type: str, request: Request, context: Context) -> Json | None:
    """Return the current body of a local reference of this type."""
    if not isinstance(reference, str):
        return None
    parts = reference.removeprefix(f"{request.base}/").split("/")
    if parts[0] != type or len(parts) < 2:
        return None
    version = await context.store.read(type, parts[1])
    return decode_resource(version.body) if version is not None and version.body is not None else None


def _has_leads(observation: Json) -> bool:
    return any("valueSampledData" in row for row in observation.get("component", ()) if isinstance(row, dict))


async def _of_components(observation: Json, context: Context) -> "Recording":
    """The leads of an Observation with what stands around them: measurements, time, patient."""
    from mappings.ecg.recording import Person
    from mappings.ecg.sampled_data import read_components

    recording = await asyncio.to_thread(read_components, observation)
    assert recording is not None
    reference = str((observation.get("subject") or {}).get("reference", ""))
    type, _, id = reference.rpartition("/")
    version = await context.store.read("Patient", id) if type.endswith("Patient") else None
    patient = decode_resource(version.body) if version is not None and version.body is not None else {}
    start = str(observation.get("effectiveDateTime", ""))
    return replace(
        recording,
        start="".join(character for character in start[:19] if character.isdigit()),
        measurements=tuple(_measurements(observation)),
        patient=Person(
            id=next((str(row.get("value", "")) for row in patient.get("identifier", ())), ""),
            name=next((str(row.get("text", "")) for row in patient.get("name", ())), ""),
            sex={"male": "M", "female": "F"}.get(patient.get("gender", ""), ""),
        ),
    )


def _measurements(observation: Json) -> "list[Measurement]":
    from mappings.ecg.codes import codes
    from mappings.ecg.recording import Measurement

    names = {(codes().mdc, row.mdc): name for name, row in codes().measurements.items()}
    names |= {("http://loinc.org", row.loinc): name for name, row in reversed(codes().measurements.items())}
    found: dict[str, Measurement] = {}
    for row in observation.get("component", ()):
        value = (row.get("valueQuantity") or {}).get("value")
        for coding in (row.get("code") or {}).get("coding", ()):
            name = names.get((coding.get("system"), coding.get("code")))
            if name and value is not None:
                try:
                    found.setdefault(name, Measurement(name, Decimal(str(value))))
                except InvalidOperation:
                    continue
                break
    return [found[name] for name in codes().measurements if name in found]


def _chart(request: Request) -> "Chart":
    """Return the options of a drawing; raises InvalidInput (HT-ECG-31) with every one that doesn't fit."""
    from mappings.ecg.draw import GAINS, LAYOUTS, SPEEDS, Chart, Language, Layout

    issues: list[FhirError] = []

    def chosen(name: str, allowed: tuple[object, ...], default: object) -> str:
        # A "+" in a query is a blank.
        text = (request.param(name) or str(default)).replace(" ", "+")
        if text not in {str(value) for value in allowed}:
            issues.append(InvalidInput("HT-ECG-31", name=name, value=text[:40]))
            return str(default)
        return text

    language = "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh"
    chart = Chart(
        layout=cast(Layout, chosen("layout", LAYOUTS, "3x4+1")),
        speed=int(chosen("speed", SPEEDS, 25)),
        gain=int(chosen("gain", GAINS, 10)),
        language=cast(Language, chosen("language", ("zh", "en"), language)),
        is_anonymous=chosen("anonymous", ("true", "false"), "false") == "true",
    )
    if issues:
        raise InvalidInput([issue for error in issues for issue in error.issues])
    return chart
