"""Parameters that are no element: `_id`, `_lastUpdated`, `_list`, `near` (https://hl7.org/fhir/R4/search.html#special)."""

from decimal import Decimal

from gateway.search import date
from gateway.search.escape import split
from gateway.search.quantity import to_number
from gateway.search.query import All, AnyOf, Condition, Has, Id, Near, Paths, Updated
from gateway.search.reference import ID
from terminology.issues import InvalidInput

KILOMETRES = {
    "km": Decimal(1),
    "m": Decimal("0.001"),
    "[mi_i]": Decimal("1.609344"),
    "mi": Decimal("1.609344"),
}
DEFAULT_KM = Decimal(10)
"""The specification leaves the distance to the server when it is not given; a township is about this wide."""


def parse_id(text: str) -> Condition:
    """An id that breaks the grammar of ids is no error, it is nowhere."""
    return Id((text,)) if ID.fullmatch(text) else AnyOf(())


def parse_updated(text: str, *, offset_minutes: int, now: int) -> Condition:
    try:
        return Updated(*date.bounds(text, offset_minutes, now))
    except (ValueError, OverflowError):
        raise InvalidInput("HT-SEARCH-10", name="_lastUpdated", value=text[:80]) from None


def parse_list(text: str) -> Condition:
    """`_list=id`: the members of a List (search.html#list); the functional lists ($current-…) are not kept."""
    text = text.removeprefix("List/")
    if not ID.fullmatch(text):
        raise InvalidInput("HT-SEARCH-17", value=text[:80])
    return Has("List", ("List.entry.item",), Id((text,)))


def parse_near(name: str, paths: Paths, text: str) -> Condition:
    """`latitude|longitude|distance|unit` (https://hl7.org/fhir/R4/location.html#positional)."""
    parts = [part.strip() for part in split(text, "|")]
    numbers = [to_number(part) if part else None for part in parts[:3]]
    factor = KILOMETRES.get(parts[3] if len(parts) > 3 and parts[3] else "km")
    if len(parts) not in (2, 3, 4) or numbers[0] is None or numbers[1] is None or factor is None:
        raise InvalidInput("HT-SEARCH-18", name=name, value=text[:80])
    latitude, longitude = float(numbers[0]), float(numbers[1])
    distance = numbers[2] if len(numbers) > 2 and numbers[2] is not None else DEFAULT_KM
    if abs(latitude) > 90 or abs(longitude) > 180 or distance < 0:
        raise InvalidInput("HT-SEARCH-18", name=name, value=text[:80])
    return Near(paths, latitude, longitude, float(distance * factor))


EVERYTHING = All(())
NOTHING = AnyOf(())
