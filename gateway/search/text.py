"""Words of a resource for `_text` and `_content`: every Chinese character is a word, so a phrase finds any piece.

A query is words and "quoted phrases", all of which must occur (https://hl7.org/fhir/R4/search.html#content).
"""

import re
from functools import lru_cache
from html import unescape
from typing import Any, Literal

from gateway.search.query import Condition, Text
from terminology.hanzi import fold, is_han
from terminology.issues import InvalidInput

TAG = re.compile(r"<[^>]*>")
PHRASE = re.compile(r'"([^"]*)"|(\S+)')
MAX_DEPTH = 64
LIMIT = 20_000
"""Characters of one resource that are indexed."""

# Keys whose strings are names of things for machines, or have their own parameters.
CODED = frozenset(
    [
        "resourceType",
        "id",
        "system",
        "code",
        "url",
        "reference",
        "status",
        "lastUpdated",
        "versionId",
        "profile",
        "contentType",
        "data",
        "use",
        "div",
        "fullUrl",
        "language",
        "rank",
        "period",
        "start",
        "end",
        "unit",
        "gender",
        "birthDate",
        "intent",
        "priority",
        "mode",
        "source",
        "fhirVersion",
    ]
)
# Keys whose strings are words for people even when they are one ASCII word.
SPOKEN = frozenset(
    [
        "text",
        "display",
        "title",
        "name",
        "description",
        "family",
        "given",
        "valueString",
        "comment",
        "line",
        "city",
        "district",
        "state",
        "conclusion",
    ]
)


def words(text: str) -> list[str]:
    """Return the folded words of `text`, a Chinese character each its own word."""
    found: list[str] = []
    run: list[str] = []
    for character in fold(text):
        if is_han(character):
            if run:
                found.append("".join(run))
                run = []
            found.append(character)
        elif character.isalnum():
            run.append(character)
        elif run:
            found.append("".join(run))
            run = []
    if run:
        found.append("".join(run))
    return found


def narrative(resource: dict[str, Any]) -> str:
    """Return the words of the narrative, separated by spaces."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    return " ".join(words(unescape(TAG.sub(" ", div[:LIMIT])))) if isinstance(div, str) else ""


def content(resource: dict[str, Any]) -> str:
    """Return the words of all text that people read in the resource, the narrative too."""
    seen: dict[str, None] = {}
    _collect(resource, "", 0, seen)
    found: list[str] = []
    size = 0
    for text in seen:
        size += len(text)
        if size > LIMIT:
            break
        found.append(_words_text(text))
    return " ".join(found)


@lru_cache(maxsize=4096)
def _words_text(text: str) -> str:
    """The words of a text as one string; displays and units come again and again."""
    return " ".join(words(text))


def _collect(value: Any, key: str, depth: int, found: dict[str, None]) -> None:
    if type(value) is dict:
        for name, inner in value.items():
            if type(inner) is str:
                if name in SPOKEN or (name not in CODED and (" " in inner or not inner.isascii())):
                    found[inner] = None
                elif name == "div":
                    found[unescape(TAG.sub(" ", inner[:LIMIT]))] = None
            elif depth < MAX_DEPTH:
                _collect(inner, name, depth + 1, found)
    elif type(value) is list:
        for inner in value:
            if type(inner) is str:
                if key in SPOKEN or (key not in CODED and (" " in inner or not inner.isascii())):
                    found[inner] = None
            elif depth < MAX_DEPTH:
                _collect(inner, key, depth + 1, found)


def parse(name: str, field: Literal["narrative", "content"], text: str) -> Condition:
    """Return the condition of a query; raises InvalidInput when it holds no word."""
    phrases = [tuple(words(quoted or bare)) for quoted, bare in PHRASE.findall(text[:1000])]
    kept = tuple(phrase for phrase in phrases if phrase)[:32]
    if not kept:
        raise InvalidInput("HT-SEARCH-11", name=name)
    return Text(field, kept)


def contains(haystack: str, phrase: tuple[str, ...]) -> bool:
    """Return whether the words of `phrase` follow each other in `haystack` (words separated by spaces)."""
    return f" {' '.join(phrase)} " in f" {haystack} "
