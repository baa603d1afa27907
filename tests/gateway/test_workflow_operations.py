"""$claim, $release, $assign, $worklist, $sign, $amend, $withdraw, $recall, $route over the wire."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from terminology.fhirjson import Json
from tests.gateway.server import Server
from tests.gateway.stores import store_of
from tests.gateway.test_workflow_enforcement import CATEGORY, DESK, TOWN, code, made, order, put, task

READER = {
    "x_hutong_organization": "imaging", "x_hutong_roles": "read", "x_hutong_practitioner": "PractitionerRole/li",
}  # fmt: skip
AUDITOR = {
    "x_hutong_organization": "imaging", "x_hutong_roles": "aud", "x_hutong_practitioner": "PractitionerRole/wang",
}  # fmt: skip


@pytest.fixture(params=["memory", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(store_of(request.param, tmp_path, request), workflow=True)
    server.request(
        "PUT", "Organization/imaging", {"resourceType": "Organization", "id": "imaging", "name": "县影像中心"}
    )
    for id, name in (("li", "李建国"), ("wang", "王丽")):
        role = {
            "resourceType": "PractitionerRole",
            "id": id,
            "practitioner": {"reference": f"Practitioner/{id}", "display": name},
            "organization": {"reference": "Organization/imaging"},
        }
        server.request("PUT", f"PractitionerRole/{id}", role)
    yield server
    server.close()


def post(server: Server, path: str, *parameters: Json, **headers: str) -> Any:
    body = {"resourceType": "Parameters", "parameter": list(parameters)} if parameters else None
    return server.request("POST", path, body, **headers)


def text(name: str, value: str) -> Json:
    return {"name": name, "valueString": value}


def find(server: Server, query: str) -> list[Json]:
    return [entry["resource"] for entry in server.request("GET", query).json().get("entry", ())]


def images(server: Server, found: Json) -> None:
    study = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": "Patient/p"},
        "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
    }
    made(server, study)


def drafted(server: Server, found: Json, **headers: str) -> Json:
    report = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": {"text": "胸部CT"},
        "subject": {"reference": "Patient/p"},
        "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
        "conclusion": "未见异常",
    }
    return made(server, report, **headers)


class TestClaim:
    def test_the_reader_has_it_and_the_order_is_in_work(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        answer = post(server, f"Task/{reading['id']}/$claim", **READER)
        assert answer.status_code == 200
        assert answer.json()["status"] == "accepted"
        assert answer.json()["owner"] == {
            "reference": "PractitionerRole/li",
            "extension": [
                {
                    "url": "https://hutong.health/fhir/StructureDefinition/department",
                    "valueReference": {"reference": "Organization/imaging"},
                }
            ],
        }
        coordination = server.request("GET", f"Task/order-{found['id']}").json()
        assert coordination["status"] == "in-progress"
        assert coordination["businessStatus"]["coding"][0]["code"] == "claimed"

    def test_claiming_the_orders_task_takes_the_reading_below_it(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        answer = post(server, f"Task/order-{found['id']}/$claim", **READER)
        assert answer.json()["code"]["coding"][0]["code"] == "read-report"

    def test_an_order_without_images_can_be_claimed_for_the_centre(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        answer = post(server, f"Task/order-{found['id']}/$claim", **READER)
        assert (answer.json()["status"], answer.json()["owner"]) == (
            "accepted", {"reference": "Organization/imaging"},
        )  # fmt: skip

    def test_200_at_once_have_one_winner(self, server: Server) -> None:
        found = made(server, task())

        async def race() -> list[Any]:
            return await asyncio.gather(
                *(server.send("POST", f"Task/{found['id']}/$claim", **READER) for _ in range(200))
            )

        answers = server.run(race())
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 199
        for answer in answers:
            if answer.status_code == 409:
                assert code(answer) == "HT-WF-05"
                assert "县影像中心" in answer.json()["issue"][0]["details"]["text"]

    def test_an_old_version_of_a_claimed_task_is_told_the_winner(self, server: Server) -> None:
        found = made(server, task())
        post(server, f"Task/{found['id']}/$claim", **READER)
        answer = post(server, f"Task/{found['id']}/$claim", if_match='W/"1"', **AUDITOR)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-05")

    def test_a_township_does_not_read(self, server: Server) -> None:
        found = made(server, task())
        answer = post(server, f"Task/{found['id']}/$claim", **TOWN)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-02")

    def test_what_has_ended_is_not_claimed(self, server: Server) -> None:
        found = made(server, task())
        put(server, found | {"status": "cancelled", "statusReason": {"text": "x"}})
        answer = post(server, f"Task/{found['id']}/$claim", **READER)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-01")

    def test_get_is_not_allowed(self, server: Server) -> None:
        found = made(server, task())
        assert server.request("GET", f"Task/{found['id']}/$claim").status_code == 405

    def test_unknown_task(self, server: Server) -> None:
        assert post(server, "Task/none/$claim").status_code == 404


class TestRelease:
    def test_before_a_draft_it_is_cancelled_and_a_new_one_opens(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        post(server, f"Task/{reading['id']}/$claim", **READER)
        answer = post(server, f"Task/{reading['id']}/$release", text("reason", "下班"), **READER)
        assert answer.status_code == 200
        old = server.request("GET", f"Task/{reading['id']}").json()
        assert old["status"] == "cancelled"
        assert old["statusReason"]["coding"][0]["code"] == "released"
        assert old["statusReason"]["text"] == "下班"
        fresh = answer.json()
        assert (fresh["status"], fresh["owner"]) == ("requested", {"reference": "Organization/imaging"})
        assert fresh["partOf"] == reading["partOf"]
        assert server.request("GET", f"Task/order-{found['id']}").json()["status"] == "in-progress"
        assert (
            post(server, f"Task/{fresh['id']}/$claim", **AUDITOR | {"x_hutong_roles": "read"}).status_code
            == 200
        )

    def test_after_a_draft_it_has_failed_and_the_draft_goes_along(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        post(server, f"Task/{reading['id']}/$claim", **READER)
        report = drafted(server, found, **READER)
        assert server.request("GET", f"Task/{reading['id']}").json()["status"] == "in-progress"
        fresh = post(server, f"Task/{reading['id']}/$release", **READER).json()
        assert server.request("GET", f"Task/{reading['id']}").json()["status"] == "failed"
        [given] = fresh["input"]
        assert given["type"]["coding"][0]["code"] == "draft"
        assert given["valueReference"] == {"reference": f"DiagnosticReport/{report['id']}"}

    def test_only_the_holder_or_the_dispatcher(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        post(server, f"Task/{reading['id']}/$claim", **READER)
        other = READER | {"x_hutong_practitioner": "PractitionerRole/wang"}
        answer = post(server, f"Task/{reading['id']}/$release", **other)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-33")
        assert post(server, f"Task/{reading['id']}/$release", **DESK).status_code == 200

    def test_what_nobody_claimed(self, server: Server) -> None:
        found = made(server, task())
        answer = post(server, f"Task/{found['id']}/$release", **READER)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-32")

    def test_an_orders_task_goes_back_to_its_centre_and_the_order_stays(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        post(server, f"Task/order-{found['id']}/$claim", **READER)
        fresh = post(server, f"Task/order-{found['id']}/$release", **DESK).json()
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "active"
        images(server, found)
        assert server.request("GET", f"Task/{fresh['id']}").json()["status"] == "in-progress"


ASSIGNEE = {"name": "owner", "valueReference": {"reference": "PractitionerRole/wang"}}


class TestAssign:
    def test_the_dispatcher_gives_it_to_a_reader(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        answer = post(server, f"Task/{reading['id']}/$assign", ASSIGNEE, **DESK)
        assert (answer.json()["status"], answer.json()["owner"]) == (
            "accepted", {"reference": "PractitionerRole/wang"},
        )  # fmt: skip

    def test_what_somebody_holds_is_released_first(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report")
        post(server, f"Task/{reading['id']}/$claim", **READER)
        answer = post(server, f"Task/{reading['id']}/$assign", ASSIGNEE, **DESK)
        assert answer.json()["id"] != reading["id"]
        assert answer.json()["owner"] == {"reference": "PractitionerRole/wang"}
        assert server.request("GET", f"Task/{reading['id']}").json()["status"] == "cancelled"

    def test_a_reader_assigns_nothing(self, server: Server) -> None:
        found = made(server, task())
        answer = post(server, f"Task/{found['id']}/$assign", ASSIGNEE, **READER)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-34")

    def test_without_an_owner(self, server: Server) -> None:
        found = made(server, task())
        answer = post(server, f"Task/{found['id']}/$assign", **DESK)
        assert (answer.status_code, code(answer)) == (400, "HT-WF-40")


class TestWorklist:
    def rows(self, server: Server, query: str = "", **headers: str) -> list[Json]:
        answer = server.request("GET", f"Task/$worklist{query}", **headers)
        assert answer.status_code == 200, answer.text
        return [
            entry["resource"]
            for entry in answer.json().get("entry", ())
            if entry["search"]["mode"] == "match"
        ]

    def test_the_most_urgent_first_then_by_time_limit(self, server: Server) -> None:
        for number, priority in enumerate(("routine", "urgent", "stat", "routine", "asap")):
            server.clock = lambda number=number: server.context.clock() + timedelta(minutes=number)  # type: ignore[misc]
            made(server, order(priority=priority, code={"text": f"CT{number}"}), **TOWN)
        rows = self.rows(server, "?owner=imaging")
        assert [row["priority"] for row in rows] == ["stat", "asap", "urgent", "routine", "routine"]
        assert rows[3]["restriction"]["period"]["end"] <= rows[4]["restriction"]["period"]["end"]

    def test_pages_hold_everything_once(self, server: Server) -> None:
        for number in range(25):
            made(server, order(priority=("stat", "routine", "urgent")[number % 3]), **TOWN)
        seen: list[str] = []
        url = "Task/$worklist?owner=imaging&count=4"
        while url:
            answer = server.request("GET", url).json()
            entries = [entry for entry in answer.get("entry", ()) if entry["search"]["mode"] == "match"]
            assert len(entries) <= 4
            seen += [entry["resource"]["id"] for entry in entries]
            url = next((link["url"] for link in answer["link"] if link["relation"] == "next"), "")
        assert len(seen) == len(set(seen)) == 25

    def test_the_order_and_the_patient_stand_beside_it(self, server: Server) -> None:
        server.request("PUT", "Patient/p", {"resourceType": "Patient", "id": "p"})
        found = made(server, order(), **TOWN)
        answer = server.request("GET", "Task/$worklist").json()
        included = {
            f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in answer["entry"]
            if entry["search"]["mode"] == "include"
        }
        assert included == {f"ServiceRequest/{found['id']}", "Patient/p"}

    def test_filters(self, server: Server) -> None:
        made(server, order(priority="stat"), **TOWN)
        ecg = made(server, order(category=[{"coding": [{"system": CATEGORY, "code": "ecg"}]}]), **TOWN)
        images(server, made(server, order(), **TOWN))
        assert len(self.rows(server, "?code=fulfill")) == 3
        assert [row["id"] for row in self.rows(server, "?category=ecg")] == [f"order-{ecg['id']}"]
        assert len(self.rows(server, "?code=read-report")) == 1
        assert len(self.rows(server, "?priority=stat")) == 1
        assert len(self.rows(server, "?phase=images-available")) == 2
        assert len(self.rows(server, "?status=in-progress")) == 1
        assert self.rows(server, "?owner=other") == []
        assert self.rows(server, "?overdue=true") == []
        assert len(self.rows(server, "?patient=Patient/p")) == 4
        later = (server.clock() + timedelta(days=9)).isoformat(timespec="seconds").replace("+", "%2B")
        assert len(self.rows(server, f"?due-before={later}")) == 4

    def test_a_centre_sees_its_own_and_a_reader_what_is_his(self, server: Server) -> None:
        images(server, made(server, order(), **TOWN))
        [reading] = self.rows(server, "?code=read-report", **READER)
        post(server, f"Task/{reading['id']}/$claim", **READER)
        assert [row["id"] for row in self.rows(server, "?mine=true", **READER)] == [reading["id"]]
        assert self.rows(server, "?mine=true", **AUDITOR) == []
        assert self.rows(server, "", x_hutong_organization="other") == []

    def test_what_is_overdue(self, server: Server) -> None:
        made(server, order(priority="stat"), **TOWN)
        now = server.clock
        server.clock = lambda: now() + timedelta(hours=2)
        assert len(self.rows(server, "?overdue=true")) == 1

    def test_by_post(self, server: Server) -> None:
        made(server, order(), **TOWN)
        body = {"resourceType": "Parameters", "parameter": [{"name": "category", "valueCode": "imaging"}]}
        answer = server.request("POST", "Task/$worklist", body)
        assert answer.json()["entry"][0]["resource"]["status"] == "requested"

    def test_a_cursor_that_is_none(self, server: Server) -> None:
        assert server.request("GET", "Task/$worklist?cursor=abc").status_code == 400


class TestSign:
    def ready(self, server: Server) -> tuple[Json, Json]:
        found = made(server, order(), **TOWN)
        images(server, found)
        [reading] = find(server, "Task?code=read-report&status=requested")
        post(server, f"Task/{reading['id']}/$claim", **READER)
        return found, drafted(server, found, **READER)

    def test_draft_verify_sign_final(self, server: Server) -> None:
        found, report = self.ready(server)
        [reading] = find(server, "Task?code=read-report")
        answer = put(server, reading | {"status": "completed"}, **READER)
        assert answer.status_code == 200, answer.text
        [verifying] = find(server, "Task?code=verify-report")
        assert verifying["input"][0]["valueReference"] == {"reference": f"DiagnosticReport/{report['id']}"}
        assert post(server, f"Task/{verifying['id']}/$claim", **AUDITOR).status_code == 200
        answer = post(server, f"DiagnosticReport/{report['id']}/$sign", text("comment", "同意"), **AUDITOR)
        assert answer.status_code == 200
        signed = answer.json()
        assert (signed["status"], "issued" in signed) == ("final", True)
        assert signed["resultsInterpreter"] == [{"reference": "PractitionerRole/wang"}]
        assert server.request("GET", f"Task/{verifying['id']}").json()["status"] == "completed"
        assert server.request("GET", f"Task/order-{found['id']}").json()["status"] == "completed"
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "completed"
        told = [row for _, row in server.run(server.store.outbox()) if row.topic == "report-final"]
        assert told[-1].payload["receivers"] == ["Organization/town"]
        signatures = [
            row
            for row in find(server, f"Provenance?target=DiagnosticReport/{report['id']}")
            if "signature" in row
        ]
        [signature] = signatures[0]["signature"]
        assert signature["who"] == {"reference": "PractitionerRole/wang"}
        assert signature["sigFormat"] == "application/jose"
        assert signatures[0]["agent"][0]["onBehalfOf"] == {"reference": "Organization/imaging"}

    def test_the_signature_stands_on_this_version(self, server: Server) -> None:
        _, report = self.ready(server)
        place = f"DiagnosticReport/{report['id']}"
        answer = server.request("GET", f"{place}/$verify-signature")
        assert (answer.status_code, code(answer)) == (409, "HT-WF-41")
        post(server, f"{place}/$sign", **AUDITOR)
        valid = server.request("GET", f"{place}/$verify-signature").json()["parameter"][0]
        assert valid == {"name": "valid", "valueBoolean": True}
        put(server, server.request("GET", place).json() | {"conclusion": "改动"}, **AUDITOR)
        valid = server.request("GET", f"{place}/$verify-signature").json()["parameter"][0]
        assert valid == {"name": "valid", "valueBoolean": False}

    def test_twice_is_refused(self, server: Server) -> None:
        _, report = self.ready(server)
        place = f"DiagnosticReport/{report['id']}"
        assert post(server, f"{place}/$sign", **AUDITOR).status_code == 200
        answer = post(server, f"{place}/$sign", **AUDITOR)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-36")

    def test_two_at_once_sign_once(self, server: Server) -> None:
        _, report = self.ready(server)

        async def race() -> list[Any]:
            return await asyncio.gather(
                *(server.send("POST", f"DiagnosticReport/{report['id']}/$sign", **AUDITOR) for _ in range(10))
            )

        assert sorted(answer.status_code for answer in server.run(race())) == [200] + [409] * 9
        told = [row for _, row in server.run(server.store.outbox()) if row.topic == "report-final"]
        assert len(told) == 1

    def test_the_reader_does_not_audit_himself(self, server: Server) -> None:
        _, report = self.ready(server)
        answer = post(server, f"DiagnosticReport/{report['id']}/$sign", **READER)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-38")
        both = READER | {"x_hutong_roles": "read,aud"}
        answer = post(server, f"DiagnosticReport/{report['id']}/$sign", **both)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-37")
        # Nor by an update, whatever reference he uses.
        both["x_hutong_practitioner"] = "Practitioner/li"
        answer = put(server, report | {"status": "final"}, **both)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-37")

    def test_a_laboratory_signs_alone(self, server: Server) -> None:
        """Pack `signing`: single_sign."""
        report = made(
            server,
            {"resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "血常规"},
             "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]},
        )  # fmt: skip
        assert post(server, f"DiagnosticReport/{report['id']}/$sign", **READER).status_code == 200

    def test_amend_and_withdraw(self, server: Server) -> None:
        found, report = self.ready(server)
        place = f"DiagnosticReport/{report['id']}"
        answer = post(server, f"{place}/$amend", text("reason", "x"), **AUDITOR)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-39")
        post(server, f"{place}/$sign", **AUDITOR)
        server.request("GET", place, x_hutong_organization="hospital")
        answer = post(
            server, f"{place}/$amend", text("reason", "复核"), text("conclusion", "右肺结节"),
            {"name": "status", "valueCode": "corrected"}, **AUDITOR,
        )  # fmt: skip
        assert (answer.json()["status"], answer.json()["conclusion"]) == ("corrected", "右肺结节")
        owners = {row["owner"]["reference"] for row in find(server, "Task?code=acknowledge-correction")}
        assert owners == {"Organization/hospital", "Organization/town"}
        assert (
            server.request("GET", f"Task/order-{found['id']}").json()["businessStatus"]["coding"][0]["code"]
            == "addendum"
        )
        valid = server.request("GET", f"{place}/$verify-signature").json()["parameter"][0]
        assert valid["valueBoolean"] is True
        answer = post(server, f"{place}/$withdraw", **AUDITOR)
        assert (answer.status_code, code(answer)) == (400, "HT-WF-40")
        answer = post(server, f"{place}/$withdraw", text("reason", "患者弄错"), **AUDITOR)
        assert answer.json()["status"] == "entered-in-error"
        assert len(find(server, "Task?code=acknowledge-correction")) == 4

    def test_an_addendum_goes_to_the_placer_again(self, server: Server) -> None:
        _, report = self.ready(server)
        place = f"DiagnosticReport/{report['id']}"
        post(server, f"{place}/$sign", **AUDITOR)
        post(
            server,
            f"{place}/$amend",
            text("reason", "补充"),
            {"name": "status", "valueCode": "appended"},
            **AUDITOR,
        )
        told = [row for _, row in server.run(server.store.outbox()) if row.topic == "report-final"]
        assert [row.payload.get("reason") for row in told] == [None, "addendum"]


class TestRecall:
    def test_readers_are_asked_and_answer(self, server: Server) -> None:
        report = made(server, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "CT"}})
        place = f"DiagnosticReport/{report['id']}"
        server.request("GET", place, x_hutong_organization="a")
        server.request("GET", place, x_hutong_organization="b")
        answer = post(server, f"{place}/$recall", text("reason", "设备校准异常"), **DESK)
        parameters = answer.json()["parameter"]
        assert parameters[0] == {"name": "count", "valueInteger": 2}
        tasks = find(server, "Task?code=acknowledge-correction")
        assert {row["statusReason"]["text"] for row in tasks} == {"设备校准异常"}
        mine = next(row for row in tasks if row["owner"] == {"reference": "Organization/a"})
        theirs = {"x_hutong_organization": "a", "x_hutong_roles": "ord"}
        mine = post(server, f"Task/{mine['id']}/$claim", **theirs).json()
        mine = put(server, mine | {"status": "in-progress"}, **theirs).json()
        done = mine | {
            "status": "completed",
            "output": [{"type": {"text": "action"}, "valueString": "已告知患者"}],
        }
        assert put(server, done, **theirs).status_code == 200

    def test_a_township_recalls_nothing(self, server: Server) -> None:
        report = made(server, {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "CT"}})
        answer = post(server, f"DiagnosticReport/{report['id']}/$recall", text("reason", "x"), **TOWN)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-43")


class TestRoute:
    def lost(self, server: Server) -> Json:
        resource = order()
        del resource["performer"]
        return made(server, resource, **TOWN)

    def test_a_person_finds_the_centre(self, server: Server) -> None:
        found = self.lost(server)
        performer = {"name": "performer", "valueReference": {"reference": "Organization/imaging"}}
        answer = post(server, f"ServiceRequest/{found['id']}/$route", performer, x_hutong_roles="ops")
        assert answer.status_code == 201
        assert answer.json()["owner"] == {"reference": "Organization/imaging"}
        assert server.request("GET", f"Task/route-{found['id']}").json()["status"] == "cancelled"
        images(server, found)
        assert server.request("GET", f"Task/{answer.json()['id']}").json()["status"] == "in-progress"

    def test_the_rules_are_asked_again_once_a_centre_registered(self, server: Server) -> None:
        found = self.lost(server)
        assert (
            post(server, f"ServiceRequest/{found['id']}/$route").json()["code"]["coding"][0]["code"]
            == "route-order"
        )
        service = {
            "resourceType": "HealthcareService",
            "active": True,
            "providedBy": {"reference": "Organization/imaging"},
            "category": [{"coding": [{"system": CATEGORY, "code": "imaging"}]}],
        }
        made(server, service)
        answer = post(server, f"ServiceRequest/{found['id']}/$route")
        assert answer.json()["owner"] == {"reference": "Organization/imaging"}

    def test_what_a_centre_rejected_goes_to_another(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        first = server.request("GET", f"Task/order-{found['id']}").json()
        put(server, first | {"status": "rejected", "statusReason": {"text": "设备检修"}}, **DESK)
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "active"
        performer = {"name": "performer", "valueReference": {"reference": "Organization/city"}}
        second = post(server, f"ServiceRequest/{found['id']}/$route", performer, **TOWN).json()
        assert second["owner"] == {"reference": "Organization/city"}
        images(server, found)
        assert server.request("GET", f"Task/{second['id']}").json()["status"] == "in-progress"
        assert server.request("GET", f"Task/order-{found['id']}").json()["status"] == "rejected"

    def test_what_is_under_way_stays(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        answer = post(server, f"ServiceRequest/{found['id']}/$route", **TOWN)
        assert (answer.status_code, code(answer)) == (409, "HT-WF-42")


def test_switched_off_it_says_so(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = Server(store_of("memory", tmp_path, request))
    found = made(server, task(status="completed"))
    assert server.request("PUT", f"Task/{found['id']}", found | {"status": "draft"}).status_code == 200
    answer = post(server, f"Task/{found['id']}/$claim")
    assert (answer.status_code, code(answer)) == (405, "HT-WF-35")
    server.close()
