"""Chains: a condition on what a reference leads to (https://hl7.org/fhir/R4/search.html#chaining).

`patient.name=peter`, `subject:Patient.organization.name=…`; any depth up to a bound.
"""

from typing import TYPE_CHECKING

from conformance.definitions import resource_types
from gateway.search.query import Chain, Condition
from gateway.search.reference import any_of
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from gateway.search.criterion import Criteria

MAX_DEPTH = 8


def parse(kind: str, head: str, tail: str, value: str, criteria: "Criteria") -> Condition:
    """Return the condition of `head.tail=value` for resources of type `kind`; raises InvalidInput.

    Without `:type` every type that the reference may lead to and that knows the next parameter is tried.
    """
    if tail.count(".") + tail.count("_has:") >= MAX_DEPTH:
        raise InvalidInput("HT-SEARCH-05", name=f"{head}.{tail}"[:80])
    code, _, wanted = head.partition(":")
    parameter = criteria.parameters.get(kind, code)
    if parameter is None or parameter.type != "reference":
        raise InvalidInput("HT-SEARCH-30", name=code[:80], type=kind)
    known = resource_types()
    if wanted and (
        wanted not in known or (parameter.targets and not {wanted, "Resource"} & {*parameter.targets})
    ):
        raise InvalidInput(
            "HT-SEARCH-24", name=code, type=wanted[:80], known=", ".join(parameter.targets[:8])
        )
    targets = (
        (wanted,) if wanted else tuple(t for t in parameter.targets if t in known) or tuple(sorted(known))
    )
    able = [target for target in targets if criteria.is_known((target,), tail)]
    if not able:
        raise InvalidInput("HT-SEARCH-31", name=tail[:80], reference=code, known=", ".join(targets[:8]))
    grouped: dict[Condition, list[str]] = {}
    for target in able:
        grouped.setdefault(criteria.read((target,), tail, value), []).append(target)
    return any_of([Chain(parameter.paths, tuple(types), item) for item, types in grouped.items()])
