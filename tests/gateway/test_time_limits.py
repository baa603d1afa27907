"""Time limits, working hours and who hears of what (workflows §1.6, §2.2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import Gateway
from gateway.metrics import Metrics
from gateway.store.protocol import Commit
from gateway.workflow.calendar import calendar_of
from gateway.workflow.deadlines import Deadlines, reached
from gateway.workflow.limits import due
from gateway.workflow.packs import PackShelf
from terminology.fhirjson import Json
from terminology.issues import BusinessRule
from tests.gateway.running import run, running

ZONE = ZoneInfo("Asia/Shanghai")
PACKS = PackShelf().at(datetime(2026, 11, 1).date())
COUNTY = calendar_of(PACKS, "")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


class TestCalendar:
    @pytest.mark.parametrize(
        ("start", "minutes", "end"),
        [
            ("2026-11-02T09:00", 60, "2026-11-02T10:00"),  # Monday morning
            ("2026-11-02T11:30", 60, "2026-11-02T14:30"),  # over lunch
            ("2026-11-02T17:00", 60, "2026-11-03T08:30"),  # over night
            ("2026-11-06T17:00", 60, "2026-11-09T08:30"),  # over the weekend
            ("2026-11-07T09:00", 30, "2026-11-09T08:30"),  # on a Saturday
            ("2026-09-30T17:00", 60, "2026-10-05T08:30"),  # over the national holiday and a weekend
            ("2026-11-02T08:00", 450, "2026-11-02T17:30"),  # a whole day
        ],
    )
    def test_working_time(self, start: str, minutes: float, end: str) -> None:
        assert COUNTY.after(at(start), minutes) == at(end)

    @given(st.integers(0, 60 * 24 * 30), st.integers(1, 3000))
    def test_working_time_never_ends_outside_of_working_hours(self, offset: int, minutes: int) -> None:
        end = COUNTY.after(at("2026-11-01T00:00") + timedelta(minutes=offset), minutes)
        assert COUNTY.is_open(end - timedelta(seconds=1))

    def test_a_centre_that_is_always_open_and_a_working_saturday(self, tmp_path: Path) -> None:
        (tmp_path / "calendar.yaml").write_text(
            "pack: calendar\nversion: '2'\neffective: 2026-01-01\nsource: county\nrules:\n"
            "  hours: {1: ['08:00-12:00']}\n  holidays: []\n  workdays: [2026-11-07]\n"
            "  centres: {Organization/ecg: {hours: {1: ['00:00-24:00'], 6: ['00:00-24:00'], 7: ['00:00-24:00']}}}\n",
            "utf-8",
        )
        packs = PackShelf(tmp_path).at(datetime(2026, 11, 7).date())
        assert calendar_of(packs, "").after(at("2026-11-07T11:00"), 30) == at("2026-11-07T11:30")
        assert calendar_of(packs, "Organization/ecg").is_open(at("2026-11-08T23:00"))

    def test_a_calendar_without_hours_does_not_hang(self, tmp_path: Path) -> None:
        (tmp_path / "calendar.yaml").write_text(
            "pack: calendar\nversion: '2'\neffective: 2026-01-01\nsource: county\nrules: {hours: {}}\n",
            "utf-8",
        )
        packs = PackShelf(tmp_path).at(datetime(2026, 11, 7).date())
        assert calendar_of(packs, "").after(at("2026-11-07T11:00"), 30) == at("2026-11-07T11:30")

    def test_limits_in_working_time_by_item(self) -> None:
        order: Json = {"code": {"text": "头颅CT平扫"}}
        start = at("2026-11-06T16:30")
        end = due(PACKS, "fulfill", start=start, category="imaging", priority="routine", order=order)
        assert end == at("2026-11-09T11:00")
        stat = due(PACKS, "fulfill", start=start, category="imaging", priority="stat", order=order)
        assert stat == at("2026-11-06T17:30")


class TestReached:
    TASK: Json = {  # noqa: RUF012
        "authoredOn": "2026-11-02T10:00:00+08:00",
        "restriction": {"period": {"end": "2026-11-02T12:00:00+08:00"}},
    }

    @pytest.mark.parametrize(
        ("moment", "step"),
        [("11:35:59", 0), ("11:36:00", 80), ("11:59:59", 80), ("12:00:00", 100), ("23:00:00", 100)],
    )
    def test_steps(self, moment: str, step: int) -> None:
        assert reached(self.TASK, at(f"2026-11-02T{moment}")) == step

    @pytest.mark.parametrize("broken", [{}, {"authoredOn": "yesterday"}, {"authoredOn": "2026-11-02"}])
    def test_without_a_limit_there_is_none(self, broken: Json) -> None:
        assert reached(broken, at("2026-11-02T12:00")) == 0


@asynccontextmanager
async def county(folder: Path) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    async with running(folder, critical_values=False, chronic_care=False) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/fhir") as http:
            rows: list[Json] = [
                *({"resourceType": "Organization", "id": id, "name": id} for id in ("town", "ecg", "team")),
                {"resourceType": "Patient", "id": "p"},
                {"resourceType": "Contract", "id": "k", "status": "executed",
                 "applies": {"start": "2020-01-01", "end": "2099-12-31"}, "subject": [{"reference": "Patient/p"}],
                 "author": {"reference": "Organization/team"}, "signer": [signer("Patient/p"), signer("Practitioner/d")]},
                {"resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order",
                 "category": [{"coding": [{"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": "ecg"}]}],
                 "code": {"text": "心电图"}, "subject": {"reference": "Patient/p"},
                 "requester": {"reference": "Organization/town"}, "performer": [{"reference": "Organization/ecg"}]},
            ]  # fmt: skip
            for row in rows:
                answer = await http.put(f"/{row['resourceType']}/{row['id']}", json=row)
                assert answer.status_code == 201, answer.text
            yield gateway, http


def signer(who: str) -> Json:
    party = {"reference": who}
    signature = {"type": [{"code": "1"}], "when": "2026-01-01T08:00:00+08:00", "who": party}
    return {"type": {"code": "AUT"}, "party": party, "signature": [signature]}


async def told(gateway: Gateway, topic: str) -> list[Any]:
    rows = await gateway.store.outbox(limit=1000)
    return [(row.payload.get("reason"), row.payload["receivers"]) for _, row in rows if row.topic == topic]


class TestDeadlines:
    def test_a_warning_and_a_breach_once_each(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as (gateway, http):
                (entry,) = (await http.get("/Task")).json()["entry"]
                task = entry["resource"]
                start = datetime.fromisoformat(task["authoredOn"])
                moment = [start]
                metrics = Metrics()
                watch = Deadlines(gateway.store, clock=lambda: moment[0], metrics=metrics)
                counts = []
                for minutes in (0, 23, 24, 25, 30, 31):
                    moment[0] = start + timedelta(minutes=minutes, seconds=1)
                    counts.append(await watch.look())
                assert counts == [0, 0, 1, 0, 1, 0]
                again = Deadlines(gateway.store, clock=lambda: moment[0])
                assert await again.look() == 0
                assert [
                    row for row in await told(gateway, "task-status") if str(row[0]).startswith("time")
                ] == [
                    ("time-limit-80", ["Organization/ecg"]),
                    ("time-limit-100", ["Organization/ecg", "Organization/town"]),
                ]
                assert (watch.overdue, again.overdue) == (1, 1)
                found = (await http.get("/Communication?_sort=sent&_count=10")).json()["entry"]
                assert [row["resource"]["priority"] for row in found] == ["routine", "urgent"]
                unchanged = (await http.get(f"/Task/{task['id']}")).json()
                assert unchanged["meta"]["versionId"] == task["meta"]["versionId"]

        run(body())

    def test_what_is_on_hold_waits(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as (gateway, http):
                (entry,) = (await http.get("/Task")).json()["entry"]
                task = entry["resource"]
                for status in ("accepted", "in-progress", "on-hold"):
                    task = (await http.get(f"/Task/{task['id']}")).json()
                    answer = await http.put(
                        f"/Task/{task['id']}",
                        json={**task, "status": status, "statusReason": {"text": "等待补充病史"}},
                        headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'},
                    )
                    assert answer.status_code == 200, answer.text
                later = datetime.fromisoformat(task["authoredOn"]) + timedelta(minutes=30)
                mine = [
                    row
                    for row in (await http.get("/Task?status=on-hold")).json()["entry"]
                    if row["resource"]["id"] == task["id"]
                ]
                assert len(mine) == 1
                watch = Deadlines(gateway.store, clock=lambda: later + timedelta(seconds=1))
                await watch.look()
                about = [
                    row["resource"]["about"][0]["reference"]
                    for row in (await http.get("/Communication")).json().get("entry", ())
                ]
                assert f"Task/{task['id']}" not in about

        run(body())

    def test_a_limit_that_is_a_day_goes_on_being_that_day(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as (_, http):
                (entry,) = (await http.get("/Task")).json()["entry"]
                task = entry["resource"]
                for status in ("accepted", "in-progress", "on-hold", "in-progress"):
                    task = {
                        **(await http.get(f"/Task/{task['id']}")).json(), "status": status,
                        "statusReason": {"text": "等待补充病史"}, "restriction": {"period": {"end": "2026-12"}},
                    }  # fmt: skip
                    answer = await http.put(
                        f"/Task/{task['id']}",
                        json=task,
                        headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'},
                    )
                    assert answer.status_code == 200, answer.text
                assert answer.json()["restriction"] == {"period": {"end": "2026-12"}}

        run(body())

    def test_one_that_cannot_be_told_of_keeps_no_other_from_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as (gateway, http):
                (entry,) = (await http.get("/Task")).json()["entry"]
                first = {
                    **entry["resource"],
                    "id": "a",
                    "code": {"text": "另一件事"},
                    "for": {"display": "?"},
                }
                answer = await http.put("/Task/a", json=first)
                assert answer.status_code == 201, answer.text
                later = datetime.fromisoformat(first["authoredOn"]) + timedelta(minutes=31)

                class Refusing:
                    def __getattr__(self, name: str) -> Any:
                        return getattr(gateway.store, name)

                    async def commit(self, commit: Commit) -> Any:
                        if commit.changes[0].resource["about"] == [{"reference": "Task/a"}]:  # type: ignore[union-attr]  # a Put
                            raise BusinessRule("HT-WF-14", reference="Task/a")
                        return await gateway.store.commit(commit)

                watch = Deadlines(Refusing(), clock=lambda: later)  # type: ignore[arg-type]  # the store, but for one refusal
                assert await watch.look() == 1
                assert watch.overdue == 2

        run(body())


class TestNotifications:
    """§2.2: a final report is the family-doctor team's as well, while a contract is in force"""

    @pytest.mark.parametrize(("status", "has_contract"), [("executed", True), ("terminated", False)])
    def test_the_family_doctor_hears_of_a_final_report(
        self, tmp_path: Path, status: str, has_contract: bool
    ) -> None:
        async def body() -> None:
            async with county(tmp_path) as (gateway, http):
                if status != "executed":
                    contract = (await http.get("/Contract/k")).json()
                    assert (
                        await http.put("/Contract/k", json={**contract, "status": status})
                    ).status_code == 200
                report: Json = {
                    "resourceType": "DiagnosticReport", "id": "d", "status": "final", "code": {"text": "心电图"},
                    "basedOn": [{"reference": "ServiceRequest/r"}], "subject": {"reference": "Patient/p"},
                    "issued": "2026-11-02T10:00:00+08:00", "performer": [{"reference": "Organization/ecg"}],
                }  # fmt: skip
                answer = await http.put("/DiagnosticReport/d", json=report)
                assert answer.status_code == 201, answer.text
                (row,) = await told(gateway, "report-final")
                wanted = ["Organization/town", "Organization/team"] if has_contract else ["Organization/town"]
                assert row[1] == wanted

        run(body())
