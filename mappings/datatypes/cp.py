"""CP, MO → Money: price (amount & currency) ^ type ^ … ."""

from mappings.datatypes.extension import filled
from mappings.datatypes.nm import number
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json


@converter("money", returns="Money", is_cached=True)
def to_money(value: str, context: Context) -> Json | None:
    """CP, MO, or a bare amount, which is in yuan when the currency isn't told."""
    first = context.subcomponents(value, 1)
    parts = context.components(value)
    currency = first[1] if len(first) > 1 else parts[1] if len(parts) > 1 and len(parts[1]) == 3 else ""
    amount = number(first[0])
    if amount is None:
        if first[0].strip():
            context.flag("HT-DT-03", value=first[0][:60])
        return None
    return filled({"value": amount, "currency": currency.upper() or "CNY"})
