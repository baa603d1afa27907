"""A result of a sheet or view → the value of an Observation; its unit stands in a column of its own."""

import re
from typing import Any

from mappings.datatypes.nm import quantity, unit_of
from mappings.language.converters import Context, converter

_NUMBER = re.compile(r"[<>≤≥＜＞]?=?\s*[+-]?\d+(?:\.\d+)?")


@converter("row_value", returns="[x]", is_cached=True, takes_text=True)
def to_value(value: str, context: Context) -> tuple[str, Any] | None:
    """`jg + "\\t" + dw | row_value`: a number (also `<0.5`) is a Quantity with its unit, anything else a string."""
    text, _, unit = (part.strip() for part in value.partition("\t"))
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        found = quantity(text, unit_of(unit, context) if unit else None)
        if found is not None:
            return "Quantity", found
    return "string", text
