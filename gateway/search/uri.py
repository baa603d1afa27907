"""URIs, compared as written (https://hl7.org/fhir/R4/search.html#uri)."""

from collections.abc import Iterator
from typing import Any

from gateway.search.query import Below, Condition, Paths, Token
from terminology.issues import InvalidInput


def parse(name: str, paths: Paths, text: str, modifier: str) -> Condition:
    """`:below` finds the URI and what lies under it, `:above` the URI and what it lies under (URLs only)."""
    if not text:
        raise InvalidInput("HT-SEARCH-11", name=name)
    if modifier == "":
        return Token(paths, ((None, text),))
    if not text.startswith(("http://", "https://")):
        raise InvalidInput("HT-SEARCH-15", name=name, modifier=modifier, value=text[:80])
    return (
        Below(paths, text.rstrip("/"))
        if modifier == "below"
        else Token(paths, tuple((None, u) for u in above(text)))
    )


def above(uri: str) -> list[str]:
    """Return the URL and every URL above it, each with and without the final slash."""
    found = []
    scheme, _, rest = uri.partition("://")
    parts = rest.rstrip("/").split("/")[:64]
    for length in range(len(parts), 0, -1):
        stem = f"{scheme}://{'/'.join(parts[:length])}"
        found += [stem, stem + "/"]
    return found


def read_uri(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str) and value:
        yield "", value, ""
