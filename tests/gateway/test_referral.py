"""Referral up and down (workflows W6–W8): checks, phases, passing on, the outcome, the follow-up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway, active_maps
from gateway.referral.diseases import on_list
from gateway.referral.relation import directions, level_of, relation_table
from gateway.settings import Settings
from gateway.store.memory import MemoryStore
from gateway.workflow.packs import PackShelf
from terminology.fhirjson import Json
from tests.gateway.running import run, running

C = "https://hutong.health/fhir/CodeSystem/"
E = "https://hutong.health/fhir/StructureDefinition/"
ICD = "urn:oid:2.16.156.10011.2.3.3.11"
RULES = PackShelf().at(date(2026, 11, 1)).rules("referral")
TOWN, COUNTY = "Organization/town", "Organization/county"


def organization(id: str, type: str, **more: Any) -> Json:
    concept = {"coding": [{"system": f"{C}organization-type", "code": type}]}
    return {"resourceType": "Organization", "id": id, "name": id, "type": [concept], **more}


def referral(
    id: str = "r", way: str = "up", *, sender: str = TOWN, to: str = COUNTY, icd: str = "I21.900", **more: Any
) -> Json:
    return {
        "resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "priority": "routine",
        "category": [{"coding": [{"system": f"{C}order-category", "code": "referral"}]}],
        "code": {"coding": [{"system": f"{C}referral-direction", "code": way}]} if way else {"text": "转诊"},
        "subject": {"reference": "Patient/p"}, "requester": {"reference": sender}, "performer": [{"reference": to}],
        "reasonCode": [{"coding": [{"system": ICD, "code": icd}], "text": "诊断"}], **more,
    }  # fmt: skip


def override(code: str, text: str = "") -> Json:
    concept: Json = {"coding": [{"system": f"{C}referral-override-reason", "code": code}]}
    if text:
        concept["text"] = text
    return {"extension": [{"url": f"{E}referral-override", "valueCodeableConcept": concept}]}


PAPERS: list[Json] = [
    {"resourceType": "DocumentReference", "id": "discharge", "status": "current", "subject": {"reference": "Patient/p"},
     "type": {"text": "出院小结"}, "content": [{"attachment": {"contentType": "text/plain", "data": "5Ye66Zmi"}}]},
    {"resourceType": "List", "id": "drugs", "status": "current", "mode": "working", "subject": {"reference": "Patient/p"}},
    {"resourceType": "DocumentReference", "id": "ecg", "status": "current", "subject": {"reference": "Patient/p"},
     "type": {"text": "心电图"}, "content": [{"attachment": {"contentType": "text/plain", "data": "5Ye66Zmi"}}]},
    {"resourceType": "DocumentReference", "id": "other", "status": "current", "subject": {"reference": "Patient/q"},
     "type": {"text": "出院小结"}, "content": [{"attachment": {"contentType": "text/plain", "data": "5Ye66Zmi"}}]},
]  # fmt: skip


@pytest.fixture(autouse=True)
def kept_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivered rows stay, so that a test sees what was told."""

    async def keep(self: MemoryStore, upto: int) -> None:
        """Nothing is dropped."""

    monkeypatch.setattr(MemoryStore, "forget_outbox", keep)


class County:
    def __init__(self, gateway: Gateway, http: httpx.AsyncClient) -> None:
        self.gateway, self.http = gateway, http

    async def put(self, resource: Json, status: int = 0, **headers: str) -> Json:
        path = f"/{resource['resourceType']}/{resource['id']}"
        answer = await self.http.put(
            path, json=resource, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )
        assert answer.status_code == status if status else answer.status_code in (200, 201), answer.text
        told: Json = answer.json()
        return told

    async def get(self, path: str) -> Json:
        answer = await self.http.get(f"/{path}")
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    async def refused(self, resource: Json) -> list[str]:
        return codes_of(await self.put(resource, 409))

    async def task(self, order: str = "r") -> Json:
        return await self.get(f"Task/order-{order}")

    async def move(self, task: Json, answer: int = 0, **elements: Any) -> Json:
        return await self.put({**task, **elements}, answer, If_Match=f'W/"{task["meta"]["versionId"]}"')

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
            if row.topic == "referral-status"
        ]


@asynccontextmanager
async def county(folder: Path, **chosen: Any) -> AsyncIterator[County]:
    async with running(folder / "data", critical_values=False, chronic_care=False, **chosen) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway/fhir") as http:
            client = County(gateway, http)
            for row in (
                organization("town", "township"), organization("county", "hospital"), organization("second", "hospital"),
                organization("city", "hospital", extension=[{"url": f"{E}institution-level", "valueCode": "3"}]),
                {"resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}]}, {"resourceType": "Patient", "id": "q"},
                *PAPERS,
            ):  # fmt: skip
                await client.put(row)
            yield client


def codes_of(outcome: Json) -> list[str]:
    return [str(row["details"]["coding"][0]["code"]) for row in outcome["issue"]]


def phase_of(task: Json) -> tuple[str, str]:
    return task["status"], task["businessStatus"]["coding"][0]["code"]


class TestRelations:
    """W6: same-level both ways, lower→upper, upper→lower"""

    @pytest.mark.parametrize(
        ("sender", "receiver", "ways"),
        [(1, 2, ["up"]), (2, 3, ["up"]), (3, 2, ["down"]), (3, 3, ["up", "down"]), (None, 3, ["up", "down"])],
    )
    def test_which_way_between_levels(
        self, sender: int | None, receiver: int | None, ways: list[str]
    ) -> None:
        assert list(directions(sender, receiver, RULES)) == ways

    def test_level_by_type_and_by_institution_level(self) -> None:
        assert level_of(organization("a", "township"), RULES) == 2
        city = organization("b", "hospital", extension=[{"url": f"{E}institution-level", "valueCode": "3"}])
        assert level_of(city, RULES) == 4
        assert level_of(organization("c", "vendor"), RULES) is None

    def test_the_table_is_made_from_the_organisations(self) -> None:
        rows = relation_table([organization("t", "township"), organization("h", "hospital")], RULES)
        assert rows == [
            ("Organization/t", "Organization/h", "up"),
            ("Organization/h", "Organization/t", "down"),
        ]
        own = {**RULES, "pairs": [{"from": "Organization/t", "to": "Organization/h"}]}
        assert relation_table([organization("t", "township"), organization("h", "hospital")], own) == rows[:1]


@pytest.mark.parametrize(
    ("value_set", "system", "code", "expected"),
    [
        ("no-referral-30", ICD, "J00.x00", True), ("no-referral-30", ICD, "J00", True), ("no-referral-30", ICD, "I21.900", False),
        ("no-referral-30", "http://hl7.org/fhir/sid/icd-10", "J00", True), ("no-referral-30", "", "J00.x00", True),
        ("no-referral-30", "http://snomed.info/sct", "J00", False), ("first-visit-50", ICD, "I10.x00x002", True),
        ("first-visit-50", ICD, "I1", False), ("nothing", ICD, "J00", False),
    ],
)  # fmt: skip
def test_a_diagnosis_on_a_list_without_catalogues(
    value_set: str, system: str, code: str, *, expected: bool
) -> None:
    async def ask() -> None:
        url = f"https://hutong.health/fhir/ValueSet/{value_set}"
        assert (await on_list(url, [{"system": system, "code": code}], None) is not None) is expected

    run(ask())


class TestCreation:
    def test_a_disease_that_is_not_referred_takes_a_coded_reason(self, tmp_path: Path) -> None:
        """W6, china.md seed 10: warns & needs override reason"""

        async def refer() -> None:
            async with county(tmp_path) as client:
                assert await client.refused(referral(icd="J00.x00")) == ["HT-REF-06"]
                assert await client.refused(referral(icd="J00.x00", **override("nonsense"))) == ["HT-REF-07"]
                assert await client.refused(referral(icd="J00.x00", **override("other"))) == ["HT-REF-07"]
                assert (await client.http.get("/DetectedIssue")).json().get("entry") is None
                await client.put(referral(icd="J00.x00", **override("complication")))
                issue = await client.get("DetectedIssue/no-referral-disease-r")
                assert issue["implicated"] == [{"reference": "ServiceRequest/r"}]
                assert issue["mitigation"][0]["action"]["coding"][0]["code"] == "complication"
                await client.put(referral("r2", icd="J00.x00", **override("other", "家属在县城")))
                long = "r" * 64
                await client.put(referral(long, icd="J00.x00", **override("complication")))
                found = await client.get(f"DetectedIssue?implicated=ServiceRequest/{long}")
                assert len(found["entry"]) == 2

        run(refer())

    def test_a_first_visit_disease_is_noted(self, tmp_path: Path) -> None:
        async def refer() -> None:
            async with county(tmp_path) as client:
                await client.put(referral(icd="I10.x00x002"))
                issue = await client.get("DetectedIssue/first-visit-disease-r")
                assert issue["severity"] == "low"
                assert (await client.http.get("/DetectedIssue/no-referral-disease-r")).status_code == 404

        run(refer())

    def test_a_diagnosis_by_reference_counts(self, tmp_path: Path) -> None:
        async def refer() -> None:
            async with county(tmp_path) as client:
                condition = {
                    "resourceType": "Condition",
                    "id": "c",
                    "subject": {"reference": "Patient/p"},
                    "code": {"coding": [{"system": ICD, "code": "J00.x00"}]},
                }
                await client.put(condition)
                order = referral(reasonReference=[{"reference": "Condition/c"}])
                assert await client.refused(order) == ["HT-REF-06"]

        run(refer())

    @pytest.mark.parametrize(
        ("order", "codes"),
        [
            (referral(way="down"), ["HT-REF-03", "HT-REF-08", "HT-REF-09"]),
            (referral(sender=COUNTY, to=TOWN), ["HT-REF-03"]),
            (referral(sender=TOWN, to=TOWN), ["HT-REF-02"]),
            (referral(way="", sender=COUNTY, to="Organization/second"), ["HT-REF-01"]),
            (referral(icd="J00.x00", sender=COUNTY, to=TOWN), ["HT-REF-03", "HT-REF-06"]),
        ],
        ids=["down from below", "up from above", "to itself", "equals without direction", "all at once"],
    )  # fmt: skip
    def test_the_way_must_fit_the_levels(self, tmp_path: Path, order: Json, codes: list[str]) -> None:
        async def refer() -> None:
            async with county(tmp_path) as client:
                assert await client.refused(order) == codes
                assert (await client.http.get("/Task?focus=ServiceRequest/r")).json().get("entry") is None

        run(refer())

    def test_the_levels_tell_the_way_where_the_order_does_not(self, tmp_path: Path) -> None:
        async def refer() -> None:
            async with county(tmp_path) as client:
                stored = await client.put(referral(way=""))
                assert stored["code"]["coding"] == [{"system": f"{C}referral-direction", "code": "up"}]
                await client.put(referral("same", sender=COUNTY, to="Organization/second"))

        run(refer())

    @pytest.mark.parametrize(
        ("papers", "codes"),
        [
            ([], ["HT-REF-08", "HT-REF-09"]), (["DocumentReference/discharge"], ["HT-REF-09"]), (["List/drugs"], ["HT-REF-08"]),
            (["DocumentReference/ecg", "List/drugs"], ["HT-REF-08"]), (["DocumentReference/other", "List/drugs"], ["HT-REF-08"]),
        ],
    )  # fmt: skip
    def test_a_down_referral_takes_its_papers(
        self, tmp_path: Path, papers: list[str], codes: list[str]
    ) -> None:
        """W7: needs CarePlan/discharge summary + medication list"""

        async def refer() -> None:
            async with county(tmp_path) as client:
                order = referral(
                    way="down",
                    sender=COUNTY,
                    to=TOWN,
                    **({"supportingInfo": [{"reference": row} for row in papers]} if papers else {}),
                )
                assert await client.refused(order) == codes

        run(refer())

    def test_the_green_channel_is_granted_by_priority_or_contract(self, tmp_path: Path) -> None:
        """W8"""

        async def refer() -> None:
            async with county(tmp_path) as client:
                routine = await client.put(
                    referral("a", extension=[{"url": f"{E}green-channel", "valueBoolean": True}])
                )
                assert "extension" not in routine
                urgent = await client.put(referral("b", priority="stat"))
                assert [row.get("valueCode") for row in urgent["extension"]] == [None, "stat"]
                await client.put(CONTRACT)
                signed = await client.put(referral("c"))
                assert [row.get("valueCode") for row in signed["extension"]] == [None, "contract"]
                task = await client.task("c")
                assert task["priority"] == "urgent"
                assert task["extension"] == signed["extension"]

        run(refer())


CONTRACT: Json = {
    "resourceType": "Contract", "id": "k", "status": "executed", "subject": [{"reference": "Patient/p"}],
    "applies": {"start": "2020-01-01", "end": "2099-12-31"},
    "signer": [{"type": {"code": "PAT"}, "party": {"reference": "Patient/p"}, "signature": [{"type": [{"code": "1.2.840.10065.1.12.1.7"}], "when": "2026-01-01T00:00:00Z", "who": {"display": "签名"}}]},
               {"type": {"code": "PRAC"}, "party": {"reference": "Practitioner/d"}, "signature": [{"type": [{"code": "1.2.840.10065.1.12.1.7"}], "when": "2026-01-01T00:00:00Z", "who": {"display": "签名"}}]}],
}  # fmt: skip
OUTCOME: Json = {
    "resourceType": "DocumentReference", "id": "outcome", "status": "current", "subject": {"reference": "Patient/p"},
    "type": {"text": "出院小结"}, "content": [{"attachment": {"contentType": "text/plain", "data": "5Ye66Zmi"}}],
}  # fmt: skip


def result(reference: str) -> Json:
    return {
        "type": {"coding": [{"system": f"{C}task-input", "code": "outcome"}]},
        "valueReference": {"reference": reference},
    }


class TestWay:
    def test_a_patient_goes_up_and_the_outcome_comes_back(self, tmp_path: Path) -> None:
        """W6: created, accepted, scheduled, arrived, admitted, interim-note, completed"""

        async def chain() -> None:
            async with county(tmp_path) as client:
                await client.put(referral())
                task = await client.task()
                assert phase_of(task) == ("requested", "created")
                assert (task["requester"]["reference"], task["owner"]["reference"]) == (TOWN, COUNTY)
                task = await client.move(task, status="accepted")
                assert phase_of(task) == ("accepted", "accepted")
                slot = {"resourceType": "Appointment", "id": "a", "status": "booked", "basedOn": [{"reference": "ServiceRequest/r"}],
                        "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}]}  # fmt: skip
                await client.put(slot)
                assert phase_of(await client.task()) == ("accepted", "scheduled")
                await client.put({**slot, "status": "arrived"})
                assert phase_of(await client.task()) == ("in-progress", "arrived")
                stay = {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": "IMP"}, "subject": {"reference": "Patient/p"},
                        "basedOn": [{"reference": "ServiceRequest/r"}]}  # fmt: skip
                stored = await client.put(stay)
                assert stored["hospitalization"]["origin"] == {"reference": TOWN}
                assert phase_of(await client.task()) == ("in-progress", "admitted")
                letter = {
                    **OUTCOME,
                    "id": "letter",
                    "context": {"related": [{"reference": "ServiceRequest/r"}]},
                }
                await client.put(letter)
                task = await client.task()
                assert phase_of(task) == ("in-progress", "interim-note")
                for output in (
                    [{"type": {"text": "x"}, "valueString": "好了"}],
                    [result("DocumentReference/none")],
                    [result("DocumentReference/other")],
                ):
                    wrong = await client.move(task, 409, status="completed", output=output)
                    assert "HT-REF-10" in codes_of(wrong)
                await client.put(OUTCOME)
                done = await client.move(
                    task, status="completed", output=[*task["output"], result("DocumentReference/outcome")]
                )
                assert phase_of(done) == ("completed", "completed")
                assert (await client.get("ServiceRequest/r"))["status"] == "completed"
                told = await client.told()
                assert [reason for reason, _ in told] == [
                    "created",
                    "accepted",
                    "scheduled",
                    "arrived",
                    "admitted",
                    "interim-note",
                    "completed",
                ]
                assert {tuple(receivers) for _, receivers in told} == {(TOWN, COUNTY)}

        run(chain())

    def test_a_patient_who_does_not_come_is_booked_again(self, tmp_path: Path) -> None:
        async def chain() -> None:
            async with county(tmp_path) as client:
                await client.put(referral())
                slot = {"resourceType": "Appointment", "id": "a", "status": "booked", "basedOn": [{"reference": "ServiceRequest/r"}],
                        "participant": [{"actor": {"reference": "Patient/p"}, "status": "accepted"}]}  # fmt: skip
                await client.put(slot)
                assert phase_of(await client.task()) == ("accepted", "scheduled")
                await client.put({**slot, "status": "noshow"})
                assert phase_of(await client.task()) == ("accepted", "no-show")
                await client.put({**slot, "id": "b"})
                assert phase_of(await client.task()) == ("accepted", "scheduled")
                await client.put({**slot, "id": "b", "status": "cancelled"})
                assert phase_of(await client.task()) == ("accepted", "accepted")

        run(chain())

    def test_declined_and_passed_on(self, tmp_path: Path) -> None:
        async def chain() -> None:
            async with county(tmp_path) as client:
                await client.put(referral())
                second = {"reference": "Organization/second"}
                for values, code in (
                    ({"reason": "床位已满"}, "HT-WF-40"),
                    ({"performer": second}, "HT-WF-40"),
                    ({"performer": {"reference": "Organization/none"}, "reason": "x"}, "HT-WF-40"),
                ):
                    assert codes_of(await client.operate("/Task/order-r/$redirect", 400, **values)) == [code]
                assert codes_of(
                    await client.operate(
                        "/Task/order-r/$redirect", 409, performer={"reference": COUNTY}, reason="x"
                    )
                ) == ["HT-REF-02"]
                assert codes_of(
                    await client.operate(
                        "/Task/order-r/$redirect", 409, performer={"reference": TOWN}, reason="x"
                    )
                ) == ["HT-REF-02"]
                fresh = await client.operate(
                    "/Task/order-r/$redirect", 201, performer=second, reason="床位已满"
                )
                assert phase_of(fresh) == ("requested", "created")
                assert (fresh["requester"]["reference"], fresh["owner"]["reference"]) == (
                    TOWN,
                    "Organization/second",
                )
                old = await client.task()
                assert phase_of(old) == ("rejected", "redirected")
                assert old["statusReason"] == {
                    "coding": [{"system": f"{C}status-reason", "code": "redirected"}],
                    "text": "床位已满",
                }
                assert codes_of(
                    await client.operate("/Task/order-r/$redirect", 409, performer=second, reason="x")
                ) == ["HT-REF-11"]
                accepted = await client.move(fresh, status="accepted")
                again = await client.operate(
                    f"/Task/{accepted['id']}/$redirect",
                    201,
                    performer={"reference": "Organization/city"},
                    reason="转上级",
                )
                assert phase_of(await client.get(f"Task/{accepted['id']}")) == ("cancelled", "redirected")
                assert (await client.get("ServiceRequest/r"))["status"] == "active"
                declined = await client.move(
                    again, status="rejected", statusReason={"text": "不符合收治条件"}
                )
                assert phase_of(declined) == ("rejected", "declined")
                assert [reason for reason, _ in await client.told()] == [
                    "created",
                    "redirected",
                    "created",
                    "accepted",
                    "redirected",
                    "created",
                    "declined",
                ]

        run(chain())

    def test_a_patient_goes_down_and_is_seen_within_two_weeks(self, tmp_path: Path) -> None:
        """W7; §1.6: post-referral follow-up 2 weeks"""

        async def chain() -> None:
            async with county(tmp_path) as client:
                papers = [{"reference": "DocumentReference/discharge"}, {"reference": "List/drugs"}]
                await client.put(referral(way="down", sender=COUNTY, to=TOWN, supportingInfo=papers))
                task = await client.move(await client.task(), status="accepted")
                assert phase_of(task) == ("accepted", "home-follow-up-due")
                plan = await client.get("CarePlan/referral-r")
                assert (plan["author"]["reference"], plan["subject"]["reference"]) == (TOWN, "Patient/p")
                (visit,) = plan["activity"]
                due = await client.get(f"CarePlan/$due?within=14&date={plan['created'][:10]}")
                [row] = [row for row in due["parameter"] if row["name"] == "visit"]
                said = {part["name"]: part for part in row["part"]}
                assert said["visit"]["valueCode"] == "home-follow-up"
                assert said["date"]["valueDate"] == visit["detail"]["scheduledPeriod"]["end"]
                assert (await client.get(f"CarePlan/$due?within=13&date={plan['created'][:10]}"))[
                    "parameter"
                ][0]["valueInteger"] == 0

        run(chain())

    def test_who_may_pass_a_referral_on(self, tmp_path: Path) -> None:
        async def chain() -> None:
            async with county(tmp_path) as client:
                await client.put(referral())
                body = {"resourceType": "Parameters", "parameter": [
                    {"name": "performer", "valueReference": {"reference": "Organization/second"}}, {"name": "reason", "valueString": "x"}]}  # fmt: skip
                answer = await client.http.post(
                    "/Task/order-r/$redirect",
                    json=body,
                    headers={"x-hutong-organization": "county", "x-hutong-roles": "acq"},
                )
                assert (answer.status_code, codes_of(answer.json())) == (409, ["HT-WF-44"])
                stranger = {"x-hutong-organization": "second", "x-hutong-roles": "ref"}
                answer = await client.http.post("/Task/order-r/$redirect", json=body, headers=stranger)
                assert (answer.status_code, codes_of(answer.json())) == (409, ["HT-REF-14"])
                holder = {"x-hutong-organization": "county", "x-hutong-roles": "ref"}
                answer = await client.http.post("/Task/order-r/$redirect", json=body, headers=holder)
                assert answer.status_code == 201
                lab = {
                    "resourceType": "Task",
                    "id": "t",
                    "status": "requested",
                    "intent": "order",
                    "code": {"text": "other"},
                }
                await client.put(lab)
                assert codes_of((await client.http.post("/Task/t/$redirect", json=body)).json()) == [
                    "HT-REF-13"
                ]

        run(chain())

    def test_the_relation_table_over_rest(self, tmp_path: Path) -> None:
        async def ask() -> None:
            async with county(tmp_path) as client:
                found = await client.get("Organization/$referral-relations?organization=Organization/town")
                rows = [
                    {
                        part["name"]: part.get("valueCode") or part["valueReference"]["reference"]
                        for part in row["part"]
                    }
                    for row in found["parameter"][1:]
                ]
                assert {"from": TOWN, "to": COUNTY, "direction": "up"} in rows
                assert {"from": COUNTY, "to": TOWN, "direction": "down"} in rows
                assert len(rows) == found["parameter"][0]["valueInteger"] == 6

        run(ask())


def ref(event: str, id: str, rf1: str) -> bytes:
    lines = (
        f"MSH|^~\\&|HIS|W1|GW|XYLYGT|20260315083012||{event}|{id}|P|2.4||||||UNICODE UTF-8",
        rf1,
        "PRD|RP|李^建国|||13800000000||D01|||城关镇卫生院",
        "PRD|RT|王^主任|||||D02|||county",
        "PID|1||P0009^^^H1^MR||李^四||19850101|M",
    )
    return ("\r".join(lines) + "\r").encode()


def test_a_referral_by_message_is_kept_and_what_it_lacks_is_noted(tmp_path: Path) -> None:
    """REF^I12 (workflows §1.7): what another system decided is not thrown away"""

    async def receive() -> None:
        maps = active_maps(Settings(data=tmp_path / "maps"))
        async with county(tmp_path, maps=maps) as client:

            async def send(raw: bytes) -> Json:
                answer = await client.http.post("http://gateway/messages/hl7v2?wait=stored", content=raw)
                number = answer.headers["location"].rpartition("/")[2]
                told: Json = (await client.http.get(f"http://gateway/messages/{number}")).json()
                return told

            await client.put(
                {"resourceType": "HealthcareService", "id": "h", "active": True, "providedBy": {"reference": COUNTY},
                 "category": [{"coding": [{"system": f"{C}order-category", "code": "referral"}]}]}
            )  # fmt: skip
            told = await send(
                ref("REF^I12", "T1", "RF1|P|S|MED||O|ZZ0001^W1|20260315|20260322||J00.x00^感冒^I10")
            )
            assert told["state"] == "stored", told
            (entry,) = (await client.get("ServiceRequest"))["entry"]
            order = entry["resource"]
            for code in ("HT-REF-01", "HT-REF-06"):
                assert code in order["note"][-1]["text"]
            (entry,) = (await client.get(f"Task?focus=ServiceRequest/{order['id']}"))["entry"]
            assert phase_of(entry["resource"]) == ("requested", "created")
            assert entry["resource"]["priority"] == "stat"
            # The hospital accepts it: the Task moves, the referral itself stays.
            told = await send(ref("RRI^I12", "T4", "RF1|A|||||ZZ0001^W1"))
            assert told["state"] == "stored", told
            task = (await client.get(f"Task?focus=ServiceRequest/{order['id']}"))["entry"][0]["resource"]
            assert task["status"] == "accepted"
            assert (await client.get(f"ServiceRequest/{order['id']}"))["status"] == "active"
            # An answer to what nobody asked says so and is kept.
            told = await send(ref("RRI^I12", "T5", "RF1|A|||||ZZ0404^W1"))
            assert told["state"] != "stored"
            assert "HT-XML-18" in str(told)
            # The sender takes it back.
            told = await send(
                ref("REF^I14", "T2", "RF1|R|S|MED||O|ZZ0001^W1|20260315|20260322||J00.x00^感冒^I10")
            )
            assert told["state"] == "stored", told
            (entry,) = (await client.get(f"Task?focus=ServiceRequest/{order['id']}"))["entry"]
            assert entry["resource"]["status"] == "cancelled"

    run(receive())
