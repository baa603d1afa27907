"""The value of an extension, for converters."""

from terminology.fhirjson import Json


def extension_text(element: Json, url: str) -> str:
    """Return the value of an element's extension as text, "" when it has none."""
    for row in element.get("extension", ()):
        if row.get("url") == url:
            return next((str(value) for key, value in row.items() if key.startswith("value")), "")
    return ""
