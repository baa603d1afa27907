"""Equipment told by a code (AIG-3) → Device."""

from mappings.datatypes.cwe import concept_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("device_code", returns="Reference")
def to_reference(value: str, context: Context) -> Json | None:
    """The reference to a Device made of code ^ name."""
    parts = [*(part.strip() for part in context.components(value)), "", ""]
    name = parts[1] or parts[0]
    concept = concept_of(parts, context)
    if not name or concept is None:
        return None
    identifier = [{"value": parts[0]}] if parts[0] and parts[1] else []
    body: Json = {
        **({"identifier": identifier} if identifier else {}),
        "deviceName": [{"name": name, "type": "user-friendly-name"}],
    }
    return {**context.make("Device", ("code", parts[0], parts[1]), body), "display": name}
