"""What holds for every resource of R4: formats lose nothing, and the two structure checks are one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instances import resources

from conformance.definitions import resource_types
from conformance.formats.json import parse
from conformance.formats.xml import to_json, to_xml
from conformance.validation import validate
from conformance.validation.accept import Acceptor
from conformance.validation.structure import structure_issues
from terminology.fhirjson import encode
from terminology.issues import FhirError

FILES = sorted((Path(__file__).parent.parent / "data").glob("*/**/*.json"))
ACCEPTOR = Acceptor(compile_after=0)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", sorted(resource_types()))
def test_every_type_goes_through_xml_and_both_checks(name: str) -> None:
    """All 146 types, a few instances each."""

    @settings(
        max_examples=2,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(resources(name))
    def check(resource: dict[str, Any]) -> None:
        assert [(issue.code, issue.expression) for issue in structure_issues(resource)] == []
        assert to_json(to_xml(resource)) == resource
        assert parse(encode(resource)) == resource

    check()


@SLOW
@given(resources())
def test_what_the_schema_accepts_the_walk_accepts(resource: dict[str, Any]) -> None:
    if ACCEPTOR.accepts(resource):
        assert structure_issues(resource) == []


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) of a value."""
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in rows:
        found.append((value, key))
        places(item, found)
    return found


WRONG = [
    None,
    "",
    " ",
    "two  spaces",
    1,
    -1,
    True,
    [],
    {},
    [None],
    {"id": "a"},
    [[1]],
    "2024-02-30",
    "2024-13-01",
    "1.0",
    1.0,
]


@SLOW
@given(resources(), st.data())
def test_both_checks_judge_damage_alike(resource: dict[str, Any], data: st.DataObject) -> None:
    """Where the schema says yes the walk finds nothing, whatever was broken."""
    broken = copy.deepcopy(resource)
    for _ in range(data.draw(st.integers(1, 2))):
        if not broken:
            break
        holder, key = data.draw(st.sampled_from(places(broken, [])))
        match data.draw(st.sampled_from(["set", "drop", "rename", "wrap"])):
            case "set":
                holder[key] = data.draw(st.sampled_from(WRONG))
            case "wrap":
                holder[key] = [holder[key]]
            case "drop" if isinstance(holder, dict):
                del holder[key]
            case "rename" if isinstance(holder, dict):
                holder[data.draw(st.sampled_from(["valueString", "_" + key, "name", "x"]))] = holder.pop(key)
    if ACCEPTOR.accepts(broken):
        assert structure_issues(broken) == []


def test_the_schema_accepts_nearly_all_that_is_valid() -> None:
    """What it leaves to the walk: nulls that keep a place, mandatory primitives with extensions only."""
    valid = accepted = 0
    for file in FILES:
        try:
            resource = parse(file.read_bytes())
        except FhirError:
            continue
        if "resourceType" in resource and not structure_issues(resource):
            valid += 1
            accepted += ACCEPTOR.accepts(resource)
    assert valid > 300
    assert accepted / valid > 0.98


@SLOW
@given(resources(), st.data())
def test_full_validation_never_breaks(resource: dict[str, Any], data: st.DataObject) -> None:
    """Rules meet values of every wrong shape and only ever answer with issues that can be worded."""
    holder, key = data.draw(st.sampled_from(places(resource, [])))
    holder[key] = data.draw(st.sampled_from(WRONG))
    for issue in validate(json.loads(encode(resource)), level="full"):
        assert issue.text("zh")
        assert issue.text("en")
        assert issue.fix("zh")
        assert issue.fix("en")
