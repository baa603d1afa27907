"""Result records of ASTM E1394 → value and reference range, by what is really there (LIS02-A2 §9.4)."""

from typing import Any

from mappings.datatypes.nm import quantity, range_of, unit_of
from mappings.datatypes.refrange import ranges
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("astm_value", is_cached=True, returns="[x]", reads={"R": (4, 5)})
def to_value(segment: Segment, context: Context) -> tuple[str, Any] | None:
    """R-4 with the unit of R-5: a number (also ">200", "８．１") is a Quantity, "3-5" a Range, words stay words."""
    text = context.text(segment.raw(4)).strip()
    if not text:
        return None
    unit = unit_of(segment.raw(5), context)
    if found := quantity(text, unit):
        return "Quantity", found
    if between := range_of(text, unit):
        return "Range", between
    # Some devices put a flag or dilution behind the number: 5.1^P.
    first = context.components(segment.raw(4))[0].strip()
    if first != text and (found := quantity(first, unit)):
        return "Quantity", found
    return "string", text


@converter("astm_range", is_cached=True, returns="BackboneElement[]", reads={"R": (5, 6)})
def to_range(segment: Segment, context: Context) -> list[Json] | None:
    """R-6: "3.5-9.5", "^3.5^9.5" and "3.5^9.5" (some devices use components) → low, high and the text as sent."""
    parts = [part.strip() for part in context.components(segment.raw(6)) if part.strip()]
    text = "-".join(parts) if len(parts) == 2 else context.text(segment.raw(6))
    return ranges(text, unit_of(segment.raw(5), context))
