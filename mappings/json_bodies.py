"""JSON bodies of vendors: which map takes one, and which part of it is the message.

A body is an object, a list, or an envelope `{code, msg, data}` around either. The map that reads most of its values
takes it, whole or item by item; a map may also read the envelope itself (`data.items[]`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mappings.language.active import ActiveMaps
from mappings.language.compile import Map
from mappings.language.sources.rows import ALL, RowSource
from terminology.fhirjson import Json
from terminology.issues import MalformedMessage, UnmappableMessage

ENVELOPES = ("data", "body", "result", "payload", "list", "rows", "records", "items", "content")
MOST_ITEMS = 10_000
MOST_LEAVES = 5_000
DEEPEST = 3

Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """The messages of a body, and the map that takes them all."""

    items: tuple[Json, ...]
    map: Map


def read_body(tree: Any, maps: ActiveMaps, *, name: str = "") -> Body:
    """Return the messages of a decoded JSON body; `name`: the map, when the sender's channel says it.

    Raises MalformedMessage (HT-MAP-36) when nothing in it is an object, UnmappableMessage (HT-MAP-35) without a map.
    """
    candidates = list(_candidates(tree, 0))
    if not candidates:
        raise MalformedMessage(
            "HT-MAP-36",
            format="JSON",
            reason="既不是对象，也不是对象的列表 / neither an object nor a list of objects",
        )
    known = [maps.get(name)] if name else maps.all("json", "table")
    best: tuple[float, int, int, tuple[Json, ...], Map] | None = None
    for items in candidates:
        leaves = {path for path, _ in _leaves(items[0])}
        for map in known:
            count = _count(map, leaves)
            if name or (count and count >= min(3, len(leaves))):
                # The most values; of equals the smaller part, which the map speaks of with fewer steps, then the map
                # that asks for less.
                score = (float(count), -len(leaves), -_asked(map), items, map)
                if best is None or score[:3] > best[:3]:
                    best = score
    if best is None:
        names = ", ".join(map.name for map in known) or "-"
        shown = ", ".join(str(key) for key in candidates[0][0])[:120]
        raise UnmappableMessage("HT-MAP-35", kind=f"json: {shown}", known=names)
    return Body(best[3], best[4])


def _candidates(tree: Any, depth: int) -> Iterable[tuple[Json, ...]]:
    if isinstance(tree, dict):
        if tree:
            yield (tree,)
        for key in ENVELOPES if depth < DEEPEST else ():
            if key in tree:
                yield from _candidates(tree[key], depth + 1)
    elif isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree[:MOST_ITEMS]):
        yield tuple(tree[:MOST_ITEMS])


def _asked(map: Map) -> int:
    """Return how many keys a map reads."""
    return len(map.source.reads) if isinstance(map.source, RowSource) else 0


def _count(map: Map, leaves: set[Path]) -> int:
    source = map.source
    assert isinstance(source, RowSource)
    reads = source.reads
    return sum(1 for path in leaves if any(path[:length] in reads for length in range(1, len(path) + 1)))


def _leaves(tree: Any) -> Iterable[tuple[Path, Any]]:
    stack: list[tuple[Any, Path]] = [(tree, ())]
    count = 0
    while stack and count < MOST_LEAVES:
        value, path = stack.pop()
        if isinstance(value, dict):
            stack.extend((part, (*path, key)) for key, part in value.items())
        elif isinstance(value, list):
            stack.extend((part, (*path, ALL)) for part in value[:100])
        elif value not in (None, ""):
            count += 1
            yield path, value
