"""Location and the places around it → PL: point of care ^ room ^ bed ^ facility ^ status ^ type ^ building ^ floor."""

from typing import Any

from mappings.language.converters import Context, converter
from mappings.outbound.types.codes import system_name
from mappings.outbound.types.identifiers import hd_of, type_of
from terminology.fhirjson import Json

Parts = tuple[Any, ...]

_COMPONENTS = {"wa": 1, "ro": 2, "bd": 3, "si": 4, "bu": 7, "lvl": 8}
_DEPTH = 8


@converter("to_pl", returns="v2")
def to_pl(value: Any, context: Context) -> Parts | None:
    """`location[1].location | to_pl`: the place and those around it (partOf), each in its component."""
    place = value if isinstance(value, dict) and value.get("resourceType") else context.message.resolve(value)
    if place is None or place.get("resourceType") != "Location":
        display = value.get("display") if isinstance(value, dict) else None
        return ("", "", "", "", "", "", "", "", str(display)) if display else None
    made: list[Any] = [""] * 9
    made[5] = next((code for row in place.get("type", ()) if (code := _code(row))), "")
    made[8] = str(place.get("description") or "")
    step: Json | None = place
    for _ in range(_DEPTH):
        if step is None:
            break
        number = _COMPONENTS.get(_code(step.get("physicalType") or {}))
        if number is not None:
            made[number - 1] = _subcomponents(step)
        step = context.message.resolve(step.get("partOf"))
    if not any(made):
        return ("", "", "", "", "", "", "", "", str(place.get("name") or "")) if place.get("name") else None
    return tuple(made)


def _subcomponents(place: Json) -> Any:
    """Return number & name (020101&心血管内科), or the HD of a place that has a universal id."""
    name = str(place.get("name") or "")
    rows = [row for row in place.get("identifier", ()) if row.get("system") != "urn:ietf:rfc:3986"]
    if any(type_of(row) for row in rows):
        return hd_of(place)
    first = str(rows[0].get("value") or "") if rows else ""
    return (first, name) if first and name and first != name else first or name


def _code(concept: Json) -> str:
    return next((str(row["code"]) for row in concept.get("coding", ()) if row.get("code")), "")


@converter("place_code", returns="v2")
def to_place_code(value: Json, context: Context) -> Parts | None:
    """`hospitalization.destination->Location | place_code`: a kind of place as DLD: code & name & system."""
    row = next((one for kind in value.get("type", ()) for one in kind.get("coding", ())), None)
    if row is None:
        return None
    return (
        (str(row.get("code") or ""), str(row.get("display") or ""), system_name(row.get("system"), context)),
    )
