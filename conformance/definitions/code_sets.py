"""Codes of the bound value sets that can be enumerated offline."""

import gzip
from functools import cache

import msgspec

from conformance.definitions.structures import FOLDER


@cache
def _sets() -> dict[str, dict[str, list[str]] | None]:
    return msgspec.json.decode(
        gzip.decompress((FOLDER / "code_sets.json.gz").read_bytes()),
        type=dict[str, dict[str, list[str]] | None],
    )


@cache
def required_codes(value_set: str) -> dict[str, frozenset[str]] | None:
    """Return the codes of a bound value set by system; None when it cannot be enumerated (UCUM, BCP-13, …)."""
    found = _sets().get(value_set.partition("|")[0])
    return {system: frozenset(codes) for system, codes in found.items()} if found is not None else None
