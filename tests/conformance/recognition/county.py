"""A small county for recognition tests: two communities in one city, a hospital in another province, one patient.

Everything passes every rule; a test changes one thing and asks what that does.
"""

from copy import deepcopy
from datetime import datetime
from typing import Any

from conformance.recognition import PackLibrary, Record, load_packs, read_question, recognize
from conformance.recognition.engine import Answer, Candidate
from conformance.recognition.matching import ItemMaps
from terminology.fhirjson import Json

B = "https://hutong.health/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
POTASSIUM = {"system": LOINC, "code": "2823-3", "display": "钾"}
GLUCOSE = {"system": LOINC, "code": "14749-6", "display": "葡萄糖"}
EXAM = "urn:oid:2.16.156.10011.2.3.1.78"
CHEST_CT = {"system": EXAM, "code": "B03NZYZZZ", "display": "胸部CT平扫"}
ECG = {"system": LOINC, "code": "11524-6", "display": "心电图"}
NOW = datetime.fromisoformat("2026-03-20T10:00:00+08:00")


def organization(id: str, *, part_of: str | None = None, type: str = "hospital", **more: Any) -> Json:
    found: Json = {
        "resourceType": "Organization",
        "id": id,
        "active": True,
        "name": id,
        "type": [
            {"coding": [{"system": "https://hutong.health/fhir/CodeSystem/organization-type", "code": type}]}
        ],
        "identifier": [
            {
                "system": "https://hutong.health/fhir/NamingSystem/medical-licence",
                "value": "12345678937010211A1001",
            }
        ],
        "address": [{"state": "山东省", "city": "济南市", "district": "历下区"}],
        "extension": [
            quality("eqa", POTASSIUM),
            quality("iqc", POTASSIUM),
            {"url": f"{B}institution-level", "valueCode": "2"},
        ],
    }
    if part_of:
        found["partOf"] = {"reference": f"Organization/{part_of}"}
    return found | more


def quality(
    scheme: str, item: Json, start: str = "2026-01-01", end: str = "2026-12-31", result: str = "pass"
) -> Json:
    return {
        "url": f"{B}quality-assurance",
        "extension": [
            {"url": "item", "valueCoding": item},
            {"url": "scheme", "valueCode": scheme},
            {"url": "period", "valuePeriod": {"start": start, "end": end}},
            {"url": "result", "valueCode": result},
        ],
    }


class County:
    """Resources by name; `ask` returns the engine's answer."""

    def __init__(self) -> None:
        self.patient: Json = {
            "resourceType": "Patient",
            "id": "zhang",
            "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X"}],
            "name": [{"text": "张三丰"}],
            "gender": "female",
            "birthDate": "1949-12-31",
        }
        self.community = organization("community", type="community")
        self.hospital = organization("hospital", part_of="community")
        self.township = organization("township", part_of="community", type="township")
        self.neighbour = organization("neighbour", part_of="other-community")
        self.other_community = organization("other-community", type="community")
        self.specimen: Json = {
            "resourceType": "Specimen",
            "id": "blood",
            "collection": {"collectedDateTime": "2026-03-18T08:15:00+08:00"},
        }
        self.observation: Json = {
            "resourceType": "Observation",
            "id": "potassium",
            "meta": {"versionId": "1"},
            "status": "final",
            "category": [{"coding": [{"code": "laboratory"}]}],
            "code": {"coding": [POTASSIUM]},
            "subject": {"reference": "Patient/zhang"},
            "effectiveDateTime": "2026-03-18T08:15:00+08:00",
            "issued": "2026-03-18T10:00:00+08:00",
            "performer": [{"reference": "Organization/hospital"}],
            "valueQuantity": {
                "value": 4.1,
                "unit": "mmol/L",
                "system": "http://unitsofmeasure.org",
                "code": "mmol/L",
            },
            "referenceRange": [{"low": {"value": 3.5}, "high": {"value": 5.3}}],
            "specimen": {"reference": "Specimen/blood"},
        }
        self.report: Json = {
            "resourceType": "DiagnosticReport",
            "id": "chemistry",
            "meta": {"versionId": "1"},
            "status": "final",
            "category": [{"coding": [{"code": "LAB"}]}],
            "code": {"text": "生化"},
            "subject": {"reference": "Patient/zhang"},
            "effectiveDateTime": "2026-03-18T08:15:00+08:00",
            "issued": "2026-03-18T10:00:00+08:00",
            "performer": [{"reference": "Organization/hospital"}],
            "result": [{"reference": "Observation/potassium"}],
        }
        self.more: list[Json] = []
        self.maps: list[Json] = []
        self.packs: PackLibrary = load_packs()
        self.parameters: list[Json] = [
            {"name": "item", "valueCoding": POTASSIUM},
            {"name": "requester", "valueReference": {"reference": "Organization/township"}},
        ]
        self.at = NOW

    def imaging(self) -> Json:
        """Replace the laboratory result by a chest CT with images; returns its report."""
        self.parameters[0] = {"name": "item", "valueCoding": CHEST_CT}
        self.more += [
            {
                "resourceType": "ImagingStudy",
                "id": "ct",
                "status": "available",
                "numberOfInstances": 120,
                "endpoint": [{"reference": "Endpoint/wado"}],
            },
            {
                "resourceType": "Endpoint",
                "id": "wado",
                "status": "active",
                "address": "https://pacs.example/wado",
            },
        ]
        self.report |= {
            "category": [{"coding": [{"code": "CT"}]}],
            "code": {"coding": [CHEST_CT]},
            "imagingStudy": [{"reference": "ImagingStudy/ct"}],
        }
        return self.report

    def ask(self) -> Answer:
        resources = [
            self.patient, self.community, self.hospital, self.township, self.neighbour, self.other_community,
            self.specimen, self.observation, self.report, *self.more,
        ]  # fmt: skip
        record = Record(deepcopy(resources))
        question = read_question(
            {"resourceType": "Parameters", "parameter": self.parameters},
            patient=self.patient,
            record=record,
            now=self.at,
        )
        return recognize(question, record, self.packs.at(question.at), ItemMaps(self.maps))

    def candidate(self) -> Candidate:
        candidates = self.ask().candidates
        assert len(candidates) == 1, [row.result["id"] for row in candidates]
        return candidates[0]

    def outcome(self, rule: str) -> tuple[str, str]:
        """Return outcome and reason of one rule for the only candidate."""
        found = next(row for row in self.candidate().rules if row.id == rule)
        return found.outcome, found.reason
