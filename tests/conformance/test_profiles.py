"""The county profiles: their definitions are good FHIR, their examples hold, and each rule refuses what breaks it."""

import pytest
from profile_cases import (
    FOLDER,
    Case,
    all_ids,
    example,
    places,
    row_cases,
    written_cases,
)

from conformance import profiles
from conformance.profiles.codes import code_table
from conformance.profiles.extensions import extension_table
from conformance.profiles.shipped import identities
from conformance.profiles.table import load_table
from conformance.validation import ProfileRegistry, validate
from terminology.issues import Issue

REGISTRY = ProfileRegistry()
WRITTEN = [case for identity in all_ids() for case in written_cases(identity)]


def issues_of(identity: str, resource: dict[str, object]) -> list[Issue]:
    return validate(resource, profiles=[f"{profiles.BASE}StructureDefinition/{identity}"], registry=REGISTRY)


@pytest.mark.parametrize("kind", ["StructureDefinition", "ValueSet", "CodeSystem"])
def test_definitions_are_valid_fhir(kind: str) -> None:
    told = [
        (resource["id"], row.code, row.text("en"))
        for resource in profiles.resources(kind)
        for row in validate(resource, registry=REGISTRY)
        # dom-6 recommends a narrative; ours is the page in docs/profiles.
        if row.severity in ("fatal", "error", "warning") and row.code != "HT-VAL-70"
    ]
    assert told == []


def test_every_profile_builds_without_problems() -> None:
    for resource in profiles.resources("StructureDefinition"):
        found = REGISTRY.profile(resource["url"])
        assert found is not None
        assert found.problems == [], resource["id"]


@pytest.mark.parametrize("identity", all_ids())
def test_valid_example_holds(identity: str) -> None:
    told = [
        (row.severity, row.code, row.expression, row.text("en"))
        for row in issues_of(identity, example(identity))
        if row.severity in ("fatal", "error", "warning") and row.code != "HT-VAL-70"
    ]
    assert told == []


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: f"{case.profile}: {case.name}")
def test_broken_example_is_refused(case: Case) -> None:
    assert not case.is_met(issues_of(case.profile, example(case.profile)))
    found = issues_of(case.profile, case.resource)
    assert case.is_met(found), [
        (row.severity, row.code, row.expression, row.values.get("key")) for row in found
    ]


@pytest.mark.parametrize("identity", all_ids())
def test_each_row_of_the_table_refuses_what_breaks_it(identity: str) -> None:
    missed = [
        case.name for case in row_cases(identity) if not case.is_met(issues_of(identity, case.resource))
    ]
    assert missed == []


@pytest.mark.parametrize("identity", all_ids())
def test_each_invariant_has_a_case_and_each_required_row_a_value(identity: str) -> None:
    table = load_table(identity)
    shown = {case.key for case in written_cases(identity)}
    assert {row.key for row in table.invariants} - shown == set()
    demanded = [row for row in table.rows if row.least and ":" not in row.path and row.path.count(".") == 0]
    resource = example(identity)
    assert [row.path for row in demanded if not list(places(resource, table.type, row))] == []


def test_an_invariant_speaks_both_languages() -> None:
    broken = next(case for case in WRITTEN if case.key == "ht-enc-1")
    (issue,) = [
        row for row in issues_of(broken.profile, broken.resource) if row.values.get("key") == "ht-enc-1"
    ]
    assert issue.text("zh") == "违反规则 ht-enc-1:已结束的就诊须有结束时间"
    assert issue.text("en") == "Rule ht-enc-1 is broken: A finished encounter has an end"


def test_profiles_are_found_without_loading_and_a_posted_one_comes_first() -> None:
    registry = ProfileRegistry()
    url = f"{profiles.BASE}StructureDefinition/hutong-patient"
    assert registry.find("StructureDefinition", url) is not None
    assert registry.find("StructureDefinition", f"{url}|9.9.9") is None
    own = {"resourceType": "StructureDefinition", "url": url, "type": "Patient"}
    registry.add(own)
    assert registry.find("StructureDefinition", url) is own


def test_a_strangers_url_opens_no_file() -> None:
    for name in ("hutong-../../x", "hutong-", "../extensions", "no-such"):
        assert profiles.find("StructureDefinition", f"{profiles.BASE}StructureDefinition/{name}") is None
    assert profiles.find("CodeSystem", f"{profiles.BASE}StructureDefinition/hutong-patient") is None


def test_names_and_data_belong_together() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(all_ids())
    assert set(identities("StructureDefinition")) == set(all_ids()) | set(extension_table())
    assert not {name for name in extension_table() if name.startswith("hutong-")}
    for name, row in code_table().items():
        assert row.get("codes") or row.get("include"), name
