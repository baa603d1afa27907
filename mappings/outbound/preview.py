"""What a map that runs back would write, for people: the message, and where each of its values came from."""

from base64 import b64encode
from datetime import datetime
from typing import Any

import msgspec

from mappings.language.active import ActiveMaps
from mappings.language.sources.focus import Focus
from mappings.outbound.charset import writing_codec
from mappings.outbound.compile import Envelope, Written
from terminology.fhirjson import Json, decode
from terminology.issues import MalformedMessage

_TRACE_LIMIT = 5000


def write_preview(
    body: bytes, maps: ActiveMaps, name: str, *, now: datetime, explain: bool = False
) -> Written:
    """Return what the map `name` writes about the focus of a Bundle (or a lone resource) in JSON.

    Raises MalformedMessage (HT-MAP-36) when the bytes are no such thing, InvalidInput when the map can't start from it.
    """
    map = maps.outbound(name)
    try:
        bundle: Any = decode(body)
    except msgspec.DecodeError as error:
        raise MalformedMessage("HT-MAP-36", format="FHIR JSON", reason=str(error)[:120]) from None
    if not isinstance(bundle, dict):
        raise MalformedMessage("HT-MAP-36", format="FHIR JSON", reason="a Bundle or resource is needed")
    focus = Focus.of_bundle(bundle, "|".join(map.focus))
    return map.write(
        focus, Envelope(id="PREVIEW", now=now), maps.translator, sender=maps.sender, explain=explain
    )


def preview_written(written: Written) -> list[Json]:
    """Return Parameters rows: `return` (the message as Binary) and `message` with what is known about it."""
    parts: list[Json] = [
        {"name": "mapping", "valueString": written.mapping},
        {"name": "version", "valueString": written.version},
        {"name": "charset", "valueString": written.charset},
        {"name": "text", "valueString": as_text(written)},
    ]
    for leaf in (written.trace or ())[:_TRACE_LIMIT]:
        row: list[Json] = [
            {"name": "path", "valueString": leaf.path},
            {"name": "line", "valueString": leaf.line},
        ]
        row += [{"name": "source", "valueString": source} for source in leaf.sources]
        parts.append({"name": "trace", "part": row})
    for missed in dict.fromkeys(written.unmapped):
        coding = {"code": missed.code, "display": missed.display}
        given = {key: value for key, value in coding.items() if value}
        parts.append(
            {
                "name": "unmapped",
                "part": [
                    {"name": "domain", "valueString": missed.domain},
                    {"name": "coding", "valueCoding": given},
                    {"name": "source", "valueString": missed.source or "-"},
                ],
            }
        )
    data = b64encode(written.body).decode()
    binary = {"resourceType": "Binary", "contentType": written.media_type, "data": data}
    return [{"name": "return", "resource": binary}, {"name": "message", "part": parts}]


def as_text(written: Written) -> str:
    """Return the message as people read it: one segment a line."""
    text = written.body.decode(writing_codec(written.charset) or "utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
