"""Rules by table: tests/spec/validation_rules.yaml; and what the house decides by policy."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from conformance.validation import Policy, ProfileRegistry, validate
from terminology.fhirjson import decode, encode

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "spec" / "validation_rules.yaml").read_text()
)


def errors(resource: Any, **options: Any) -> list[tuple[str, str | None]]:
    found = validate(decode(encode(resource)), **options)
    return [(issue.code, issue.expression) for issue in found if issue.severity == "error"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_rule(row: dict[str, Any]) -> None:
    wanted = [tuple(pair) for pair in row["errors"]]
    found = errors(row["resource"])
    assert sorted(found, key=str) == sorted(wanted, key=str)


PATIENT = {
    "resourceType": "Patient",
    "name": [{"text": "<b>Li</b>"}],
    "extension": [{"url": "https://his.example.cn/x", "valueCode": "a"}],
}


def test_policy_decides_what_the_specification_leaves_open() -> None:
    assert errors(PATIENT) == [("HT-VAL-60", "Patient.extension[0]")]
    assert errors(PATIENT, policy=Policy(unknown_extensions="allow")) == []
    assert errors(PATIENT, policy=Policy(unknown_extensions="allow", html_in_strings="refuse")) == [
        ("HT-VAL-58", "Patient.name[0].text")
    ]


def test_best_practice_is_a_warning() -> None:
    assert [(row.code, row.severity) for row in validate({"resourceType": "Patient", "active": True})] == [
        ("HT-VAL-70", "warning")
    ]
    assert validate({"resourceType": "Patient", "active": True}, policy=Policy(best_practice=False)) == []


def test_the_terminology_is_passed_in() -> None:
    class Local:
        def knows(self, system: str, code: str) -> bool | None:
            return code == "K29" if system == "urn:oid:1.2.156" else None

        def displays(self, system: str, code: str) -> frozenset[str] | None:
            return frozenset({"胃炎"})

        def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
            return None

    def condition(code: str, display: str) -> dict[str, Any]:
        coding = {"system": "urn:oid:1.2.156", "code": code, "display": display}
        return {"resourceType": "Basic", "code": {"coding": [coding]}}

    assert errors(condition("K29", "胃炎"), terminology=Local()) == []
    assert errors(condition("K29", "肺炎"), terminology=Local()) == [
        ("HT-VAL-35", "Basic.code.coding[0].display")
    ]
    assert errors(condition("K2", "胃炎"), terminology=Local()) == [
        ("HT-VAL-34", "Basic.code.coding[0].code")
    ]


class TestBundleReferences:
    """bundle.html#references"""

    @staticmethod
    def document(
        reference: str,
        url: str = "http://a.org/fhir/Patient/p",
        base: str = "http://a.org/fhir/Composition/c",
    ) -> dict[str, Any]:
        composition = {
            "resourceType": "Composition",
            "id": "c",
            "status": "final",
            "type": {"text": "a"},
            "subject": {"reference": reference},
            "date": "2024-01-01",
            "author": [{"display": "a"}],
            "title": "a",
        }
        return {
            "resourceType": "Bundle",
            "type": "document",
            "identifier": {
                "system": "urn:ietf:rfc:3986",
                "value": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            },
            "timestamp": "2024-01-01T00:00:00Z",
            "entry": [
                {"fullUrl": base, "resource": composition},
                {"fullUrl": url, "resource": {"resourceType": "Patient", "id": "p", "active": True}},
            ],
        }

    def test_relative_on_the_same_server(self) -> None:
        assert errors(self.document("Patient/p")) == []

    def test_relative_of_another_server(self) -> None:
        [(code, path)] = errors(self.document("Patient/p", url="http://b.org/fhir/Patient/p"))
        assert (code, path) == ("HT-VAL-104", "Bundle.entry[0].resource.subject")

    def test_urn_uuid(self) -> None:
        urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
        assert errors(self.document(urn, url=urn, base="urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1")) == []

    def test_absolute_missing(self) -> None:
        assert errors(self.document("http://a.org/fhir/Patient/q")) == [
            ("HT-VAL-104", "Bundle.entry[0].resource.subject")
        ]

    def test_what_hangs_on_nothing_is_a_warning(self) -> None:
        bundle = self.document("Patient/p")
        bundle["entry"].append(
            {
                "fullUrl": "http://a.org/fhir/Basic/b",
                "resource": {"resourceType": "Basic", "id": "b", "code": {"text": "a"}},
            }
        )
        assert [row.expression for row in validate(bundle) if row.code == "HT-VAL-105"] == ["Bundle.entry[2]"]


class TestQuestionnaireResponse:
    """questionnaireresponse.html#link"""

    FORM: ClassVar[dict[str, Any]] = {
        "resourceType": "Questionnaire",
        "url": "https://hutong.health/fhir/Questionnaire/follow-up",
        "status": "active",
        "item": [
            {"linkId": "smokes", "type": "boolean", "required": True},
            {"linkId": "cigarettes", "type": "integer", "enableWhen": [{"question": "smokes", "operator": "=", "answerBoolean": True}],
             "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 100}]},
            {"linkId": "pressure", "type": "group", "item": [{"linkId": "systolic", "type": "decimal"}, {"linkId": "note", "type": "string", "maxLength": 5}]},
        ],
    }  # fmt: skip

    def found(self, *items: dict[str, Any], status: str = "completed") -> list[str]:
        registry = ProfileRegistry()
        registry.add(self.FORM)
        response = {
            "resourceType": "QuestionnaireResponse",
            "questionnaire": self.FORM["url"],
            "status": status,
            **({"item": list(items)} if items else {}),
        }
        return [code for code, _ in errors(response, registry=registry)]

    SMOKES: ClassVar[dict[str, Any]] = {"linkId": "smokes", "answer": [{"valueBoolean": True}]}

    def test_answers_that_fit(self) -> None:
        assert self.found(self.SMOKES, {"linkId": "cigarettes", "answer": [{"valueInteger": 10}]}) == []

    @pytest.mark.parametrize(
        ("items", "code"),
        [
            ([], "HT-VAL-155"),
            ([{"linkId": "smokes", "answer": [{"valueString": "yes"}]}], "HT-VAL-164"),
            ([SMOKES, {"linkId": "cigarettes", "answer": [{"valueInteger": 200}]}], "HT-VAL-90"),
            (
                [
                    {"linkId": "smokes", "answer": [{"valueBoolean": False}]},
                    {"linkId": "cigarettes", "answer": [{"valueInteger": 1}]},
                ],
                "HT-VAL-156",
            ),
            (
                [{"linkId": "smokes", "answer": [{"valueBoolean": True}, {"valueBoolean": False}]}],
                "HT-VAL-160",
            ),
            ([SMOKES, {"linkId": "drinks", "answer": [{"valueBoolean": True}]}], "HT-VAL-152"),
            ([SMOKES, {"linkId": "systolic", "answer": [{"valueDecimal": 120}]}], "HT-VAL-153"),
            (
                [
                    {"linkId": "pressure", "item": [{"linkId": "note", "answer": [{"valueString": "a"}]}]},
                    SMOKES,
                ],
                "HT-VAL-154",
            ),
            (
                [
                    SMOKES,
                    {
                        "linkId": "pressure",
                        "item": [{"linkId": "note", "answer": [{"valueString": "too long"}]}],
                    },
                ],
                "HT-VAL-88",
            ),
            ([SMOKES, {"linkId": "pressure", "answer": [{"valueString": "a"}]}], "HT-VAL-159"),
            ([SMOKES, SMOKES], "HT-VAL-157"),
        ],
    )
    def test_answers_that_do_not(self, items: list[dict[str, Any]], code: str) -> None:
        assert self.found(*items) == [code]

    def test_an_unfinished_form_may_lack_answers(self) -> None:
        assert self.found(status="in-progress") == []
