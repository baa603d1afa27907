"""Online visits, emergency alert, time points, two cards (china §5, rows 24, 25, 26, 34)."""

from pathlib import Path
from typing import Any

import pytest

from terminology.fhirjson import Json
from tests.gateway.test_chronic_care import Client, county, run, today

C = "https://hutong.health/fhir/CodeSystem/"
V3 = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def visit(id: str, code: str, status: str = "finished", diagnosis: str = "I10.x00", **more: Any) -> Json:
    return {
        "resourceType": "Encounter", "id": id, "status": status, "class": {"system": V3, "code": code},
        "subject": {"reference": "Patient/p"}, "period": {"start": f"{today()}T08:00:00+08:00"},
        "serviceProvider": {"reference": "Organization/town"},
        **({"reasonCode": [{"coding": [{"system": f"{C}icd-10-nhsa", "code": diagnosis}]}]} if diagnosis else {}),
        **more,
    }  # fmt: skip


def earlier(days: int) -> Json:
    return {"start": f"{today(-days)}T08:00:00+08:00", "end": f"{today(-days)}T09:00:00+08:00"}


def code_of(outcome: Json) -> str:
    return str(outcome["issue"][0]["details"]["coding"][0]["code"])


class TestOnlineVisit:
    """Row 24: follow-up visits only"""

    def test_a_first_visit_is_not_held_online(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                assert code_of(await client.put(visit("v", "VR", "in-progress"), status=409)) == "HT-EM-03"

        run(body())

    def test_one_on_the_first_day_of_the_calendar_has_none_before_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                first = visit("v", "VR", "in-progress", period={"start": "0001-01-01T08:00:00+08:00"})
                assert code_of(await client.put(first, status=409)) == "HT-EM-03"

        run(body())

    def test_an_order_that_is_no_consultation_is_no_way_around(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put({
                    "resourceType": "ServiceRequest", "id": "s", "status": "draft", "intent": "order",
                    "subject": {"reference": "Patient/p"}, "code": {"text": "血常规"},
                })  # fmt: skip
                asked = visit("v", "VR", "in-progress", basedOn=[{"reference": "ServiceRequest/s"}])
                assert code_of(await client.put(asked, status=409)) == "HT-EM-03"

        run(body())

    @pytest.mark.parametrize(
        ("days", "diagnosis", "kind", "status"),
        [
            (30, "I10.x00x002", "AMB", 201),
            (180, "I10.x00", "IMP", 201),
            (181, "I10.x00", "AMB", 409),
            (30, "E11.900", "AMB", 409),
            (30, "I10.x00", "PRENC", 409),
        ],
    )
    def test_a_visit_in_person_for_the_same_disease_comes_first(
        self, tmp_path: Path, days: int, diagnosis: str, kind: str, status: int
    ) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            async with county(tmp_path / "data", workflow_packs=packs) as client:
                first = visit("e", "AMB", diagnosis=diagnosis, period=earlier(days))
                first["class"]["code"] = kind
                await client.put(first)
                await client.put(visit("v", "VR", "in-progress"), status=status)

        run(body())


class TestEmergency:
    """Row 25: the alert stands in the visit's own commit"""

    def test_an_emergency_is_told_once_and_its_flag_ends(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                urgent = {
                    "coding": [
                        {"system": "http://terminology.hl7.org/CodeSystem/v3-ActPriority", "code": "EM"}
                    ]
                }
                await client.put(visit("e", "EMER", "planned", "", priority=urgent))
                await client.put(visit("e", "EMER", "arrived", "", priority=urgent))
                found = await client.get("/Communication?category=emergency")
                [alert] = [row["resource"] for row in found["entry"]]
                assert alert["recipient"] == [{"reference": "Organization/town"}]
                assert alert["priority"] == "stat"
                [flag] = [row["resource"] for row in (await client.get("/Flag?patient=Patient/p"))["entry"]]
                assert flag["status"] == "active"
                await client.put(visit("e", "EMER", "in-progress", "", priority=urgent))
                await client.put(visit("e", "EMER", "finished", "", priority=urgent))
                flag = await client.get(f"/Flag/{flag['id']}")
                assert flag["status"] == "inactive"
                assert flag["period"]["end"]

        run(body())

    def test_what_is_not_urgent_alerts_nobody(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(visit("e", "EMER", "arrived", ""))
                assert (await client.get("/Communication?category=emergency")).get("entry", []) == []

        run(body())


def point(id: str, code: str, time: str) -> Json:
    return {
        "resourceType": "Observation", "id": id, "status": "final", "subject": {"reference": "Patient/p"},
        "encounter": {"reference": "Encounter/e"},
        "code": {"coding": [{"system": f"{C}time-point", "code": code}]},
        "valueDateTime": f"{today()}T{time}:00+08:00",
    }  # fmt: skip


def points(answer: Json) -> dict[str, Json]:
    rows = [row["part"] for row in answer["parameter"] if row["name"] == "point"]
    found = [{part["name"]: next(v for k, v in part.items() if k != "name") for part in row} for row in rows]
    return {row["code"]: row for row in found}


class TestTimePoints:
    """Row 26: clock points present"""

    def test_each_point_has_its_minutes_and_missing_ones_are_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(visit("e", "EMER", "in-progress", "I21.001"))
                for number, (code, time) in enumerate(
                    (
                        ("first-contact", "07:50"),
                        ("first-ecg", "08:00"),
                        ("ecg-read", "08:11"),
                        ("troponin", "07:59"),
                    )
                ):
                    await client.put(point(f"t{number}", code, time))
                answer = await client.get("/Encounter/e/$time-points")
                found = points(answer)
                assert found["door"]["evidence"] == {"reference": "Encounter/e"}
                assert (found["first-ecg"]["state"], found["first-ecg"]["minutes"]) == ("met", 10)
                assert (found["ecg-read"]["state"], found["ecg-read"]["minutes"]) == ("late", 11)
                assert found["troponin"]["state"] == "early"
                assert found["wire"]["state"] == "not-needed"
                named = {row["name"]: row for row in answer["parameter"]}
                assert named["pathway"]["valueCode"] == "chest-pain"
                assert named["pack"]["valueUri"].endswith("time-points/1.0.0")
                assert [row["valueCode"] for row in answer["parameter"] if row["name"] == "missing"] == [
                    "onset"
                ]
                assert named["complete"]["valueBoolean"] is False

        run(body())

    def test_a_visit_of_no_pathway_says_so_unless_one_is_named(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(visit("e", "EMER", "in-progress", "J18.900"))
                refused = await client.ask("GET", "/Encounter/e/$time-points", status=409)
                assert code_of(refused) == "HT-EM-02"
                assert "door" in points(await client.get("/Encounter/e/$time-points?pathway=stroke"))
                await client.ask("GET", "/Encounter/e/$time-points?pathway=burns", status=400)

        run(body())

    def test_the_end_of_the_visit_notes_what_is_missing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(visit("e", "EMER", "in-progress", "I63.900"))
                await client.put(visit("e", "EMER", "finished", "I63.900"))
                found = await client.get("/Provenance?target=Encounter/e")
                assert "HT-EM-01" in str(found)

        run(body())

    def test_a_county_may_refuse_the_end(self, tmp_path: Path) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            (packs / "t.yaml").write_text(
                "pack: time-points\nversion: '2'\neffective: 2026-01-01\nsource: county\nrules:\n  level: error\n"
                "  pathways: {stroke: {zh: 卒中, en: Stroke, diagnoses: [I63], points: [{code: needle, zh: 溶栓, en: Needle, needed: true}]}}\n"
            )
            async with county(tmp_path / "data", workflow_packs=packs) as client:
                await client.put(visit("e", "EMER", "in-progress", "I63.900"))
                refused = await client.put(visit("e", "EMER", "finished", "I63.900"), status=409)
                assert code_of(refused) == "HT-EM-01"
                await client.put(point("t", "needle", "08:30"))
                await client.put(visit("e", "EMER", "finished", "I63.900"))

        run(body())


def cards(resident: str, staff: str) -> Json:
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "residentCard", "valueString": resident},
            {"name": "staffCard", "valueString": staff},
        ],
    }


async def two_holders(client: Client) -> None:
    await client.put({
        "resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}],
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.19", "value": "AB1234567"}],
    })  # fmt: skip
    for id in ("d", "other"):
        await client.put({
            "resourceType": "Practitioner", "id": id,
            "identifier": [{"system": "urn:oid:2.16.156.10011.1.4", "value": f"S-{id}"}],
        })  # fmt: skip
    await client.put(
        visit("e", "AMB", "in-progress", participant=[{"individual": {"reference": "Practitioner/d"}}])
    )


class TestTwoCards:
    """Row 34: both cards recorded"""

    def test_both_numbers_stand_on_the_visit(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await two_holders(client)
                done = await client.ask("POST", "/Encounter/e/$verify-cards", cards("ab1234567", "S-d"))
                [extension] = done["extension"]
                values = {row["url"]: row for row in extension["extension"]}
                assert values["residentCard"]["valueIdentifier"]["value"] == "AB1234567"
                assert values["staffCard"]["valueIdentifier"]["value"] == "S-d"
                again = await client.ask("POST", "/Encounter/e/$verify-cards", cards("AB1234567", "S-d"))
                assert len(again["extension"]) == 1

        run(body())

    @pytest.mark.parametrize(
        ("resident", "staff", "wanted"),
        [
            ("ZZ", "S-d", ["HT-VC-01"]),
            ("AB1234567", "S-other", ["HT-VC-02"]),
            ("ZZ", "nobody|1,2", ["HT-VC-01", "HT-VC-02"]),
        ],
    )
    def test_a_card_of_somebody_else_is_refused_and_kept(
        self, tmp_path: Path, resident: str, staff: str, wanted: list[str]
    ) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await two_holders(client)
                refused = await client.ask(
                    "POST", "/Encounter/e/$verify-cards", cards(resident, staff), status=409
                )
                assert [row["details"]["coding"][0]["code"] for row in refused["issue"]] == wanted
                assert "extension" not in await client.get("/Encounter/e")
                kept = [row for _, row in await client.gateway.store.audit(limit=1000)][-1]
                assert kept["entity"][0]["description"] == " ".join(["verify-cards", *wanted])

        run(body())

    def test_a_missing_card_is_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await two_holders(client)
                await client.ask("POST", "/Encounter/e/$verify-cards", cards("AB1234567", " "), status=400)

        run(body())
