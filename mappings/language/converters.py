"""Converters: plain functions that turn one source value into a FHIR value, and the context they see.

A converter is registered under the name that maps use after `|`:

    @converter("cx", returns="Identifier", is_cached=True)
    def cx(value: str, context: Context) -> Json | None: ...

`value` is what the path before the `|` gives: of an HL7 v2 field one repetition as sent (delimiters and escapes still
in it: use `context.components`), of a JSON or table path the value itself, of a bare segment name (`OBX | obxvalue`)
the Segment, of an XML path without `@` or `text()` the Element. A field with `[]` calls the converter once for each repetition; a converter with `takes_all` gets the list.
With `takes_text` the value is the unescaped text of the path's place instead of the raw repetition.
It returns None (never "" or {}) for "nothing". Results may be shared between messages: build fresh, never change later.

`returns`: the FHIR type of the result, "Identifier[]" for a list of them, "a|b" for one of several types, "[x]" for a
choice element: then the result is a tuple (type, value), such as ("Quantity", {...}) for `value[x]`.
`is_cached`: the result depends on the value and on `delimiters codec zone systems translator` only. `by_sender`: it is
cached too, but depends on who sends (the namespace, MSH-3, MSH-4); resources made (`context.make`), flags and unmapped
codes are remembered with the result.
`reads`: which fields a converter that takes a whole segment reads ({"OBX": (2, 5, 6)}); left out means all.
Constant arguments (`| prefix "x"`) follow the context: def prefix(value, context, text).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from mappings.hl7v2.delimiters import STANDARD, Delimiters
from mappings.hl7v2.escapes import unescape
from mappings.language.made import Made
from mappings.language.result import Unmapped
from terminology.fhirjson import Json
from terminology.issues import Issue
from terminology.translate import Translator

Convert = Callable[..., Any]


@dataclass(frozen=True)
class Sender:
    """What is known of the source of a channel: settings, the same for all its messages.

    `facility`: namespace of ids, "" = taken from the message; `systems`: local assigning authority, coding system or
    OID → URI; `zone`: of date-times without offset (docs/design.md, decision 14).
    """

    name: str = ""
    facility: str = ""
    zone: str = "Asia/Shanghai"
    fallback_charset: str | None = None
    systems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Converter:
    name: str
    function: Convert
    returns: str
    is_cached: bool
    takes_all: bool
    takes_text: bool
    by_sender: bool
    reads: Mapping[str, tuple[int, ...]] | None

    @property
    def types(self) -> tuple[str, ...]:
        """The FHIR types of one result, () when it can be anything."""
        return () if self.returns == "any" else tuple(self.returns.removesuffix("[]").split("|"))

    @property
    def returns_list(self) -> bool:
        return self.returns.endswith("[]")


class Context:
    """What a converter may ask. One for each message; the attributes up to `translator` are the sender's.

    `message` is the reader's record: an hl7v2.Message, a dict, an XML element.
    """

    __slots__ = (
        "codec",
        "delimiters",
        "made",
        "message",
        "notes",
        "seen",
        "sender",
        "systems",
        "translator",
        "zone",
    )

    def __init__(
        self,
        sender: Sender,
        translator: Translator,
        *,
        delimiters: Delimiters = STANDARD,
        codec: str = "utf-8",
        message: Any = None,
    ) -> None:
        self.sender = sender
        self.delimiters = delimiters
        self.codec = codec
        self.zone = zone(sender.zone)
        self.systems = sender.systems
        self.translator = translator
        self.message = message
        self.notes: list[Issue | Unmapped] = []
        self.made = Made()
        # What converters gave for XML elements of this message; they live as long as it does.
        self.seen: dict[tuple[Any, ...], Any] = {}

    def components(self, text: Any) -> list[str]:
        """Return the components of one repetition, unescaped, of each the first subcomponent; HL7 null is ""."""
        marks = self.delimiters
        if text == '""':
            return [""]
        if not isinstance(text, str):
            # A number or flag of a JSON body.
            return [_shown(text)]
        parts = text.split(marks.component) if marks.component in text else [text]
        if marks.subcomponent in text:
            parts = [part.partition(marks.subcomponent)[0] for part in parts]
        if marks.escape in text:
            parts = [unescape(part, marks, codec=self.codec) for part in parts]
        return parts if '""' not in text else ["" if part == '""' else part for part in parts]

    def subcomponents(self, text: Any, component: int) -> list[str]:
        """Return the unescaped subcomponents of a component (1-based) of one repetition; [""] when it is absent."""
        if not isinstance(text, str):
            return [_shown(text)] if component == 1 else [""]
        marks = self.delimiters
        parts = text.split(marks.component, component)
        if component > len(parts):
            return [""]
        return [
            "" if part == '""' else unescape(part, marks, codec=self.codec)
            for part in parts[component - 1].split(marks.subcomponent)
        ]

    def text(self, text: Any) -> str:
        """Return a whole repetition as text: unescaped, delimiters of sloppy senders kept."""
        if not isinstance(text, str):
            return _shown(text)
        return "" if text == '""' else unescape(text, self.delimiters, codec=self.codec)

    def make(self, type: str, key: tuple[str, ...], resource: Json) -> Json:
        """Return the reference to a resource that comes with this message (mappings/language/made.py)."""
        return self.made.make(type, key, resource)

    def flag(self, code: str, severity: str = "warning", /, **values: Any) -> None:
        """Report a problem with the value (HT-…); the runtime adds the source field."""
        self.notes.append(Issue(code, values, severity))  # type: ignore[arg-type]  # a Severity word

    def unmapped(self, domain: str, *, system: str | None, code: str | None, display: str | None) -> None:
        """Put a coding on the mapping work list; the coding itself must stay in the result."""
        self.notes.append(Unmapped(domain, system, code, display, ""))


def _shown(value: Any) -> str:
    if hasattr(value, "own_text"):
        # An XML element where a text is wanted: `effectiveTime | datetime`.
        return str(value.own_text())
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


_CONVERTERS: dict[str, Converter] = {}


def converter(
    name: str,
    *,
    returns: str = "any",
    is_cached: bool = False,
    takes_all: bool = False,
    takes_text: bool = False,
    by_sender: bool = False,
    reads: Mapping[str, Iterable[int]] | None = None,
) -> Callable[[Convert], Convert]:
    """Register the decorated function as converter `name`. The names are global: one meaning for each."""

    def register(function: Convert) -> Convert:
        assert name not in _CONVERTERS, f"converter {name} is registered twice"
        fields = (
            {segment: tuple(numbers) for segment, numbers in reads.items()} if reads is not None else None
        )
        _CONVERTERS[name] = Converter(
            name, function, returns, is_cached or by_sender, takes_all, takes_text, by_sender, fields
        )
        return function

    return register


def find_converter(name: str) -> Converter | None:
    """Return a converter by name; the built-in ones and those of `mappings.datatypes` are loaded at first use."""
    _load()
    return _CONVERTERS.get(name)


def converter_names() -> list[str]:
    _load()
    return sorted(_CONVERTERS)


@cache
def _load() -> None:
    from importlib import import_module
    from pkgutil import iter_modules

    import_module("mappings.language.values")
    for package in ("mappings.datatypes", "mappings.outbound.types"):
        for module in iter_modules(import_module(package).__path__):
            import_module(f"{package}.{module.name}")


@cache
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
