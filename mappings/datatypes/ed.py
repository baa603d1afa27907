"""ED, RP in an OBX → Attachment: a document or picture within the message, or a pointer to one."""

import base64

from mappings.datatypes.cwe import concept_of
from mappings.datatypes.extension import filled
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("attachment", returns="Attachment", reads={"OBX": (2, 3, 5)})
def to_attachment(segment: Segment, context: Context) -> Json | None:
    """An OBX of type ED or RP → Attachment: source ^ type ^ subtype ^ encoding ^ data, pointer ^ application ^ type ^ subtype."""
    kind = segment.raw(2).strip().upper()
    if kind not in ("ED", "RP"):
        return None
    value = next((text for text in segment.repetitions(5) if text), "")
    title = (concept_of(context.components(segment.raw(3)), context) or {}).get("text")
    if kind == "ED":
        return _attached(context.components(value), title)
    if value:
        parts = [*(part.strip() for part in context.components(value)), *[""] * 4]
        return filled({"contentType": _media(parts[2], parts[3]), "url": parts[0], "title": title})
    return None


def _attached(components: list[str], title: str | None) -> Json | None:
    parts = [*(part.strip() for part in components), *[""] * 5]
    data, encoding = parts[4], parts[3].upper()
    if not data:
        return None
    if encoding == "HEX":
        try:
            data = base64.b64encode(bytes.fromhex(data)).decode()
        except ValueError:
            return None
    elif encoding != "BASE64":
        data = base64.b64encode(data.encode()).decode()
    return filled({"contentType": _media(parts[1], parts[2]), "data": "".join(data.split()), "title": title})


def _media(kind: str, subtype: str) -> str | None:
    if "/" in subtype:
        return subtype.lower()
    known = {
        "PDF": "application/pdf",
        "JPEG": "image/jpeg",
        "JPG": "image/jpeg",
        "PNG": "image/png",
        "XML": "text/xml",
    }
    known |= {"HTML": "text/html", "RTF": "application/rtf", "TIFF": "image/tiff", "PLAIN": "text/plain"}
    known |= {"X-HL7-CDA-LEVEL-ONE": "application/hl7-cda+xml", "DICOM": "application/dicom"}
    return known.get(subtype.upper()) or (f"{kind.lower()}/{subtype.lower()}" if kind and subtype else None)
