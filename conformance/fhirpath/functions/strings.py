"""Strings (https://hl7.org/fhirpath/N1/#string-manipulation, and encode, escape, trim, split, join of 2.1)."""

import base64
import binascii
import html
import json
from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import name_of, single
from conformance.fhirpath.functions.kinds import INTEGER, STRING
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import atom
from conformance.fhirpath.pattern import fully_matches, matches, replace_matches
from conformance.fhirpath.registry import Step, collection, scalar, special
from conformance.fhirpath.shape import STRING as TEXT
from conformance.fhirpath.shape import Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@scalar("indexOf", STRING, STRING, gives="integer")
def index_of(run: Run, value: str, part: str) -> int:
    """The 0-based position of the first occurrence, -1 for none."""
    return value.find(part)


@scalar("lastIndexOf", STRING, STRING, gives="integer")
def last_index_of(run: Run, value: str, part: str) -> int:
    """The 0-based position of the last occurrence, -1 for none."""
    return value.rfind(part)


@special("substring", 1, 2)
def substring(site: "Site") -> tuple[Step, Shape]:
    """The part from a 0-based start, as long as given; empty when it starts outside."""
    site.check_input(STRING)
    start, length = site.argument(0)[0], site.argument(1)[0] if site.count == 2 else None

    def step(items: list[Any], run: Run) -> list[Any]:
        text, first = _text(items, "substring()"), _integer(start(run))
        # An empty length is as good as none, other than for the rest of the functions.
        count = _integer(length(run)) if length else None
        if text is None or first is None or not 0 <= first < len(text):
            return []
        return [text[first:] if count is None else text[first : first + max(0, count)]]

    return step, TEXT


@scalar("startsWith", STRING, STRING, gives="boolean")
def starts_with(run: Run, value: str, part: str) -> bool:
    """True when the text begins so."""
    return value.startswith(part)


@scalar("endsWith", STRING, STRING, gives="boolean")
def ends_with(run: Run, value: str, part: str) -> bool:
    """True when the text ends so."""
    return value.endswith(part)


@scalar("contains", STRING, STRING, gives="boolean")
def contains(run: Run, value: str, part: str) -> bool:
    """True when the text has the part."""
    return part in value


@scalar("upper", STRING, gives="string")
def upper(run: Run, value: str) -> str:
    """The text in upper case."""
    return value.upper()


@scalar("lower", STRING, gives="string")
def lower(run: Run, value: str) -> str:
    """The text in lower case."""
    return value.lower()


@scalar("replace", STRING, STRING, STRING, gives="string")
def replace(run: Run, value: str, old: str, new: str) -> str:
    """The text with every occurrence replaced; an empty pattern surrounds every character."""
    run.bound_text(len(value) + (value.count(old) if old else len(value) + 1) * len(new))
    return value.replace(old, new)


@scalar("matches", STRING, STRING, STRING, optional=1, gives="boolean")
def matches_(run: Run, value: str, expression: str, flags: str = "") -> bool:
    """True when a part of the text matches the regular expression; `.` matches line ends too."""
    return matches(run, value, expression, flags)


@scalar("matchesFull", STRING, STRING, STRING, optional=1, gives="boolean")
def matches_full(run: Run, value: str, expression: str, flags: str = "") -> bool:
    """True when the whole text matches the regular expression."""
    return fully_matches(run, value, expression, flags)


@scalar("replaceMatches", STRING, STRING, STRING, STRING, optional=1, gives="string")
def replace_matches_(run: Run, value: str, expression: str, substitution: str, flags: str = "") -> str:
    """The text with every match replaced; `$1` and `${name}` stand for groups."""
    return replace_matches(run, value, expression, substitution, flags)


@scalar("length", STRING, gives="integer")
def length(run: Run, value: str) -> int:
    """The number of characters."""
    return len(value)


@collection("toChars", gives=lambda given: TEXT.with_many(True))
def to_chars(run: Run, items: list[Any]) -> list[Any]:
    """The characters as a collection."""
    text = _text(items, "toChars()")
    return [] if text is None else run.bound(list(text))


@scalar("trim", STRING, gives="string")
def trim(run: Run, value: str) -> str:
    """The text without white space at both ends."""
    return value.strip(" \t\r\n")


@collection("split", 1, gives=lambda given: TEXT.with_many(True))
def split(run: Run, items: list[Any], separator: list[Any]) -> list[Any]:
    """The parts between separators."""
    text, by = _text(items, "split()"), _text(separator, "split()")
    if text is None or by is None:
        return []
    return run.bound(text.split(by) if by else list(text))


@collection("join", 0, 1, gives="string")
def join(run: Run, items: list[Any], separator: list[Any] | None = None) -> list[Any]:
    """The texts as one, with a separator between them."""
    if not items:
        return []
    between = _text(separator, "join()") or "" if separator is not None else ""
    texts = [text for text in (_text([item], "join()") for item in items) if text is not None]
    run.bound_text(sum(map(len, texts)) + len(between) * len(texts))
    return [between.join(texts)]


@scalar("encode", STRING, STRING, gives="string")
def encode(run: Run, value: str, format: str) -> str | None:
    """The text (UTF-8) in hex, base64 or urlbase64, or as ASCII with ? for the rest."""
    raw = value.encode()
    if format == "hex":
        return raw.hex()
    if format == "ascii":
        return value.encode("ascii", "replace").decode()
    if format == "base64":
        return base64.b64encode(raw).decode()
    if format == "urlbase64":
        return base64.urlsafe_b64encode(raw).decode()
    return None


@scalar("decode", STRING, STRING, gives="string")
def decode(run: Run, value: str, format: str) -> str | None:
    """The text behind hex, base64 or urlbase64; empty when it is not encoded so."""
    try:
        if format == "hex":
            return bytes.fromhex(value).decode()
        if format == "base64":
            return base64.b64decode(value, validate=True).decode()
        if format == "urlbase64":
            return base64.b64decode(value, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    return None


@scalar("escape", STRING, STRING, gives="string")
def escape(run: Run, value: str, target: str) -> str | None:
    """The text escaped for html or json."""
    if target == "html":
        return html.escape(value, quote=True).replace("&#x27;", "&#39;")
    if target == "json":
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return None


@scalar("unescape", STRING, STRING, gives="string")
def unescape(run: Run, value: str, target: str) -> str | None:
    """The text behind html or json escapes."""
    if target == "html":
        return html.unescape(value)
    if target == "json":
        try:
            found = json.loads(f'"{value}"')
        except ValueError:
            return None
        return found if isinstance(found, str) else None
    return None


def _integer(items: list[Any]) -> int | None:
    item = single(items, "substring()")
    value = None if item is None else atom(item)
    if value is not None and not INTEGER.accepts(value):
        raise InvalidInput("HT-FP-07", function="substring()", expected="Integer", found=name_of(item))
    return value


def _text(items: list[Any], function: str) -> str | None:
    item = single(items, function)
    value = None if item is None else atom(item)
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "parts"):
        return str(value)
    raise InvalidInput("HT-FP-07", function=function, expected="String", found=name_of(item))
