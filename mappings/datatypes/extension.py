"""Standard extensions that carry what R4 has no element for, and ours for what nobody has."""

from typing import Any

from mappings.language.result import INVALID_IDENTIFIER
from terminology.fhirjson import Json

HL7 = "http://hl7.org/fhir/StructureDefinition/"
HUTONG = "https://hutong.health/fhir/StructureDefinition/"

INVALID = INVALID_IDENTIFIER
"""On an Identifier: the number fails its check (valueCode is the HT-ID code); it identifies nobody."""
ORIGINAL = f"{HUTONG}original-value"
"""The sender's own text where the stored value was made uniform."""
ABSENT = f"{HL7}data-absent-reason"


def extension(url: str, kind: str, value: Any) -> Json:
    """Return an extension with `value[kind]`; `url` is a name of HL7's when it isn't absolute."""
    return {"url": url if ":" in url else HL7 + url, f"value{kind}": value}


def filled(resource: Json) -> Json | None:
    """Return `resource` without its None, "", [] and {} members; None when nothing is left."""
    kept = {
        key: value
        for key, value in resource.items()
        if value or (value is not None and value not in ("", [], {}))
    }
    return kept or None
