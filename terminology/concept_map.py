"""ConceptMap/$translate: what a code of one system is in another, forwards and backwards.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html; R5's parameter names (sourceCode, targetCode …) are taken
too. R5 relationships are answered as R4 equivalences beside the relationship, as the ecosystem's clients read both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from terminology.canonical import join, split
from terminology.canonical_status import vurl
from terminology.check import Check
from terminology.concept_map_index import elements, sources
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, NotFound
from terminology.membership import is_member, prepare
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope

# R5 relationship → R4 equivalence (https://hl7.org/fhir/R5/valueset-concept-map-relationship.html), and back.
_EQUIVALENCE = {
    "related-to": "relatedto",
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    "not-related-to": "unmatched",
}
_RELATIONSHIP = {
    "relatedto": "related-to",
    "equivalent": "equivalent",
    "equal": "equivalent",
    "wider": "source-is-narrower-than-target",
    "subsumes": "source-is-narrower-than-target",
    "narrower": "source-is-broader-than-target",
    "specializes": "source-is-broader-than-target",
    "inexact": "related-to",
    "unmatched": "not-related-to",
    "disjoint": "not-related-to",
}
_NEGATIVE = frozenset({"unmatched", "disjoint"})
_UNMAPPED = {
    "provided": "provided",
    "use-source-code": "provided",
    "fixed": "fixed",
    "other-map": "other-map",
}

MAX_CHAIN = 20
MAX_CODINGS = 50


@dataclass(frozen=True)
class Question:
    """`coding` is translated; `is_reverse`: it is a target concept and its sources are asked for.

    `names_target`: R5's way of asking for that. `scope_url`: value set that must hold the coding; `other_scope`, `other_system`: where answers may come from.
    """

    coding: Json
    is_reverse: bool
    scope_url: str | None
    other_scope: str | None
    other_system: str | None
    names_target: bool = False


def translate(scope: Scope, inputs: Inputs, given: Json | None) -> Json:
    """Return the Parameters of $translate. `given`: the map of an instance-level call.

    Of a CodeableConcept every coding is translated: what any of them is in the other system, the concept is.
    """
    several = _several(inputs)
    if not several:
        return _translate(scope, inputs, _question(inputs), given)
    answers = [_translate(scope, one, _question(one), given) for one in several]
    matches = list(
        {
            _concept(row): row for answer in answers for row in answer["parameter"] if row["name"] == "match"
        }.values()
    )
    used = [row for answer in answers for row in answer["parameter"] if row["name"] == "used-conceptmap"]
    if not matches:
        return answers[0]
    return _answer(scope, matches, list(dict.fromkeys(row["valueUri"] for row in used)))


def _several(inputs: Inputs) -> list[Inputs]:
    """Return the inputs once for each coding of a CodeableConcept that has more than one."""
    for name in ("sourceCodeableConcept", "codeableConcept", "targetCodeableConcept"):
        if not inputs.has(name):
            continue
        concept = inputs.concept(name) or {}
        codings = [row for row in concept.get("coding") or () if row.get("system") and row.get("code")]
        others = [row for row in inputs.rows if row["name"] != name]
        return [
            Inputs(inputs.operation, [*others, {"name": name, "valueCodeableConcept": {"coding": [coding]}}])
            for coding in codings[:MAX_CODINGS]
            if len(codings) > 1
        ]
    return []


def _translate(scope: Scope, inputs: Inputs, question: Question, given: Json | None) -> Json:
    maps = _maps(scope, inputs, question, given)
    coding = question.coding
    if question.scope_url and not _in_scope(scope, question.scope_url, coding):
        return _no(scope, "NOT_IN_SCOPE", coding["system"], coding["code"], question.scope_url)
    applicable = [row for row in maps if _applies(scope, row, question)]
    if not applicable:
        source, target = coding["system"], question.other_system or question.other_scope or "–"
        if question.is_reverse:
            source, target = target, source
        if maps:
            return _no(scope, "CONCEPT_MAP_OUT_OF_SCOPE", source, target, coding["system"], coding["code"])
        return _no(scope, "NO_CONCEPT_MAP", source, target)
    matches: list[Json] = []
    used: list[str] = []
    for concept_map in applicable:
        if question.is_reverse:
            found = _backwards(concept_map, question)
        else:
            found = _forwards(scope, concept_map, question, vurl(concept_map), [vurl(concept_map)], used)
        for match in found:
            if not any(_concept(match) == _concept(known) for known in matches):
                matches.append(match)
    return _answer(scope, matches, used)


def _question(inputs: Inputs) -> Question:
    forward = _coding(inputs, "sourceCoding", "coding", "sourceCodeableConcept", "codeableConcept")
    if forward is None and (inputs.has("sourceCode") or inputs.has("code")):
        forward = {
            "code": inputs.need("sourceCode", "code"),
            "system": inputs.need("sourceSystem", "system"),
            "version": inputs.text("sourceVersion", "version"),
        }
    source_scope, target_scope = inputs.text("sourceScope", "source"), inputs.text("targetScope", "target")
    target_system = inputs.text("targetSystem", "targetsystem")
    if forward is not None:
        if inputs.boolean("reverse"):
            return Question(forward, True, target_scope, source_scope, target_system)
        return Question(forward, False, source_scope, target_scope, target_system)
    backward = _coding(inputs, "targetCoding", "targetCodeableConcept")
    if backward is None and inputs.has("targetCode"):
        if not target_system:
            raise InvalidInput("HT-TX-01", operation=inputs.operation, names="targetSystem")
        backward = {
            "code": inputs.need("targetCode"),
            "system": target_system,
            "version": inputs.text("targetVersion"),
        }
    if backward is None:
        names = "sourceCode + sourceSystem | sourceCoding | sourceCodeableConcept | targetCode + targetSystem | targetCoding"
        raise InvalidInput("HT-TX-01", operation=inputs.operation, names=names)
    if inputs.boolean("reverse"):
        raise InvalidInput("HT-TX-09", first="reverse", second="targetCode")
    source_system = inputs.text("sourceSystem", "system")
    return Question(backward, True, target_scope, source_scope, source_system, names_target=True)


def _coding(inputs: Inputs, *names: str) -> Json | None:
    for name in names:
        if not inputs.has(name):
            continue
        if name.endswith("odeableConcept"):
            codings = (inputs.concept(name) or {}).get("coding") or [{}]
            coding: Json = codings[0]
        else:
            coding = inputs.coding(name) or {}
        if not coding.get("system") or not coding.get("code"):
            raise InvalidInput("HT-TX-01", operation=inputs.operation, names=f"{name}.system, {name}.code")
        return coding
    return None


def _maps(scope: Scope, inputs: Inputs, question: Question, given: Json | None) -> list[Json]:
    given = given or inputs.resource("conceptMap", "ConceptMap")
    if given is not None:
        return [given]
    url = inputs.text("url")
    if url:
        found = _find_map(scope, url, inputs.text("conceptMapVersion"))
        if found is None:
            raise NotFound("HT-TX-06", type="ConceptMap", url=url)
        return [found]
    candidates = [
        row for row in (*scope.own.concept_maps(), *scope.library.concept_maps()) if _fits(row, question)
    ]
    # A map that hands over to another comes before it; of the rest the newer counts first.
    return sorted(candidates, key=lambda row: str(row.get("date") or ""), reverse=True)


def _find_map(scope: Scope, canonical: str, version: str | None = None) -> Json | None:
    url, stated = split(canonical)
    version = version or stated
    return scope.own.concept_map(url, version) or scope.library.concept_map(url, version)


def _fits(concept_map: Json, question: Question) -> bool:
    own, other = ("target", "source") if question.is_reverse else ("source", "target")
    if question.other_scope:
        declared = scope_of(concept_map, other)
        if declared and split(declared)[0] != split(question.other_scope)[0]:
            return False
    return any(
        group.get(own) == question.coding["system"]
        and (not question.other_system or group.get(other) == question.other_system)
        for group in concept_map.get("group") or ()
    )


def scope_of(concept_map: Json, side: str) -> str | None:
    """Return the value set of one side of a map: R4 source[x]/target[x], R5 sourceScope[x]/targetScope[x]."""
    for name in (f"{side}Scope", side):
        for suffix in ("Canonical", "Uri"):
            if concept_map.get(name + suffix):
                return str(concept_map[name + suffix])
    return None


def _applies(scope: Scope, concept_map: Json, question: Question) -> bool:
    """A map speaks only of the codes of its own scope: its unmapped rule must not answer for others."""
    declared = scope_of(concept_map, "target" if question.is_reverse else "source")
    return declared is None or _in_scope(scope, declared, question.coding)


def _in_scope(scope: Scope, canonical: str, coding: Json) -> bool:
    value_set = scope.value_set(canonical)
    if value_set is None:
        raise NotFound("HT-TX-06", type="ValueSet", url=canonical)
    prepare(scope, value_set)
    return (
        is_member(
            scope, value_set, path="Coding", system=coding["system"], version=coding.get("version"),
            code=coding["code"], display=None, check=Check(),
        )
        is True
    )  # fmt: skip


def _forwards(
    scope: Scope, concept_map: Json, question: Question, origin: str, chain: list[str], used: list[str]
) -> Iterator[Json]:
    coding = question.coding
    for number, group in enumerate(concept_map.get("group") or ()):
        if group.get("source") != coding["system"]:
            continue
        if question.other_system and group.get("target") != question.other_system:
            continue
        found = elements(concept_map, number, coding["code"])
        if not found:
            yield from _unmapped(scope, concept_map, group, question, origin, chain, used)
        for element in found:
            for target in element.get("target") or ():
                yield _match(group.get("target"), target, origin)


def _backwards(concept_map: Json, question: Question) -> Iterator[Json]:
    """Return what maps to a concept.

    Asked by targetCode (R5), `concept` stays the target and `source` is the answer; asked with R4's `reverse`, `concept`
    is the answer.
    """
    coding = question.coding
    for number, group in enumerate(concept_map.get("group") or ()):
        if group.get("target") != coding["system"]:
            continue
        if question.other_system and group.get("source") != question.other_system:
            continue
        for element, target in sources(concept_map, number, coding["code"]):
            source = {"system": group.get("source"), "code": element.get("code")}
            if question.names_target:
                match = _match(group["target"], target, vurl(concept_map))
                match["part"].append({"name": "source", "valueCoding": source})
            else:
                match = _match(group.get("source"), {**target, **element}, vurl(concept_map))
            yield match


def _match(system: str | None, target: Json, origin: str) -> Json:
    equivalence = target.get("equivalence")
    relationship = target.get("relationship")
    if not equivalence:
        equivalence = _EQUIVALENCE.get(relationship or "", "relatedto")
    parts: list[Json] = [{"name": "equivalence", "valueCode": equivalence}]
    parts.append(
        {"name": "relationship", "valueCode": relationship or _RELATIONSHIP.get(equivalence, "related-to")}
    )
    if target.get("code"):
        concept: Json = {"system": system, "code": target["code"]} if system else {"code": target["code"]}
        if target.get("display"):
            concept["display"] = target["display"]
        parts.append({"name": "concept", "valueCoding": concept})
    for product in target.get("product") or ():
        if isinstance(product, dict) and product.get("value"):
            inner = {"system": product.get("system"), "code": product["value"]}
            parts.append(
                {
                    "name": "product",
                    "part": [
                        {"name": "element", "valueUri": product.get("property")},
                        {
                            "name": "concept",
                            "valueCoding": {key: value for key, value in inner.items() if value},
                        },
                    ],
                }
            )
    if origin:
        # R4 calls it `source`; R5 renamed it, because a reverse translation has a source concept.
        parts.append({"name": "originMap", "valueCanonical": origin})
    return {"name": "match", "part": parts}


def _unmapped(
    scope: Scope,
    concept_map: Json,
    group: Json,
    question: Question,
    origin: str,
    chain: list[str],
    used: list[str],
) -> Iterator[Json]:
    """ConceptMap.group.unmapped: what a group does with a code that it doesn't list."""
    unmapped = group.get("unmapped") or {}
    match _UNMAPPED.get(unmapped.get("mode", "")):
        case "provided":
            target = {"code": question.coding["code"], "equivalence": "equivalent"}
            yield _match(group.get("target"), target, origin)
        case "fixed" if unmapped.get("code"):
            target = {"code": unmapped["code"], "display": unmapped.get("display"), "equivalence": "inexact"}
            yield _match(group.get("target"), target, origin)
        case "other-map":
            other = _find_map(scope, unmapped.get("otherMap") or unmapped.get("url") or "")
            if other is None:
                shown = unmapped.get("otherMap") or unmapped.get("url")
                raise TerminologyProblem(
                    scope.issue("error", "not-found", "not-found", "CONCEPT_MAP_OTHER_UNKNOWN", shown)
                )
            if vurl(other) in chain or len(chain) >= MAX_CHAIN:
                issue = scope.issue(
                    "error",
                    "business-rule",
                    "business-rule",
                    "CONCEPT_MAP_CIRCULAR",
                    vurl(concept_map),
                    vurl(other),
                )
                raise TerminologyProblem(issue)
            if vurl(other) not in used:
                used.append(vurl(other))
            yield from _forwards(scope, other, question, origin, [*chain, vurl(other)], used)


def _concept(match: Json) -> tuple[str, ...]:
    """Return what makes two matches the same: their concept, and the source of a reverse translation."""
    codings = [part["valueCoding"] for part in match["part"] if part["name"] in ("concept", "source")]
    return tuple(join(coding.get("system") or "", coding.get("code")) for coding in codings)


def _answer(scope: Scope, matches: list[Json], used: list[str]) -> Json:
    is_translated = any(match["part"][0]["valueCode"] not in _NEGATIVE for match in matches)
    rows: list[Json] = [{"name": "result", "valueBoolean": is_translated}]
    if not matches:
        rows.append({"name": "message", "valueString": _text(scope, "NO_TRANSLATION")})
    rows.extend(matches)
    rows.extend({"name": "used-conceptmap", "valueUri": canonical} for canonical in used)
    return {"resourceType": "Parameters", "parameter": rows}


def _no(scope: Scope, message_id: str, *values: object) -> Json:
    """No map covers the code: an answer, not an error."""
    rows: list[Json] = [
        {"name": "result", "valueBoolean": False},
        {"name": "message", "valueString": _text(scope, message_id, *values)},
    ]
    return {"resourceType": "Parameters", "parameter": rows}


def _text(scope: Scope, message_id: str, *values: object) -> str:
    return scope.issue("information", "informational", "", message_id, *values).text
