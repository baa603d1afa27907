"""What must hold between the terminology operations, for any value set."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from terminology.library import ResourceLibrary
from terminology.service import Terminology

CODES = [f"c{number}" for number in range(12)]
SYSTEM: Any = {
    "resourceType": "CodeSystem",
    "url": "urn:s",
    "version": "1.0.0",
    "status": "active",
    "content": "complete",
    "caseSensitive": True,
    "concept": [
        {
            "code": code,
            "display": f"Name {code}",
            "property": [
                {"code": "parent", "valueCode": CODES[number // 3]},
                {"code": "inactive", "valueBoolean": number % 5 == 4},
            ],
        }
        for number, code in enumerate(CODES)
    ],
}

codes = st.sampled_from(CODES)
operators = st.sampled_from(["is-a", "descendent-of", "is-not-a", "child-of", "generalizes"])
filters = st.builds(
    lambda op, code: {"filter": [{"property": "concept", "op": op, "value": code}]}, operators, codes
)
listed = st.lists(codes, min_size=1, max_size=4).map(
    lambda found: {"concept": [{"code": code} for code in found]}
)
parts = st.one_of(filters, listed, st.just({})).map(lambda part: {"system": "urn:s", **part})


def expand(service: Terminology, value_set: Any, **parameters: Any) -> Any:
    rows = [{"name": "valueSet", "resource": value_set}]
    rows += [{"name": name, "valueString": str(value)} for name, value in parameters.items()]
    return service.expand({"resourceType": "Parameters", "parameter": rows})["expansion"]


def every_code(rows: list[Any]) -> list[str]:
    return [code for row in rows for code in (row["code"], *every_code(row.get("contains", [])))]


def is_member(service: Terminology, value_set: Any, code: str) -> bool:
    rows = [
        {"name": "valueSet", "resource": value_set},
        {"name": "code", "valueCode": code},
        {"name": "system", "valueUri": "urn:s"},
    ]
    answer = service.validate_code_in_value_set({"resourceType": "Parameters", "parameter": rows})
    return next(bool(row["valueBoolean"]) for row in answer["parameter"] if row["name"] == "result")


@settings(max_examples=60, deadline=None)
@given(st.lists(parts, min_size=1, max_size=3), st.lists(parts, max_size=2), st.booleans())
def test_expand_lists_what_validate_code_accepts(
    included: list[Any], excluded: list[Any], inactive: bool
) -> None:
    service = Terminology(ResourceLibrary([SYSTEM]))
    compose = {"include": included, "inactive": inactive, **({"exclude": excluded} if excluded else {})}
    value_set = {"resourceType": "ValueSet", "url": "urn:v", "status": "active", "compose": compose}
    expansion = expand(service, value_set)
    found = every_code(expansion.get("contains", []))
    assert len(found) == len(set(found)) == expansion["total"]
    assert {code for code in CODES if is_member(service, value_set, code)} == set(found)
    flat = every_code(expand(service, value_set, excludeNested="true").get("contains", []))
    assert sorted(flat) == sorted(found)
    pages = [
        code
        for offset in range(0, len(flat) + 3, 3)
        for code in every_code(expand(service, value_set, offset=offset, count=3).get("contains", []))
    ]
    assert pages == flat


@settings(max_examples=60, deadline=None)
@given(codes, codes)
def test_subsumption_and_is_a_agree(first: str, second: str) -> None:
    service = Terminology(ResourceLibrary([SYSTEM]))
    rows = [{"name": "system", "valueUri": "urn:s"}, {"name": "codeA", "valueCode": first}]
    rows.append({"name": "codeB", "valueCode": second})
    answer = service.subsumes({"resourceType": "Parameters", "parameter": rows})["parameter"][0]["valueCode"]
    below = {"system": "urn:s", "filter": [{"property": "concept", "op": "is-a", "value": first}]}
    value_set = {"resourceType": "ValueSet", "url": "urn:v", "compose": {"include": [below]}}
    assert is_member(service, value_set, second) == (answer in ("subsumes", "equivalent"))
