"""What goes wrong between an order and its report has a defined outcome, and a person finds it (docs/workflow/bad-input.md)."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rest.context import Validation
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json
from tests.gateway.running import run
from tests.gateway.server import Server
from tests.gateway.test_workflow_enforcement import DESK, TOWN, code, made, order, put, task
from tests.gateway.test_workflow_messages import county, orm

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(MemoryStore(), workflow=True)
    yield found
    found.close()


def test_every_row_of_the_page_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "workflow" / "bad-input.md").read_text("utf-8")
    named = re.findall(r"`(test_\w+)\.py(?:::\w+)?::(test_\w+)`", page)
    assert len(named) >= 20
    for file, name in named:
        [path] = (ROOT / "tests").rglob(f"{file}.py")
        assert f"def {name}(" in path.read_text("utf-8"), (file, name)


class TestUnknownItems:
    def test_an_order_for_an_unknown_item_is_routed_and_its_code_is_listed(self, tmp_path: Path) -> None:
        """The category is known, the item isn't: the work goes on, the code waits in the mapping work list."""

        async def body() -> None:
            async with county(tmp_path) as found:
                assert (await found.order())["state"] == "stored"
                assert (await found.task())["owner"] == {"reference": "Organization/imaging"}
                answer = (await found.client.get("/messages/unmapped")).json()
                assert "CT001" in str(answer)

        run(body())


class TestOrderWithoutImages:
    def test_it_is_overdue_on_the_worklist_and_can_end_as_no_show(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        now = server.clock
        server.clock = lambda: now() + timedelta(days=2)
        rows = server.request("GET", "Task/$worklist?overdue=true", **DESK).json()["entry"]
        [waiting] = [row["resource"] for row in rows if row["search"]["mode"] == "match"]
        for status in ("accepted", "in-progress"):
            waiting = put(server, waiting | {"status": status}, **DESK).json()
        reason = {
            "coding": [{"system": "https://hutong.health/fhir/CodeSystem/status-reason", "code": "no-show"}]
        }
        assert put(server, waiting | {"status": "failed", "statusReason": reason}, **DESK).status_code == 200
        told = [row for _, row in server.run(server.store.outbox()) if row.topic == "task-status"]
        assert (told[-1].payload["reason"], told[-1].payload["receivers"][0]) == (
            "no-show",
            "Organization/town",
        )
        assert server.request("GET", f"ServiceRequest/{found['id']}").json()["status"] == "active"


class TestClockSkew:
    @pytest.mark.parametrize("year", ["1990", "2090"])
    def test_the_senders_clock_sets_no_time_limit(self, server: Server, year: str) -> None:
        """Times of a Task are the gateway's; what the sender says stays in his order."""
        found = made(server, order(authoredOn=f"{year}-01-01T00:00:00+08:00"), **TOWN)
        made_of_it = server.request("GET", f"Task/order-{found['id']}").json()
        limit = made_of_it["restriction"]["period"]["end"]
        assert server.clock().isoformat() < limit < (server.clock() + timedelta(days=1)).isoformat()

    def test_a_clock_that_was_set_back_adds_no_pause(self, server: Server) -> None:
        found = made(server, order(), **TOWN)
        work = server.request("GET", f"Task/order-{found['id']}").json()
        for status in ("accepted", "in-progress"):
            work = put(server, work | {"status": status}, **DESK).json()
        limit = work["restriction"]["period"]["end"]
        work = put(server, work | {"status": "on-hold", "statusReason": {"text": "x"}}, **DESK).json()
        now = server.clock
        server.clock = lambda: now() - timedelta(hours=3)
        work = put(server, work | {"status": "in-progress"}, **DESK).json()
        assert work["restriction"]["period"]["end"] == limit

    def test_an_order_from_the_future_does_not_block_its_cancel(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as found:
                raw = orm("NW", "R1", id="F1", second=1).replace(b"20260315", b"20990315")
                assert (await found.send(raw))["state"] == "stored"
                told = await found.order("CA")
                assert told["state"] == "stored", str(told["issues"])
                assert (await found.task())["status"] == "cancelled"

        run(body())


class TestSendersMistakes:
    @pytest.mark.parametrize(
        ("change", "status", "expected"),
        [
            ({"status": "banana"}, 422, None),
            ({"status": "ready"}, 409, "HT-WF-01"),
            ({"status": None}, 422, None),
            ({"status": "rejected", "statusReason": {"text": " "}}, 409, "HT-WF-03"),
            ({"status": "rejected", "statusReason": {}}, 422, None),
        ],
    )
    def test_a_status_that_is_none(
        self, server: Server, change: Json, status: int, expected: str | None
    ) -> None:
        found = made(server, task())
        answer = put(server, {name: value for name, value in (found | change).items() if value is not None})
        assert answer.status_code == status, answer.text
        if expected:
            assert code(answer) == expected

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_anything_in_an_element_is_never_a_5xx(self, data: Any) -> None:
        """With validation off, whatever stands in an element is refused as what it is, or kept."""
        values = st.sampled_from(
            [
                None,
                1,
                "x",
                [],
                {},
                [1],
                ["x"],
                [[]],
                {"reference": 1},
                {"coding": "x"},
                {"coding": [1]},
                [{"url": 1}],
            ]
        )
        server = Server(MemoryStore(), workflow=True, validation=Validation(default="off"))
        try:
            found = made(server, order(), **TOWN)
            kind = data.draw(
                st.sampled_from(["Task", "ServiceRequest", "DiagnosticReport", "ImagingStudy", "CarePlan"])
            )
            base = {
                "Task": server.request("GET", f"Task/order-{found['id']}").json(),
                "ServiceRequest": found,
                "DiagnosticReport": {
                    "resourceType": "DiagnosticReport",
                    "status": "final",
                    "basedOn": [{"reference": f"ServiceRequest/{found['id']}"}],
                },
                "ImagingStudy": {
                    "resourceType": "ImagingStudy",
                    "status": "available",
                    "subject": {"reference": "Patient/p"},
                },
                "CarePlan": {
                    "resourceType": "CarePlan",
                    "status": "active",
                    "activity": [{"detail": {"status": "scheduled"}}],
                },
            }[kind]
            names = [
                name
                for name in [*base, "extension", "output", "partOf", "statusReason"]
                if name not in ("resourceType", "id")
            ]
            change = {data.draw(st.sampled_from(names)): data.draw(values) for _ in range(3)}
            wanted = base | change
            if "id" in wanted:
                tag = server.request("GET", f"{kind}/{wanted['id']}").headers["etag"]
                answer = server.request("PUT", f"{kind}/{wanted['id']}", wanted, if_match=tag)
            else:
                answer = server.request("POST", kind, wanted)
            assert answer.status_code < 500, (change, answer.text)
        finally:
            server.close()

    @pytest.mark.parametrize(
        "headers",
        [
            {"x_hutong_roles": "king"},
            {"x_hutong_organization": "x" * 500},
            {"x_hutong_practitioner": "a/b/c/d"},
            {"x_hutong_organization": "", "x_hutong_roles": ",,"},
        ],
    )
    def test_headers_that_name_nobody_may_nothing_or_are_left_out(
        self, server: Server, headers: dict[str, str]
    ) -> None:
        found = made(server, task())
        answer = put(server, found | {"status": "rejected", "statusReason": {"text": "x"}}, **headers)
        assert answer.status_code in (200, 409)
