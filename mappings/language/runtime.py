"""What generated code calls: ids, joined texts, converter calls, and the trace of a preview."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from mappings.language.calls import Known, cached_call, plain_call, table_call
from mappings.language.converters import Context
from mappings.language.emit import Generated
from mappings.language.result import Entry, Rule
from terminology.issues import Issue

_blake2b = hashlib.blake2b


class Binder:
    """Everything the generated function needs for messages of one sender and one set of delimiters.

    `functions`: the run-time half of the source; `moment`: Context → recency of the message. `is_remembering`: an XML
    element that several lines read is converted once; a trace wants to see them all.
    """

    is_remembering = True

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
        self._memories: dict[tuple[Any, ...], dict[Any, Known]] = {}
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
            return table_call(self.tables[str(site.arguments[0])], str(site.arguments[0]), site.label)
        if site.converter.is_cached:
            key = (site.converter.name, site.arguments)
            memory = self._memories.setdefault(key, {})
            return cached_call(site, memory, is_remembered=self.is_remembering)
        return plain_call(site, is_remembered=self.is_remembering)


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
