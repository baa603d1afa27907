"""`_sort`: any parameter that has an order, several keys (https://hl7.org/fhir/R4/search.html#sort).

Ascending compares the smallest value of a resource, descending its largest; resources without a value come last
either way.
"""

from collections.abc import Sequence
from typing import Literal

from gateway.search.parameters import Parameter, Parameters
from gateway.search.query import Sort
from terminology.issues import InvalidInput

IDENTITY: dict[str, Literal["id", "updated"]] = {"_id": "id", "_lastUpdated": "updated"}


def parse(key: str, types: Sequence[str], *, parameters: Parameters) -> Sort | None:
    """Return one key of `_sort`, None when no searched type knows it; raises InvalidInput when it has no order."""
    code = key.removeprefix("-")
    descending = key != code
    if code in IDENTITY:
        return Sort(code, IDENTITY[code], (), descending)
    found = [p for p in (parameters.get(kind, code) for kind in types or ("Resource",)) if p is not None]
    if not found:
        return None
    if not all(map(has_order, found)) or len({p.kind for p in found}) > 1:
        raise InvalidInput("HT-SEARCH-26", name=code)
    paths = tuple(dict.fromkeys(path for p in found for path in p.paths))
    return Sort(code, found[0].kind, paths, descending)


def has_order(parameter: Parameter) -> bool:
    return bool(parameter.paths) and parameter.type not in ("composite", "special")
