"""Requests that no client should send to the terminology operations: a 4xx with a reason, never an accident."""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from terminology.fhir_core import FhirCore
from terminology.issues import FhirError, InvalidInput, NotFound
from terminology.outcome import TerminologyProblem
from terminology.service import Terminology

SYSTEM: Any = {
    "resourceType": "CodeSystem",
    "url": "urn:s",
    "version": "1.0.0",
    "status": "active",
    "content": "complete",
    "property": [{"code": "p", "type": "string"}],
    "concept": [
        {
            "code": "a",
            "display": "A",
            "designation": [{"language": "zh", "value": "甲"}],
            "property": [{"code": "p", "valueString": "x"}],
            "concept": [{"code": "b"}],
        }
    ],
}
VALUE_SET: Any = {
    "resourceType": "ValueSet",
    "url": "urn:v",
    "status": "active",
    "compose": {
        "include": [
            {"system": "urn:s", "filter": [{"property": "concept", "op": "is-a", "value": "a"}]},
            {"system": "urn:s", "concept": [{"code": "a", "display": "A", "designation": [{"value": "B"}]}]},
        ],
        "exclude": [{"system": "urn:s", "concept": [{"code": "b"}]}],
    },
}
CONCEPT_MAP: Any = {
    "resourceType": "ConceptMap",
    "url": "urn:m",
    "status": "active",
    "group": [
        {
            "source": "urn:s",
            "target": "urn:t",
            "element": [{"code": "a", "target": [{"code": "1", "equivalence": "equal"}]}],
            "unmapped": {"mode": "fixed", "code": "9"},
        }
    ],
}
RESOURCES = [{"name": "tx-resource", "resource": row} for row in (SYSTEM, VALUE_SET, CONCEPT_MAP)]

# Operation → a request that is answered.
GOOD: dict[str, list[Any]] = {
    "expand": [
        {"name": "url", "valueUri": "urn:v"},
        {"name": "filter", "valueString": "a"},
        {"name": "count", "valueInteger": 5},
        {"name": "offset", "valueInteger": 0},
        {"name": "activeOnly", "valueBoolean": True},
        {"name": "displayLanguage", "valueCode": "zh"},
        {"name": "property", "valueCode": "p"},
        {"name": "system-version", "valueCanonical": "urn:s|1.0.0"},
    ],
    "validate_code_in_value_set": [
        {"name": "url", "valueUri": "urn:v"},
        {"name": "code", "valueCode": "a"},
        {"name": "system", "valueUri": "urn:s"},
        {"name": "systemVersion", "valueString": "1.0.0"},
        {"name": "display", "valueString": "A"},
        {"name": "abstract", "valueBoolean": True},
    ],
    "validate_code_in_code_system": [
        {"name": "url", "valueUri": "urn:s"},
        {"name": "coding", "valueCoding": {"system": "urn:s", "code": "a", "display": "A"}},
    ],
    "lookup": [
        {"name": "system", "valueUri": "urn:s"},
        {"name": "code", "valueCode": "a"},
        {"name": "version", "valueString": "1.0.0"},
    ],
    "subsumes": [
        {"name": "system", "valueUri": "urn:s"},
        {"name": "codeA", "valueCode": "a"},
        {"name": "codeB", "valueCode": "b"},
    ],
    "related": [
        {"name": "url", "valueUri": "urn:v"},
        {"name": "otherUrl", "valueUri": "urn:v"},
        {"name": "count", "valueInteger": 3},
    ],
    "find_matches": [
        {"name": "system", "valueUri": "urn:s"},
        {"name": "exact", "valueBoolean": False},
        {
            "name": "property",
            "part": [{"name": "code", "valueCode": "p"}, {"name": "value", "valueString": "x"}],
        },
    ],
    "translate": [
        {"name": "url", "valueUri": "urn:m"},
        {"name": "code", "valueCode": "a"},
        {"name": "system", "valueUri": "urn:s"},
    ],
    "closure": [
        {"name": "name", "valueString": "mine"},
        {"name": "concept", "valueCoding": {"system": "urn:s", "code": "a"}},
    ],
    "versions": [{"name": "url", "valueUri": "urn:s"}],
    "batch_validate_code": [
        {"name": "url", "valueUri": "urn:v"},
        {
            "name": "validation",
            "resource": {
                "resourceType": "Parameters",
                "parameter": [{"name": "code", "valueCode": "a"}, {"name": "system", "valueUri": "urn:s"}],
            },
        },
    ],
}

WRONG: tuple[Any, ...] = (
    None,
    7,
    -1,
    3.5,
    True,
    "",
    "x" * 10_000,
    [],
    ["a"],
    {},
    {"system": 3},
    "1|2|3",
    "\x00",
)


@pytest.fixture(scope="module")
def service() -> Terminology:
    return Terminology(FhirCore())


def run(service: Terminology, operation: str, rows: Any) -> Any:
    """Return the answer, or the error that tells what is wrong; anything else fails the test."""
    call: Callable[[Any], Any] = getattr(service, operation)
    try:
        return call({"resourceType": "Parameters", "parameter": rows})
    except FhirError as error:
        return error


@pytest.mark.parametrize("operation", GOOD)
class TestEveryParameter:
    def test_the_request_itself_is_answered(self, service: Terminology, operation: str) -> None:
        assert isinstance(run(service, operation, [*GOOD[operation], *RESOURCES]), dict)

    def test_missing(self, service: Terminology, operation: str) -> None:
        for left_out in GOOD[operation]:
            run(service, operation, [row for row in GOOD[operation] if row is not left_out] + RESOURCES)

    def test_all_missing_is_refused(self, service: Terminology, operation: str) -> None:
        assert isinstance(run(service, operation, list(RESOURCES)), InvalidInput)

    def test_doubled(self, service: Terminology, operation: str) -> None:
        repeating = {"property", "system-version", "concept", "validation"}
        for row in GOOD[operation]:
            answer = run(service, operation, [*GOOD[operation], row, *RESOURCES])
            if row["name"] not in repeating and operation != "batch_validate_code":
                assert isinstance(answer, InvalidInput)
                assert answer.issues[0].code == "HT-TX-02"

    def test_wrong_type(self, service: Terminology, operation: str) -> None:
        for number, row in enumerate(GOOD[operation]):
            for value in WRONG:
                for key in ("valueString", "valueInteger", "valueCoding", "valueBoolean", "resource", "part"):
                    rows = copy.deepcopy(GOOD[operation])
                    rows[number] = {"name": row["name"], key: value}
                    run(service, operation, rows + RESOURCES)

    def test_a_body_that_is_no_parameters(self, service: Terminology, operation: str) -> None:
        for body in (
            None,
            [],
            "x",
            7,
            {},
            {"resourceType": "Patient"},
            {"resourceType": "Parameters", "parameter": 3},
        ):
            with pytest.raises(InvalidInput):
                getattr(service, operation)(body)

    def test_damaged_resources(self, service: Terminology, operation: str) -> None:
        chance = random.Random(operation)
        for _ in range(200):
            damaged = copy.deepcopy(RESOURCES)
            for _ in range(chance.randint(1, 3)):
                damage(damaged, chance)
            run(service, operation, [*GOOD[operation], *damaged])


def damage(tree: Any, chance: random.Random) -> None:
    """Put something wrong in one place of a tree of resources."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        pairs = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in pairs:
            places.append((node, key))
            if isinstance(value, (dict, list)):
                walk(value)

    for row in tree:
        if isinstance(row.get("resource"), dict):
            walk(row["resource"])
    node, key = chance.choice(places)
    if chance.random() < 0.3 and isinstance(node, dict):
        del node[key]
    else:
        node[key] = copy.deepcopy(chance.choice(WRONG))


class TestUnknown:
    def test_value_set(self, service: Terminology) -> None:
        answer = run(service, "expand", [{"name": "url", "valueUri": "urn:none"}])
        assert isinstance(answer, TerminologyProblem)
        assert answer.status == 404

    def test_code_system(self, service: Terminology) -> None:
        rows = [{"name": "system", "valueUri": "urn:none"}, {"name": "code", "valueCode": "a"}]
        answer = run(service, "lookup", rows)
        assert isinstance(answer, TerminologyProblem)
        assert answer.status == 404

    def test_version(self, service: Terminology) -> None:
        rows = [*GOOD["lookup"][:2], {"name": "version", "valueString": "9"}, *RESOURCES]
        answer = run(service, "lookup", rows)
        assert isinstance(answer, TerminologyProblem)
        assert "Valid versions: 1.0.0" in str(answer)

    def test_code(self, service: Terminology) -> None:
        rows = [{"name": "system", "valueUri": "urn:s"}, {"name": "code", "valueCode": "zz"}, *RESOURCES]
        assert isinstance(run(service, "lookup", rows), NotFound)

    def test_concept_map(self, service: Terminology) -> None:
        rows = [{"name": "url", "valueUri": "urn:none"}, *GOOD["translate"][1:]]
        assert isinstance(run(service, "translate", rows), NotFound)


class TestBounds:
    def test_a_filter_of_ten_thousand_characters(self, service: Terminology) -> None:
        rows = [
            {"name": "url", "valueUri": "urn:v"},
            {"name": "filter", "valueString": "糖" * 10_000},
            *RESOURCES,
        ]
        answer = run(service, "expand", rows)
        assert isinstance(answer, InvalidInput)
        assert answer.issues[0].code == "HT-TX-05"

    def test_too_many_codes_for_one_page(self, service: Terminology) -> None:
        big = {**SYSTEM, "concept": [{"code": f"c{number}"} for number in range(1_500)]}
        whole = {"resourceType": "ValueSet", "url": "urn:w", "compose": {"include": [{"system": "urn:s"}]}}
        rows = [{"name": "tx-resource", "resource": big}, {"name": "valueSet", "resource": whole}]
        answer = run(service, "expand", rows)
        assert isinstance(answer, TerminologyProblem)
        assert answer.problems[0].type == "too-costly"
        page = run(service, "expand", [*rows, {"name": "count", "valueInteger": 7}])
        assert len(page["expansion"]["contains"]) == 7
        assert page["expansion"]["total"] == 1_500

    @pytest.mark.parametrize("pattern", ["(a+)+$", "(?=a)", r"(a)\1", "[", "a{1,99999}", "(" * 200])
    def test_a_regular_expression_is_refused_or_fast(self, service: Terminology, pattern: str) -> None:
        long = {**SYSTEM, "concept": [{"code": "a" * 40 + "!"}]}
        chosen = {
            "resourceType": "ValueSet",
            "url": "urn:r",
            "compose": {
                "include": [
                    {"system": "urn:s", "filter": [{"property": "code", "op": "regex", "value": pattern}]}
                ]
            },
        }
        rows = [{"name": "tx-resource", "resource": long}, {"name": "valueSet", "resource": chosen}]
        answer = run(service, "expand", rows)
        if isinstance(answer, TerminologyProblem):
            assert answer.status == 400
            assert answer.problems[0].message_id == "INVALID_REGEX"
        else:
            assert answer["expansion"]["total"] == 0


class TestCycles:
    def test_value_sets_that_import_each_other(self, service: Terminology) -> None:
        def importing(url: str, other: str) -> Any:
            compose = {"include": [{"valueSet": [other]}]}
            row = {"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose}
            return {"name": "tx-resource", "resource": row}

        resources = [importing("urn:x", "urn:y"), importing("urn:y", "urn:x")]
        for operation in ("expand", "validate_code_in_value_set"):
            rows = [
                {"name": "url", "valueUri": "urn:x"},
                *GOOD["validate_code_in_value_set"][1:3],
                *resources,
            ]
            answer = run(service, operation, rows)
            assert isinstance(answer, TerminologyProblem)
            assert answer.problems[0].message_id == "VALUESET_CIRCULAR_REFERENCE"

    def test_a_hierarchy_that_bites_its_tail(self, service: Terminology) -> None:
        concepts = [
            {"code": "a", "property": [{"code": "parent", "valueCode": "b"}]},
            {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]},
            {"code": "c", "property": [{"code": "parent", "valueCode": "c"}]},
        ]
        circular = {**SYSTEM, "concept": concepts}
        whole = {"resourceType": "ValueSet", "url": "urn:w", "compose": {"include": [{"system": "urn:s"}]}}
        given = [{"name": "tx-resource", "resource": circular}]
        listed = run(service, "expand", [*given, {"name": "valueSet", "resource": whole}])
        assert listed["expansion"]["total"] == 3
        assert sorted(every_code(listed["expansion"]["contains"])) == ["a", "b", "c"]
        answer = run(service, "subsumes", [*GOOD["subsumes"], *given])
        assert answer["parameter"][0]["valueCode"] == "subsumes"

    def test_maps_that_hand_over_to_each_other(self, service: Terminology) -> None:
        def handing(url: str, other: str) -> Any:
            group = {"source": "urn:s", "target": "urn:t", "unmapped": {"mode": "other-map", "url": other}}
            return {
                "name": "tx-resource",
                "resource": {"resourceType": "ConceptMap", "url": url, "group": [group]},
            }

        rows = [{"name": "url", "valueUri": "urn:x"}, *GOOD["translate"][1:]]
        answer = run(service, "translate", [*rows, handing("urn:x", "urn:y"), handing("urn:y", "urn:x")])
        assert isinstance(answer, TerminologyProblem)
        assert answer.problems[0].message_id == "CONCEPT_MAP_CIRCULAR"


def every_code(rows: list[Any]) -> list[str]:
    return [code for row in rows for code in (row["code"], *every_code(row.get("contains", [])))]
