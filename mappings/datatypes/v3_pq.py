"""PQ, IVL_PQ, RTO, INT, REAL → Quantity, Range, Ratio; digits as sent, units → UCUM.

https://hl7.org/fhir/R4/datatypes.html#Quantity
"""

from mappings.datatypes.nm import number, quantity, range_of
from mappings.datatypes.units import UCUM, ucum_of
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json


@converter("pq", returns="Quantity")
def to_quantity(value: Element | str, context: Context, unit: str = "") -> Json | None:
    """A value with its unit; `unit`: of senders that leave it out. A text that is no number is flagged."""
    said = value if isinstance(value, str) else value.own_text()
    if not said:
        return None
    given = unit if isinstance(value, str) else value.get("unit") or unit
    found = quantity(said, unit_of(given))
    if found is None:
        context.flag("HT-MAP-41", value=said[:60], type="Quantity")
    return found


@converter("ivl_pq", returns="Range")
def to_range(value: Element | str, context: Context, unit: str = "") -> Json | None:
    """low … high, or a text such as 3.5-9.5."""
    if isinstance(value, str):
        return range_of(value, unit_of(unit))
    found: Json = {}
    for name in ("low", "high"):
        end = value.first(name)
        if (
            end is not None
            and (text := end.own_text())
            and (made := quantity(text, unit_of(end.get("unit"))))
        ):
            found[name] = {key: part for key, part in made.items() if key != "comparator"}
    return found or (
        range_of(value.own_text(), unit_of(value.get("unit") or unit)) if value.own_text() else None
    )


def ratio(value: Element, context: Context) -> Json | None:
    """Return the Ratio of an RTO."""
    found: Json = {}
    for name in ("numerator", "denominator"):
        part = value.first(name)
        if part is not None and (made := quantity(part.own_text(), unit_of(part.get("unit")))):
            found[name] = made
    return found if len(found) == 2 else None


def unit_of(text: str) -> Json | None:
    """Return the unit elements of a Quantity; 1 is UCUM's unity and is no unit to read."""
    text = text.strip()
    if not text or text == "1":
        return None
    code = ucum_of(text)
    return {"unit": text, "system": UCUM, "code": code} if code else {"unit": text}


def numeric(text: str) -> bool:
    """Tell whether a text is a number."""
    return number(text) is not None
