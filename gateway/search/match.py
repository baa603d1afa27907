"""Deciding a condition for one resource from its index values, without a database: the meaning of a search.

The memory store searches with it, and the property tests hold every other store to it.
"""

from collections.abc import Iterable
from itertools import chain as flatten
from math import asin, cos, radians, sin, sqrt
from typing import Any, Protocol

from gateway.search import date, quantity, text
from gateway.search.query import (
    All,
    AnyOf,
    Below,
    Chain,
    Condition,
    Date,
    Display,
    Has,
    Id,
    Kind,
    Near,
    Not,
    Present,
    Quantity,
    Sort,
    String,
    Text,
    Together,
    Token,
    Updated,
)
from gateway.search.values import DateValue, Index, QuantityValue, StringValue, TokenValue

EARTH_KM = 6371.0088


class Row(Protocol):
    """A resource as search sees it. `number` grows with every version written; `updated` in microseconds."""

    number: int
    type: str
    id: str
    updated: int
    index: Index


class World(Protocol):
    """The other resources, for chains."""

    def find(self, type: str, id: str) -> Row | None: ...

    def referrers(self, type: str) -> Iterable[Row]: ...


def holds(condition: Condition, row: Row, world: World) -> bool:
    """Return whether the resource matches."""
    if isinstance(condition, All):
        return all(holds(item, row, world) for item in condition.items)
    if isinstance(condition, AnyOf):
        return any(holds(item, row, world) for item in condition.items)
    if isinstance(condition, Not):
        return not holds(condition.item, row, world)
    if isinstance(condition, Id):
        return row.id in condition.ids
    if isinstance(condition, Kind):
        return row.type in condition.types
    if isinstance(condition, Updated):
        return date.matches(condition.op, condition.low, condition.high, row.updated, row.updated + 1000)
    if isinstance(condition, Present):
        return any(value.path in condition.paths for value in _rows(condition.kind, row.index))
    if isinstance(condition, Together):
        found = [{value.n for value in hits(item, row.index)} for item in condition.items]
        return bool(set.intersection(*found)) if found else True
    if isinstance(condition, Chain):
        return any(
            target is not None and holds(condition.item, target, world)
            for value in row.index.tokens
            if value.path in condition.paths and value.system in condition.types
            for target in [world.find(value.system, value.code)]
        )
    if isinstance(condition, Has):
        return any(
            holds(condition.item, other, world)
            for other in world.referrers(condition.type)
            if any(
                value.path in condition.paths and value.system == row.type and value.code == row.id
                for value in other.index.tokens
            )
        )
    if isinstance(condition, Near):
        return _is_near(condition, row.index)
    if isinstance(condition, Text):
        words = row.index.narrative if condition.field == "narrative" else row.index.content
        return all(text.contains(words, phrase) for phrase in condition.phrases)
    return any(True for _ in hits(condition, row.index))


def hits(
    condition: Condition, index: Index
) -> Iterable[TokenValue | StringValue | DateValue | QuantityValue]:
    """Yield the index values that satisfy a condition on values."""
    if isinstance(condition, AnyOf):
        return flatten.from_iterable(hits(item, index) for item in condition.items)
    if isinstance(condition, Token):
        return (v for v in index.tokens if v.path in condition.paths and _is_token(condition.pairs, v))
    if isinstance(condition, Display):
        return (v for v in index.tokens if v.path in condition.paths and v.display.startswith(condition.text))
    if isinstance(condition, Below):
        below = condition.uri + "/"
        return (
            v
            for v in index.tokens
            if v.path in condition.paths and (v.code == condition.uri or v.code.startswith(below))
        )
    if isinstance(condition, String):
        return (v for v in index.strings if v.path in condition.paths and _is_string(condition, v))
    if isinstance(condition, Date):
        return (
            v
            for v in index.dates
            if v.path in condition.paths
            and date.matches(condition.op, condition.low, condition.high, v.low, v.high)
        )
    if isinstance(condition, Quantity):
        return (v for v in index.quantities if v.path in condition.paths and _is_quantity(condition, v))
    raise TypeError(type(condition).__name__)


def _is_token(pairs: tuple[tuple[str | None, str | None], ...], value: TokenValue) -> bool:
    return any(
        (system is None or system == value.system) and (code is None or code == value.code)
        for system, code in pairs
    )


def _is_string(condition: String, value: StringValue) -> bool:
    if condition.mode == "exact":
        return value.exact == condition.value
    if condition.mode == "prefix":
        return value.value.startswith(condition.value)
    if condition.mode == "contains":
        return condition.value in value.value
    if condition.mode == "suffix":
        return value.value.endswith(condition.value)
    return value.value == condition.value


def _is_quantity(condition: Quantity, value: QuantityValue) -> bool:
    if condition.unit is None:
        return quantity.matches(condition.op, condition.low, condition.high, value.low, value.high)
    system, code = condition.unit
    if system == "ucum":
        return value.base == code and quantity.matches(
            condition.op, condition.low, condition.high, value.base_low, value.base_high
        )
    if system and system != value.system:
        return False
    if code and code != value.code and (system or code != value.unit):
        return False
    return quantity.matches(condition.op, condition.low, condition.high, value.low, value.high)


def _is_near(condition: Near, index: Index) -> bool:
    for path in condition.paths:
        latitudes = [v.low for v in index.quantities if v.path == f"{path}.latitude"]
        longitudes = [v.low for v in index.quantities if v.path == f"{path}.longitude"]
        for latitude, longitude in zip(latitudes, longitudes, strict=False):
            if kilometres(condition.latitude, condition.longitude, latitude, longitude) <= condition.km:
                return True
    return False


def kilometres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Return the great-circle distance of two points in degrees (haversine)."""
    north, east = radians(other_latitude - latitude) / 2, radians(other_longitude - longitude) / 2
    part = sin(north) ** 2 + cos(radians(latitude)) * cos(radians(other_latitude)) * sin(east) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(part)))


def sort_value(key: Sort, row: Row) -> Any:
    """Return what the resource is sorted by: its smallest value, its largest when descending, None without one."""
    if key.kind == "id":
        return row.id
    if key.kind == "updated":
        return row.number
    values: list[Any]
    if key.kind == "token":
        # A concept with a text only has no code to be sorted by.
        values = [value.code for value in row.index.tokens if value.path in key.paths and value.code]
    elif key.kind == "string":
        values = [value.value for value in row.index.strings if value.path in key.paths]
    elif key.kind == "date":
        values = [value.low for value in row.index.dates if value.path in key.paths]
    else:
        values = [value.low for value in row.index.quantities if value.path in key.paths]
    if not values:
        return None
    return max(values) if key.descending else min(values)


def _rows(kind: str, index: Index) -> Iterable[Any]:
    if kind == "token":
        return index.tokens
    if kind == "string":
        return index.strings
    return index.dates if kind == "date" else index.quantities
