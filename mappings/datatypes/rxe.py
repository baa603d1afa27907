"""Amounts of RXE → Quantity, Range: what to give, how fast, how much to hand over."""

from typing import Any

from mappings.datatypes.extension import filled
from mappings.datatypes.nm import quantity, unit_of
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("give_amount", returns="Quantity", reads={"RXE": (3, 5)})
def to_give_amount(segment: Segment, context: Context) -> Json | None:
    """RXE-3 (minimum) in units of RXE-5."""
    return _amount(segment, 3, 5, context)


@converter("give_rate", returns="Quantity", reads={"RXE": (23, 24)})
def to_give_rate(segment: Segment, context: Context) -> Json | None:
    """RXE-23 in units of RXE-24."""
    return _amount(segment, 23, 24, context)


@converter("dispense_amount", returns="Quantity", reads={"RXE": (10, 11)})
def to_dispense_amount(segment: Segment, context: Context) -> Json | None:
    """RXE-10 in units of RXE-11."""
    return _amount(segment, 10, 11, context)


def _amount(segment: Segment, value: int, unit: int, context: Context) -> Json | None:
    text = context.components(segment.raw(value))[0] if segment.raw(value) else ""
    if not text.strip():
        return None
    found: dict[str, Any] | None = quantity(text, unit_of(segment.raw(unit), context))
    if found is None:
        context.flag("HT-DT-03", value=text[:60])
        return None
    # A SimpleQuantity has no comparator.
    return filled({key: part for key, part in found.items() if key != "comparator"})
