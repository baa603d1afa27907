"""The file that a device record came in → Attachment, its bytes in a Binary of their own."""

from mappings.datatypes.extension import filled
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("stored_file", returns="Attachment")
def to_attachment(value: Json, context: Context, title: str = "") -> Json | None:
    """`file | stored_file`: content type, size and hash here, the bytes in a Binary that the URL names.

    `value`: the record's block with `media_type`, `data` (Base64), `size`, `hash` (SHA-1) and `sha256`.
    """
    if not isinstance(value, dict) or not value.get("data"):
        return None
    body = {"contentType": value["media_type"], "data": value["data"]}
    made = context.make("Binary", ("sha256", value["sha256"]), body)
    return filled(
        {
            "contentType": value["media_type"],
            "url": made["reference"],
            "size": value["size"],
            "hash": value["hash"],
            "title": title or None,
        }
    )
