"""Chronic care over REST and by itself: grades, plans, contracts, prescriptions (workflows W9–W12)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from conformance.chronic import load_diseases
from gateway.app import Gateway
from gateway.care.keeper import Keeper
from terminology.fhirjson import Json
from tests.gateway.running import running

C = "https://hutong.health/fhir/CodeSystem/"
SHANGHAI = ZoneInfo("Asia/Shanghai")
LONG = "https://hutong.health/fhir/StructureDefinition/long-prescription"
TEAM = {"reference": "Organization/town"}


class Client:
    def __init__(self, gateway: Gateway) -> None:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gateway/fhir")
        self.gateway = gateway

    async def ask(self, method: str, path: str, body: Json | None = None, *, status: int = 200) -> Any:
        answer = await self.http.request(method, path, json=body, headers={"Accept-Language": "en"})
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    async def put(self, resource: Json, *, status: int | tuple[int, ...] = (200, 201)) -> Any:
        path = f"/{resource['resourceType']}/{resource['id']}"
        answer = await self.http.put(path, json=resource, headers={"Accept-Language": "en"})
        wanted = status if isinstance(status, tuple) else (status,)
        assert answer.status_code in wanted, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        return await self.ask("GET", path)


@asynccontextmanager
async def county(folder: Path, **chosen: Any) -> AsyncIterator[Client]:
    async with running(folder, chronic_care=False, **chosen) as gateway:
        client = Client(gateway)
        async with client.http:
            for row in (
                {"resourceType": "Organization", "id": "town", "name": "中心卫生院",
                 "type": [{"coding": [{"system": f"{C}organization-type", "code": "township"}]}]},
                {"resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}],
                 "identifier": [{"system": "urn:oid:2.16.156.10011.1.2", "value": "37010200100100012"}]},
                {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
                 "code": {"coding": [{"system": f"{C}icd-10-nhsa", "code": "I10.x00x002"}], "text": "高血压"}},
            ):  # fmt: skip
                await client.put(row)
            yield client


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def pressure(id: str, day: str, high: int, low: int = 85) -> Json:
    parts = ((("8480-6"), high), ("8462-4", low))
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "effectiveDateTime": day, "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": code}]},
             "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}}
            for code, value in parts
        ],
    }  # fmt: skip


def contract(id: str = "k", start: str = "2026-01-01", end: str = "2027-12-31", **more: Any) -> Json:
    return {
        "resourceType": "Contract", "id": id, "status": "executed", "applies": {"start": start, "end": end},
        "subject": [{"reference": "Patient/p"}], "author": TEAM,
        "signer": [
            {"type": {"code": "AUT"}, "party": {"reference": "Patient/p"}, "signature": []},
            {"type": {"code": "PRF"}, "party": {"reference": "PractitionerRole/d"}, "signature": []},
        ],
        **more,
    }  # fmt: skip


def signed(resource: Json) -> Json:
    for row in resource["signer"]:
        row["signature"] = [
            {"type": [{"code": "1"}], "when": "2026-01-01T08:00:00+08:00", "who": row["party"]}
        ]
    return resource


def parameters(**values: Any) -> Json:
    kinds = {str: "valueCode", dict: "valueReference"}
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": name, "valueDate" if name == "start" else kinds[type(value)]: value}
            for name, value in values.items()
        ],
    }


def today(days: int = 0) -> str:
    return (datetime.now(SHANGHAI).date() + timedelta(days=days)).isoformat()


class TestDays:
    """A day begins at midnight of the county, and the calendar has ends."""

    @pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Shanghai"])
    def test_today_is_the_day_of_the_zone(self, tmp_path: Path, zone: str) -> None:
        async def body() -> None:
            async with county(tmp_path, timezone=zone) as client:
                day = datetime.now(ZoneInfo(zone)).date().isoformat()
                code = {"coding": [{"system": f"{C}care-activity", "code": "chronic-visit"}]}
                detail = {"status": "scheduled", "code": code, "scheduledPeriod": {"start": day}}
                await client.put(
                    {
                        "resourceType": "CarePlan", "id": "c", "status": "active", "intent": "plan",
                        "subject": {"reference": "Patient/p"}, "activity": [{"id": "v", "detail": detail}],
                    }
                )  # fmt: skip
                (row,) = (await client.get("/CarePlan/$due"))["parameter"][1:]
                assert {"name": "days", "valueInteger": 0} in row["part"]

        run(body())

    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("date=9999-12-31", 400), ("date=0001-01-01", 400), ("date=2028-02-29", 200), ("date=2027-02-29", 400),
            ("within=2147483647", 200), ("within=-2147483648", 200),
        ],
    )  # fmt: skip
    def test_the_ends_of_the_calendar(self, tmp_path: Path, query: str, status: int) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.ask("GET", f"/CarePlan/$due?{query}", status=status)

        run(body())


async def enrolled(client: Client, systolic: int = 150) -> Json:
    await client.put(pressure("o1", today(), systolic))
    plan: Json = await client.ask(
        "POST", "/Patient/p/$enrol", parameters(disease="hypertension", author=TEAM), status=201
    )
    return plan


def codes_of(outcome: Json) -> list[str]:
    return [row["details"]["coding"][0]["code"] for row in outcome["issue"]]


class TestEnrolment:
    """W9: confirmed → enrolled → graded"""

    def test_a_plan_has_grade_assessment_goal_and_timetable(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                plan = await enrolled(client, 165)
                assert plan["extension"] == [
                    {"url": "https://hutong.health/fhir/StructureDefinition/grade", "valueCode": "yellow"}
                ]
                days = [row["detail"]["scheduledPeriod"]["start"] for row in plan["activity"]]
                assert days[:2] == [today(60), today(120)]
                assessment = await client.get("/" + plan["supportingInfo"][0]["reference"])
                risk = assessment["prediction"][0]
                assert [row["code"] for row in risk["qualitativeRisk"]["coding"]] == ["moderate", "yellow"]
                assert "收缩压 165 mm[Hg]（≥160）" in risk["rationale"]
                assert assessment["method"]["text"] == "hypertension|1.0.0"

        run(body())

    @pytest.mark.parametrize(
        ("disease", "has_result", "code"),
        [
            ("hypertension", False, "HT-CARE-03"),
            ("diabetes", True, "HT-CARE-02"),
            ("gout", True, "HT-CARE-05"),
        ],
    )
    def test_who_can_not_be_enrolled(self, tmp_path: Path, disease: str, has_result: bool, code: str) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                if has_result:
                    await client.put(pressure("o1", today(), 150))
                status = 400 if code == "HT-CARE-05" else 422
                answer = await client.http.post(
                    "/Patient/p/$enrol", json=parameters(disease=disease, author=TEAM)
                )
                assert answer.status_code in (400, 409, status)
                assert codes_of(answer.json()) == [code]

        run(body())

    def test_one_plan_a_disease(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await enrolled(client)
                answer = await client.http.post(
                    "/Patient/p/$enrol", json=parameters(disease="hypertension", author=TEAM)
                )
                assert codes_of(answer.json()) == ["HT-CARE-04"]

        run(body())


class TestSixOnes:
    """S4 六个一, workflows §3.8"""

    def test_what_is_there_and_what_is_missing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                plan = await enrolled(client)
                told = await client.get(f"/CarePlan/{plan['id']}/$six-ones")
                done = {
                    row["name"]: row["part"][0]["valueBoolean"] for row in told["parameter"] if "part" in row
                }
                assert done == {
                    "record": True, "contract": False, "assessment": True, "plan": True, "timetable": True, "log": False,
                }  # fmt: skip
                assert [row["valueCode"] for row in told["parameter"] if row["name"] == "missing"] == [
                    "contract",
                    "log",
                ]
                assert {"name": "colour", "valueCode": "green"} in told["parameter"]
                await client.put(signed(contract(start=today(-10), end=today(400))))
                told = await client.get(f"/CarePlan/{plan['id']}/$six-ones")
                assert [row["valueCode"] for row in told["parameter"] if row["name"] == "missing"] == ["log"]

        run(body())


class TestContracts:
    """W10"""

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"applies": {"start": "2026-01-01", "end": "2026-11-30"}}, "HT-CTR-01"),
            ({"signer": signed(contract())["signer"][:1]}, "HT-CTR-02"),
        ],
    )
    def test_what_no_contract_may_be(self, tmp_path: Path, change: Json, code: str) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                refused = await client.put({**signed(contract()), **change}, status=409)
                assert codes_of(refused) == [code]

        run(body())

    def test_one_in_force_a_person_and_an_episode_for_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(signed(contract("k1")))
                refused = await client.put(signed(contract("k2", "2027-06-01", "2028-06-30")), status=409)
                assert codes_of(refused) == ["HT-CTR-03"]
                episode = await client.get("/EpisodeOfCare/contract-k1")
                assert (episode["status"], episode["patient"]) == ("active", {"reference": "Patient/p"})
                await client.put({**signed(contract("k1")), "status": "terminated"})
                assert (await client.get("/EpisodeOfCare/contract-k1"))["status"] == "finished"
                await client.put(signed(contract("k2", "2027-06-01", "2028-06-30")))

        run(body())


def prescription(days: float, unit: str = "d", *, confirmed: bool = True, grounds: bool = True) -> Json:
    extension = [
        {"url": "assessment", "valueReference": {"reference": "Observation/o1"}},
        {"url": "patientConfirmed", "valueBoolean": confirmed},
    ]
    return {
        "resourceType": "MedicationRequest", "id": "rx", "status": "active", "intent": "order",
        "subject": {"reference": "Patient/p"}, "requester": TEAM, "authoredOn": "2026-06-01",
        "medicationCodeableConcept": {"text": "苯磺酸氨氯地平片"},
        "dispenseRequest": {"expectedSupplyDuration": {"value": days, "unit": unit, "code": unit}},
        **({"extension": [{"url": LONG, "extension": extension}]} if grounds else {}),
    }  # fmt: skip


class TestLongPrescriptions:
    """W11, §3.8: 84 days pass, 85 are refused"""

    @pytest.mark.parametrize(
        ("days", "unit", "has_contract", "codes"),
        [
            (28, "d", False, []),
            (4, "wk", False, []),
            (29, "d", False, ["HT-RX-05"]),
            (84, "d", True, []),
            (12, "wk", True, []),
            (85, "d", True, ["HT-RX-01"]),
            (3, "mo", True, ["HT-RX-01"]),
            (0, "d", True, ["HT-RX-02"]),
            (5, "kg", True, ["HT-RX-02"]),
        ],
    )
    def test_days(self, tmp_path: Path, days: float, unit: str, has_contract: bool, codes: list[str]) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(pressure("o1", "2026-05-30", 138))
                if has_contract:
                    await client.put(signed(contract()))
                answer = await client.put(prescription(days, unit), status=409 if codes else (200, 201))
                assert (codes_of(answer) if codes else []) == codes

        run(body())

    def test_everything_that_is_missing_is_told_at_once(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                refused = await client.put(prescription(60, grounds=False), status=409)
                assert codes_of(refused) == ["HT-RX-03", "HT-RX-04", "HT-RX-05"]
                assert all(row["expression"] == ["MedicationRequest.extension"] for row in refused["issue"])

        run(body())

    def test_an_unstable_patient_gets_none(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(pressure("o1", today(), 182))
                await client.put(signed(contract(end=today(400))))
                await client.ask("POST", "/Patient/p/$grade")
                refused = await client.put({**prescription(60), "authoredOn": today()}, status=409)
                assert codes_of(refused) == ["HT-RX-09"]

        run(body())

    def test_classes_and_tiers_follow_the_catalogue(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                system = "https://county.example/drugs"
                rows = {
                    "A": [("chronic", "hypertension"), ("tiers", "county"), ("tiers", "township")],
                    "B": [("chronic", "hypertension"), ("tiers", "county")],
                    "C": [("controlled", "narcotic"), ("chronic", "pain"), ("tiers", "township")],
                    "D": [("atc", "J01CA04"), ("tiers", "township")],
                }
                names = sorted({name for values in rows.values() for name, _ in values})
                await client.put(
                    {
                        "resourceType": "CodeSystem", "id": "drugs", "url": system, "status": "active", "content": "complete",
                        "property": [{"code": name, "type": "code"} for name in names],
                        "concept": [
                            {"code": code, "display": code, "property": [{"code": n, "valueCode": v} for n, v in values]}
                            for code, values in rows.items()
                        ],
                    }
                )  # fmt: skip
                await client.put(pressure("o1", "2026-05-30", 138))
                await client.put(signed(contract()))
                expected = {"A": [], "B": ["HT-RX-08"], "C": ["HT-RX-06"], "D": ["HT-RX-06", "HT-RX-07"]}
                for code, codes in expected.items():
                    concept = {"coding": [{"system": system, "code": code}], "text": code}
                    wanted = {**prescription(60), "id": f"rx{code}", "medicationCodeableConcept": concept}
                    answer = await client.put(wanted, status=409 if codes else (200, 201))
                    assert (codes_of(answer) if codes else []) == codes

        run(body())


class TestDualPrescription:
    """W12"""

    def test_a_chronic_visit_without_health_prescription_is_noted(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                visit = {
                    "resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": "AMB"},
                    "subject": {"reference": "Patient/p"}, "diagnosis": [{"condition": {"reference": "Condition/c"}}],
                }  # fmt: skip
                await client.put(visit)
                await client.put({**visit, "status": "finished"})
                found = await client.get("/Provenance?target=Encounter/e")
                assert "HT-RX-20" in str(found)

        run(body())


class TestKeeper:
    """A simulated year: the data grade, complete and call by themselves."""

    def test_a_year_of_a_patient(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                clock = [datetime.now(SHANGHAI)]
                keeper = Keeper(
                    client.gateway.store, load_diseases(), tmp_path / "care.json", clock=lambda: clock[0]
                )
                plan = await enrolled(client, 150)
                start = date.fromisoformat(plan["period"]["start"])
                await keeper.look()
                colours: list[str] = []
                for number, (day, systolic) in enumerate([(90, 165), (150, 150), (240, 185), (270, 138)]):
                    clock[0] = clock[0].replace(hour=12) + (start + timedelta(days=day) - clock[0].date())
                    await client.put(
                        pressure(f"v{number}", (start + timedelta(days=day)).isoformat(), systolic)
                    )
                    await keeper.look()
                    plan = await client.get(f"/CarePlan/{plan['id']}")
                    colours.append(plan["extension"][0]["valueCode"])
                assert colours == ["yellow", "green", "red", "green"]
                completed = [row for row in plan["activity"] if row["detail"]["status"] == "completed"]
                assert [row["outcomeReference"][0]["reference"] for row in completed] == [
                    "Observation/v0", "Observation/v1", "Observation/v2", "Observation/v3",
                ]  # fmt: skip
                flag = (await client.get("/Flag?subject=Patient/p"))["entry"][0]["resource"]
                assert flag["code"]["coding"][0]["code"] == "green"
                proposals = await client.get("/ServiceRequest?subject=Patient/p&intent=proposal")
                found = {row["resource"]["priority"] for row in proposals["entry"]}
                assert found == {"urgent", "routine"}
                told = await client.get(
                    f"/CarePlan/{plan['id']}/$six-ones?date={start + timedelta(days=270)}"
                )
                assert {"name": "missing", "valueCode": "contract"} in told["parameter"]

        run(body())

    def test_looking_again_writes_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                plan = await enrolled(client)
                clock = datetime.now(SHANGHAI)
                for _ in range(2):
                    keeper = Keeper(
                        client.gateway.store, load_diseases(), tmp_path / "care.json", clock=lambda: clock
                    )
                    await keeper.look()
                again = await client.get(f"/CarePlan/{plan['id']}")
                version = int(again["meta"]["versionId"])
                await Keeper(
                    client.gateway.store, load_diseases(), tmp_path / "other.json", clock=lambda: clock
                ).look()
                assert int((await client.get(f"/CarePlan/{plan['id']}"))["meta"]["versionId"]) == version

        run(body())

    def test_due_visits_are_called_once_and_listed(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                plan = await enrolled(client)
                clock = datetime.now(SHANGHAI) + timedelta(days=85)
                keeper = Keeper(
                    client.gateway.store, load_diseases(), tmp_path / "care.json", clock=lambda: clock
                )
                await keeper.look()
                await keeper.look()
                rows = [row for _, row in await client.gateway.store.outbox() if row.topic == "careplan-due"]
                assert [row.payload["receivers"] for row in rows] == [["Organization/town"]]
                listed = await client.get(f"/CarePlan/$due?date={today(95)}")
                (visit,) = [row["part"] for row in listed["parameter"] if row["name"] == "visit"]
                assert {"name": "phase", "valueCode": "overdue"} in visit
                assert {"name": "name", "valueString": "张三丰"} in visit
                sheet = await client.get(f"/CarePlan/$due?date={today(95)}&as=csv")
                assert f"CarePlan/{plan['id']},Patient/p,张三丰,hypertension,green,chronic-visit" in sheet
                lost = await client.get(f"/CarePlan/$due?date={today(300)}&phase=lost")
                assert lost["parameter"][0]["valueInteger"] == 1

        run(body())
