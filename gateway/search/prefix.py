"""The prefixes of ordered values (https://hl7.org/fhir/R4/search.html#prefix)."""

from typing import get_args

from gateway.search.query import Op

PREFIXES = frozenset(get_args(Op))


def split_prefix(text: str) -> tuple[Op, str]:
    """Return prefix and rest: "ge2024" → ("ge", "2024"); without one the prefix is `eq`."""
    if text[:2] in PREFIXES:
        return text[:2], text[2:]  # type: ignore[return-value]  # membership in the Literal was just tested
    return "eq", text
