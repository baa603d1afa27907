"""Tokens: a code, alone or with its system (https://hl7.org/fhir/R4/search.html#token).

Codes are compared folded ("Matches are literal … but not case sensitive"): 11010519491231002x finds …002X, and
full-width digits find their plain forms. Systems are compared as written.
"""

from collections.abc import Iterator
from typing import Any

from gateway.search.escape import split, unescape
from gateway.search.query import Condition, Display, Paths, Token
from terminology.hanzi import fold
from terminology.issues import InvalidInput

OF_TYPE = ":of-type"
"""Appended to a path: the same identifiers, by the coding of their type ("MR|446053")."""


def pair(name: str, text: str) -> tuple[str | None, str | None]:
    """Return (system, code) of `code`, `system|code`, `|code` or `system|`; raises InvalidInput for anything else."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1 and parts[0]:
        return None, fold(parts[0])
    if len(parts) == 2 and any(parts):
        return parts[0], fold(parts[1]) or None
    raise InvalidInput("HT-SEARCH-13", name=name, value=text[:80])


def parse(name: str, paths: Paths, text: str) -> Condition:
    return Token(paths, (pair(name, text),))


def parse_text(name: str, paths: Paths, text: str) -> Condition:
    """`:text`: the display or text beside the code starts with the value."""
    value = fold(unescape(text))
    if not value:
        raise InvalidInput("HT-SEARCH-11", name=name)
    return Display(paths, value)


def parse_of_type(name: str, paths: Paths, text: str) -> Condition:
    """`:of-type=system|code|value`: an identifier by the coding of its type; all three parts are needed."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise InvalidInput("HT-SEARCH-14", name=name, value=text[:80])
    system, code, value = parts
    return Token(tuple(path + OF_TYPE for path in paths), ((system, f"{fold(code)}|{fold(value)}"),))


Row = tuple[str, str, str]
"""(system, code, display)"""


def read_coding(value: Any) -> Iterator[Row]:
    if isinstance(value, dict):
        code, display = text(value.get("code")), fold(text(value.get("display")))
        if code or display:
            yield text(value.get("system")), fold(code), display[:200]


def read_concept(value: Any) -> Iterator[Row]:
    """Yield the codings; the text is a row without code unless a coding already shows the same words."""
    if not isinstance(value, dict):
        return
    displays = set()
    for coding in value.get("coding") or ():
        for row in read_coding(coding):
            displays.add(row[2])
            yield row
    words = fold(text(value.get("text")))[:200]
    if words and words not in displays:
        yield "", "", words


def read_identifier(value: Any) -> Iterator[Row]:
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        kind = value.get("type")
        display = fold(text(kind.get("text")))[:200] if isinstance(kind, dict) else ""
        yield text(value.get("system")), fold(value["value"]), display


def read_of_type(value: Any) -> Iterator[Row]:
    """Yield an identifier once for each coding of its type, for `:of-type`."""
    if (
        isinstance(value, dict)
        and isinstance(value.get("value"), str)
        and isinstance(value.get("type"), dict)
    ):
        for coding in value["type"].get("coding") or ():
            if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                yield text(coding.get("system")), f"{fold(coding['code'])}|{fold(value['value'])}", ""


def read_contact(value: Any) -> Iterator[Row]:
    """Yield a ContactPoint; a phone number also without its spaces, dashes and brackets."""
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        system, code = text(value.get("system")), fold(value["value"])
        yield system, code, ""
        if system in ("phone", "fax", "sms", "pager"):
            plain = code.translate({ord(c): None for c in " -()./"})
            if plain != code:
                yield system, plain, ""


def read_boolean(value: Any) -> Iterator[Row]:
    if isinstance(value, bool):
        yield "", "true" if value else "false", ""


def read_text(value: Any) -> Iterator[Row]:
    if isinstance(value, str) and value:
        yield "", fold(value), ""


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""
