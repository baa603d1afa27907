"""Bad input of the validator: a clear answer, in bounded time (issue list of the conformance module)."""

import time
from typing import Any

import pytest

from conformance.validation import ProfileRegistry, validate

Json = dict[str, Any]
URL = "https://a.org/StructureDefinition/p"


def profile(
    url: str = URL, base: str = "http://hl7.org/fhir/StructureDefinition/Patient", *elements: Json
) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "P",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": base,
        "derivation": "constraint",
        "differential": {"element": list(elements)},
    }


def codes(resource: Any, *definitions: Json, **options: Any) -> list[str]:
    registry = ProfileRegistry()
    for row in definitions:
        registry.add(row)
    return [row.code for row in validate(resource, registry=registry, **options)]


PATIENT: Json = {"resourceType": "Patient", "active": True, "name": [{"text": "a"}]}


class TestProfilesThatReferToThemselves:
    def test_as_base(self) -> None:
        assert "HT-VAL-143" in codes(PATIENT, profile(base=URL), profiles=[URL])

    def test_as_base_in_a_circle(self) -> None:
        other = profile(URL + "2", URL)
        assert "HT-VAL-143" in codes(PATIENT, profile(base=URL + "2"), other, profiles=[URL])

    def test_as_target_of_its_own_reference(self) -> None:
        link = {"path": "Patient.link.other", "type": [{"code": "Reference", "targetProfile": [URL]}]}
        me = {
            **PATIENT,
            "id": "p",
            "contained": [{**PATIENT, "id": "c", "link": [{"other": {"reference": "#c"}, "type": "refer"}]}],
        }
        me["link"] = [{"other": {"reference": "#c"}, "type": "refer"}]
        assert "HT-VAL-94" not in codes(
            me, profile(URL, "http://hl7.org/fhir/StructureDefinition/Patient", link), profiles=[URL]
        )

    def test_as_imposed(self) -> None:
        row = profile() | {
            "extension": [
                {
                    "url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile",
                    "valueCanonical": URL,
                }
            ]
        }
        assert codes(PATIENT, row, profiles=[URL]) == ["HT-VAL-70"]

    def test_value_sets_in_a_circle(self) -> None:
        rows = [
            {
                "resourceType": "ValueSet",
                "url": f"http://a.org/{one}",
                "status": "active",
                "compose": {"include": [{"valueSet": [f"http://a.org/{other}"]}]},
            }
            for one, other in (("a", "b"), ("b", "a"))
        ]
        bound = {
            "path": "Patient.maritalStatus",
            "binding": {"strength": "required", "valueSet": "http://a.org/a"},
        }
        resource = {**PATIENT, "maritalStatus": {"coding": [{"system": "http://a.org", "code": "x"}]}}
        assert "HT-VAL-31" not in codes(
            resource,
            profile(URL, "http://hl7.org/fhir/StructureDefinition/Patient", bound),
            *rows,
            profiles=[URL],
        )


class TestBrokenProfiles:
    def test_slicing_without_discriminator(self) -> None:
        rows = [
            {"id": "Patient.name", "path": "Patient.name", "slicing": {"rules": "closed"}},
            {"id": "Patient.name:a", "path": "Patient.name", "sliceName": "a", "min": 1},
        ]
        row = profile(URL, "http://hl7.org/fhir/StructureDefinition/Patient", *rows)
        assert "HT-VAL-140" in codes(PATIENT, row, profiles=[URL])
        assert "HT-VAL-140" in codes(row)

    def test_unknown_base_and_path(self) -> None:
        row = profile(URL, "http://nowhere.org/x", {"path": "Patient.tail", "min": 1})
        assert {"HT-VAL-142", "HT-VAL-144"} <= set(codes(PATIENT, row, profiles=[URL]))

    def test_widened_cardinality(self) -> None:
        base = profile(
            URL + "-base",
            "http://hl7.org/fhir/StructureDefinition/Patient",
            {"path": "Patient.name", "min": 1},
        )
        assert "HT-VAL-145" in codes(profile(URL, URL + "-base", {"path": "Patient.name", "min": 0}), base)

    @pytest.mark.parametrize(
        "element",
        [
            {"path": 3},
            {"path": ""},
            {"path": "."},
            {"path": "Patient..name"},
            {
                "path": "Patient.name",
                "min": "one",
                "max": 7,
                "type": "HumanName",
                "slicing": [],
                "binding": "x",
                "constraint": [{}],
            },
            {"path": "Patient.name", "sliceName": 4, "slicing": {"discriminator": [{}]}},
            "text",
            None,
        ],
    )
    def test_elements_of_any_shape(self, element: Any) -> None:
        assert isinstance(
            codes(
                PATIENT,
                profile(URL, "http://hl7.org/fhir/StructureDefinition/Patient", element),
                profiles=[URL],
            ),
            list,
        )

    def test_hostile_pattern_in_a_rule(self) -> None:
        rule = {"key": "r", "severity": "error", "human": "a", "expression": "name.text.matches('(a+)+$')"}
        row = profile(
            URL, "http://hl7.org/fhir/StructureDefinition/Patient", {"path": "Patient", "constraint": [rule]}
        )
        started = time.perf_counter()
        codes({**PATIENT, "name": [{"text": "a" * 40 + "b"}]}, row, profiles=[URL])
        assert time.perf_counter() - started < 5


def bundle(count: int) -> Json:
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {
                "fullUrl": f"http://a.org/fhir/Patient/{number}",
                "resource": {
                    "resourceType": "Patient",
                    "id": str(number),
                    "link": [{"other": {"reference": f"Patient/{number - 1}"}, "type": "refer"}],
                },
            }
            for number in range(1, count + 1)
        ],
    }


class TestSize:
    def test_ten_thousand_entries_take_linear_time(self) -> None:
        def seconds(count: int) -> float:
            resource = bundle(count)
            started = time.process_time()
            validate(resource)
            return time.process_time() - started

        seconds(100)
        small, large = min(seconds(1_000) for _ in range(3)), min(seconds(10_000) for _ in range(3))
        assert large < 30 * small
        assert large < 20

    def test_a_document_of_ten_thousand_entries(self) -> None:
        resource = bundle(10_000) | {"type": "document"}
        started = time.perf_counter()
        assert "HT-VAL-103" in [row.code for row in validate(resource)]
        assert time.perf_counter() - started < 20

    def test_a_thousand_levels(self) -> None:
        body = (
            '{"resourceType":"Questionnaire","status":"draft","item":'
            + '[{"linkId":"a","type":"group","item":' * 1000
            + "[]"
            + "}]" * 1000
            + "}"
        )
        assert codes(body.encode()) == ["HT-FMT-03"]
        nested: Json = {"linkId": "z", "type": "display"}
        for _ in range(1000):
            nested = {"linkId": "a", "type": "group", "item": [nested]}
        assert "HT-VAL-21" in codes({"resourceType": "Questionnaire", "status": "draft", "item": [nested]})

    def test_a_report_ends_somewhere(self) -> None:
        names = [{"text": "<b>", "period": {"start": "2024", "end": "2023"}}] * 20_000
        assert len(validate({"resourceType": "Patient", "name": names})) <= 2_000

    def test_many_contained_resources(self) -> None:
        rows = [{"resourceType": "Organization", "id": f"o{number}", "name": "a"} for number in range(3_000)]
        started = time.perf_counter()
        found = validate({"resourceType": "Patient", "contained": rows})
        assert time.perf_counter() - started < 10
        assert {row.code for row in found if row.severity == "error"} == {"HT-VAL-45"}
