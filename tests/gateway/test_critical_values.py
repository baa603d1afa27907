"""Critical values (workflows §2.1): detected, checked by two, told, read back, handled, called for again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from gateway.app import Gateway
from gateway.critical.alert import C as SYSTEMS
from gateway.critical.detect import Critical, detect
from gateway.critical.repeat_back import differs
from gateway.critical.watch import CriticalWatch
from gateway.workflow.coordination import TASK_CODE
from gateway.workflow.packs import SHIPPED, PackShelf
from terminology.fhirjson import Json
from terminology.issues import Unavailable
from tests.gateway.running import run, running

RULES = PackShelf().at(datetime(2026, 11, 1).date()).rules("critical-values")
ZONE = ZoneInfo("Asia/Shanghai")


def result(
    value: Any = 6.9, *, code: str = "2823-3", unit: str = "mmol/L", id: str = "k", **more: Any
) -> Json:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "basedOn": [{"reference": "ServiceRequest/r"}], "performer": [{"reference": "Organization/lab"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": "血清钾"},
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        **more,
    }  # fmt: skip


class TestDetection:
    @pytest.mark.parametrize(
        ("value", "unit", "comparator", "is_critical"),
        [
            (6.2, "mmol/L", None, False), (6.21, "mmol/L", None, True), (2.8, "mmol/L", None, False),
            (2.79, "mmol/L", None, True), (6900, "umol/L", None, True), (6.9, "mmol/L", "<", False),
            (2.5, "mmol/L", "<", True), (6.9, "kg", None, False),
        ],
    )  # fmt: skip
    def test_limits_in_any_unit(
        self, value: float, unit: str, comparator: str | None, is_critical: bool
    ) -> None:
        observation = result(value, unit=unit)
        if comparator:
            observation["valueQuantity"]["comparator"] = comparator
        assert (detect(observation, RULES) is not None) is is_critical

    def test_the_senders_flag_and_a_readers_tick(self) -> None:
        flagged = {**result(4.5), "interpretation": [{"coding": [{"code": "HH"}]}]}
        found = detect(flagged, RULES)
        assert found is not None
        assert (found.item, found.value, found.rule) == ("血清钾", "4.5 mmol/L", "flag HH")
        words = {
            **result(),
            "valueString": "阳性",
            "interpretation": [{"coding": [{"code": "critical-value"}]}],
        }
        del words["valueQuantity"]
        found = detect(words, RULES)
        assert found is not None
        assert (found.value, found.number) == ("阳性", None)

    def test_what_is_not_sure_yet_or_withdrawn_is_none(self) -> None:
        assert detect({**result(), "status": "registered"}, RULES) is None
        assert detect({**result(), "status": "entered-in-error"}, RULES) is None


class TestRepeatBack:
    """§2.1.4: must match item and value, tolerant of units"""

    WANTED = Critical("血钾", ("血钾", "potassium", "血清钾"), "6.9 mmol/L", Decimal("6.9"), "mmol/L", "")

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            ("血钾 6.9", None), ("血钾６.９０ mmol/L", None), ("患者血清钾 是 6.9", None), ("钾 6.90mmol/L", None),
            ("potassium 6900 umol/L", None), ("Potassium: 6.9", None), ("", "HT-CV-01"), ("  ", "HT-CV-01"),
            ("血钾 6.8", "HT-CV-02"), ("血钾 69", "HT-CV-02"), ("血钾", "HT-CV-02"), ("血钠 6.9", "HT-CV-03"),
            ("6.9", "HT-CV-03"), ("血糖 6.9", "HT-CV-03"),
        ],
    )  # fmt: skip
    def test_what_is_said(self, said: str, code: str | None) -> None:
        found = differs(said, self.WANTED)
        assert (found.code if found is not None else None) == code

    def test_a_result_in_words(self) -> None:
        wanted = Critical("抗酸杆菌", ("抗酸杆菌",), "阳性(++)", None, "", "")
        assert differs("抗酸杆菌 阳性(++)", wanted) is None
        assert differs("抗酸杆菌 阴性", wanted) is not None

    def test_a_number_in_the_name_is_no_value(self) -> None:
        wanted = Critical("维生素B12", ("维生素B12",), "6 pmol/L", Decimal(6), "pmol/L", "")
        assert differs("维生素B12 6", wanted) is None
        found = differs("维生素B12 12", Critical("维生素B12", ("维生素B12",), "6", Decimal(6), "", ""))
        assert found is not None
        assert found.code == "HT-CV-02"


class County:
    def __init__(self, gateway: Gateway, http: httpx.AsyncClient, folder: Path, packs: Path) -> None:
        self.gateway, self.http = gateway, http
        self.now = datetime(2026, 11, 2, 10, 0, tzinfo=ZONE)
        shelf = PackShelf(packs)
        self.watch = CriticalWatch(
            gateway.store,
            folder / "critical.json",
            packs=lambda: shelf.at(self.now.date()),
            clock=lambda: self.now,
        )

    async def put(self, resource: Json) -> Json:
        answer = await self.http.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text
        stored: Json = answer.json()
        return stored

    async def found(self, type: str, query: str = "") -> list[Json]:
        answer = await self.http.get(f"/{type}?{query}")
        return [row["resource"] for row in answer.json().get("entry", ())]

    async def operate(self, path: str, status: int = 200, **values: Any) -> Json:
        rows = [
            {"name": name, "valueReference" if isinstance(value, dict) else "valueString": value}
            for name, value in values.items()
        ]
        body = {"resourceType": "Parameters", **({"parameter": rows} if rows else {})}
        answer = await self.http.post(path, json=body)
        assert answer.status_code == status, answer.text
        told: Json = answer.json()
        return told

    async def told(self) -> list[tuple[str, list[str]]]:
        rows = await self.gateway.store.outbox(limit=1000)
        return [
            (row.payload["reason"], row.payload["receivers"])
            for _, row in rows
            if row.topic == "critical-value"
        ]


def with_on_call(folder: Path) -> Path:
    """A county's own pack: the shipped one with somebody on call."""
    packs = folder / "packs"
    packs.mkdir()
    text = (SHIPPED / "critical-values.yaml").read_text("utf-8")
    own = text.replace('on_call: ""', 'on_call: "Organization/hospital"').replace(
        "version: 1.0.0", "version: 1.0.1"
    )
    (packs / "critical-values.yaml").write_text(own, "utf-8")
    return packs


@asynccontextmanager
async def county(folder: Path) -> AsyncIterator[County]:
    packs = with_on_call(folder)
    async with running(
        folder / "data", critical_values=False, chronic_care=False, workflow_packs=packs
    ) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/fhir") as http:
            client = County(gateway, http, folder, packs)
            for row in (
                *({"resourceType": "Organization", "id": id, "name": id} for id in ("lab", "town", "hospital")),
                {"resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}]},
                {"resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order", "code": {"text": "血钾"},
                 "subject": {"reference": "Patient/p"}, "requester": {"reference": "Organization/town"}},
            ):  # fmt: skip
                await client.put(row)
            yield client


def code_of(outcome: Json) -> str:
    return str(outcome["issue"][0]["details"]["coding"][0]["code"])


AUDITED: Json = {
    "resourceType": "DiagnosticReport", "id": "d", "status": "final", "code": {"text": "生化"},
    "subject": {"reference": "Patient/p"}, "result": [{"reference": "Observation/k"}], "issued": "2026-11-02T09:59:00+08:00",
    "performer": [{"reference": "Practitioner/reader"}], "resultsInterpreter": [{"reference": "Practitioner/auditor"}],
}  # fmt: skip


async def audited(client: County) -> tuple[Json, Json]:
    """A potassium of 6.9, read by one and audited by another: it goes out at once."""
    await client.put(result())
    await client.put(AUDITED)
    await client.watch.look()
    (communication,) = await client.found("Communication")
    (task,) = await client.found("Task", "code=acknowledge-critical")
    return communication, task


class TestWholeWay:
    def test_told_read_back_handled(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                communication, task = await audited(client)
                assert (communication["status"], communication["priority"]) == ("in-progress", "stat")
                assert communication["recipient"] == [{"reference": "Organization/town"}]
                assert task["restriction"]["period"]["end"] == "2026-11-02T10:10:00+08:00"
                (flag,) = await client.found("Flag")
                assert (flag["status"], flag["code"]["text"]) == ("active", "危急值 血钾 6.9 mmol/L")
                assert ("new", ["Organization/town"]) in await client.told()
                place = f"/Task/{task['id']}/$acknowledge"
                assert (await client.operate(place))["status"] == "received"
                refused = await client.operate(place, 409, repeatBack="血钾 9.6")
                assert code_of(refused) == "HT-CV-02"
                assert "6.9" not in str(refused)
                assert code_of(await client.operate(place, 409, action="补液")) == "HT-CV-04"
                doctor = {"reference": "PractitionerRole/doctor"}
                read = await client.operate(place, repeatBack="血钾 6.90 mmol/L", practitioner=doctor)
                assert read["status"] == "in-progress"
                done = await client.operate(place, action="葡萄糖酸钙静推，转上级医院", practitioner=doctor)
                assert done["status"] == "completed"
                (communication,) = await client.found("Communication")
                (flag,) = await client.found("Flag")
                assert (communication["status"], flag["status"]) == ("completed", "inactive")
                register = await client.operate("/Communication/$critical-register")
                names = {
                    row["name"]: row.get("valueDecimal", row.get("valueInteger"))
                    for row in register["parameter"]
                }
                assert names["total"] == 1
                sheet = (await client.http.get("/Communication/$critical-register?as=csv")).text
                assert "血钾 6.90 mmol/L" in sheet
                assert "葡萄糖酸钙静推，转上级医院" in sheet

        run(body())

    def test_detecting_again_tells_nobody_twice(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await audited(client)
                before = await client.told()
                for _ in range(3):
                    await client.watch.look()
                again = CriticalWatch(
                    client.gateway.store,
                    tmp_path / "other.json",
                    packs=client.watch.packs,
                    clock=lambda: client.now,
                )
                await again.look()
                assert await client.told() == before
                assert len(await client.found("Communication")) == 1

        run(body())


class TestTheWatch:
    def test_a_store_that_was_away_is_asked_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(result())
                await client.put(AUDITED)
                away = Away(client.gateway.store)
                watch = CriticalWatch(
                    away,  # type: ignore[arg-type]  # the store, but for its reads
                    tmp_path / "away.json",
                    packs=client.watch.packs,
                    clock=lambda: client.now,
                )
                with pytest.raises(Unavailable):
                    await watch.look()
                away.is_away = False
                await watch.look()
                assert ("new", ["Organization/town"]) in await client.told()

        run(body())


class Away:
    """A store that can be searched but not read from, until it is back."""

    def __init__(self, store: Any) -> None:
        self._store, self.is_away = store, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, type: str, id: str) -> Any:
        if self.is_away:
            raise Unavailable("HT-STORE-03")
        return await self._store.read(type, id)


class TestDoubleCheck:
    """§2.1.1"""

    def test_what_one_has_read_waits_for_a_second(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(result())
                await client.watch.look()
                (communication,) = await client.found("Communication")
                assert communication["status"] == "preparation"
                assert await client.found("Flag") == []
                (task,) = await client.found("Task", "code=confirm-critical")
                place = f"/Task/{task['id']}/$confirm-critical"
                first, second = {"reference": "PractitionerRole/a"}, {"reference": "PractitionerRole/b"}
                assert (await client.operate(place, practitioner=first))["status"] == "in-progress"
                assert (await client.found("Communication"))[0]["status"] == "preparation"
                done = await client.operate(place, practitioner=second)
                assert done["status"] == "completed"
                assert (await client.found("Communication"))[0]["status"] == "in-progress"
                assert len(await client.found("Task", "code=acknowledge-critical")) == 1

        run(body())

    def test_an_audit_that_comes_later_releases_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(result())
                await client.watch.look()
                await client.put(AUDITED)
                await client.watch.look()
                (communication,) = await client.found("Communication")
                assert communication["status"] == "in-progress"
                (task,) = await client.found("Task", "code=confirm-critical")
                assert task["status"] == "cancelled"

        run(body())


class TestLadder:
    """§2.1.4–5"""

    def test_who_is_called_while_nobody_answers(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                communication, _ = await audited(client)
                start = client.now
                calls: dict[int, list[tuple[str, list[str]]]] = {}
                for minute in (0, 4, 5, 6, 10, 15, 30):
                    client.now = start + timedelta(minutes=minute)
                    before = len(await client.told())
                    await client.watch.look()
                    await client.watch.look()
                    calls[minute] = (await client.told())[before:]
                town, hospital = ["Organization/town"], ["Organization/hospital"]
                assert calls == {
                    0: [], 4: [], 6: [], 30: [],
                    5: [("ladder-1", town), ("ladder-2", hospital)],
                    10: [("ladder-3", town), ("ladder-4", hospital)],
                    15: [("ladder-5", [])],
                }  # fmt: skip
                rows = await client.found("Communication", f"part-of=Communication/{communication['id']}")
                assert sorted(row["status"] for row in rows) == ["completed"] * 4 + ["not-done"]
                assert (await client.found("Task", "code=acknowledge-critical"))[0]["status"] == "requested"

        run(body())

    def test_an_alert_that_names_a_day_only_stops_no_other(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await audited(client)
                for n, sent in enumerate(("2026", "2026-11", "2026-11-02")):
                    odd = {
                        "resourceType": "Communication", "id": f"a{n}", "status": "in-progress", "sent": sent,
                        "category": [{"coding": [{"system": f"{SYSTEMS}communication-category", "code": "critical-value"}]}],
                    }  # fmt: skip
                    await client.put(odd)
                    await client.put(
                        {
                            "resourceType": "Task",
                            "id": f"a{n}",
                            "status": "requested",
                            "intent": "order",
                            "code": {"coding": [{"system": TASK_CODE, "code": "acknowledge-critical"}]},
                            "focus": {"reference": f"Communication/a{n}"},
                        }
                    )
                client.now += timedelta(minutes=5)
                await client.watch.look()
                assert ("ladder-1", ["Organization/town"]) in await client.told()
                register = await client.operate("/Communication/$critical-register")
                assert (
                    next(row for row in register["parameter"] if row["name"] == "total")["valueInteger"] == 4
                )

        run(body())

    def test_who_has_opened_it_is_called_himself_and_nobody_instead(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                _, task = await audited(client)
                await client.operate(f"/Task/{task['id']}/$acknowledge")
                client.now += timedelta(minutes=6)
                await client.watch.look()
                assert [row for row in await client.told() if row[0].startswith("ladder")] == [
                    ("ladder-1", ["Organization/town"])
                ]

        run(body())

    def test_a_correction_takes_the_value_to_be_read_back_with_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                _, task = await audited(client)
                await client.put({**result(4.5), "status": "corrected"})
                refused = await client.operate(f"/Task/{task['id']}/$acknowledge", 409, repeatBack="血钾 6.9")
                assert code_of(refused) == "HT-CV-08"

        run(body())


def test_the_watch_runs_with_the_gateway(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, chronic_care=False) as gateway:
            transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway/fhir") as http:
                await http.put(
                    "/Observation/k", json={**result(), "basedOn": []} | {"basedOn": [{"display": "x"}]}
                )
                for _ in range(100):
                    if (await http.get("/Communication")).json().get("entry"):
                        break
                    await asyncio.sleep(0.05)
                (row,) = (await http.get("/Communication")).json()["entry"]
                assert row["resource"]["topic"]["text"] == "危急值 血钾 6.9 mmol/L"

    run(body())
