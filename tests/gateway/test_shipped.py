"""The county profiles over REST: read, searched, expanded and validated against without loading anything."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from server import Server

from conformance.profiles.shipped import identities
from conformance.recognition.pack import load_packs
from conformance.validation import Policy, validate
from gateway.recognition.decision import Action, Decision, to_resources
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json

BASE = "https://hutong.health/fhir"
URL = f"{BASE}/StructureDefinition/hutong-patient"
DEFINITION: Json = {
    "resourceType": "StructureDefinition",
    "id": "hutong-patient",
    "url": URL,
    "name": "Ours",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Patient.photo", "path": "Patient.photo", "max": "0"}]},
}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    yield made
    made.close()


def names(bundle: Json) -> list[str]:
    return [row["resource"]["id"] for row in bundle.get("entry", [])]


class TestRead:
    def test_a_profile_is_there(self, server: Server) -> None:
        answer = server.request("GET", "StructureDefinition/hutong-patient")
        assert answer.status_code == 200
        assert answer.json()["url"] == URL
        assert answer.headers["etag"] == 'W/"1"'

    def test_a_stored_one_comes_first(self, server: Server) -> None:
        assert server.request("PUT", "StructureDefinition/hutong-patient", DEFINITION).status_code == 201
        assert server.request("GET", "StructureDefinition/hutong-patient").json()["name"] == "Ours"
        found = server.request("GET", f"StructureDefinition?url={URL}").json()
        assert (found["total"], names(found)) == (1, ["hutong-patient"])
        assert found["entry"][0]["resource"]["name"] == "Ours"

    def test_what_is_not_ours_is_404(self, server: Server) -> None:
        assert server.request("GET", "StructureDefinition/hutong-nothing").status_code == 404
        assert server.request("GET", "Patient/hutong-patient").status_code == 404


class TestSearch:
    def test_by_url(self, server: Server) -> None:
        found = server.request("GET", f"StructureDefinition?url={URL}").json()
        assert (found["total"], names(found)) == (1, ["hutong-patient"])

    def test_by_type_of_resource(self, server: Server) -> None:
        found = server.request("GET", "StructureDefinition?type=DiagnosticReport&_count=10").json()
        assert sorted(names(found)) == [
            "hutong-ecg-report",
            "hutong-imaging-report",
            "hutong-laboratory-report",
            "hutong-pathology-report",
        ]

    def test_pages_follow_the_stored_ones_to_the_last(self, server: Server) -> None:
        server.request("PUT", "StructureDefinition/own", DEFINITION | {"id": "own", "url": f"{URL}-own"})
        seen: list[str] = []
        path = "StructureDefinition?_count=40"
        totals = set()
        while path:
            page = server.request("GET", path).json()
            assert len(page["entry"]) <= 40
            seen += names(page)
            totals.add(page.get("total"))
            following = [row["url"] for row in page["link"] if row["relation"] == "next"]
            path = following[0].partition("/fhir/")[2] if following else ""
        assert seen[0] == "own"
        assert sorted(seen[1:]) == sorted(identities("StructureDefinition"))
        assert totals <= {len(seen), None}

    def test_count_only(self, server: Server) -> None:
        found = server.request("GET", "StructureDefinition?_summary=count").json()
        assert found["total"] == len(identities("StructureDefinition"))
        assert "entry" not in found

    def test_a_wrong_cursor_is_refused(self, server: Server) -> None:
        answer = server.request("GET", "StructureDefinition?_cursor=shipped.x")
        assert answer.status_code == 400

    def test_other_types_hold_what_was_stored_only(self, server: Server) -> None:
        assert server.request("GET", "Patient").json()["total"] == 0


class TestUse:
    def test_the_capability_statement_names_them(self, server: Server) -> None:
        rows = {row["type"]: row for row in server.request("GET", "metadata").json()["rest"][0]["resource"]}
        assert rows["Patient"]["supportedProfile"] == [URL]
        assert len(rows["DiagnosticReport"]["supportedProfile"]) == 4
        assert "supportedProfile" not in rows["Basic"]

    def test_a_value_set_expands(self, server: Server) -> None:
        answer = server.request("GET", f"ValueSet/$expand?url={BASE}/ValueSet/recognition-action").json()
        codes = [row["code"] for row in answer["expansion"]["contains"]]
        assert codes == ["accept", "reject", "revoke", "viewed"]

    def test_a_code_is_looked_up_in_both_languages(self, server: Server) -> None:
        answer = server.request(
            "GET", f"CodeSystem/$lookup?system={BASE}/CodeSystem/grade&code=red&displayLanguage=en"
        ).json()
        rows = {row["name"]: row for row in answer["parameter"]}
        assert rows["display"]["valueString"] == "High (red)"

    def test_validate_against_a_profile_that_nobody_posted(self, server: Server) -> None:
        patient = {"resourceType": "Patient", "name": [{"text": "王秀兰"}], "gender": "female"}
        answer = server.request("POST", f"Patient/$validate?profile={URL}", patient).json()
        told = {
            (row["details"]["coding"][0]["code"], tuple(row.get("expression", ())))
            for row in answer["issue"]
            if row["severity"] == "error"
        }
        assert told == {("HT-VAL-82", ("Patient",))}
        texts = " ".join(row["details"]["text"] for row in answer["issue"])
        for element in ("Patient.identifier", "Patient.active", "Patient.birthDate"):
            assert element in texts


class TestOwnOutput:
    """What the gateway itself writes holds its own profiles."""

    @pytest.mark.parametrize("action", ["accept", "reject", "viewed", "revoke"])
    def test_a_recognition_decision(self, action: Action) -> None:
        decision = Decision(
            patient="Patient/p1",
            result="Observation/o1/_history/2",
            action=action,
            at=datetime(2026, 5, 1, 8, 35, tzinfo=UTC),
            order="ServiceRequest/r1",
            reason={"code": "02"} if action == "reject" else None,
            practitioner="PractitionerRole/dr-li",
            organization="Organization/township-1",
        )
        made = to_resources(decision, load_packs().at(decision.at), ("t1", "d1", "p1"))
        told = [
            (resource["resourceType"], row.code, row.expression, row.text("en"))
            for resource, name in zip(made, ("recognition-task", "detected-issue", "provenance"), strict=True)
            for row in validate(resource, profiles=[f"{BASE}/StructureDefinition/hutong-{name}"])
            if row.severity in ("fatal", "error")
        ]
        assert told == []

    def test_an_outcome(self, server: Server) -> None:
        answer = server.request("POST", "Patient", {"resourceType": "Patient", "gender": "x"}).json()
        assert answer["resourceType"] == "OperationOutcome"
        told = [
            (row.code, row.expression, row.text("en"))
            for row in validate(answer, policy=Policy(unknown_extensions="refuse"))
            if row.severity in ("fatal", "error")
        ]
        assert told == []
