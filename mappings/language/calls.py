"""How converters are called: with a memory of what they gave, and with the field that a problem came from."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from mappings.language.converters import Context
from mappings.language.emit import Site
from mappings.language.result import Unmapped
from mappings.xml.tree import Element
from terminology.fhirjson import Json
from terminology.issues import Issue

# Numbers of patients and orders do not come back; codes, units and names of doctors do.
_CACHE_LIMIT, _SENDER_CACHE_LIMIT = 5_000, 1_000
# A document in OBX-5 is not worth remembering.
_KEY_LIMIT = 500
_NAME_ONLY: tuple[int, Callable[[Any], Any]] = (0, itemgetter(slice(0, 1)))
# A remembered result: the value, and the notes and made resources that come with it (None: nothing).
Known = tuple[Any, tuple[tuple[Issue | Unmapped, ...], tuple[tuple[str, tuple[str, ...], Json], ...]] | None]


def table_call(rows: dict[str, Any], name: str, label: str) -> Callable[[Any, Context], Any]:
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


def cached_call(
    site: Site, memory: dict[Any, Known], *, is_remembered: bool = False
) -> Callable[[Any, Context], Any]:
    converter, arguments, label = site.converter, site.arguments, site.label
    function, by_sender = converter.function, converter.by_sender
    place = str(site.place or label)
    limit = _SENDER_CACHE_LIMIT if by_sender else _CACHE_LIMIT
    if converter.reads is not None:
        return _cached_segment_call(site, memory)

    at = (place, label)
    without_memory = plain_call(site, is_remembered=is_remembered)

    def call(value: Any, context: Context) -> Any:
        try:
            # An empty value is never remembered.
            known = memory.get((context.made.origin, value) if by_sender else value)
        except TypeError:
            # A block of a JSON body and an XML element have no hash.
            return without_memory(value, context)
        if known is None:
            if value is None or value == "":
                return None
            key = (context.made.origin, value) if by_sender else value
            size = len(value) if isinstance(value, str) else 0
            known = _remember(memory, key, context, function, value, arguments, at, size, limit)
        elif known[1] is not None:
            _repeat(known, context, at)
        return known[0]

    return call


def _cached_segment_call(site: Site, memory: dict[Any, Known]) -> Callable[[Any, Context], Any]:
    """The same for a converter that takes a whole segment: the fields that it reads are the key."""
    function, arguments, label = site.converter.function, site.arguments, site.label
    reads = site.converter.reads or {}
    at = (str(site.place or label), label)
    # The name is part of the key: two segments may share numbers.
    getters = {name: (max(numbers), itemgetter(0, *numbers)) for name, numbers in reads.items()}

    def call(segment: Any, context: Context) -> Any:
        if segment is None:
            return None
        fields = segment.fields
        last, getter = getters.get(segment.name, _NAME_ONLY)
        if last >= len(fields):
            fields = [*fields, *[""] * (last + 1 - len(fields))]
        key = getter(fields)
        known = memory.get(key)
        if known is None:
            size = sum(map(len, key))
            known = _remember(memory, key, context, function, segment, arguments, at, size)
        elif known[1] is not None:
            _repeat(known, context, at)
        return known[0]

    return call


def _remember(
    memory: dict[Any, Known],
    key: Any,
    context: Context,
    function: Callable[..., Any],
    value: Any,
    arguments: tuple[Any, ...],
    at: tuple[str, str],
    size: int,
    limit: int = _CACHE_LIMIT,
) -> Known:
    """Call a converter and keep its result with what it told and made."""
    notes, calls = context.notes, context.made.calls
    told, made = len(notes), len(calls)
    context.made.at = at
    found = function(value, context, *arguments)
    extras = (tuple(notes[told:]), tuple(calls[made:]))
    notes[told:] = [_placed(note, at[1]) for note in notes[told:]]
    known: Known = (found, extras if extras[0] or extras[1] else None)
    if size < _KEY_LIMIT:
        if len(memory) >= limit:
            memory.clear()
        # What _repeat adds again carries the field of its own site.
        memory[str(key) if isinstance(key, str) else key] = known
    return known


def _repeat(known: Known, context: Context, at: tuple[str, str]) -> None:
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


def plain_call(site: Site, *, is_remembered: bool = False) -> Callable[[Any, Context], Any]:
    """`is_remembered`: an XML element is converted once for each message, however many lines read it (the author and
    the keeper of a document stand at every result)."""
    function, arguments, label = site.converter.function, site.arguments, site.label
    place = str(site.place or label)
    name = (site.converter.name, arguments)

    def call(value: Any, context: Context) -> Any:
        if value is None or value == "":
            return None
        key = None
        if is_remembered and type(value) is Element:
            key = (name, id(value))
            if key in context.seen:
                return context.seen[key]
        notes = context.notes
        before = len(notes)
        context.made.at = (place, label)
        found = function(value, context, *arguments)
        if len(notes) > before:
            notes[before:] = [_placed(note, label) for note in notes[before:]]
        if key is not None:
            context.seen[key] = found
        return found

    return call


def _placed(note: Issue | Unmapped, label: str) -> Issue | Unmapped:
    if isinstance(note, Unmapped):
        return note if note.source else note._replace(source=label)
    if note.source:
        return note
    return Issue(note.code, note.values, note.severity, note.expression, label)
