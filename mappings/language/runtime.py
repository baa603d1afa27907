"""What generated code calls: ids, joined texts, converter calls, and the trace of a preview."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from mappings.language.converters import Context
from mappings.language.document import Place
from mappings.language.generate import Generated, Site
from mappings.language.result import Entry, Leaf, Rule, Unmapped
from terminology.fhirjson import Json
from terminology.issues import Issue

# Numbers of patients and orders do not come back; codes, units and names of doctors do.
_CACHE_LIMIT, _SENDER_CACHE_LIMIT = 5_000, 1_000
# A document in OBX-5 is not worth remembering.
_KEY_LIMIT = 500
_blake2b = hashlib.blake2b

# A remembered result: the value, and the notes and made resources that come with it (None: nothing).
_Known = tuple[Any, tuple[tuple[Issue | Unmapped, ...], tuple[tuple[str, tuple[str, ...], Json], ...]] | None]


class Binder:
    """Everything the generated function needs for messages of one sender and one set of delimiters.

    `functions`: the run-time half of the source; `moment`: Context → recency of the message.
    """

    def __init__(
        self,
        generated: Generated,
        fields: Any,
        rules: dict[str, Rule],
        facility: str,
        moment: Callable[[Context], str | None],
        tables: dict[str, dict[str, Any]],
    ) -> None:
        self.constants = generated.constants
        self.sites = generated.sites
        self.rules = rules
        self.facility = facility
        self.default_recency = moment
        self.fields = fields
        self.functions = fields.functions()
        self.tables = tables
        self._memories: dict[tuple[Any, ...], dict[Any, _Known]] = {}
        self.Entry = Entry
        self.hashed = hashed
        self.loose = loose
        self.again = again
        self.joined = joined
        self.as_text = as_text
        self.as_list = as_list
        self.any_in = any_in
        self.converted = converted
        self.flattened = flattened

    def text(self, component: int, subcomponent: int) -> Callable[[str], str]:
        found: Callable[[str], str] = self.fields.text(component, subcomponent)
        return found

    def site(self, number: int) -> Callable[[Any, Context], Any]:
        """Return the function (value, context) → result of one use of a converter."""
        site = self.sites[number]
        if site.converter.name == "table":
            return _table_call(self.tables[str(site.arguments[0])], str(site.arguments[0]), site.label)
        if site.converter.is_cached:
            key = (site.converter.name, site.arguments)
            return _cached_call(site, self._memories.setdefault(key, {}))
        return _plain_call(site)


class TracingBinder(Binder):
    """The same for previews: every element set is noted with its map line and the fields read for it."""

    def __init__(self, generated: Generated, *arguments: Any) -> None:
        super().__init__(generated, *arguments)
        self.places = generated.places
        self.log: list[str] = self.fields.log
        self.marks: dict[tuple[int, str | int], tuple[Place, tuple[str, ...]]] = {}
        self.keys: dict[str, tuple[Place, tuple[str, ...]]] = {}
        self.removed: list[str] = []
        self.owner: Any = None
        # Keeps every marked container alive, so that no id() is used twice.
        self.held: list[Any] = []

    def site(self, number: int) -> Callable[[Any, Context], Any]:
        call = super().site(number)

        def told(value: Any, context: Context) -> Any:
            return call(self.fields.plain(value), context)

        return told

    def start(self) -> None:
        self.log.clear()
        if hasattr(self.fields, "nulls"):
            self.fields.nulls = 0

    def _sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(label for label in self.log if label))

    def mark(self, owner: Any, key: str | int, place: int) -> None:
        self.held.append(owner)
        self.marks[id(owner), key] = (self.places[place], self._sources())

    def mark_items(self, items: list[Any], place: int) -> None:
        """Mark the items appended since the last mark of this list."""
        for number in range(len(items) - 1, -1, -1):
            if (id(items), number) in self.marks:
                break
            self.mark(items, number, place)

    def made(self, reference: dict[str, str], place: int) -> None:
        self.keys[reference["reference"]] = (self.places[place], self._sources())

    def begin(self, resource: dict[str, Any], reference: dict[str, str], place: int) -> None:
        self.start()
        self.removed = []
        self.owner = resource
        self.mark(resource, "resourceType", place)
        self.marks[id(resource), "id"] = self.keys[reference["reference"]]

    def told(self, reference: dict[str, str] | None) -> dict[str, str] | None:
        if reference is not None:
            self.log.extend(self.keys[reference["reference"]][1])
        return reference

    def told_all(self, references: list[dict[str, str]]) -> list[dict[str, str]]:
        for reference in references:
            self.told(reference)
        return references

    def missing(self, owner: Any, name: str) -> None:
        """Note an element that is empty because the sender deletes it (HL7 null)."""
        if owner is self.owner and getattr(self.fields, "nulls", False):
            self.removed.append(name)

    def cleared(self, context: Context) -> tuple[str, ...]:
        return tuple(self.removed)

    def leaves(self, entries: Sequence[Entry]) -> list[Leaf]:
        """Return every value of the entries with its line and fields."""
        found: list[Leaf] = []
        nowhere = (Place("?", 0), ())

        def walk(value: Any, path: str, number: int, origin: tuple[Place, tuple[str, ...]]) -> None:
            if isinstance(value, dict):
                for key, part in value.items():
                    walk(part, f"{path}.{key}", number, self.marks.get((id(value), key), origin))
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    own = self.marks.get((id(value), index), origin)
                    walk(part, f"{path}[{index}]", number, own)
            else:
                found.append(Leaf(number, path, str(origin[0]), origin[1]))

        for number, entry in enumerate(entries):
            walk(entry.resource, entry.type, number, nowhere)
        return found


def hashed(key: str) -> str:
    """Return the resource id of a key: 128 bits of BLAKE2b in hex, within the FHIR id grammar."""
    return _blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def loose(context: Context, name: str, seen: set[str]) -> str:
    """Return an id for a resource whose key is empty: derived from the message, and flagged.

    The same bytes sent again give the same id; nothing else can ever meet it.
    """
    context.notes.append(Issue("HT-MAP-40", {"name": name}, "warning"))
    content = hashed(_content(context.message))
    number = 0
    while (found := hashed(f"message/{content}/{name}/{number}")) in seen:
        number += 1
    return found


def again(context: Context, name: str, id: str, seen: set[str]) -> str:
    """Return a further id for a second resource with the same key in one message, and flag it: nothing is lost."""
    context.notes.append(Issue("HT-MAP-42", {"name": name}, "warning"))
    number = 2
    while (found := hashed(f"{id}/{number}")) in seen:
        number += 1
    return found


def joined(parts: tuple[str, ...], is_path: tuple[bool, ...]) -> str:
    """Return the texts as one; "" when all that come from paths are empty."""
    if not any(part for part, counts in zip(parts, is_path, strict=True) if counts):
        return ""
    return "".join(parts)


def as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def as_list(value: Any) -> list[Any]:
    return [] if value is None or value == "" else [value]


def any_in(values: Sequence[Any], operands: tuple[str, ...]) -> bool:
    return any(as_text(value) in operands for value in values)


def converted(call: Callable[[Any, Context], Any], values: Sequence[Any], context: Context) -> list[Any]:
    return [found for value in values if (found := call(value, context)) is not None]


def flattened(call: Callable[[Any, Context], Any], values: Sequence[Any], context: Context) -> list[Any]:
    return [found for value in values for found in call(value, context) or ()]


def _content(message: Any) -> str:
    segments = getattr(message, "segments", None)
    if segments is not None:
        return "\r".join(segment.line for segment in segments)
    return repr(message)


def _table_call(rows: dict[str, Any], name: str, label: str) -> Callable[[Any, Context], Any]:
    otherwise = rows.get("*")
    get = rows.get

    def call(value: Any, context: Context) -> Any:
        if value is None or value == "":
            return None
        found = get(value)
        if found is not None:
            return found
        if otherwise is None:
            context.notes.append(Unmapped(f"table {name}", None, str(value), None, label))
        return otherwise

    return call


def _cached_call(site: Site, memory: dict[Any, _Known]) -> Callable[[Any, Context], Any]:
    converter, arguments, label = site.converter, site.arguments, site.label
    function, by_sender = converter.function, converter.by_sender
    place = str(site.place or label)
    limit = _SENDER_CACHE_LIMIT if by_sender else _CACHE_LIMIT
    if converter.reads is not None:
        return _cached_segment_call(site, memory)

    def call(value: Any, context: Context) -> Any:
        if value is None or value == "":
            return None
        try:
            key = (context.made.origin, value) if by_sender else value
            known = memory.get(key)
        except TypeError:
            # A block of a JSON body has no hash.
            return function(value, context, *arguments)
        if known is None:
            size = len(value) if isinstance(value, str) else 0
            known = _remember(memory, key, context, function, value, arguments, (place, label), size, limit)
        elif known[1] is not None:
            _repeat(known, context, (place, label))
        return known[0]

    return call


def _cached_segment_call(site: Site, memory: dict[Any, _Known]) -> Callable[[Any, Context], Any]:
    """The same for a converter that takes a whole segment: the fields that it reads are the key."""
    function, arguments, label = site.converter.function, site.arguments, site.label
    reads = site.converter.reads or {}
    place = str(site.place or label)

    def call(segment: Any, context: Context) -> Any:
        if segment is None:
            return None
        fields = segment.fields
        count = len(fields)
        key = (segment.name, *[fields[n] if n < count else "" for n in reads.get(segment.name, ())])
        known = memory.get(key)
        if known is None:
            size = sum(map(len, key))
            known = _remember(memory, key, context, function, segment, arguments, (place, label), size)
        elif known[1] is not None:
            _repeat(known, context, (place, label))
        return known[0]

    return call


def _remember(
    memory: dict[Any, _Known],
    key: Any,
    context: Context,
    function: Callable[..., Any],
    value: Any,
    arguments: tuple[Any, ...],
    at: tuple[str, str],
    size: int,
    limit: int = _CACHE_LIMIT,
) -> _Known:
    """Call a converter and keep its result with what it told and made."""
    notes, calls = context.notes, context.made.calls
    told, made = len(notes), len(calls)
    context.made.at = at
    found = function(value, context, *arguments)
    extras = (tuple(notes[told:]), tuple(calls[made:]))
    notes[told:] = [_placed(note, at[1]) for note in notes[told:]]
    known: _Known = (found, extras if extras[0] or extras[1] else None)
    if size < _KEY_LIMIT:
        if len(memory) >= limit:
            memory.clear()
        # What _repeat adds again carries the field of its own site.
        memory[str(key) if isinstance(key, str) else key] = known
    return known


def _repeat(known: _Known, context: Context, at: tuple[str, str]) -> None:
    """Tell and make again what the first call told and made."""
    extras = known[1]
    assert extras is not None
    notes, calls = extras
    if notes:
        context.notes.extend(_placed(note, at[1]) for note in notes)
    if calls:
        context.made.at = at
        for type, key, resource in calls:
            context.made.make(type, key, resource)


def _plain_call(site: Site) -> Callable[[Any, Context], Any]:
    function, arguments, label = site.converter.function, site.arguments, site.label
    place = str(site.place or label)

    def call(value: Any, context: Context) -> Any:
        if value is None or value == "":
            return None
        notes = context.notes
        before = len(notes)
        context.made.at = (place, label)
        found = function(value, context, *arguments)
        if len(notes) > before:
            notes[before:] = [_placed(note, label) for note in notes[before:]]
        return found

    return call


def _placed(note: Issue | Unmapped, label: str) -> Issue | Unmapped:
    if isinstance(note, Unmapped):
        return note if note.source else note._replace(source=label)
    if note.source:
        return note
    return Issue(note.code, note.values, note.severity, note.expression, label)


def message_instant(text: str | None, context: Context) -> str | None:
    """Return an HL7 v2 date-time with at least a day as an ISO instant with offset, None when it isn't one."""
    return _instant(text, context.zone) if text else None


@lru_cache(maxsize=4096)
def _instant(text: str, zone: ZoneInfo) -> str | None:
    digits, sign, offset = text, "", ""
    for mark in "+-":
        if mark in text:
            digits, _, offset = text.partition(mark)
            sign = mark
    whole, _, fraction = digits.partition(".")
    if not whole.isdigit() or len(whole) not in (8, 10, 12, 14):
        return None
    try:
        filled = whole.ljust(14, "0")
        year, month, day, hour, minute, second = (
            int(filled[start:end]) for start, end in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
        )
        moment = datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    if sign and len(offset) == 4 and offset.isdigit():
        shift = f"{sign}{offset[:2]}:{offset[2:]}"
    else:
        seconds = zone.utcoffset(moment)
        minutes = int(seconds.total_seconds()) // 60 if seconds is not None else 0
        shift = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    shown = f".{fraction[:6]}" if fraction.isdigit() else ""
    return f"{moment.isoformat()}{shown}{shift}"
