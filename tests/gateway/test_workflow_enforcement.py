"""The machines hold on every path, one of parallel claims wins, and what follows is in the same commit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terminology.fhirjson import Json
from tests.gateway.server import Server
from tests.gateway.stores import STORES, store_of

CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
TOWN = {"x_hutong_organization": "town", "x_hutong_roles": "ord"}
READER = {"x_hutong_organization": "imaging", "x_hutong_roles": "read"}
DESK = {"x_hutong_organization": "imaging", "x_hutong_roles": "disp"}


@pytest.fixture(params=STORES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(store_of(request.param, tmp_path, request), workflow=True)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def plain(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(store_of("memory", tmp_path, request), workflow=True)
    try:
        yield server
    finally:
        server.close()


def task(**elements: Any) -> Json:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "owner": {"reference": "Organization/imaging"},
        **elements,
    }


def order(**elements: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging"}]}],
        "code": {"text": "胸部CT"},
        "subject": {"reference": "Patient/p"},
        "performer": [{"reference": "Organization/imaging"}],
        **elements,
    }


def unplaced(**elements: Any) -> Json:
    """An order that names no centre."""
    resource = order(**elements)
    del resource["performer"]
    return resource


def put(server: Server, resource: Json, **headers: str) -> Any:
    """Write a resource over what is there, with the ETag of what is there."""
    place = f"{resource['resourceType']}/{resource['id']}"
    tag = server.request("GET", place).headers["etag"]
    return server.request("PUT", place, resource, if_match=tag, **headers)


def made(server: Server, resource: Json, **headers: str) -> Json:
    answer = server.request("POST", resource["resourceType"], resource, **headers)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def code(answer: Any) -> str:
    issue = answer.json()["issue"][0]
    return str(issue["details"]["coding"][0]["code"])


class TestEveryPath:
    """A wrong transition is 409 wherever it comes from; nothing is written."""

    def test_update(self, server: Server) -> None:
        found = made(server, task())
        answer = put(server, found | {"status": "completed"})
        assert answer.status_code == 409
        [issue] = answer.json()["issue"]
        assert issue["code"] == "business-rule"
        assert issue["expression"] == ["Task.status"]
        assert "现为“requested”,不能改为“completed”" in issue["details"]["text"]
        assert server.request("GET", f"Task/{found['id']}").json()["meta"]["versionId"] == "1"

    def test_patch(self, server: Server) -> None:
        found = made(server, task())
        patch = [{"op": "replace", "path": "/status", "value": "on-hold"}]
        answer = server.request(
            "PATCH",
            f"Task/{found['id']}",
            patch,
            content_type="application/json-patch+json",
            if_match='W/"1"',
        )
        assert (answer.status_code, code(answer)) == (409, "HT-WF-01")

    def test_conditional_update(self, server: Server) -> None:
        made(server, task(identifier=[{"system": "urn:x", "value": "1"}]))
        answer = server.request(
            "PUT", "Task?identifier=urn:x|1", task(status="failed", identifier=[{"system": "urn:x", "value": "1"}]),
            if_match='W/"1"',
        )  # fmt: skip
        assert (answer.status_code, code(answer)) == (409, "HT-WF-01")

    @pytest.mark.parametrize("kind", ["batch", "transaction"])
    def test_bundle(self, server: Server, kind: str) -> None:
        found = made(server, task())
        entry = {
            "resource": found | {"status": "completed"},
            "request": {"method": "PUT", "url": f"Task/{found['id']}", "ifMatch": 'W/"1"'},
        }
        answer = server.request("POST", "", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        outcome = answer.json() if kind == "transaction" else answer.json()["entry"][0]["response"]["outcome"]
        assert outcome["issue"][0]["details"]["coding"][0]["code"] == "HT-WF-01"
        assert server.request("GET", f"Task/{found['id']}").json()["status"] == "requested"

    def test_delete(self, server: Server) -> None:
        found = made(server, task())
        answer = server.request("DELETE", f"Task/{found['id']}")
        assert (answer.status_code, code(answer)) == (409, "HT-WF-14")
        answer = server.request("DELETE", f"Task?_id={found['id']}")
        assert (answer.status_code, code(answer)) == (409, "HT-WF-14")

    def test_a_report_never_goes_back_from_final(self, server: Server) -> None:
        report = made(
            server, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "血常规"}}
        )
        for status in ("preliminary", "partial", "registered", "cancelled"):
            answer = put(server, report | {"status": status})
            assert (answer.status_code, code(answer)) == (409, "HT-WF-01"), status
        assert put(server, report | {"status": "amended"}).status_code == 200

    def test_a_task_of_ours_begins_as_a_wish(self, server: Server) -> None:
        answer = server.request("POST", "Task", task(status="completed"))
        assert (answer.status_code, code(answer)) == (409, "HT-WF-04")

    def test_a_plain_client_may_keep_tasks_of_its_own(self, server: Server) -> None:
        """Another workflow's Task: any state to begin in, no If-Match while the status stays, and deletion."""
        own = {"resourceType": "Task", "id": "own", "status": "in-progress", "intent": "plan"}
        assert server.request("PUT", "Task/own", own).status_code == 201
        assert server.request("PUT", "Task/own", own | {"description": "x"}).status_code == 200
        assert server.request("PUT", "Task/own", own | {"status": "draft"}).status_code == 412
        assert server.request("DELETE", "Task/own").status_code == 200


class TestIfMatch:
    def test_missing_is_412(self, server: Server) -> None:
        found = made(server, task())
        answer = server.request("PUT", f"Task/{found['id']}", found | {"status": "accepted"})
        assert (answer.status_code, code(answer)) == (412, "HT-WF-13")
        assert 'W/"1"' in answer.json()["issue"][0]["details"]["text"]

    def test_old_is_412(self, server: Server) -> None:
        found = made(server, task())
        assert put(server, found | {"status": "received"}).status_code == 200
        answer = server.request(
            "PUT", f"Task/{found['id']}", found | {"status": "rejected"}, if_match='W/"1"'
        )
        assert answer.status_code == 412

    def test_a_patch_that_comes_second_is_told_too(self, server: Server) -> None:
        found = made(server, task())
        patch = [{"op": "replace", "path": "/status", "value": "accepted"}]
        headers = {"content_type": "application/json-patch+json", **READER}
        missing = server.request("PATCH", f"Task/{found['id']}", patch, **headers)
        assert (missing.status_code, code(missing)) == (412, "HT-WF-13")
        first = server.request("PATCH", f"Task/{found['id']}", patch, if_match='W/"1"', **headers)
        assert first.status_code == 200
        second = server.request("PATCH", f"Task/{found['id']}", patch, if_match='W/"1"', **headers)
        assert (second.status_code, code(second)) == (409, "HT-WF-05")

    def test_a_claim_that_comes_second_is_told_the_winners_department(self, server: Server) -> None:
        server.request(
            "PUT",
            "Organization/dep",
            {"resourceType": "Organization", "id": "dep", "name": "影像中心诊断一组"},
        )
        server.request(
            "PUT", "PractitionerRole/li",
            {"resourceType": "PractitionerRole", "id": "li", "practitioner": {"display": "李建国"},
             "organization": {"reference": "Organization/dep"}},
        )  # fmt: skip
        found = made(server, task())
        mine = found | {"status": "accepted", "owner": {"reference": "PractitionerRole/li"}}
        assert (
            server.request("PUT", f"Task/{found['id']}", mine, if_match='W/"1"', **READER).status_code == 200
        )
        answer = server.request(
            "PUT", f"Task/{found['id']}", found | {"status": "accepted"}, if_match='W/"1"', **READER
        )
        assert (answer.status_code, code(answer)) == (409, "HT-WF-05")
        text = answer.json()["issue"][0]["details"]["text"]
        assert "影像中心诊断一组" in text
        assert "李建国" not in text


class TestParallelClaims:
    """workflows §8: 200 clients → exactly one winner."""

    def test_one_wins_and_199_are_told_who(self, server: Server) -> None:
        server.request(
            "PUT",
            "Organization/imaging",
            {"resourceType": "Organization", "id": "imaging", "name": "县影像中心"},
        )
        found = made(server, task())
        wanted = found | {"status": "accepted"}

        async def race() -> list[Any]:
            return await asyncio.gather(
                *(
                    server.send("PUT", f"Task/{found['id']}", wanted, if_match='W/"1"', **READER)
                    for _ in range(200)
                )
            )

        answers = server.run(race())
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 199
        for answer in answers:
            if answer.status_code == 409:
                assert code(answer) == "HT-WF-05"
                assert "县影像中心" in answer.json()["issue"][0]["details"]["text"]
        assert server.request("GET", f"Task/{found['id']}").json()["meta"]["versionId"] == "2"


class TestRoles:
    def test_a_role_that_may_not_is_told_who_may(self, server: Server) -> None:
        found = made(server, task())
        answer = server.request(
            "PUT", f"Task/{found['id']}", found | {"status": "rejected", "statusReason": {"text": "无法开展"}},
            if_match='W/"1"', accept_language="en", **READER,
        )  # fmt: skip
        assert (answer.status_code, code(answer)) == (409, "HT-WF-02")
        assert "disp centre dispatcher" in answer.json()["issue"][0]["details"]["text"]

    def test_nobody_is_the_gateway_by_saying_so(self, plain: Server) -> None:
        found = made(plain, task())
        answer = plain.request(
            "PUT",
            f"Task/{found['id']}",
            found | {"status": "received"},
            if_match='W/"1"',
            x_hutong_roles="gw",
        )
        assert code(answer) == "HT-WF-02"

    def test_a_caller_without_headers_is_the_local_operator_and_recorded_as_such(self, plain: Server) -> None:
        found = made(plain, task())
        put(plain, found | {"status": "accepted"})
        [entry] = plain.request(
            "GET", f"Provenance?target=Task/{found['id']}&_sort=-_lastUpdated&_count=1"
        ).json()["entry"]
        assert entry["resource"]["agent"][0]["who"] == {"display": "local operator"}

    def test_only_the_placer_changes_an_order(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        answer = put(server, found | {"note": [{"text": "x"}]}, **READER)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-10")
        assert put(server, found | {"note": [{"text": "x"}]}, **TOWN).status_code == 200


class TestNeeds:
    @pytest.mark.parametrize("status", ["rejected", "cancelled", "entered-in-error"])
    def test_a_reason(self, server: Server, status: str) -> None:
        found = made(server, task())
        answer = put(server, found | {"status": status})
        assert (answer.status_code, code(answer)) == (409, "HT-WF-03")
        assert answer.json()["issue"][0]["expression"] == ["Task.statusReason"]
        assert put(server, found | {"status": status, "statusReason": {"text": "重复"}}).status_code == 200

    def test_an_output_that_is_final(self, server: Server) -> None:
        report = made(
            server, {"resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "CT"}}
        )
        found = made(server, task())
        for status in ("accepted", "in-progress"):
            found = put(server, found | {"status": status}).json()
        assert code(put(server, found | {"status": "completed"})) == "HT-WF-03"
        output = [
            {"type": {"text": "report"}, "valueReference": {"reference": f"DiagnosticReport/{report['id']}"}}
        ]
        done = found | {"status": "completed", "output": output}
        assert code(put(server, done)) == "HT-WF-06"
        put(server, report | {"status": "final"})
        assert put(server, done).status_code == 200

    def test_an_order_that_is_active(self, server: Server) -> None:
        draft = made(server, order(status="draft"))
        found = made(server, task(status="draft", focus={"reference": f"ServiceRequest/{draft['id']}"}))
        assert code(put(server, found | {"status": "requested"})) == "HT-WF-07"

    def test_a_phase_that_fits(self, server: Server) -> None:
        found = made(server, task())
        system = "https://hutong.health/fhir/CodeSystem/business-status"
        wrong = {"coding": [{"system": system, "code": "issued"}]}
        assert code(put(server, found | {"businessStatus": wrong})) == "HT-WF-09"

    def test_the_owner_stays(self, server: Server) -> None:
        found = made(server, task())
        found = put(server, found | {"status": "accepted"}).json()
        assert code(put(server, found | {"owner": {"reference": "Organization/x"}})) == "HT-WF-12"


class TestOrders:
    """An order makes its Task, and both go together (§1.2, §1.3)."""

    def coordination(self, server: Server, found: Json) -> Json:
        resource: Json = server.request("GET", f"Task/order-{found['id']}").json()
        return resource

    def test_an_active_order_is_asked_of_its_centre(self, server: Server) -> None:
        found = made(server, order(priority="stat"), **TOWN)
        task = self.coordination(server, found)
        assert task["status"] == "requested"
        assert task["owner"] == {"reference": "Organization/imaging"}
        assert task["requester"] == {"reference": "Organization/town"}
        assert task["priority"] == "stat"
        assert task["focus"] == {"reference": f"ServiceRequest/{found['id']}"}
        assert task["restriction"]["period"]["end"] > task["authoredOn"]
        topics = [row.topic for _, row in server.run(server.store.outbox())]
        assert topics == ["task-requested"]

    def test_a_draft_is_asked_when_it_becomes_active(self, server: Server) -> None:
        found = made(server, order(status="draft"), **TOWN)
        assert server.request("GET", f"Task/order-{found['id']}").status_code == 404
        put(server, found | {"status": "active"}, **TOWN)
        assert self.coordination(server, found)["status"] == "requested"

    def test_without_a_centre_a_person_finds_it(self, server: Server) -> None:
        resource = order()
        del resource["performer"]
        found = made(server, resource, **TOWN)
        [entry] = server.request("GET", "Task?code=route-order&status=requested").json()["entry"]
        assert entry["resource"]["focus"] == {"reference": f"ServiceRequest/{found['id']}"}
        assert "no centre takes orders" in entry["resource"]["statusReason"]["text"]

    def test_a_placer_may_bring_the_task_with_the_order(self, server: Server) -> None:
        """Clinical Order Workflows: order and Task in one transaction; no second Task is made, and data finds his."""
        entries = [
            {"fullUrl": "urn:uuid:1", "resource": order(), "request": {"method": "POST", "url": "ServiceRequest"}},
            {
                "fullUrl": "urn:uuid:2", "resource": task(focus={"reference": "urn:uuid:1"}),
                "request": {"method": "POST", "url": "Task"},
            },
        ]  # fmt: skip
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = server.request("POST", "", bundle, **TOWN)
        assert answer.status_code == 200, answer.text
        found = server.request("GET", "Task").json()
        assert found["total"] == 1
        own = found["entry"][0]["resource"]
        study = {
            "resourceType": "ImagingStudy", "status": "available", "subject": {"reference": "Patient/p"},
            "basedOn": [own["focus"]],
        }  # fmt: skip
        made(server, study)
        assert server.request("GET", f"Task/{own['id']}").json()["status"] == "in-progress"

    def test_revoking_the_order_cancels_the_task(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        assert put(server, found | {"status": "revoked"}, **TOWN).status_code == 200
        assert self.coordination(server, found)["status"] == "cancelled"

    def test_cancelling_the_task_revokes_the_order(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        task = self.coordination(server, found)
        answer = put(server, task | {"status": "cancelled", "statusReason": {"text": "患者拒绝"}}, **TOWN)
        assert answer.status_code == 200
        revoked = server.request("GET", f"ServiceRequest/{found['id']}").json()
        assert revoked["status"] == "revoked"
        assert revoked["extension"][0]["valueCodeableConcept"] == {"text": "患者拒绝"}

    def test_work_that_began_is_not_revoked_directly(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        task = self.coordination(server, found)
        for status in ("accepted", "in-progress"):
            task = put(server, task | {"status": status}, **DESK).json()
        answer = put(server, found | {"status": "revoked"}, **TOWN)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-08")
        wish = {
            **{name: task[name] for name in ("intent", "for", "requester")},
            "resourceType": "Task",
            "status": "requested",
            "statusReason": {"text": "患者转院"},
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "abort"}]},
            "focus": {"reference": f"Task/{task['id']}"},
            "owner": task["owner"],
        }
        wish = made(server, wish, **TOWN)
        for status in ("accepted", "in-progress"):
            wish = put(server, wish | {"status": status}, **DESK).json()
        done = wish | {
            "status": "completed",
            "output": [{"type": {"text": "answer"}, "valueString": "已停止"}],
        }
        assert put(server, done, **DESK).status_code == 200
        assert self.coordination(server, found)["status"] == "failed"
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "revoked"

    def test_an_order_with_open_work_is_not_deleted(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        answer = server.request("DELETE", f"ServiceRequest/{found['id']}")
        assert (answer.status_code, code(answer)) == (409, "HT-WF-11")

    def test_on_hold_asks_the_placer_and_stops_the_clock(self, plain: Server) -> None:
        found = made(plain, order(), **TOWN)
        task = self.coordination(plain, found)
        for status in ("accepted", "in-progress"):
            task = put(plain, task | {"status": status}, **DESK).json()
        due = task["restriction"]["period"]["end"]
        reason = {
            "coding": [
                {"system": "https://hutong.health/fhir/CodeSystem/status-reason", "code": "need-history"}
            ]
        }
        put(plain, task | {"status": "on-hold", "statusReason": reason}, **DESK)
        [entry] = plain.request("GET", "Task?code=provide-info&owner=Organization/town").json()["entry"]
        question = entry["resource"]
        later = plain.clock
        from datetime import timedelta

        plain.clock = lambda: later() + timedelta(hours=1)
        for status in ("accepted", "in-progress"):
            question = put(plain, question | {"status": status}, **TOWN).json()
        answer = [{"type": {"text": "info"}, "valueString": "有结核病史"}]
        assert put(plain, question | {"status": "completed", "output": answer}, **TOWN).status_code == 200
        task = self.coordination(plain, found)
        assert task["status"] == "in-progress"
        assert task["input"][0]["valueString"] == "有结核病史"
        assert task["restriction"]["period"]["end"] > due
        [paused] = [row for row in task["extension"] if row["url"].endswith("paused-seconds")]
        assert paused["valueInteger"] >= 3600


class TestReports:
    def begun(self, server: Server) -> Json:
        return made(server, order(), **TOWN)

    def report(self, found: Json, **elements: Any) -> Json:
        return {
            "resourceType": "DiagnosticReport",
            "status": "preliminary",
            "code": {"text": "胸部CT"},
            "subject": {"reference": "Patient/p"},
            "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
            **elements,
        }

    def test_images_begin_the_work_and_stand_on_the_reading_list(self, server: Server) -> None:
        found = self.begun(server)
        study = {
            "resourceType": "ImagingStudy",
            "status": "available",
            "subject": {"reference": "Patient/p"},
            "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
        }
        made(server, study)
        task = server.request("GET", f"Task/order-{found['id']}").json()
        assert task["status"] == "in-progress"
        assert task["businessStatus"]["coding"][0]["code"] == "images-available"
        history = server.request("GET", f"Task/order-{found['id']}/_history").json()["entry"]
        states = [entry["resource"]["status"] for entry in reversed(history)]
        assert states == ["requested", "accepted", "in-progress"]
        [entry] = server.request("GET", "Task?code=read-report").json()["entry"]
        assert entry["resource"]["partOf"] == [{"reference": f"Task/order-{found['id']}"}]

    def test_a_final_report_completes_everything_and_is_told_to_the_placer(self, server: Server) -> None:
        found = self.begun(server)
        report = made(server, self.report(found, status="final"))
        task = server.request("GET", f"Task/order-{found['id']}").json()
        assert task["status"] == "completed"
        assert task["businessStatus"]["coding"][0]["code"] == "issued"
        assert task["output"][0]["valueReference"] == {"reference": f"DiagnosticReport/{report['id']}"}
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "completed"
        [told] = [row for _, row in server.run(server.store.outbox()) if row.topic == "report-final"]
        assert told.payload["receivers"] == ["Organization/town"]
        assert told.payload["focus"] == f"DiagnosticReport/{report['id']}/_history/1"
        assert told.key == f"ServiceRequest/{found['id']}"

    def test_a_report_for_a_cancelled_order_is_kept_and_shown_to_a_person(self, server: Server) -> None:
        found = self.begun(server)
        put(server, found | {"status": "revoked"}, **TOWN)
        report = made(server, self.report(found, status="final"))
        assert server.request("GET", f"Task/order-{found['id']}").json()["status"] == "cancelled"
        [entry] = server.request("GET", "Task?code=match-result").json()["entry"]
        assert entry["resource"]["focus"] == {"reference": f"DiagnosticReport/{report['id']}"}
        assert entry["resource"]["statusReason"]["coding"][0]["code"] == "order-ended"

    def test_images_without_an_order_are_to_be_matched(self, server: Server) -> None:
        found = self.begun(server)
        study = made(
            server,
            {"resourceType": "ImagingStudy", "status": "available", "subject": {"reference": "Patient/p"}},
        )
        [entry] = server.request("GET", "Task?code=match-result").json()["entry"]
        [suggested] = entry["resource"]["input"]
        assert suggested["valueReference"] == {"reference": f"ServiceRequest/{found['id']}"}
        put(server, study | {"basedOn": [{"reference": f"ServiceRequest/{found['id']}"}]})
        assert server.request("GET", f"Task/{entry['resource']['id']}").json()["status"] == "cancelled"
        assert server.request("GET", f"Task/order-{found['id']}").json()["status"] == "in-progress"

    def test_a_transition_leaves_provenance_and_audit(self, server: Server) -> None:
        found = self.begun(server)
        task = server.request("GET", f"Task/order-{found['id']}").json()
        reason = {"text": "设备检修"}
        put(server, task | {"status": "rejected", "statusReason": reason}, x_request_id="trace-1", **DESK)
        entries = server.request(
            "GET", f"Provenance?target=Task/order-{found['id']}&_sort=-_lastUpdated"
        ).json()["entry"]
        provenance = entries[0]["resource"]
        assert provenance["activity"]["text"] == "Task.status: requested → rejected"
        assert provenance["reason"] == [reason]
        assert provenance["agent"][0]["who"] == {"reference": "Organization/imaging"}
        assert provenance["extension"][0]["valueString"] == "trace-1"
        rows = [row for _, row in server.run(server.store.audit())]
        assert rows[-1]["entity"][0]["description"] == "Task.status: requested → rejected"
        assert rows[-1]["entity"][0]["what"]["reference"] == f"Task/order-{found['id']}/_history/2"


class TestRecall:
    """Everybody who saw the earlier version is asked to acknowledge (§1.5)."""

    def test_five_readers_are_found_and_the_author_is_not(self, server: Server) -> None:
        report = made(
            server,
            {
                "resourceType": "DiagnosticReport",
                "status": "final",
                "code": {"text": "CT"},
                "conclusion": "未见异常",
            },
            x_hutong_organization="imaging",
        )
        place = f"DiagnosticReport/{report['id']}"
        server.request("GET", place, x_hutong_organization="a")
        server.request("GET", f"{place}/_history/1", x_hutong_organization="b")
        server.request("GET", f"DiagnosticReport?_id={report['id']}", x_hutong_organization="c")
        server.request("GET", f"{place}/_history", x_hutong_organization="d")
        bundle = {
            "resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": place}}],
        }  # fmt: skip
        server.request("POST", "", bundle, x_hutong_organization="e")
        server.request("GET", place)
        corrected = report | {"status": "corrected", "conclusion": "右肺结节"}
        tag = server.request("GET", place).headers["etag"]
        server.request("PUT", place, corrected, if_match=tag, x_hutong_organization="imaging")
        entries = server.request("GET", "Task?code=acknowledge-correction").json()["entry"]
        owners = sorted(entry["resource"]["owner"]["reference"] for entry in entries)
        assert owners == [f"Organization/{name}" for name in "abcde"]
        [told] = [row for _, row in server.run(server.store.outbox()) if row.topic == "report-corrected"]
        assert sorted(told.payload["receivers"]) == owners

    def test_a_silent_change_of_a_final_report_is_a_correction_too(self, plain: Server) -> None:
        report = made(
            plain,
            {
                "resourceType": "DiagnosticReport",
                "status": "final",
                "code": {"text": "CT"},
                "conclusion": "a",
            },
        )
        plain.request("GET", f"DiagnosticReport/{report['id']}", x_hutong_organization="a")
        put(plain, report | {"conclusion": "b"})
        [entry] = plain.request("GET", "Task?code=acknowledge-correction").json()["entry"]
        assert entry["resource"]["owner"] == {"reference": "Organization/a"}
        put(plain, report | {"conclusion": "b", "language": "zh"})
        assert plain.request("GET", "Task?code=acknowledge-correction").json()["total"] == 1

    def test_deleting_a_report_tells_its_readers(self, plain: Server) -> None:
        report = made(plain, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "CT"}})
        plain.request("GET", f"DiagnosticReport/{report['id']}", x_hutong_organization="a")
        assert plain.request("DELETE", f"DiagnosticReport/{report['id']}").status_code == 200
        [entry] = plain.request("GET", "Task?code=acknowledge-correction").json()["entry"]
        assert entry["resource"]["statusReason"]["coding"][0]["code"] == "deleted"

    def test_reading_twice_is_kept_once(self, plain: Server) -> None:
        report = made(plain, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "CT"}})
        for _ in range(3):
            plain.request("GET", f"DiagnosticReport/{report['id']}", x_hutong_organization="a")
        assert plain.request("GET", f"AuditEvent?entity=DiagnosticReport/{report['id']}").json()["total"] == 1


class TestActivities:
    def test_an_activity_has_a_machine_of_its_own(self, server: Server) -> None:
        def plan(status: str) -> Json:
            return {
                "resourceType": "CarePlan", "id": "c", "status": "active", "intent": "plan",
                "subject": {"reference": "Patient/p"}, "activity": [{"detail": {"status": status}}],
            }  # fmt: skip

        assert server.request("PUT", "CarePlan/c", plan("not-started")).status_code == 201
        answer = server.request("PUT", "CarePlan/c", plan("completed"))
        assert (answer.status_code, code(answer)) == (409, "HT-WF-01")
        assert answer.json()["issue"][0]["expression"] == ["CarePlan.activity.detail.status"]
        assert server.request("PUT", "CarePlan/c", plan("scheduled")).status_code == 200


class TestSeveralOffers:
    """An order offered to several centres: the first to accept has it, the other offers end (§1.3 row 3)."""

    def test_the_other_offers_are_cancelled(self, server: Server) -> None:
        draft = made(server, unplaced(category=[{"text": "x"}]), **TOWN)
        focus = {"reference": f"ServiceRequest/{draft['id']}"}
        first, second, third = (
            made(server, task(focus=focus, owner={"reference": f"Organization/{name}"}), **TOWN)
            for name in "abc"
        )
        accepted = server.request("GET", f"Task/{second['id']}").json()
        assert put(server, accepted | {"status": "accepted"}, **DESK).status_code == 200
        for rival in (first, third):
            ended = server.request("GET", f"Task/{rival['id']}").json()
            assert ended["status"] == "cancelled"
            assert ended["statusReason"]["coding"][0]["code"] == "request-claimed"
            assert ended["businessStatus"]["coding"][0]["code"] == "claimed-by-other"
        assert server.request("GET", f"ServiceRequest/{draft['id']}").json()["status"] == "active"
