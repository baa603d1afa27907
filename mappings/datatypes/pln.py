"""PLN → Identifier: the number of a practitioner's licence ^ type ^ state or other information ^ expiry."""

from mappings.datatypes.dtm import period
from mappings.datatypes.extension import filled
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0338"


@converter("pln", returns="Identifier", is_cached=True)
def to_identifier(value: str, context: Context) -> Json | None:
    parts = [*(part.strip() for part in context.components(value)), *[""] * 6]
    if not parts[0]:
        return None
    return filled(
        {
            "type": {"coding": [{"system": _TYPES, "code": parts[1]}]} if parts[1] else None,
            "value": parts[0],
            "period": period(parts[4], parts[3] or parts[5], context),
        }
    )
