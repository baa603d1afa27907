"""The specification's invariants (https://hl7.org/fhir/R4/conformance-rules.html#constraints), through FHIRPath.

The few that every element or resource carries are written by hand, because they cost more than all others together;
a property test holds them against the expressions.
"""

import logging
from collections.abc import Callable
from functools import cache

from conformance.definitions import Constraint, constraints, structure
from conformance.validation.run import Node, Run
from terminology.fhirjson import Json
from terminology.issues import FhirError

ConstraintCheck = Callable[[Node, Run], None]

# Told by structure.py (ele-1) and contained.py, narrative.py, extensions.py in their own words.
BY_HAND = frozenset(
    {"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "ref-1", "txt-1", "txt-2"}
)
# Expressions of 4.0.1 that do not say what their text says; the corrected form is that of R4B and R5.
ERRATA = {
    "que-12": "enableWhen.count() > 1 implies enableBehavior.exists()",
    "que-7": "operator = 'exists' implies (answer is boolean)",
}
# The hottest invariants, by key and type: when one of these says yes, the expression would say so too (measured: it takes
# 6 µs, these take 0.1). A no decides nothing. tests/properties/test_constraint_properties.py holds both together.
PLAINLY_MET: dict[tuple[str, str], Callable[[Json], bool]] = {
    ("per-1", "Period"): lambda value: "start" not in value or "end" not in value,
    ("cpt-2", "ContactPoint"): lambda value: "system" in value or not value.keys() & {"value", "_value"},
    ("qty-3", "Quantity"): lambda value: "system" in value or not value.keys() & {"code", "_code"},
    ("rng-2", "Range"): lambda value: "low" not in value or "high" not in value,
    ("att-1", "Attachment"): lambda value: "contentType" in value or not value.keys() & {"data", "_data"},
    ("obs-6", "Observation"): lambda value: "dataAbsentReason" not in value,
    ("obs-7", "Observation"): lambda value: "component" not in value,
    ("obs-3", "Observation.referenceRange"): lambda value: (
        not value.keys().isdisjoint({"low", "high", "text"})
    ),
    ("pat-1", "Patient.contact"): lambda value: (
        not value.keys().isdisjoint({"name", "telecom", "address", "organization"})
    ),
    ("bdl-5", "Bundle.entry"): lambda value: not value.keys().isdisjoint({"resource", "request", "response"}),
    ("bdl-8", "Bundle.entry"): lambda value: "/_history/" not in str(value.get("fullUrl", "")),
}
_log = logging.getLogger(__name__)


@cache
def checks_of_type(path: str) -> tuple[ConstraintCheck, ...]:
    """Return the checks that a type's own definition demands of each of its values."""
    row = structure(path)
    if row is None:
        return ()
    return tuple(check(constraint, path) for constraint in _rules(tuple(row.elements[0].constraints)))


def checks_of_element(numbers: list[int], table_path: str, type_name: str) -> tuple[ConstraintCheck, ...]:
    """Return the checks that a place demands beyond those of its type."""
    row = structure(type_name)
    own = set(row.elements[0].constraints) if row is not None else set()
    return tuple(
        check(constraint, table_path) for constraint in _rules(tuple(n for n in numbers if n not in own))
    )


def _rules(numbers: tuple[int, ...]) -> list[Constraint]:
    rows = constraints()
    return [rows[number] for number in numbers if rows[number].expression and rows[number].key not in BY_HAND]


@cache
def check(constraint: Constraint, path: str) -> ConstraintCheck:
    """Return a check of one invariant on values of the type or element at `path`; it is compiled at first use."""
    is_met: list[Callable[[Node, Run], bool]] = []
    is_plain = PLAINLY_MET.get((constraint.key, path))

    def run_check(node: Node, run: Run) -> None:
        if is_plain is not None and is_plain(node.value):
            return
        if not is_met:
            is_met.append(_compiled(constraint, path))
        if not is_met[0](node, run):
            run.report(
                "HT-VAL-30",
                node.path,
                "error" if constraint.severity == "error" else "warning",
                key=constraint.key,
                human=constraint.human,
                expression=constraint.expression,
            )

    return run_check


def _compiled(constraint: Constraint, path: str) -> Callable[[Node, Run], bool]:
    from conformance.validation.expressions import holds

    def is_met(node: Node, run: Run) -> bool:
        try:
            return holds(ERRATA.get(constraint.key, constraint.expression), path, node.value, node.scope, run)
        except FhirError as problem:
            # An expression that cannot be evaluated on this value decides nothing; the structure has been told.
            _log.debug("%s on %s: %s", constraint.key, path, problem)
            return True

    return is_met
