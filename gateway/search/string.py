"""Strings: starts with, case, accents and width ignored (https://hl7.org/fhir/R4/search.html#string).

HumanName: the whole text, every part, and where a Chinese name stands in one piece its family and given name too.
"""

from collections.abc import Iterator
from typing import Any

from gateway.search.query import Condition, Paths, String
from terminology import hanzi
from terminology.hanzi import fold
from terminology.issues import InvalidInput

MODES = {"": "prefix", "exact": "exact", "contains": "contains"}
ADDRESS_PARTS = ("text", "city", "district", "state", "postalCode", "country")


def parse(name: str, paths: Paths, text: str, modifier: str) -> Condition:
    """Return the condition of one value; raises InvalidInput when nothing is left to look for."""
    if modifier == "exact":
        return String(paths, text, "exact")
    value = fold(text)
    if not value:
        raise InvalidInput("HT-SEARCH-11", name=name)
    return String(paths, value, "contains" if modifier == "contains" else "prefix")


def parse_pinyin(name: str, paths: Paths, text: str) -> Condition:
    """Return the condition of one romanised value: spaces, apostrophes and the spellings of ü don't count."""
    value = (
        fold(text)
        .replace(" ", "")
        .replace("'", "")
        .replace("ü", "v")
        .replace("lyu", "lv")
        .replace("nyu", "nv")
    )
    if not value:
        raise InvalidInput("HT-SEARCH-11", name=name)
    return String(paths, value, "prefix")


def read_text(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value


def read_concept(value: Any) -> Iterator[str]:
    """Yield the texts of a CodeableConcept that a string parameter looks at."""
    if isinstance(value, dict):
        yield from read_text(value.get("text"))


def read_human_name(value: Any) -> Iterator[str]:
    """Yield the whole name first, then its parts, each once."""
    if not isinstance(value, dict):
        return
    text, family, given = value.get("text"), value.get("family"), _strings(value.get("given"))
    whole = text if isinstance(text, str) else ""
    if not whole and isinstance(family, str) and given:
        glue = "" if hanzi.is_han(family[-1:] or " ") else " "
        whole = family + glue + (glue.join(given))
    parts = [
        whole,
        *read_family(value),
        *read_given(value),
        *_strings(value.get("prefix")),
        *_strings(value.get("suffix")),
    ]
    if whole and not any(hanzi.is_han(c) for c in whole):
        parts += whole.split()
    yield from dict.fromkeys(part for part in parts if part)


def read_family(value: Any) -> Iterator[str]:
    """Yield the family name, taken from the text when the element is missing."""
    if isinstance(value, dict):
        if isinstance(value.get("family"), str):
            yield value["family"]
        elif isinstance(value.get("text"), str) and not value.get("given"):
            family, _ = hanzi.split_name(value["text"])
            if family:
                yield family


def read_given(value: Any) -> Iterator[str]:
    """Yield the given names, taken from the text when the element is missing."""
    if isinstance(value, dict):
        if value.get("given"):
            yield from _strings(value["given"])
        elif isinstance(value.get("text"), str):
            family, given = hanzi.split_name(value["text"])
            written = value.get("family")
            if isinstance(written, str) and written and value["text"].startswith(written):
                given = value["text"].removeprefix(written).strip()
            elif written and written != family:
                return
            if given:
                yield given


def read_address(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        parts = [value.get(part) for part in ADDRESS_PARTS] + _strings(value.get("line"))
        yield from dict.fromkeys(part for part in parts if isinstance(part, str))


def read_pinyin(value: Any) -> Iterator[str]:
    """Yield full pinyin and initials of a HumanName or a plain name written in Chinese characters."""
    if isinstance(value, dict):
        names = [name for name in read_human_name(value) if any(hanzi.is_han(c) for c in name)][:1]
    else:
        names = [value] if isinstance(value, str) and any(hanzi.is_han(c) for c in value) else []
    for name in names:
        yield from dict.fromkeys((*hanzi.pinyin(name[:32]), *hanzi.initials(name[:32])))


def _strings(value: Any) -> list[str]:
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []
