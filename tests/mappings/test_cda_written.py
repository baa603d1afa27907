"""Shared documents from resources: valid in shape, and CDA → FHIR → CDA keeps every mapped field."""

from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mappings.cda.receive import convert_document
from mappings.cda.write import write_document
from mappings.language.active import ActiveMaps
from mappings.language.result import Result
from mappings.language.trial import ask
from mappings.outbound.compile import Envelope, Written
from mappings.xml.parse import parse
from terminology.fhirjson import Json, decode, encode
from terminology.issues import UnmappableMessage

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES = sorted(GOLDEN.glob("cda-*/*/document.xml"))
ENVELOPE = Envelope(id="X1", now=datetime.fromisoformat("2026-05-01T08:00:00+08:00"))


@cache
def maps() -> ActiveMaps:
    return ActiveMaps()


def resources(result: Result) -> list[Json]:
    rows = [entry.resource for entry in result.entries]
    return sorted(rows, key=lambda row: row["resourceType"] != "Composition")


def written(rows: list[Json], **envelope: Any) -> Written:
    return write_document(rows[0], rows[1:], maps(), envelope=Envelope(now=ENVELOPE.now, **envelope))


def said(result: Result) -> dict[str, Any]:
    """Everything but the original and what describes it."""
    return {
        entry.reference: decode(encode(entry.resource))
        for entry in result.entries
        if entry.type not in ("Binary", "DocumentReference")
    }


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
class TestRoundTrip:
    def test_every_mapped_field_comes_back(self, path: Path) -> None:
        first = convert_document(path.read_bytes(), maps())
        second = convert_document(written(resources(first)).body, maps())
        assert said(second) == said(first)

    def test_every_mapped_field_comes_back_in_gbk(self, path: Path) -> None:
        first = convert_document(path.read_bytes(), maps())
        document = written(resources(first), charset="GB18030")
        assert document.body.startswith(b'<?xml version="1.0" encoding="GB18030"?>')
        assert said(convert_document(document.body, maps())) == said(first)

    def test_what_is_written_is_read_to_the_last_field(self, path: Path) -> None:
        first = convert_document(path.read_bytes(), maps())
        assert convert_document(written(resources(first)).body, maps()).coverage.unread == ()

    def test_it_has_the_shape_of_a_shared_document(self, path: Path) -> None:
        given = convert_document(path.read_bytes(), maps())
        root = parse(written(resources(given)).body).root
        names = [child.name for child in root.children]
        order = [
            "realmCode", "typeId", "templateId", "id", "code", "title", "effectiveTime", "confidentialityCode",
            "languageCode", "recordTarget", "author", "custodian", "legalAuthenticator", "authenticator", "participant",
            "relatedDocument", "componentOf", "component",
        ]  # fmt: skip
        assert [name for name in order if name in names] == list(dict.fromkeys(names))
        assert root.down("templateId").get("root").startswith("2.16.156.10011.2.1.1.")  # type: ignore[union-attr]  # it is there
        assert root.down("component", "structuredBody") is not None
        sections = [one for one in root.walk() if one.name == "section"]
        assert sections
        assert all(section.first("code") is not None for section in sections)
        observations = [one for one in root.walk() if one.name == "observation"]
        assert all(one.get("classCode") == "OBS" and one.get("moodCode") == "EVN" for one in observations)
        assert all(one.first("code") is not None for one in observations)


PATIENT: Json = {
    "resourceType": "Patient", "id": "p", "name": [{"text": "王秀英"}], "gender": "female", "birthDate": "1962-11-05",
    "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "532927196211053068"}],
}  # fmt: skip
DOCTOR: Json = {
    "resourceType": "Practitioner",
    "id": "d",
    "name": [{"text": "李建国"}],
    "identifier": [{"value": "D7"}],
}
HOSPITAL: Json = {
    "resourceType": "Organization", "id": "h", "name": "云岭县人民医院",
    "identifier": [{"system": "https://hutong.health/fhir/NamingSystem/uscc", "value": "91110000600037341L"}],
}  # fmt: skip
TOWN: Json = {
    "resourceType": "Organization",
    "id": "t",
    "name": "云岭县青石镇中心卫生院",
    "identifier": [{"value": "T1"}],
}
REQUEST: Json = {
    "resourceType": "ServiceRequest", "id": "r", "status": "completed", "intent": "order",
    "identifier": [{"system": "urn:id:HIS", "value": "Q9"}], "subject": {"reference": "Patient/p"},
    "requester": {"reference": "Organization/t"}, "reasonReference": [{"reference": "Condition/c"}],
}  # fmt: skip
DIAGNOSIS: Json = {
    "resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}, "recordedDate": "2026-03-15",
    "code": {"coding": [{"system": "https://hutong.health/fhir/CodeSystem/icd-10-nhsa", "code": "J18.900", "display": "肺炎"}], "text": "肺炎"},
}  # fmt: skip


class TestFromResourcesThatWereNoDocument:
    def test_a_laboratory_report_of_an_hl7_message(self) -> None:
        report: Json = {
            "resourceType": "DiagnosticReport", "id": "1", "status": "final", "identifier": [{"system": "urn:id:LIS", "value": "L1"}],
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}],
            "code": {"text": "血常规"}, "subject": {"reference": "Patient/p"}, "basedOn": [{"reference": "ServiceRequest/r"}],
            "issued": "2026-03-15T08:30:00+08:00", "effectiveDateTime": "2026-03-15T08:10:00+08:00", "performer": [{"reference": "Organization/h"}],
            "resultsInterpreter": [{"reference": "Practitioner/d"}], "result": [{"reference": "Observation/o"}], "conclusion": "白细胞升高",
        }  # fmt: skip
        result: Json = {
            "resourceType": "Observation", "id": "o", "status": "final", "category": [{"coding": [{"code": "laboratory"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "26464-8"}, {"code": "WBC", "display": "白细胞计数"}], "text": "白细胞计数"},
            "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-03-15T08:10:00+08:00",
            "valueQuantity": {"value": 12.5, "unit": "10*9/L"}, "referenceRange": [{"low": {"value": 3.5}, "high": {"value": 9.5}, "text": "3.5-9.5"}],
            "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "H"}]}],
        }  # fmt: skip
        again = convert_document(
            written([report, PATIENT, DOCTOR, HOSPITAL, TOWN, REQUEST, DIAGNOSIS, result]).body, maps()
        )
        assert again.mapping == "cda-laboratory-report"
        assert ask("DiagnosticReport.identifier.value", again) == ["L1"]
        assert ask("DiagnosticReport.code.text", again) == ["血常规"]
        assert ask("DiagnosticReport.conclusion", again) == ["白细胞升高"]
        assert ask("DiagnosticReport.issued", again) == ["2026-03-15T08:30:00+08:00"]
        assert ask("DiagnosticReport.resultsInterpreter.display", again) == ["李建国"]
        assert ask("Observation.value.value", again) == [12.5]
        assert ask("Observation.referenceRange.high.value", again) == [9.5]
        assert ask("Observation.interpretation.coding.code", again) == ["H"]
        assert ask("ServiceRequest.identifier.value", again) == ["Q9"]
        assert ask("ServiceRequest.requester.display", again) == ["云岭县青石镇中心卫生院"]
        assert ask("Condition.code.text", again) == ["肺炎"]
        assert ask("Composition.custodian.display", again) == ["云岭县人民医院"]

    def test_a_referral(self) -> None:
        department: Json = {
            "resourceType": "Organization", "id": "x", "name": "心血管内科", "partOf": {"reference": "Organization/h"},
            "type": [{"coding": [{"code": "dept"}]}],
        }  # fmt: skip
        referral: Json = {
            **REQUEST, "authoredOn": "2026-04-10T09:00:00+08:00", "reasonCode": [{"text": "胸痛加重"}],
            "category": [{"coding": [{"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": "referral"}]}],
            "performer": [{"reference": "Organization/x"}],
        }  # fmt: skip
        again = convert_document(
            written([referral, PATIENT, DOCTOR, HOSPITAL, TOWN, DIAGNOSIS, department]).body, maps()
        )
        assert again.mapping == "cda-referral"
        assert ask("ServiceRequest.reasonCode.text", again) == ["胸痛加重"]
        assert ask("ServiceRequest.requester.display", again) == ["云岭县青石镇中心卫生院"]
        assert ask("ServiceRequest.performer.display", again) == ["心血管内科"]
        assert ask("ServiceRequest.authoredOn", again) == ["2026-04-10"]

    def test_a_prescription_with_all_its_drugs(self) -> None:
        drug: Json = {
            "resourceType": "MedicationRequest", "id": "m1", "status": "active", "intent": "order", "groupIdentifier": {"value": "CF9"},
            "identifier": [{"value": "CF9"}], "medicationCodeableConcept": {"text": "氨氯地平片"}, "subject": {"reference": "Patient/p"},
            "requester": {"reference": "Practitioner/d"}, "authoredOn": "2026-04-06T11:30:00+08:00",
            "dosageInstruction": [{"doseAndRate": [{"doseQuantity": {"value": 5, "unit": "mg"}}], "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}}],
            "dispenseRequest": {"expectedSupplyDuration": {"value": 28, "unit": "d", "code": "d"}},
        }  # fmt: skip
        other: Json = {**drug, "id": "m2", "medicationCodeableConcept": {"text": "二甲双胍片"}}
        again = convert_document(written([drug, other, PATIENT, DOCTOR]).body, maps())
        assert again.mapping == "cda-prescription"
        assert ask("MedicationRequest.medication.text", again) == ["氨氯地平片", "二甲双胍片"]
        assert ask("MedicationRequest.dispenseRequest.expectedSupplyDuration.value", again) == [28, 28]
        assert ask("MedicationRequest.requester.display", again) == ["李建国", "李建国"]

    def test_a_visit(self) -> None:
        visit: Json = {
            "resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p"},
            "identifier": [{"system": "urn:id:HIS", "value": "MZ7"}], "period": {"start": "2026-03-15T08:00:00+08:00"},
            "serviceProvider": {"reference": "Organization/t"}, "participant": [{"individual": {"reference": "Practitioner/d"}}],
            "diagnosis": [{"condition": {"reference": "Condition/c"}}],
        }  # fmt: skip
        again = convert_document(written([visit, PATIENT, DOCTOR, TOWN, DIAGNOSIS]).body, maps())
        assert again.mapping == "cda-outpatient-summary"
        assert ask("Encounter.identifier.value", again) == ["MZ7"]
        assert ask("Condition.code.text", again) == ["肺炎"]
        assert ask("Encounter.serviceProvider.display", again) == ["云岭县青石镇中心卫生院"]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([REQUEST, PATIENT], "HT-CDA-05"),
        ([{"resourceType": "Composition", "type": {"text": "便条"}}, PATIENT], "HT-CDA-06"),
        ([{"resourceType": "Composition", "type": {"coding": [{"system": "urn:oid:2.16.156.10011.2.4", "code": "C0007"}]}}], "HT-CDA-07"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_told(rows: list[Json], code: str) -> None:
    with pytest.raises(UnmappableMessage) as caught:
        written(rows)
    assert [issue.code for issue in caught.value.issues] == [code]
