"""ED → Attachment: a document or picture inside the message, or the address of one."""

import base64
import binascii
import hashlib

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


def is_base64_text(text: str, least: int = 16) -> bool:
    """Tell whether a text can only be Base64: long enough, whole, and nothing but its letters."""
    whole = "".join(text.split())
    if len(whole) < least or len(whole) % 4:
        return False
    try:
        base64.b64decode(whole, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


@converter("v3_document", returns="Attachment")
def to_document(
    value: Element | str, context: Context, media: str = "text/xml", title: str = ""
) -> Json | None:
    """A document of a registration: its bytes become a Binary as they are, the Attachment points to it.

    `media` and `title` of senders that name none; a `mimeType` of the element counts.
    """
    if isinstance(value, str):
        return _kept(encoded(value), media, title, context)
    inner = value.first("Content") or value.first("content") or value.first("Document") or value
    pointer = value.first("reference")
    address = value.get("href") or value.get("url") or (pointer.get("value") if pointer is not None else "")
    kind = value.get("mimeType") or value.get("mediaType") or inner.get("mimeType") or media
    text = inner.content() if pointer is None else ""
    if not text:
        return filled({"contentType": kind, "url": address, "title": title}) if address else None
    # Short data is taken for Base64 only when it says so.
    is_base64 = is_base64_text(text, least=4 if value.get("representation").upper() == "B64" else 16)
    data = "".join(text.split()) if is_base64 else base64.b64encode(text.encode()).decode()
    return _kept(data, kind, value.get("title") or title or _submitted_title(value), context)


def _submitted_title(element: Element) -> str:
    root = element
    while root.parent is not None:
        root = root.parent
    found = root.down("RegistryPackage", "SubmissionSet", "Title")
    return found.own_text() if found is not None else ""


def _kept(data: str, media: str, title: str, context: Context) -> Json:
    raw = base64.b64decode(data)
    made = context.make(
        "Binary", ("content", hashlib.sha256(raw).hexdigest()), {"contentType": media, "data": data}
    )
    found = {
        "contentType": media,
        "url": made["reference"],
        "size": len(raw),
        "hash": base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode(),
        "title": title,
    }
    return filled(found) or {}
