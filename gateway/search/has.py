"""`_has`: a condition on what refers to the resource (https://hl7.org/fhir/R4/search.html#has)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conformance.definitions import resource_types
from gateway.search.query import Condition, Has
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from gateway.search.criterion import Criteria

MAX_DEPTH = 8


def parse(name: str, value: str, types: Sequence[str], criteria: "Criteria") -> Condition:
    """Return the condition of `_has:Type:reference:parameter=value`, which may nest; raises InvalidInput."""
    if name.count("_has:") > MAX_DEPTH:
        raise InvalidInput("HT-SEARCH-05", name=name[:80])
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in resource_types() or not parts[3]:
        raise InvalidInput("HT-SEARCH-32", name=name[:120])
    _, kind, code, rest = parts
    parameter = criteria.parameters.get(kind, code)
    if parameter is None or parameter.type != "reference":
        raise InvalidInput("HT-SEARCH-30", name=code[:80], type=kind)
    if types and parameter.targets and not {*types, "Resource"} & {*parameter.targets}:
        raise InvalidInput(
            "HT-SEARCH-24", name=code, type=",".join(types), known=", ".join(parameter.targets[:8])
        )
    if not criteria.is_known((kind,), rest):
        raise InvalidInput("HT-SEARCH-02", name=rest[:80], type=kind, near="?")
    return Has(kind, parameter.paths, criteria.read((kind,), rest, value))
