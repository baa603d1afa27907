"""Bindings answered by the terminology service: catalogues that are no part of R4."""

from conformance.validation import CoreTerminology, validate
from conformance.validation.service import ServiceTerminology
from terminology.fhir_core import FhirCore
from terminology.library import Libraries, ResourceLibrary
from terminology.service import Terminology

DRUGS = "https://hutong.health/fhir/CodeSystem/drug"
LISTED = "https://hutong.health/fhir/ValueSet/drug"
LIBRARY = ResourceLibrary(
    [
        {"resourceType": "CodeSystem", "id": "d", "url": DRUGS, "status": "active", "content": "complete", "concept": [{"code": "A", "display": "阿司匹林"}]},
        {"resourceType": "ValueSet", "id": "v", "url": LISTED, "status": "active", "compose": {"include": [{"system": DRUGS}]}},
        {"resourceType": "ValueSet", "id": "x", "url": LISTED + "-x", "status": "active", "compose": {"include": [{"system": "http://unknown.org"}]}},
    ]
)  # fmt: skip
SERVICE = ServiceTerminology(Terminology(Libraries(LIBRARY, FhirCore())), CoreTerminology())


def test_membership() -> None:
    assert SERVICE.member_of(LISTED, DRUGS, "A") is True
    assert SERVICE.member_of(LISTED, DRUGS, "B") is False
    assert SERVICE.member_of(LISTED, None, "A") is True
    assert SERVICE.member_of(LISTED + "-x", "http://unknown.org", "A") is None
    assert SERVICE.member_of("https://nowhere.org/vs", DRUGS, "A") is None
    assert SERVICE.member_of("http://hl7.org/fhir/ValueSet/administrative-gender", None, "male") is True


def test_codes_and_names() -> None:
    assert SERVICE.knows(DRUGS, "A") is True
    assert SERVICE.knows(DRUGS, "B") is False
    assert SERVICE.knows("http://unknown.org", "A") is None
    assert SERVICE.displays(DRUGS, "A") == {"阿司匹林"}


def test_a_wrong_name_of_a_catalogue_code_is_told() -> None:
    coding = {"system": DRUGS, "code": "A", "display": "布洛芬"}
    found = validate({"resourceType": "Medication", "code": {"coding": [coding]}}, terminology=SERVICE)
    assert [row.code for row in found if row.severity == "error"] == ["HT-VAL-35"]
