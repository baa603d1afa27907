"""$validate over HTTP (resource-operation-validate.html), and posted profiles that take effect on writes."""

from collections.abc import Iterator
from typing import Any

import pytest
from server import Server

from gateway.rest.context import Validation
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json

PATIENT: Json = {"resourceType": "Patient", "gender": "male", "birthDate": "1974-12-25"}
NAMED = "https://hutong.health/fhir/StructureDefinition/named"
PROFILE: Json = {
    "resourceType": "StructureDefinition",
    "url": NAMED,
    "name": "Named",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    yield made
    made.close()


def codes(answer: Any, severity: str = "error") -> list[str]:
    rows = answer.json()["issue"]
    return [row["details"]["coding"][0]["code"] for row in rows if row["severity"] == severity]


class TestType:
    def test_a_good_resource(self, server: Server) -> None:
        answer = server.request("POST", "Patient/$validate", PATIENT)
        assert answer.status_code == 200
        assert codes(answer) == []
        assert "HT-VAL-222" in codes(answer, "information")

    def test_a_bad_resource_is_still_200_with_places(self, server: Server) -> None:
        answer = server.request(
            "POST",
            "Patient/$validate",
            '{"resourceType":"Patient",\n"gender":"男"}',
            content_type="application/fhir+json",
        )
        assert answer.status_code == 200
        [row] = [row for row in answer.json()["issue"] if row["severity"] == "error"]
        assert row["expression"] == ["Patient.gender"]
        assert any(one.get("valueString") == "line 2 column 1" for one in row["extension"])

    def test_unreadable_json_is_an_issue(self, server: Server) -> None:
        answer = server.request(
            "POST", "Patient/$validate", '{"resourceType":', content_type="application/fhir+json"
        )
        assert answer.status_code == 200
        assert codes(answer) == ["HT-FMT-01"]

    def test_xml(self, server: Server) -> None:
        body = '<Patient xmlns="http://hl7.org/fhir"><gender value="x"/></Patient>'
        answer = server.request(
            "POST",
            "Patient/$validate",
            body,
            content_type="application/fhir+xml",
            accept="application/fhir+json",
        )
        assert codes(answer) == ["HT-VAL-16"]

    def test_parameters_with_profile(self, server: Server) -> None:
        assert server.request("POST", "StructureDefinition", PROFILE).status_code == 201
        body = {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": PATIENT}, {"name": "profile", "valueUri": NAMED}],
        }
        assert codes(server.request("POST", "Patient/$validate", body)) == ["HT-VAL-82"]
        assert codes(server.request("POST", f"Patient/$validate?profile={NAMED}", PATIENT)) == ["HT-VAL-82"]

    def test_another_type_than_the_url(self, server: Server) -> None:
        assert "HT-REST-46" in codes(server.request("POST", "Observation/$validate", PATIENT))

    @pytest.mark.parametrize("query", ["mode=wish", "mode=profile", "mode=delete"])
    def test_calls_that_cannot_be_answered(self, server: Server, query: str) -> None:
        assert server.request("POST", f"Patient/$validate?{query}", PATIENT).status_code == 400

    def test_nothing_to_validate(self, server: Server) -> None:
        assert server.request("GET", "Patient/$validate").status_code == 400


class TestInstance:
    def test_the_stored_resource(self, server: Server) -> None:
        server.request("PUT", "Patient/a", {**PATIENT, "id": "a"})
        answer = server.request("GET", "Patient/a/$validate")
        assert answer.status_code == 200
        assert codes(answer) == []

    def test_an_update_needs_the_same_id(self, server: Server) -> None:
        server.request("PUT", "Patient/a", {**PATIENT, "id": "a"})
        answer = server.request("POST", "Patient/a/$validate?mode=update", {**PATIENT, "id": "b"})
        assert codes(answer) == ["HT-REST-48"]

    def test_delete(self, server: Server) -> None:
        server.request("PUT", "Patient/a", {**PATIENT, "id": "a"})
        assert codes(server.request("GET", "Patient/a/$validate?mode=delete")) == []
        assert server.request("GET", "Patient/b/$validate?mode=delete").status_code == 404

    def test_create_is_for_types(self, server: Server) -> None:
        server.request("PUT", "Patient/a", {**PATIENT, "id": "a"})
        assert codes(server.request("POST", "Patient/a/$validate?mode=create", {**PATIENT, "id": "a"})) == [
            "HT-VAL-224"
        ]


class TestWrites:
    """docs/validation.md: per type off, structure or full."""

    def test_structure_refuses_and_names_everything(self, server: Server) -> None:
        answer = server.request(
            "POST", "Patient", {"resourceType": "Patient", "gender": "x", "birthDate": "1974-13-01"}
        )
        assert answer.status_code == 422
        assert codes(answer) == ["HT-VAL-16", "HT-VAL-13"]

    def test_full_follows_a_profile_as_soon_as_it_is_posted(self) -> None:
        server = Server(MemoryStore(), validation=Validation(types={"Patient": "full"}))
        claimed = {**PATIENT, "meta": {"profile": [NAMED]}}
        assert server.request("POST", "Patient", claimed).status_code == 201
        assert server.request("POST", "StructureDefinition", PROFILE).status_code == 201
        answer = server.request("POST", "Patient", claimed)
        assert answer.status_code == 422
        assert codes(answer) == ["HT-VAL-82"]
        server.close()
