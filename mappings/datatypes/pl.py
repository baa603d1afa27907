"""PL, NDL's place, LA1/LA2, DLD → Location: point of care ^ room ^ bed ^ facility ^ status ^ type ^ building ^ floor ^ … .

Each level is a Location within the next larger one: facility (si), building (bu), floor (lvl), ward (wa), room (ro),
bed (bd). The reference is to the smallest.
"""

from mappings.datatypes.cwe import codings_of
from mappings.datatypes.ei import identifier_of
from mappings.datatypes.extension import filled
from mappings.datatypes.hd import Authority, identifiers_of, name_of, organization_of, read
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

PHYSICAL = "http://terminology.hl7.org/CodeSystem/location-physical-type"
# Component of PL → physical type, from the large to the small.
_LEVELS = ((4, "si"), (7, "bu"), (8, "lvl"), (1, "wa"), (2, "ro"), (3, "bd"))
_STATUS = {
    "active": "active",
    "suspended": "suspended",
    "inactive": "inactive",
    "a": "active",
    "c": "inactive",
}


@converter("location", returns="Reference", by_sender=True)
def to_reference(value: str, context: Context) -> Json | None:
    """The reference to the smallest place that a PL names; its larger places are made too."""
    levels = [
        (code, place)
        for number, code in _LEVELS
        if not (place := read(context.subcomponents(value, number))).is_empty
    ]
    parts = [*(part.strip() for part in context.components(value)), *[""] * 11]
    if not levels and not parts[8] and not parts[9]:
        return None
    parent: Json | None = None
    key: tuple[str, ...] = ()
    for number, (code, place) in enumerate(levels):
        key = (*key, code, place.name or place.universal, place.universal)
        body = _body(place, code, parent)
        if number == len(levels) - 1:
            details = _details(value, parts, context)
            body |= details | {"identifier": body.get("identifier", []) + details.get("identifier", [])}
        parent = context.make("Location", key, body)
    if parent is None:
        body = {"mode": "instance"} | _details(value, parts, context)
        return {
            **context.make("Location", ("text", parts[8], parts[9]), body),
            "display": parts[8] or parts[9],
        }
    return {**parent, "display": " ".join(name_of(place) for _, place in levels)}


@converter("location_hd", returns="Reference", by_sender=True)
def to_reference_of_hd(value: str, context: Context) -> Json | None:
    """The reference to the site that an HD names."""
    return location_of(read(context.components(value)), context)


def location_of(place: Authority, context: Context) -> Json | None:
    """Return the reference to a site; None when the HD says nothing."""
    if place.is_empty:
        return None
    return context.make(
        "Location", ("si", place.name or place.universal, place.universal), _body(place, "si", None)
    )


@converter("location_dld", returns="Reference", by_sender=True)
def to_destination(value: str, context: Context) -> Json | None:
    """DLD: discharge to location (a code with subcomponents) ^ effective date."""
    codings = codings_of(context.subcomponents(value, 1), context)
    if not codings:
        return None
    first = codings[0]
    body: Json = {"mode": "kind", "type": [{"coding": codings}]} | (
        {"name": first["display"]} if "display" in first else {}
    )
    return context.make("Location", ("dld", first.get("system", ""), first.get("code", "")), body)


@converter("location_code", returns="Reference", by_sender=True)
def to_reference_of_code(value: str, context: Context) -> Json | None:
    """The reference to a place told by code ^ name (OBR-48's like): ORC-33 and others."""
    parts = [*(part.strip() for part in context.components(value)), ""]
    name = parts[1] or parts[0]
    if not name:
        return None
    body = (
        filled({"identifier": [{"value": parts[0]}] if parts[1] else None, "mode": "instance", "name": name})
        or {}
    )
    return {**context.make("Location", ("code", parts[0], parts[1]), body), "display": name}


def _body(place: Authority, code: str, parent: Json | None) -> Json:
    name = name_of(place)
    # 020101&心血管内科: the second part is the name, not a universal id.
    known = Authority(place.name, "", "") if name == place.universal and place.name else place
    return (
        filled(
            {
                "identifier": identifiers_of(known),
                "name": name,
                "mode": "instance",
                "physicalType": {"coding": [{"system": PHYSICAL, "code": code}]},
                "partOf": parent,
            }
        )
        or {}
    )


def _details(value: str, parts: list[str], context: Context) -> Json:
    whole = (
        identifier_of([part.strip() for part in context.subcomponents(value, 10)], context)
        if parts[9]
        else None
    )
    assigner = read(context.subcomponents(value, 11))
    if whole is not None and not assigner.is_empty:
        whole = {**whole, "assigner": organization_of(assigner, context)}
    kind = parts[5]
    return (
        filled(
            {
                "identifier": [whole] if whole else None,
                "status": _STATUS.get(parts[4].lower()),
                "description": parts[8],
                "type": [
                    {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0305", "code": kind}]}
                ]
                if kind and " " not in kind
                else [{"text": kind}]
                if kind
                else None,
            }
        )
        or {}
    )
