"""OBX-7 → Observation.referenceRange: "3.5-9.5", "<5.2", "≥60", "阴性"."""

from mappings.datatypes.nm import quantity, range_of, unit_of
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("refrange", is_cached=True, returns="BackboneElement[]", reads={"OBX": (6, 7)})
def to_reference_range(segment: Segment, context: Context) -> list[Json] | None:
    """OBX-7: "3.5-9.5", "<5.2", "≥60", "阴性" → low, high and always the text as sent."""
    return ranges(context.text(segment.raw(7)), unit_of(segment.raw(6), context))


def ranges(text: str, unit: Json | None) -> list[Json] | None:
    """Return the reference range that a text tells, in the unit of the result; None for nothing."""
    text = text.strip()
    if not text or text == '""':
        return None
    found: Json = {}
    between = range_of(text, unit)
    if between:
        found = dict(between)
    else:
        limit = quantity(text, unit)
        comparator = limit.pop("comparator", None) if limit else None
        if limit and comparator in ("<", "<="):
            found["high"] = limit
        elif limit and comparator in (">", ">="):
            found["low"] = limit
    return [found | {"text": text}]
