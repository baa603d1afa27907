"""The OBX segments of a document (MDM) → DocumentReference.content: text lines as one, files one by one."""

import base64

from mappings.datatypes.ed import to_attachment
from mappings.datatypes.ei import identifier_of
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("document_content", returns="BackboneElement[]", takes_all=True)
def to_content(segments: list[Segment], context: Context) -> list[Json] | None:
    """All text of a document as one text/plain, every ED and RP as an attachment of its own.

    FHIR demands content; a document that has none in this message says so by its title alone.
    """
    lines: list[str] = []
    found: list[Json] = []
    for segment in segments:
        if segment.raw(2).strip().upper() in ("ED", "RP"):
            attachment = to_attachment(segment, context)
            if attachment:
                found.append({"attachment": attachment})
            continue
        lines.extend(text for part in segment.repetitions(5) if (text := context.text(part).rstrip()))
    if lines:
        data = base64.b64encode("\n".join(lines).encode()).decode()
        whole = {"contentType": "text/plain;charset=utf-8", "data": data}
        found.insert(0, {"attachment": whole})
    return found or [{"attachment": {"title": "-"}}]


@converter("file_name", returns="Identifier", is_cached=True)
def to_file_name(value: str, context: Context) -> Json | None:
    """The unique file name of a document (TXA-16)."""
    text = context.text(value).strip()
    return {"type": {"text": "file name"}, "value": text} if text else None


@converter("parent_document", returns="Reference")
def to_parent(value: str, context: Context) -> Json | None:
    """The document that this one replaces or adds to (TXA-13), as a logical reference."""
    identifier = identifier_of(context.components(value), context)
    return {"type": "DocumentReference", "identifier": identifier} if identifier else None
