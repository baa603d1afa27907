"""The centres' ways beside imaging and ECG: laboratory, pathology, remote consultation (workflows W3–W5)."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json
from tests.gateway.server import Server
from tests.gateway.test_workflow_enforcement import CATEGORY, DESK, TOWN, code, made, order, put
from tests.gateway.test_workflow_operations import AUDITOR, READER, find, post

LAB = {"x_hutong_organization": "imaging", "x_hutong_roles": "acq"}


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(MemoryStore(), workflow=True)
    yield found
    found.close()


def ordered(server: Server, category: str, **elements: Any) -> Json:
    return made(
        server, order(category=[{"coding": [{"system": CATEGORY, "code": category}]}], **elements), **TOWN
    )


def state(server: Server, found: Json) -> tuple[str, str]:
    task = server.request("GET", f"Task/order-{found['id']}").json()
    return task["status"], task["businessStatus"]["coding"][0]["code"]


def specimen(found: Json, **elements: Any) -> Json:
    return {
        "resourceType": "Specimen", "status": "available", "subject": {"reference": "Patient/p"},
        "request": [{"reference": f"ServiceRequest/{found['id']}"}], **elements,
    }  # fmt: skip


def report(found: Json, **elements: Any) -> Json:
    return {
        "resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "x"},
        "subject": {"reference": "Patient/p"}, "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}], **elements,
    }  # fmt: skip


class TestLaboratory:
    """W3: collected, received, analysing, preliminary, issued."""

    def test_from_the_tube_to_the_report(self, server: Server) -> None:
        found = ordered(server, "lab")
        assert state(server, found) == ("requested", "ordered")
        tube = made(
            server, specimen(found, collection={"collectedDateTime": "2026-05-11T08:00:00+08:00"}), **LAB
        )
        assert state(server, found) == ("requested", "collected")
        put(server, tube | {"receivedTime": "2026-05-11T09:00:00+08:00"}, **LAB)
        assert state(server, found) == ("received", "received")
        value = {
            "resourceType": "Observation", "status": "preliminary", "code": {"text": "K"},
            "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
        }  # fmt: skip
        made(server, value, **LAB)
        assert state(server, found) == ("in-progress", "analysing")
        draft = made(server, report(found), **LAB)
        assert state(server, found) == ("in-progress", "preliminary")
        assert post(server, f"DiagnosticReport/{draft['id']}/$sign", **READER).status_code == 200
        assert state(server, found) == ("completed", "issued")

    def test_a_rejected_specimen_fails_the_work_and_a_new_order_replaces_it(self, server: Server) -> None:
        found = ordered(server, "lab")
        made(server, specimen(found, status="unsatisfactory", condition=[{"text": "溶血"}]), **LAB)
        assert state(server, found) == ("failed", "rejected-specimen")
        task = server.request("GET", f"Task/order-{found['id']}").json()
        assert task["statusReason"]["coding"][0]["code"] == "unsuitable-sample"
        told = [row for _, row in server.run(server.store.outbox()) if row.topic == "task-status"]
        assert told[-1].payload["reason"] == "unsuitable-sample"
        again = ordered(server, "lab", replaces=[{"reference": f"ServiceRequest/{found['id']}"}])
        assert state(server, again) == ("requested", "ordered")

    def test_a_tube_that_comes_after_the_report_turns_nothing_back(self, server: Server) -> None:
        found = ordered(server, "lab")
        made(server, report(found, status="final"), **LAB | {"x_hutong_roles": "aud"})
        made(server, specimen(found, receivedTime="2026-05-11T09:00:00+08:00"), **LAB)
        assert state(server, found) == ("completed", "issued")


class TestPathology:
    """W4: block and slide are phases of the Task; immunohistochemistry is an addendum."""

    def test_phases_are_set_by_the_technician_and_the_addendum_is_supplementary(self, server: Server) -> None:
        found = ordered(server, "pathology")
        made(server, specimen(found, receivedTime="2026-05-11T09:00:00+08:00"), **LAB)
        task = server.request("GET", f"Task/order-{found['id']}").json()
        for status in ("accepted", "in-progress"):
            task = put(server, task | {"status": status}, **DESK).json()
        system = "https://hutong.health/fhir/CodeSystem/business-status"
        for phase in ("grossed", "embedded", "sliced", "first-read"):
            task = put(
                server, task | {"businessStatus": {"coding": [{"system": system, "code": phase}]}}, **LAB
            ).json()
        wrong = {"coding": [{"system": system, "code": "issued"}]}
        assert code(put(server, task | {"businessStatus": wrong}, **LAB)) == "HT-WF-09"
        frozen = made(server, report(found), **READER)
        assert state(server, found)[0] == "in-progress"
        place = f"DiagnosticReport/{frozen['id']}"
        assert post(server, f"{place}/$sign", **AUDITOR).status_code == 200
        appended = [
            {"name": "reason", "valueString": "免疫组化"},
            {"name": "status", "valueCode": "appended"},
        ]
        assert post(server, f"{place}/$amend", *appended, **AUDITOR).json()["status"] == "appended"
        assert state(server, found) == ("completed", "supplementary")


class TestConsultation:
    """W5: submitted, scheduled, in session, opinion drafted and signed."""

    def test_from_the_request_to_the_opinion(self, server: Server) -> None:
        found = ordered(server, "consult")
        based_on = [{"reference": f"ServiceRequest/{found['id']}"}]
        assert state(server, found) == ("requested", "submitted")
        slot = {
            "resourceType": "Appointment", "status": "booked", "basedOn": based_on,
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }  # fmt: skip
        made(server, slot, **DESK)
        assert state(server, found) == ("accepted", "scheduled")
        visit = {
            "resourceType": "Encounter", "status": "in-progress", "class": {"code": "VR"}, "basedOn": based_on,
            "subject": {"reference": "Patient/p"},
        }  # fmt: skip
        made(server, visit, **DESK)
        assert state(server, found) == ("in-progress", "in-session")
        opinion = made(server, report(found, conclusion="建议保守治疗"), **READER)
        assert state(server, found) == ("in-progress", "opinion-drafted")
        assert post(server, f"DiagnosticReport/{opinion['id']}/$sign", **AUDITOR).status_code == 200
        assert state(server, found) == ("completed", "opinion-signed")
        assert find(server, "Task?code=read-report") == []

    def test_papers_that_are_missing_are_asked_for(self, server: Server) -> None:
        found = ordered(server, "consult")
        task = server.request("GET", f"Task/order-{found['id']}").json()
        for status in ("accepted", "in-progress"):
            task = put(server, task | {"status": status}, **DESK).json()
        put(server, task | {"status": "on-hold", "statusReason": {"text": "缺病历摘要"}}, **DESK)
        [question] = find(server, "Task?code=provide-info&owner=Organization/town")
        assert question["statusReason"] == {"text": "缺病历摘要"}


class TestAppointmentsOfExaminations:
    def test_booked_and_arrived(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        slot = {
            "resourceType": "Appointment", "status": "booked",
            "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }  # fmt: skip
        slot = made(server, slot, **DESK)
        assert state(server, found) == ("accepted", "booked")
        put(server, slot | {"status": "arrived"}, **DESK)
        assert state(server, found) == ("accepted", "arrived")

    def test_a_slot_of_an_order_on_hold_is_written_all_the_same(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        task = server.request("GET", f"Task/order-{found['id']}").json()
        for status in ("accepted", "in-progress"):
            task = put(server, task | {"status": status}, **DESK).json()
        put(server, task | {"status": "on-hold", "statusReason": {"text": "x"}}, **DESK)
        slot = {
            "resourceType": "Appointment", "status": "booked",
            "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
            "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}],
        }  # fmt: skip
        made(server, slot, **DESK)
        assert state(server, found)[0] == "on-hold"
