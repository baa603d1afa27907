"""ValueSet/$related: how the codes of one value set lie to those of another: same, superset, subset, overlapping, disjoint.

No HL7 specification defines it; the words are those of the HL7 terminology ecosystem's comparison tests. Both sets are
evaluated, nothing is rendered, so sets of tens of thousands of codes are compared in a moment.
"""

from dataclasses import dataclass

from terminology.canonical_status import vurl
from terminology.expansion import evaluate
from terminology.fhirjson import Json
from terminology.issues import TooCostly
from terminology.members import Members
from terminology.scope import Scope

MAX_COMPARED = 200_000
SHOWN = 100
"""Codes of a difference that one answer lists."""

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Relation:
    """`word`: how this value set lies to the other one; the codes that only one of them has."""

    word: str
    common: int
    only_this: Pairs
    only_other: Pairs


def related(scope: Scope, this: Json, other: Json) -> Json:
    """Return Parameters with `relationship` and the codes that make the difference (`count` of them, at most SHOWN).

    Raises TerminologyProblem when one of them cannot be evaluated, TooCostly HT-TX-21 when one is too large.
    """
    relation = relate(_pairs(scope, this), _pairs(scope, other))
    count = min(scope.options.count if scope.options.count is not None else SHOWN, SHOWN)
    rows: list[Json] = [
        {"name": "relationship", "valueCode": relation.word},
        {"name": "this", "valueUri": vurl(this)},
        {"name": "other", "valueUri": vurl(other)},
        {"name": "common", "valueInteger": relation.common},
    ]
    for name, pairs in (("only-this", relation.only_this), ("only-other", relation.only_other)):
        rows.append({"name": f"{name}-count", "valueInteger": len(pairs)})
        for system, code in sorted(pairs)[:count]:
            coding = {"system": system, "code": code} if system else {"code": code}
            rows.append({"name": name, "valueCoding": coding})
    return {"resourceType": "Parameters", "parameter": rows}


def relate(this: Pairs, other: Pairs) -> Relation:
    """Compare two sets of (system, code)."""
    common = len(this & other)
    only_this, only_other = this - other, other - this
    if not this and not other:
        word = "empty"
    elif not only_this and not only_other:
        word = "same"
    elif not only_other:
        word = "superset" if common or not other else "disjoint"
    elif not only_this:
        word = "subset" if common or not this else "disjoint"
    else:
        word = "overlapping" if common else "disjoint"
    return Relation(word, common, only_this, only_other)


def _pairs(scope: Scope, value_set: Json) -> Pairs:
    scope.options.see_value_set(value_set)
    scope.require_supplements(value_set)
    members: Members = evaluate(scope, value_set)
    if len(members) > MAX_COMPARED:
        raise TooCostly("HT-TX-21", value_set=vurl(value_set), count=len(members), limit=MAX_COMPARED)
    return frozenset((member.system.url, member.code) for member in members)
