"""References: by id, type and id, URL, or by the identifier of what is referred to (search.html#reference)."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.search.query import AnyOf, Condition, Paths, Token
from gateway.search.token import pair
from terminology.issues import InvalidInput

LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
IDENTIFIER = ":identifier"
"""Appended to a path: the Reference.identifier values found there."""


def parse(name: str, paths: Paths, text: str, *, targets: Sequence[str], bases: Sequence[str]) -> Condition:
    """Return the condition of `id`, `Type/id`, an absolute URL or a canonical `url|version`.

    `targets`: the types that the parameter may name, empty for any. Raises InvalidInput.
    """
    text = local(text, bases)
    found = LOCAL.fullmatch(text)
    if found is not None:
        return Token(paths, ((found[1], found[2]),))
    if ":" in text:
        url, _, version = text.partition("|")
        return Token(paths, ((version or None, url),))
    if ID.fullmatch(text):
        kinds: Sequence[str | None] = targets if len(targets) == 1 else (None,)
        return Token(paths, tuple((kind, text) for kind in kinds))
    raise InvalidInput("HT-SEARCH-16", name=name, value=text[:80])


def parse_identifier(name: str, paths: Paths, text: str) -> Condition:
    """`:identifier`: the reference carries this business identifier itself."""
    return Token(tuple(path + IDENTIFIER for path in paths), (pair(name, text),))


def any_of(conditions: Sequence[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))


def local(text: str, bases: Sequence[str]) -> str:
    """Return the relative form of a reference to this server, anything else unchanged."""
    for base in bases:
        if text.startswith(base):
            return text[len(base) :].lstrip("/")
    return text


def read_reference(value: Any, bases: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (type, id, "") of a literal reference, ("", url, "") of a foreign one; contained ones are not indexed."""
    text = value.get("reference") if isinstance(value, dict) else None
    if isinstance(text, str) and text and not text.startswith("#"):
        text = local(text, bases)
        found = LOCAL.fullmatch(text)
        yield (found[1], found[2], "") if found is not None else ("", text, "")


def read_canonical(value: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (version, url, "")."""
    if isinstance(value, str) and value and not value.startswith("#"):
        url, _, version = value.partition("|")
        yield version.partition("#")[0], url, ""


def read_resource(value: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the identity of an embedded resource (Bundle.entry[0].resource)."""
    if (
        isinstance(value, dict)
        and isinstance(value.get("id"), str)
        and isinstance(value.get("resourceType"), str)
    ):
        yield value["resourceType"], value["id"], ""
