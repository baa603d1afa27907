"""CodeSystem/$find-matches: which concepts have a set of properties.

https://hl7.org/fhir/R4/codesystem-operation-find-matches.html. `code` and `display` count as properties here, and
`concept` (is-a). Composition of several concepts (`exact = false` with unmatched subproperties) is answered by the
concepts that match some of the properties, the rest in `unmatched`.
"""

from dataclasses import dataclass

from terminology.code_system import CodeSystem, Filter, Selection, UnsupportedFilter
from terminology.concept_status import text_of
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput
from terminology.lookup import need_code_system
from terminology.scope import Scope

MAX_MATCHES = 100


@dataclass(frozen=True)
class Wanted:
    """One property of the question: its parts for `unmatched`, and the concepts that have it."""

    parts: dict[str, Json]
    selection: Selection


def find_matches(scope: Scope, inputs: Inputs, given: CodeSystem | None) -> Json:
    """Return Parameters with a `match` for each concept, those that match most properties first."""
    system = given
    if system is None:
        system = need_code_system(scope, inputs.need("system"), inputs.text("version"))
    rows = inputs.parts("property")
    if not rows:
        raise InvalidInput("HT-TX-01", operation=inputs.operation, names="property")
    is_exact = inputs.boolean("exact")
    if is_exact is None:
        raise InvalidInput("HT-TX-01", operation=inputs.operation, names="exact")
    wanted = [_wanted(system, row) for row in rows]
    found = wanted[0].selection
    for other in wanted[1:]:
        found = found & other.selection
    if len(found) or is_exact:
        matches = [_match(system, ordinal, []) for ordinal in found.page(0, MAX_MATCHES)]
    else:
        matches = _partial(system, wanted)
    return {"resourceType": "Parameters", "parameter": matches}


def _partial(system: CodeSystem, wanted: list[Wanted]) -> list[Json]:
    counts: dict[int, int] = {}
    for one in wanted:
        for ordinal in one.selection:
            counts[ordinal] = counts.get(ordinal, 0) + 1
    best = sorted(counts, key=lambda ordinal: (-counts[ordinal], ordinal))[:MAX_MATCHES]
    return [
        _match(system, ordinal, [one.parts for one in wanted if ordinal not in one.selection])
        for ordinal in best
    ]


def _wanted(system: CodeSystem, parts: dict[str, Json]) -> Wanted:
    if "code" not in parts or "value" not in parts:
        raise InvalidInput("HT-TX-01", operation="$find-matches", names="property.code | property.value")
    name, value = text_of(parts["code"]), text_of(parts["value"])
    op = "is-a" if name == "concept" else "="
    try:
        return Wanted(parts, system.select(Filter(name, op, value)))
    except UnsupportedFilter:
        raise InvalidInput("HT-TX-08", name=f"property {name}") from None


def _match(system: CodeSystem, ordinal: int, unmatched: list[dict[str, Json]]) -> Json:
    coding: Json = {"system": system.url, "code": system.code(ordinal)}
    display = system.display(ordinal)
    if system.version:
        coding["version"] = system.version
    if display:
        coding["display"] = display
    rows: list[Json] = [{"name": "code", "valueCoding": coding}]
    rows.extend({"name": "unmatched", "part": list(parts.values())} for parts in unmatched)
    return {"name": "match", "part": rows}
