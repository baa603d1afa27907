"""Reminders at visit and order, corrections that open decisions again (MR-004, MR-022, MR-029, MR-030)."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from server import Server

from gateway.recognition.watch import RecognitionStore
from gateway.store.memory import MemoryStore
from gateway.store.protocol import OutboxRow
from terminology.fhirjson import Json

sys.path.append(str(Path(__file__).parent.parent / "conformance" / "recognition"))

from county import POTASSIUM, County

DOCTOR = {"resourceType": "Practitioner", "id": "li", "name": [{"text": "李明"}]}
OTHER_DOCTOR = {"resourceType": "Practitioner", "id": "zhao", "name": [{"text": "赵强"}]}


@pytest.fixture
def server() -> Iterator[Server]:
    store = RecognitionStore(MemoryStore())
    made = Server(store)

    async def start() -> None:
        store.start(made.context)

    made.run(start())
    county = County()
    for resource in (
        county.patient, county.community, county.hospital, county.township, county.neighbour, county.other_community,
        county.specimen, county.observation, county.report, DOCTOR, OTHER_DOCTOR,
    ):  # fmt: skip
        resource.pop("meta", None)
        answer = made.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code == 201, answer.text
    yield made
    made.run(store.stop())
    made.close()


def order(id: str = "o1", *, doctor: str = "li", **more: Any) -> Json:
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "code": {"coding": [POTASSIUM]},
        "subject": {"reference": "Patient/zhang"},
        "encounter": {"reference": "Encounter/visit"},
        "authoredOn": "2026-03-20T10:00:00+08:00",
        "requester": {"reference": f"Practitioner/{doctor}"},
    } | more


def visit(**more: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": "visit",
        "status": "in-progress",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/zhang"},
        "period": {"start": "2026-03-20T09:30:00+08:00"},
        "serviceProvider": {"reference": "Organization/township"},
        "participant": [{"individual": {"reference": "Practitioner/li"}}],
    } | more


def put(server: Server, resource: Json) -> Json:
    answer = server.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
    assert answer.status_code in (200, 201), answer.text
    found: Json = answer.json()
    return found


def settle(server: Server) -> None:
    server.run(server.store._queue.join())  # type: ignore[attr-defined]  # a wrapper with its queue


def reminders(server: Server, **more: str) -> list[Json]:
    settle(server)
    query = "&".join(
        f"{name}={value}" for name, value in {"category": "recognition-reminder", **more}.items()
    )
    answer = server.request("GET", f"Communication?{query}").json()
    return [row["resource"] for row in answer.get("entry", [])]


def decide(server: Server, action: str, **more: str) -> Any:
    parameters = {
        "result": "Observation/potassium",
        "action": action,
        "organization": "Organization/township",
    } | more
    rows: list[Json] = [
        {"name": name, "valueString": value} for name, value in parameters.items() if name != "reason"
    ]
    if "reason" in parameters:
        rows.append({"name": "reason", "valueCoding": {"code": parameters["reason"]}})
    body = {"resourceType": "Parameters", "parameter": rows}
    answer = server.request("POST", "Patient/zhang/$recognition-decision", body)
    assert answer.status_code in (200, 201), answer.text
    return answer


def outbox(server: Server) -> list[OutboxRow]:
    return [row for _, row in server.run(server.store.outbox())]


def correct(server: Server) -> None:
    observation = server.request("GET", "Observation/potassium").json()
    report = server.request("GET", "DiagnosticReport/chemistry").json()
    observation |= {"status": "corrected", "valueQuantity": observation["valueQuantity"] | {"value": 6.1}}
    report |= {"status": "corrected"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": row, "request": {"method": "PUT", "url": f"{row['resourceType']}/{row['id']}"}}
            for row in (observation, report)
        ],
    }
    answer = server.request("POST", "", bundle)
    assert answer.status_code == 200, answer.text


class TestTriggers:
    def test_an_order_reminds_of_what_would_be_done_twice(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        [reminder] = reminders(server)
        assert reminder["topic"]["coding"][0]["code"] == "order"
        assert reminder["basedOn"] == [{"reference": "ServiceRequest/o1"}]
        assert {row["reference"] for row in reminder["recipient"]} == {
            "Organization/township",
            "Practitioner/li",
        }
        assert {row["reference"] for row in reminder["about"]} == {
            "Observation/potassium/_history/1",
            "DiagnosticReport/chemistry/_history/1",
        }
        assert "有效至 2026-03-25" in reminder["payload"][0]["contentString"]

    def test_a_visit_reminds_of_the_history(self, server: Server) -> None:
        put(server, visit())
        [reminder] = reminders(server)
        assert reminder["topic"]["coding"][0]["code"] == "visit"
        assert reminder["encounter"] == {"reference": "Encounter/visit"}

    def test_it_is_told_to_whom_it_is_for(self, server: Server) -> None:
        put(server, visit())
        [reminder] = reminders(server)
        [row] = [row for row in outbox(server) if row.topic == "recognition"]
        assert row.key == "Patient/zhang"
        assert row.payload["focus"] == f"Communication/{reminder['id']}/_history/1"
        assert row.payload["receivers"] == ["Organization/township", "Practitioner/li"]

    @pytest.mark.parametrize(
        "changed",
        [
            {"status": "draft"},
            {"code": {"text": "血钾"}},
            {"code": {"coding": [{"system": "http://loinc.org", "code": "2885-2"}]}},
            {"authoredOn": "2026-05-20T10:00:00+08:00"},
        ],
        ids=["not active", "no code", "another item", "too old"],
    )
    def test_nothing_to_remind_of(self, server: Server, changed: Json) -> None:
        put(server, visit(status="planned"))
        put(server, order(**changed))
        assert reminders(server) == []

    def test_the_report_of_the_order_itself_is_no_duplicate(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order(status="draft"))
        report = server.request("GET", "DiagnosticReport/chemistry").json()
        put(server, report | {"basedOn": [{"reference": "ServiceRequest/o1"}]})
        put(server, order())
        assert reminders(server) == []


class TestOncePerReportOrderAndDoctor:
    """MR-029"""

    def test_the_same_order_again_reminds_no_more(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        put(server, order(note=[{"text": "空腹"}]))
        assert len(reminders(server)) == 1

    def test_another_order_and_another_doctor_are_reminded(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        put(server, order("o2"))
        put(server, order("o2", doctor="zhao"))
        assert len(reminders(server)) == 3

    def test_a_viewed_report_is_not_reminded_again(self, server: Server) -> None:
        put(server, visit(status="planned"))
        decide(server, "viewed", practitioner="Practitioner/li")
        put(server, order())
        assert reminders(server) == []
        put(server, order("o2", doctor="zhao"))
        assert len(reminders(server)) == 1

    def test_after_a_correction_it_is_reminded_again(self, server: Server) -> None:
        put(server, visit(status="planned"))
        decide(server, "viewed", practitioner="Practitioner/li")
        put(server, order())
        correct(server)
        put(server, order(note=[{"text": "再次"}]))
        [reminder] = reminders(server)
        assert {"reference": "DiagnosticReport/chemistry/_history/2"} in reminder["about"]


class TestEmergency:
    """MR-022"""

    def test_nobody_waits_and_the_reason_is_filled_in(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order(priority="stat"))
        [reminder] = reminders(server)
        assert reminder["reasonCode"][0]["coding"][0]["code"] == "04"
        assert reminder["priority"] == "stat"


class TestCorrection:
    """MR-004"""

    def test_a_decision_is_opened_again_and_its_user_told(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        first = decide(server, "accept", order="ServiceRequest/o1", practitioner="Practitioner/li").json()
        correct(server)
        tasks = server.request("GET", "Task?code=mutual-recognition&status=in-progress").json()["entry"]
        [opened] = [row["resource"] for row in tasks]
        assert opened["businessStatus"]["coding"][0]["code"] == "reopened"
        assert opened["focus"] == {"reference": "Observation/potassium/_history/2"}
        assert opened["partOf"] == [{"reference": f"Task/{first['id']}"}]
        assert opened["owner"] == {"reference": "Organization/township"}
        told = [row.payload for row in outbox(server) if row.payload["reason"] == "reopened"]
        assert {held for row in told for held in row["receivers"]} == {"Organization/township"}
        [again] = [row for row in reminders(server) if row["topic"]["coding"][0]["code"] == "correction"]
        assert again["payload"] == [{"contentString": "所用报告已更正 the report was corrected"}]

    def test_a_value_in_a_corrected_report_asks_again(self, server: Server) -> None:
        """The value is unchanged, its report is not: MR-004 warns until it is decided again."""
        put(server, visit(status="planned"))
        decide(server, "accept")
        report = server.request("GET", "DiagnosticReport/chemistry").json()
        put(server, report | {"status": "corrected"})
        body: Json = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "item", "valueCoding": POTASSIUM},
                {"name": "requester", "valueReference": {"reference": "Organization/township"}},
                {"name": "at", "valueDateTime": "2026-03-20T10:00:00+08:00"},
            ],
        }

        def decision() -> str:
            answer = server.request("POST", "Patient/zhang/$recognize", body).json()
            return str(next(row["valueCode"] for row in answer["parameter"] if row["name"] == "decision"))

        assert decision() == "ask"
        decide(server, "accept")
        assert decision() == "recognise"

    def test_the_new_decision_closes_the_open_one(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        decide(server, "accept", order="ServiceRequest/o1")
        correct(server)
        again = decide(server, "reject", order="ServiceRequest/o1", reason="01")
        assert again.status_code == 200
        assert "entry" not in server.request("GET", "Task?code=mutual-recognition&status=in-progress").json()
        assert again.json()["statusReason"]["coding"][0]["code"] == "01"

    @pytest.mark.parametrize(("action", "opened"), [("viewed", 1), ("revoke", 0)])
    def test_only_what_is_in_use_is_opened(self, server: Server, action: str, opened: int) -> None:
        decide(server, "accept")
        decide(server, action)
        correct(server)
        found = server.request("GET", "Task?code=mutual-recognition&status=in-progress").json()
        assert len(found.get("entry", [])) == opened

    def test_a_version_that_corrects_nothing_opens_nothing(self, server: Server) -> None:
        decide(server, "accept")
        report = server.request("GET", "DiagnosticReport/chemistry").json()
        put(server, report | {"conclusion": "正常"})
        assert "entry" not in server.request("GET", "Task?code=mutual-recognition&status=in-progress").json()

    def test_a_withdrawn_result_is_told_too(self, server: Server) -> None:
        decide(server, "accept")
        observation = server.request("GET", "Observation/potassium").json()
        put(server, observation | {"status": "entered-in-error"})
        assert (
            len(server.request("GET", "Task?code=mutual-recognition&status=in-progress").json()["entry"]) == 1
        )


class TestAccepted:
    """MR-030: by reference, with its institution; nothing to charge"""

    def test_the_result_enters_the_visit(self, server: Server) -> None:
        put(server, visit(status="planned"))
        put(server, order())
        task = decide(server, "accept", order="ServiceRequest/o1").json()
        assert task["encounter"] == {"reference": "Encounter/visit"}
        assert task["output"][0]["valueReference"] == {"reference": "Observation/potassium/_history/1"}
        assert task["input"][0]["valueReference"] == {"reference": "Organization/hospital"}
        assert "entry" not in server.request("GET", "ChargeItem").json()


class TestChargedAgain:
    """MR-030: $recognition-audit"""

    def charge(self, server: Server, **more: Any) -> None:
        put(
            server,
            {
                "resourceType": "ChargeItem",
                "id": "fee",
                "status": "billable",
                "code": {"coding": [POTASSIUM]},
                "subject": {"reference": "Patient/zhang"},
                "occurrenceDateTime": "2026-03-22T09:00:00+08:00",
                "priceOverride": {"value": 12, "currency": "CNY"},
            }
            | more,
        )

    def audit(self, server: Server) -> list[Json]:
        query = "$recognition-audit?periodStart=2026-03-01&periodEnd=2026-03-31"
        rows = server.request("GET", query).json()["parameter"]
        found = [row["part"] for row in rows if row["name"] == "finding"]
        [count] = [row["valueInteger"] for row in rows if row["name"] == "count"]
        assert count == len(found)
        return found

    def test_a_charge_within_validity_is_listed(self, server: Server) -> None:
        decide(server, "accept", at="2026-03-20T10:00:00+08:00")
        self.charge(server)
        [parts] = self.audit(server)
        assert {"name": "charge", "valueReference": {"reference": "ChargeItem/fee"}} in parts
        assert {"name": "validUntil", "valueDateTime": "2026-03-25T23:59:59+08:00"} in parts

    @pytest.mark.parametrize(
        "changed",
        [
            {"occurrenceDateTime": "2026-03-26T00:00:00+08:00"},
            {"occurrenceDateTime": "2026-03-18T09:00:00+08:00"},
            {"status": "entered-in-error"},
            {"code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]}},
        ],
        ids=["after validity", "before the decision", "withdrawn", "another item"],
    )
    def test_what_is_no_double_charge(self, server: Server, changed: Json) -> None:
        decide(server, "accept", at="2026-03-20T10:00:00+08:00")
        self.charge(server, **changed)
        assert self.audit(server) == []

    @pytest.mark.parametrize(("action", "reason"), [("reject", "01"), ("revoke", None)])
    def test_who_did_not_accept_may_charge(self, server: Server, action: str, reason: str | None) -> None:
        decide(server, "accept", at="2026-03-20T10:00:00+08:00")
        more = {"reason": reason} if reason else {}
        decide(server, action, at="2026-03-20T11:00:00+08:00", **more)
        self.charge(server)
        assert self.audit(server) == []

    def test_both_ends_of_the_period_are_needed(self, server: Server) -> None:
        assert server.request("GET", "$recognition-audit?periodStart=2026-03-01").status_code == 400


class TestLoads:
    def test_many_orders_at_once_are_not_waited_for(self, server: Server) -> None:
        put(server, visit(status="planned"))
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": order(f"o{number}"),
                    "request": {"method": "PUT", "url": f"ServiceRequest/o{number}"},
                }
                for number in range(20)
            ],
        }
        assert server.request("POST", "", bundle).status_code == 200
        assert len(reminders(server, _count="100")) == 20

    def test_what_a_stop_left_is_made_at_the_next_start(self, server: Server) -> None:
        store = server.store
        server.run(store.stop())  # type: ignore[attr-defined]  # a wrapper
        store._worker = None  # type: ignore[attr-defined]  # as before a start
        put(server, visit(status="planned"))
        put(server, order())

        async def start() -> None:
            store.start(server.context)  # type: ignore[attr-defined]  # a wrapper

        assert reminders(server) == []
        server.run(start())
        for _ in range(50):
            if reminders(server):
                break
            server.run(_pause())
        assert len(reminders(server)) == 1


async def _pause() -> None:
    import asyncio

    await asyncio.sleep(0.02)


def test_statistics_count_reminders_by_doctor_and_item(server: Server) -> None:
    put(server, visit(status="planned"))
    put(server, order())
    settle(server)
    year = datetime.now().year
    answer = server.request(
        "GET", f"Measure/mutual-recognition/$evaluate-measure?periodStart={year}-01-01&periodEnd={year}-12-31"
    ).json()
    [group] = answer["group"]
    counts = {row["code"]["coding"][0]["code"]: row["count"] for row in group["population"]}
    assert counts["reminders"] == 1
    strata = {
        row["code"][0]["text"]: [one["value"]["text"] for one in row.get("stratum", [])]
        for row in group["stratifier"]
    }
    assert strata["practitioner"] == ["Practitioner/li"]
    assert strata["item"] == ["2823-3"]
