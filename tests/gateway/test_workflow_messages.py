"""HL7 v2 messages as callers of the workflows (workflows §1.7): what order control and result codes do to orders and Tasks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.settings import Settings
from gateway.store.protocol import Commit, OutboxRow
from terminology.fhirjson import Json
from tests.gateway.running import run, running

CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"


class County:
    """A gateway with a centre for imaging and one for the laboratory."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        self.gateway, self.client = gateway, client
        self.sent = 0
        self.outbox: list[OutboxRow] = []
        self._listen()

    def _listen(self) -> None:
        """Keep every row of the outbox: the deliveries take them away as soon as they are written."""
        store: Any = self.gateway.store
        while hasattr(store, "_store"):
            store = store._store
        write = store.commit

        async def commit(commit: Commit) -> Any:
            written = await write(commit)
            self.outbox += commit.outbox
            return written

        store.commit = commit

    def told(self, topic: str) -> list[OutboxRow]:
        return [row for row in self.outbox if row.topic == topic]

    async def put(self, resource: Json, **headers: str) -> httpx.Response:
        return await self.client.put(
            f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource, headers=headers
        )

    async def rows(self, query: str) -> list[Json]:
        answer = (await self.client.get(f"/fhir/{query}")).json()
        return [entry["resource"] for entry in answer.get("entry", ())]

    async def the(self, query: str) -> Json:
        [found] = await self.rows(query)
        return found

    async def send(self, raw: bytes) -> Json:
        answer = await self.client.post("/messages/hl7v2?wait=stored", content=raw)
        number = answer.headers["location"].rpartition("/")[2]
        found: Json = (await self.client.get(f"/messages/{number}")).json()
        return found

    async def order(self, control: str = "NW", number: str = "R1", **fields: str) -> Json:
        self.sent += 1
        return await self.send(orm(control, number, id=f"O{self.sent}", second=self.sent, **fields))

    async def result(self, status: str = "F", number: str = "R1", **fields: str) -> Json:
        self.sent += 1
        return await self.send(oru(status, number, id=f"U{self.sent}", second=self.sent, **fields))

    async def task(self, number: str = "R1") -> Json:
        order = await self.the(f"ServiceRequest?identifier={number}")
        found: Json = (await self.client.get(f"/fhir/Task/order-{order['id']}")).json()
        return found

    async def go(self, task: Json, *statuses: str, **elements: Any) -> Json:
        for status in statuses:
            answer = await self.client.put(
                f"/fhir/Task/{task['id']}",
                json=task | {"status": status} | elements,
                headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'},
            )
            assert answer.status_code == 200, answer.text
            task = answer.json()
        return task


def orm(
    control: str, number: str, *, id: str, second: int, section: str = "RAD", status: str = "", reason: str = "",
    event: str = "ORM^O01", sender: str = "HIS|T1",
) -> bytes:  # fmt: skip
    orc = ["ORC", control, number, "", "", status, "", "", "", "20260315083000", "", "", "D01^李建国"]
    if reason:
        orc += ["", "", "", reason]
    return "\r".join(
        [
            f"MSH|^~\\&|{sender}|GW|XYLYGT|202603150830{second:02d}||{event}|{id}|P|2.4||||||UNICODE UTF-8",
            "PID|1||P0001^^^T1^MR||张^三丰||19850101|M",
            "|".join(orc),
            f"OBR|1|{number}||CT001^胸部CT平扫||||||||||||||||||||{section}",
        ]
    ).encode()


def oru(
    status: str, number: str, *, id: str, second: int, section: str = "RAD", value: str = "未见异常"
) -> bytes:
    return "\r".join(
        [
            f"MSH|^~\\&|RIS|C1|GW|XYLYGT|202603150930{second:02d}||ORU^R01|{id}|P|2.4||||||UNICODE UTF-8",
            "PID|1||P0001^^^T1^MR||张^三丰||19850101|M",
            f"ORC|RE|{number}|F{number}",
            f"OBR|1|{number}|F{number}|CT001^胸部CT平扫|||20260315090000|||||||||||||||202603150930{second:02d}||{section}|{status}",
            f"OBX|1|TX|IMP^诊断意见^L||{value}||||||{'F' if status not in 'PC' else status}",
        ]
    ).encode()


@cache
def shipped_maps() -> Any:
    return active_maps(Settings(data=Path("unused")))


@asynccontextmanager
async def county(folder: Path, **chosen: Any) -> AsyncIterator[County]:
    async with running(folder, maps=shipped_maps(), mllp=False, **chosen) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            found = County(gateway, client)
            for id, category in (("imaging", "imaging"), ("lab", "lab")):
                await found.put({"resourceType": "Organization", "id": id, "name": id})
                service = {
                    "resourceType": "HealthcareService",
                    "id": id,
                    "active": True,
                    "providedBy": {"reference": f"Organization/{id}"},
                    "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
                }
                await found.put(service)
            yield found


def in_county(body: Callable[[County], Awaitable[None]]) -> Callable[[Any, Path], None]:
    """Run a coroutine test within a county."""

    def wrapped(self: Any, tmp_path: Path) -> None:
        async def within() -> None:
            async with county(tmp_path) as found:
                await body(self, found)  # type: ignore[call-arg]  # a method

        run(within())

    wrapped.__doc__ = body.__doc__
    return wrapped


class TestOrders:
    @in_county
    async def test_a_new_order_is_asked_of_the_centre(self, county: County) -> None:  # type: ignore[misc]
        assert (await county.order())["state"] == "stored"
        task = await county.task()
        assert (task["status"], task["owner"]) == ("requested", {"reference": "Organization/imaging"})
        assert task["requester"]["reference"].startswith("Organization/")
        [told] = county.told("task-requested")
        assert told.payload["receivers"] == ["Organization/imaging"]

    @in_county
    async def test_the_same_order_twice_makes_one_task(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.order()
        raw = orm("NW", "R1", id="O1", second=1)
        await county.send(raw)
        assert len(await county.rows("Task")) == 1

    @in_county
    async def test_ca_before_the_work_began_cancels(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        assert (await county.order("CA", reason="DUP^重复开单"))["state"] == "stored"
        task = await county.task()
        assert task["status"] == "cancelled"
        assert task["statusReason"]["coding"][0]["code"] == "DUP"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "revoked"

    @in_county
    async def test_ca_of_work_that_began_is_a_wish(self, county: County) -> None:  # type: ignore[misc]
        """HL7's table keeps the request active; the abort Task asks the centre (§1.2)."""
        await county.order()
        await county.go(await county.task(), "accepted", "in-progress")
        assert (await county.order("CA"))["state"] == "stored"
        assert (await county.order("CA"))["state"] == "stored"
        wish = await county.the("Task?code=abort")
        assert wish["owner"] == {"reference": "Organization/imaging"}
        assert (await county.task())["status"] == "in-progress"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "active"
        await county.go(
            wish,
            "accepted",
            "in-progress",
            "completed",
            output=[{"type": {"text": "x"}, "valueString": "停止"}],
        )
        assert (await county.task())["status"] == "failed"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "revoked"

    @pytest.mark.parametrize("control", ["CR", "OC", "DC", "DR", "OD"])
    def test_these_revoke(self, control: str, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as found:
                await found.order()
                assert (await found.order(control))["state"] == "stored"
                assert (await found.task())["status"] == "cancelled"
                assert (await found.the("ServiceRequest?identifier=R1"))["status"] == "revoked"

        run(body())

    @in_county
    async def test_dc_of_work_that_began_waits_in_the_error_queue(self, county: County) -> None:  # type: ignore[misc]
        """A forbidden transition is not lost and not done: a person decides, replay goes on."""
        await county.order()
        task = await county.go(await county.task(), "accepted", "in-progress")
        told = await county.order("DC")
        assert told["state"] == "parked"
        assert told["issues"][0]["code"] == "HT-WF-08"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "active"
        await county.go(task, "failed", statusReason={"text": "停止"})
        answer = await county.client.post(f"/messages/{told['id']}/replay")
        assert answer.status_code in (200, 202), answer.text
        await county.gateway.intake.drained()
        assert (await county.client.get(f"/messages/{told['id']}")).json()["state"] == "stored"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "revoked"

    @in_county
    async def test_a_held_order_pauses_its_work(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.go(await county.task(), "accepted", "in-progress")
        assert (await county.order("OH"))["state"] == "stored"
        assert (await county.task())["status"] == "on-hold"
        assert (await county.order("RL"))["state"] == "stored"
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "active"
        assert (await county.task())["status"] == "in-progress"

    @in_county
    async def test_ua_rejects_and_uc_goes_on(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        assert (await county.order("UA", event="ORR^O02", sender="RIS|C1"))["state"] == "stored"
        assert (await county.task())["status"] == "rejected"
        await county.order(number="R2")
        await county.go(await county.task("R2"), "accepted", "in-progress")
        await county.order("CA", "R2")
        assert (await county.order("UC", "R2", event="ORR^O02", sender="RIS|C1"))["state"] == "stored"
        assert (await county.the("Task?code=abort"))["status"] == "rejected"
        assert (await county.task("R2"))["status"] == "in-progress"

    @in_county
    async def test_ok_receives(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.order("OK", event="ORR^O02", sender="RIS|C1")
        assert (await county.task())["status"] == "received"

    @pytest.mark.parametrize("control", ["XO", "RP", "SC", "SN"])
    def test_codes_without_a_rule_wait_for_one(self, control: str, tmp_path: Path) -> None:
        """E-V2-ORC: unmapped by HL7, so a rule of the member is needed; with one the message is replayed."""

        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            async with county(tmp_path, workflow_packs=packs) as found:
                await found.order()
                told = await found.order(control)
                assert (told["state"], told["issues"][0]["code"]) == ("parked", "HT-WF-20")
                assert "E-V2-ORC" in told["issues"][0]["zh"]

        run(body())

    def test_a_member_may_have_a_rule_of_its_own(self, tmp_path: Path) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            (packs / "order-control.yaml").write_text(
                "pack: order-control\nversion: 2\neffective: 2026-02-01\nsource: 县信息中心\n"
                "rules:\n  members:\n    'HIS|T1': {XO: none}\n    '*': {NW: none}\n  otherwise: error\n"
            )
            async with county(tmp_path, workflow_packs=packs) as found:
                await found.order()
                assert (await found.order("XO"))["state"] == "stored"
                assert (await found.order("XO", number="R9", sender="HIS|T2"))["state"] == "parked"

        run(body())

    @in_county
    async def test_an_unknown_category_is_an_entry_for_a_person(self, county: County) -> None:  # type: ignore[misc]
        assert (await county.order(section="ZZZ"))["state"] == "stored"
        entry = await county.the("Task?code=route-order")
        assert "unknown category" in entry["statusReason"]["text"]

    @in_county
    async def test_a_cancel_that_comes_first_still_counts(self, county: County) -> None:  # type: ignore[misc]
        county.sent = 5
        await county.order("CA")
        county.sent = 0
        await county.order("NW")
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "revoked"
        assert [row["status"] for row in await county.rows("Task?code=fulfill")] in ([], ["cancelled"])


class TestResults:
    @in_county
    async def test_the_report_completes_the_order_step_by_step(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        assert (await county.result())["state"] == "stored"
        task = await county.task()
        assert task["status"] == "completed"
        history = (await county.client.get(f"/fhir/Task/{task['id']}/_history")).json()["entry"]
        states = [entry["resource"]["status"] for entry in reversed(history)]
        assert states == ["requested", "accepted", "in-progress", "completed"]
        assert (await county.the("ServiceRequest?identifier=R1"))["status"] == "completed"
        told = county.told("report-final")
        assert told[0].payload["receivers"] == [task["requester"]["reference"]]

    @in_county
    async def test_a_result_without_an_order_makes_none(self, county: County) -> None:  # type: ignore[misc]
        assert (await county.result())["state"] == "stored"
        assert await county.rows("Task") == []

    @in_county
    async def test_a_late_preliminary_changes_nothing(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.result("F")
        told = await county.result("P")
        assert told["state"] == "stored"
        assert (await county.the("DiagnosticReport"))["status"] == "final"
        assert (await county.task())["status"] == "completed"

    @in_county
    async def test_a_correction_is_told(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.result("F")
        assert (await county.result("C", value="右肺结节"))["state"] == "stored"
        assert (await county.the("DiagnosticReport"))["status"] == "corrected"
        told = county.told("report-corrected")
        assert len(told) == 1
        task = await county.task()
        assert [row["owner"] for row in await county.rows("Task?code=acknowledge-correction")] == [
            task["requester"]
        ]

    @in_county
    async def test_a_final_report_is_not_cancelled(self, county: County) -> None:  # type: ignore[misc]
        await county.result("F")
        told = await county.result("X")
        assert (told["state"], told["issues"][0]["code"]) == ("parked", "HT-WF-01")
        assert told["issues"][0]["en"].startswith("DiagnosticReport/")
        assert (await county.the("DiagnosticReport"))["status"] == "final"

    @in_county
    async def test_a_duplicate_is_done_once(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        raw = oru("F", "R1", id="U9", second=9)
        for _ in range(3):
            await county.send(raw)
        told = county.told("report-final")
        assert len(told) == 1
        assert len((await county.task())["output"]) == 1

    @in_county
    async def test_a_report_for_a_cancelled_order(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        await county.order("CA")
        assert (await county.result("F"))["state"] == "stored"
        assert (await county.task())["status"] == "cancelled"
        assert (await county.the("Task?code=match-result"))["statusReason"]["coding"][0][
            "code"
        ] == "order-ended"

    @in_county
    async def test_the_message_is_told_as_who_acted(self, county: County) -> None:  # type: ignore[misc]
        await county.order()
        task = await county.task()
        [made] = await county.rows(f"Provenance?target=Task/{task['id']}")
        agents = [agent["who"] for agent in made["agent"]]
        assert agents[0] == {"display": "gateway"}
        assert agents[1] == task["requester"]
