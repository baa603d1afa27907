"""ED → Attachment: a document or picture inside the message, or the address of one."""

import base64
import binascii

from mappings.datatypes.extension import filled
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json


@converter("v3_attachment", returns="Attachment")
def to_attachment(value: Element | str, context: Context, media: str = "") -> Json | None:
    """`media`: the content type of senders that name none. The bytes stay as they are, whatever they are."""
    if isinstance(value, str):
        return filled({"contentType": media, "data": encoded(value)})
    reference = value.first("reference")
    data = value.first("data")
    text = (data if data is not None else value).content()
    kind = value.get("mediaType") or media
    if reference is not None and not text:
        return filled({"contentType": kind, "url": reference.own_text()})
    if not text:
        return None
    is_base64 = data is not None or value.get("representation").upper() == "B64" or is_base64_text(text)
    return filled({"contentType": kind, "data": "".join(text.split()) if is_base64 else encoded(text)})


def encoded(text: str) -> str:
    """Return the Base64 of a text, or the text itself when it is Base64 already."""
    return "".join(text.split()) if is_base64_text(text) else base64.b64encode(text.encode()).decode()


def is_base64_text(text: str) -> bool:
    """Tell whether a text can only be Base64: long enough, whole, and nothing but its letters."""
    whole = "".join(text.split())
    if len(whole) < 16 or len(whole) % 4:
        return False
    try:
        base64.b64decode(whole, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
