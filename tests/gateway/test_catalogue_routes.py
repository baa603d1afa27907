"""`/catalogues` and `/codes` as clients see them: uploads with reports, two persons, published maps at work."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from conformance.recognition import load_packs
from gateway.app import Gateway
from gateway.catalogues.authoring import Catalogue
from gateway.catalogues.calendar import Calendar
from gateway.catalogues.place import Office
from gateway.settings import Settings
from gateway.store.memory import MemoryStore
from mappings.language.active import ActiveMaps
from terminology.catalogue.row import Row
from terminology.fhirjson import Json, decode_resource
from tests.gateway.running import run, running

FIRST = "code,display,parent\nI10,高血压,\nI10.1,高血压1级,I10\nE11,2型糖尿病,\n"
SECOND = "code,display,parent\nI10,原发性高血压,\nI10.1,高血压1级,I10\nN18,慢性肾脏病,\n"
LOCAL = "code,display\nA1,高血压病\nA2,二型糖尿病\nA3,慢性肾脏病\n"


class Client:
    """Asks a gateway without a socket; `who` acts."""

    def __init__(self, gateway: Gateway) -> None:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application of plain dicts
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def ask(
        self, method: str, path: str, body: Any = None, *, who: str | None = None, status: int = 200
    ) -> Any:
        headers = {"X-Hutong-User": quote(who)} if who else {}
        content = body.encode() if isinstance(body, str) else None
        answer = await self.http.request(
            method, path, content=content, json=None if content else body, headers=headers
        )
        assert answer.status_code == status, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    async def post(self, path: str, body: Any = None, *, who: str | None = "甲", status: int = 200) -> Any:
        return await self.ask("POST", path, body, who=who, status=status)

    async def get(self, path: str, *, status: int = 200) -> Any:
        return await self.ask("GET", path, status=status)

    async def publish(self, rows: str, **body: str) -> Json:
        made = await self.post("/catalogues?catalogue=dx&kind=diagnosis&title=诊断", rows, status=201)
        place = f"/catalogues/change-sets/{made['change_set']['id']}"
        await self.post(f"{place}/submit")
        await self.post(f"{place}/approve", who="乙")
        published: Json = await self.post(f"{place}/publish", body, who="乙")
        return published


@asynccontextmanager
async def asking(folder: Path, **chosen: Any) -> AsyncIterator[Client]:
    async with running(folder, **chosen) as gateway:
        client = Client(gateway)
        async with client.http:
            yield client


def prescription(id: str, system: str, code: str, status: str) -> Json:
    return {
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationCodeableConcept": {"coding": [{"system": system, "code": code}]},
    }  # fmt: skip


def codes_of(outcome: Json) -> list[str]:
    return [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]]


class TestCatalogues:
    def test_an_upload_becomes_a_version_through_two_persons(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                made = await client.post("/catalogues?catalogue=dx&name=dx.csv", FIRST, status=201)
                assert made["change_set"]["state"] == "draft"
                assert made["diff"]["added"]["count"] == 3
                place = f"/catalogues/change-sets/{made['change_set']['id']}"
                assert (await client.post(f"{place}/submit"))["state"] == "submitted"
                refused = await client.post(f"{place}/approve", status=403)
                assert codes_of(refused) == ["HT-CAT-41"]
                assert (await client.post(f"{place}/approve", who="乙"))["approver"] == "乙"
                version = await client.post(f"{place}/publish", {"label": "2026"}, who="乙")
                assert version["number"] == 1
                assert version["label"] == "2026"
                found = await client.get(
                    "/fhir/CodeSystem/$lookup?system=https://hutong.health/fhir/CodeSystem/dx&code=I10.1"
                )
                assert {"name": "display", "valueString": "高血压1级"} in found["parameter"]
                audit = await client.get("/catalogues/dx/audit")
                assert [(row["action"], row["who"]) for row in audit["audit"]] == [
                    ("publish", "乙"), ("approved", "乙"), ("submitted", "甲"), ("draft", "甲"), ("register", "甲"),
                ]  # fmt: skip

        run(main())

    def test_a_dry_run_reports_every_row_and_keeps_nothing(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                bad = FIRST + "I10,又一个,\nX,没有上级,Y\n"
                told = await client.post("/catalogues?catalogue=dx&dry-run=true", bad, who=None)
                assert not told["is_loadable"]
                assert [(row["code"], row["at"]) for row in told["problems"]] == [
                    ("HT-CAT-13", "line 5"), ("HT-CAT-14", "line 6"),
                ]  # fmt: skip
                refused = await client.post("/catalogues?catalogue=dx", bad, status=400)
                assert codes_of(refused) == ["HT-CAT-13", "HT-CAT-14"]
                assert (await client.get("/catalogues")) == {"catalogues": [], "change_sets": []}

        run(main())

    def test_a_difference_tells_which_mappings_it_touches(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                await client.post("/codes/h1/diagnosis?catalogue=dx", LOCAL, status=201)
                await client.post("/codes/h1/diagnosis/propose", {"code": "A2", "target": "E11"})
                told = await client.post("/catalogues?catalogue=dx&dry-run=true", SECOND)
                assert told["diff"]["added"]["codes"] == [{"code": "N18", "after": "慢性肾脏病"}]
                assert [row["code"] for row in told["diff"]["retired"]["codes"]] == ["E11"]
                assert told["diff"]["affected_mappings"]["codes"] == [
                    {"member": "h1", "domain": "diagnosis", "local": "A2", "target": "E11"}
                ]

        run(main())

    def test_a_difference_tells_which_prescriptions_and_orders_it_touches(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                drugs = "code,display\nD1,苯磺酸氨氯地平片\nD2,硝苯地平片\nD3,卡托普利片\n"
                made = await client.post("/catalogues?catalogue=rx&kind=drug", drugs, status=201)
                place = f"/catalogues/change-sets/{made['change_set']['id']}"
                await client.post(f"{place}/submit")
                await client.post(f"{place}/approve", who="乙")
                await client.post(f"{place}/publish", who="乙")
                url = "https://hutong.health/fhir/CodeSystem/rx"
                for id, code, status in (
                    ("a", "D2", "active"),
                    ("b", "D3", "completed"),
                    ("c", "D1", "active"),
                ):
                    await client.ask(
                        "PUT",
                        f"/fhir/MedicationRequest/{id}",
                        prescription(id, url, code, status),
                        status=201,
                    )
                await client.ask("PUT", "/fhir/Medication/m", {
                    "resourceType": "Medication", "id": "m", "code": {"coding": [{"system": url, "code": "D3"}]},
                }, status=201)  # fmt: skip
                request = prescription("d", url, "", "on-hold")
                request["medicationReference"] = {"reference": "Medication/m"}
                del request["medicationCodeableConcept"]
                await client.ask("PUT", "/fhir/MedicationRequest/d", request, status=201)
                told = await client.post(
                    "/catalogues?catalogue=rx&dry-run=true",
                    drugs.replace("D2,硝苯地平片\n", "").replace("卡托普利", "依那普利"),
                )
                expected = [
                    ("MedicationRequest/a", "active", "D2", True), ("MedicationRequest/d", "on-hold", "", True),
                    ("Medication/m", "", "D3", False), ("MedicationRequest/b", "completed", "D3", False),
                ]  # fmt: skip
                used = told["diff"]["affected_resources"]
                assert [tuple(row.values()) for row in used["rows"]] == expected
                assert (used["count"], used["open"], used["codes_searched"]) == (4, 2, 2)
                made = await client.post(
                    "/catalogues?catalogue=rx", drugs.replace("D2,硝苯地平片\n", ""), status=201
                )
                asked = await client.get(f"/catalogues/change-sets/{made['change_set']['id']}/changes")
                assert asked == {"changes": [{"code": "D2", "before": {"display": "硝苯地平片"}}]}
                first = await client.get("/catalogues/change-sets/1/changes?count=2")
                assert ([row["code"] for row in first["changes"]], first["after"]) == (["D1", "D2"], "D2")
                rest = await client.get("/catalogues/change-sets/1/changes?count=2&after=D2")
                assert ([row["code"] for row in rest["changes"]], "after" in rest) == (["D3"], False)
                asked = await client.get(f"/catalogues/change-sets/{made['change_set']['id']}/affected")
                assert [row["resource"] for row in asked["affected_resources"]["rows"]] == [
                    "MedicationRequest/a"
                ]
                assert asked["affected_mappings"]["count"] == 0

        run(main())

    def test_others_hear_of_a_version_that_is_planned_or_in_force(self, tmp_path: Path) -> None:
        async def main() -> None:
            store = MemoryStore()
            office = Office(Settings(data=tmp_path, store="memory"))
            calendar = Calendar(
                office, store, now=lambda: datetime.fromisoformat("2026-11-24T10:00:00+08:00")
            )
            await calendar.turn()
            assert not (tmp_path / "catalogues").exists()

            def publish(rows: list[Row], label: str, effective: str) -> None:
                catalogues = office.catalogues
                catalogues.register(Catalogue("dx", "urn:dx", "诊断", "diagnosis", "test"), who="甲")
                made, _ = catalogues.draft("dx", rows, title=label, who="甲")
                catalogues.move(made.id, "submitted", who="甲")
                catalogues.move(made.id, "approved", who="乙")
                catalogues.publish(made.id, who="乙", effective=date.fromisoformat(effective), label=label)

            await office.run(lambda: publish([Row("I10", "高血压")], "2026", "2026-01-01"))
            await office.run(lambda: publish([Row("I10", "原发性高血压")], "2099", "2099-01-01"))
            await calendar.turn()
            await calendar.turn()
            rows = [row for _, row in await store.outbox()]
            assert [(row.topic, row.payload["focus"], row.key) for row in rows] == [
                ("catalogue-in-force", "Library/dx-1", "catalogue/dx"),
                ("catalogue-scheduled", "Library/dx-2", "catalogue/dx"),
            ]
            assert (rows[1].payload["effective"], rows[1].payload["canonical"]) == (
                "2099-01-01",
                "urn:dx|2099",
            )
            record = await store.read("Library", "dx-2")
            assert record is not None
            assert record.body is not None
            assert decode_resource(record.body)["status"] == "draft"
            await office.close()

        run(main())

    def test_a_scheduled_version_is_taken_back_with_its_codes(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST, label="2026")
                await client.publish(SECOND, label="2099", effective="2099-01-01")
                url = "https://hutong.health/fhir/CodeSystem/dx"
                await client.get(f"/fhir/CodeSystem/$lookup?system={url}&version=2099&code=N18")
                rejected = await client.post("/catalogues/change-sets/2/reject", {"note": "作废"}, who="丁")
                assert rejected["state"] == "rejected"
                versions = (await client.get("/catalogues/dx/versions"))["versions"]
                assert [row["label"] for row in versions] == ["2026"]
                await client.get(f"/fhir/CodeSystem/$lookup?system={url}&version=2099&code=N18", status=404)

        run(main())

    def test_a_snapshot_of_an_earlier_form_is_written_anew(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
            snapshot = tmp_path / "catalogues" / "snapshots" / "dx-1.snapshot"
            snapshot.write_bytes(b"HTSNAP01" + snapshot.read_bytes()[8:])
            async with running(tmp_path) as gateway:
                await gateway.calendar.turn()
                client = Client(gateway)
                system = "https://hutong.health/fhir/CodeSystem/dx"
                told = await client.get(f"/fhir/CodeSystem/$lookup?system={system}&code=I10")
                assert {"name": "display", "valueString": "高血压"} in told["parameter"]
                await client.http.aclose()

        run(main())

    def test_each_day_has_its_version(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST, effective="2026-01-01")
                await client.publish(SECOND, effective="2026-07-01")
                early = await client.get("/catalogues/dx/export?date=2026-06-30")
                late = await client.get("/catalogues/dx/export?date=2026-07-01&format=json")
                assert "E11" in early
                assert "N18" not in early
                assert [row["code"] for row in late["concept"]] == ["I10", "I10.1", "N18"]
                missing = await client.get("/catalogues/dx/export?date=2025-12-31", status=404)
                assert codes_of(missing) == ["HT-CAT-64"]
                system = "https://hutong.health/fhir/CodeSystem/dx"
                for day, display in (("2026-06-30", "高血压"), ("2026-07-01T00:00:00+08:00", "原发性高血压")):
                    told = await client.get(
                        f"/fhir/CodeSystem/$lookup?system={system}&code=I10&date={quote(day)}"
                    )
                    assert {"name": "display", "valueString": display} in told["parameter"]
                    told = await client.get(
                        f"/fhir/ValueSet/$expand?url=https://hutong.health/fhir/ValueSet/dx&filter=高血压&date={quote(day)}"
                    )
                    assert display in [row["display"] for row in told["expansion"]["contains"]]
                    told = await client.get(
                        f"/fhir/CodeSystem/$validate-code?url={system}&code=E11&date={quote(day)}"
                    )
                    assert {"name": "result", "valueBoolean": day < "2026-07"} in told["parameter"]
                for day, status, code in (("2025-12-31", 404, "HT-TX-14"), ("31.12.2025", 400, "HT-TX-03")):
                    told = await client.get(
                        f"/fhir/CodeSystem/$lookup?system={system}&code=I10&date={day}", status=status
                    )
                    assert codes_of(told) == [code]
                history = await client.get("/catalogues/dx/concepts?code=I10")
                assert [(row["first"], row["last"], row["display"]) for row in history["history"]] == [
                    (1, 1, "高血压"), (2, None, "原发性高血压"),
                ]  # fmt: skip
                back = await client.post(
                    "/catalogues/dx/rollback", {"to": 1, "reason": "错误"}, who="丙", status=201
                )
                assert back["change_set"]["state"] == "submitted"
                place = f"/catalogues/change-sets/{back['change_set']['id']}"
                assert codes_of(await client.post(f"{place}/approve", who="丙", status=403)) == ["HT-CAT-41"]
                await client.post(f"{place}/approve", who="丁")
                await client.post(f"{place}/publish", who="丁")
                assert [row["number"] for row in (await client.get("/catalogues/dx/versions"))["versions"]] == [
                    1, 2, 3,
                ]  # fmt: skip

        run(main())

    def test_what_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                for method, path, body, status, code in (
                    ("POST", "/catalogues", FIRST, 400, "HT-CAT-62"),
                    ("POST", "/catalogues?catalogue=dx", "", 400, "HT-CAT-61"),
                    ("POST", "/catalogues?catalogue=dx&who=x", "", 400, "HT-CAT-08"),
                    ("POST", "/catalogues?catalogue=../x&who=x", FIRST, 400, "HT-CAT-62"),
                    ("POST", "/catalogues?catalogue=dx&who=x&columns=[", FIRST, 400, "HT-CAT-62"),
                    ("POST", "/catalogues?catalogue=dx&who=x&name=a.doc", FIRST, 400, "HT-CAT-03"),
                    ("POST", "/catalogues?catalogue=dx&dry-run=maybe", FIRST, 400, "HT-CAT-62"),
                    ("POST", "/catalogues/change-sets/1/submit?who=x", None, 404, "HT-CAT-45"),
                    ("POST", "/catalogues/change-sets/x/submit?who=x", None, 400, "HT-CAT-62"),
                    ("POST", "/catalogues/change-sets/1/submit?who=x", "[", 400, "HT-CAT-62"),
                    ("GET", "/catalogues/nothing", None, 404, "HT-CAT-43"),
                    ("DELETE", "/catalogues/nothing", None, 405, "HT-CAT-63"),
                    ("GET", "/codes/a/b", None, 404, "HT-CAT-52"),
                    ("POST", "/codes/a/b?who=x", LOCAL, 400, "HT-CAT-62"),
                    ("POST", "/codes/a_/b?who=x&catalogue=dx", LOCAL, 400, "HT-CAT-65"),
                    ("POST", "/codes/a/b/approve?who=x", "", 404, "HT-CAT-52"),
                    ("PUT", "/codes", "", 405, "HT-CAT-63"),
                ):
                    told = await client.ask(method, path, body, status=status)
                    assert codes_of(told) == [code], (method, path)

        run(main())


DRUGS = (
    "编码,名称,规格,生产企业,批准文号,医保编码,基药,集采,长处方,价格,供应状态,可用层级,慢病,替代\n"
    "D1,苯磺酸氨氯地平片,5mg,甲药业,国药准字H20010001,,是,1,是,12.50元,正常,县、乡、村,高血压,\n"
    "D2,硝苯地平片,10mg,乙药业,,,否,0,否,3,停供,县级|乡镇,高血压,D1\n"
    "D3,注射用青霉素钠,80万单位,,,,,,,,,县,,\n"
)


class TestDrugs:
    async def _publish(self, client: Client, query: str = "") -> None:
        made = await client.post(f"/catalogues?catalogue=rx&kind=drug{query}", DRUGS, status=201)
        place = f"/catalogues/change-sets/{made['change_set']['id']}"
        await client.post(f"{place}/submit")
        await client.post(f"{place}/approve", who="乙")
        await client.post(f"{place}/publish", who="乙")

    def test_chinese_headings_become_typed_attributes(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await self._publish(client)
                told = await client.get(
                    "/fhir/CodeSystem/$lookup?system=https://hutong.health/fhir/CodeSystem/rx&code=D1"
                )
                values = [row["part"] for row in told["parameter"] if row["name"] == "property"]
                assert {"name": "value", "valueBoolean": True} in [
                    part[1] for part in values if part[0]["valueCode"] == "essential"
                ]
                assert [part[1] for part in values if part[0]["valueCode"] == "price"] == [
                    {"name": "value", "valueDecimal": 12.5}
                ]
                assert [part[1]["valueString"] for part in values if part[0]["valueCode"] == "tiers"] == [
                    "county", "township", "village",
                ]  # fmt: skip
                assert {
                    "strength",
                    "maker",
                    "approval",
                    "procured",
                    "long-prescription",
                    "supply",
                    "chronic",
                } <= {part[0]["valueCode"] for part in values}
                exported = await client.get("/catalogues/rx/export")
                told = await client.post("/catalogues?catalogue=rx&dry-run=true", exported)
                assert told["problems"] == []
                assert {name: told["diff"][name]["count"] for name in ("added", "changed", "retired")} == {
                    "added": 0, "changed": 0, "retired": 0,
                }  # fmt: skip

        run(main())

    def test_a_wrong_attribute_is_told_with_its_line(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                bad = (
                    DRUGS.replace(",是,1,", ",也许,1,")
                    .replace(",高血压,D1", ",高血压,D9")
                    .replace("正常", "很多")
                )
                refused = await client.post("/catalogues?catalogue=rx&kind=drug", bad, status=400)
                assert codes_of(refused) == ["HT-CAT-37", "HT-CAT-37", "HT-CAT-39"]
                assert ["line 2" in str(issue) for issue in refused["issue"]] == [True, True, False]

        run(main())

    def test_levels_are_built_from_a_flat_list(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await self._publish(client, "&levels=true")
                system = "https://hutong.health/fhir/CodeSystem/rx"
                told = await client.get(
                    f"/fhir/CodeSystem/$subsumes?system={system}&codeA={quote('G:氨氯地平')}&codeB=D1"
                )
                assert told["parameter"] == [{"name": "outcome", "valueCode": "subsumes"}]
                told = await client.get(
                    f"/fhir/CodeSystem/$lookup?system={system}&code=D1&property=level&property=parent"
                )
                assert "product" in [
                    row["part"][1].get("valueString")
                    for row in told["parameter"]
                    if row["name"] == "property"
                ]

        run(main())

    def test_tiers_and_members_have_their_own_lists(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await self._publish(client)

                async def listed(name: str) -> list[str]:
                    told = await client.get(
                        f"/fhir/ValueSet/$expand?url=https://hutong.health/fhir/ValueSet/{name}"
                    )
                    return [row["code"] for row in told["expansion"].get("contains", [])]

                assert await listed("rx-county") == ["D1", "D2", "D3"]
                assert await listed("rx-village") == ["D1"]
                asked = {
                    "member": "h1",
                    "tier": "village",
                    "code": "D2",
                    "available": True,
                    "reason": "慢病患者续用",
                }
                made = await client.post("/catalogues/rx/deviations", asked, status=201)
                place = f"/catalogues/deviations/{made['number']}"
                assert codes_of(await client.post(f"{place}/approve", status=403)) == ["HT-CAT-41"]
                question = "/catalogues/rx/available?tier=village&code=D2&member=h1"
                assert (await client.get(question))["available"] is False
                await client.post(f"{place}/approve", who="乙")
                assert await client.get(question) == {
                    "code": "D2", "display": "硝苯地平片", "tier": "village", "available": True, "member": "h1",
                    "reason": "慢病患者续用", "replaced_by": ["D1"],
                }  # fmt: skip
                dropped = await client.post(
                    "/catalogues/rx/deviations", {**asked, "code": "D1", "available": False}, status=201
                )
                await client.post(f"/catalogues/deviations/{dropped['number']}/approve", who="乙")
                assert await listed("rx-h1") == ["D2"]
                assert codes_of(await client.post(f"{place}/approve", who="丙", status=409)) == ["HT-CAT-69"]
                await client.post(f"{place}/reject", who="丙")
                await client.post(f"/catalogues/deviations/{dropped['number']}/reject", who="丙")
                gone = await client.get(
                    "/fhir/ValueSet/$expand?url=https://hutong.health/fhir/ValueSet/rx-h1", status=404
                )
                assert gone["resourceType"] == "OperationOutcome"
                for body, code in (
                    ({**asked, "code": "D9"}, "HT-CAT-68"), ({**asked, "reason": ""}, "HT-CAT-62"),
                    ({**asked, "tier": "x"}, "HT-CAT-62"), ({**asked, "available": "yes"}, "HT-CAT-62"),
                    ({**asked, "member": "../x"}, "HT-CAT-65"),
                ):  # fmt: skip
                    status = 404 if code == "HT-CAT-68" else 400
                    assert codes_of(await client.post("/catalogues/rx/deviations", body, status=status)) == [
                        code
                    ]

        run(main())


class TestItems:
    """Attributes of mutual recognition come in with the member's table and leave as a recognition pack."""

    ITEMS = (
        "项目编码,项目名称,互认范围,有效期,易变,质控要求,依据,依据日期\n"
        "L1,血清钾测定,省级,7天,是,室间质评合格,某文件,2023-05\nL2,血型,,,,,,\nL3,血清钠测定,省级,7,,,,\n"
    )

    def test_items_become_a_recognition_pack(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                made = await client.post("/catalogues?catalogue=lab&kind=lab-item", self.ITEMS, status=201)
                assert [(row["code"], row["at"]) for row in made["problems"]] == [("HT-CAT-38", "line 4")]
                place = f"/catalogues/change-sets/{made['change_set']['id']}"
                await client.post(f"{place}/submit")
                await client.post(f"{place}/approve", who="乙")
                await client.post(f"{place}/publish", who="乙")
                items = await client.get("/catalogues/lab/export?format=recognition")
                folder = tmp_path / "pack"
                folder.mkdir()
                (folder / "pack.yaml").write_text("id: county\nversion: '1'\neffective: 2026-01-01\n")
                (folder / "items.csv").write_text(items, "utf-8")
                pack = load_packs(folder).packs[-1]
                found = pack.items["https://hutong.health/fhir/CodeSystem/lab", "L1"]
                assert (found.scope, found.validity_days, found.is_volatile, found.source) == (
                    "province", 7, True, "某文件",
                )  # fmt: skip
                assert ("https://hutong.health/fhir/CodeSystem/lab", "L2") not in pack.items

        run(main())


class TestCodes:
    def test_blind_authors_see_nothing_of_each_other(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                place = "/codes/h1/diagnosis"
                await client.post(f"{place}?catalogue=dx&blind=true", LOCAL, status=201)
                proposal = {"code": "A1", "target": "I10", "relationship": "broader", "note": "秘密"}
                assert (await client.post(f"{place}/propose", proposal))["state"] == "draft"
                for path in ("row?code=A1", "rows", "audit", "tasks", "export", "suggestions?code=A1"):
                    seen = str(await client.get(f"{place}/{path}"))
                    assert "秘密" not in seen, path
                    assert "甲" not in seen or path == "audit", path
                assert (await client.post(f"{place}/propose", {**proposal, "note": "同"}, who="乙"))[
                    "state"
                ] == "submitted"
                assert "秘密" in str(await client.get(f"{place}/audit"))
                row = await client.get(f"{place}/row?code=A1")
                assert (row["relationship"], [one["author"] for one in row["proposals"]]) == (
                    "wider",
                    ["甲", "乙"],
                )

        run(main())

    def test_the_export_is_a_workbook_with_authors_and_notes(self, tmp_path: Path) -> None:
        async def main() -> None:
            openpyxl = pytest.importorskip("openpyxl")
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                place = "/codes/h1/diagnosis"
                await client.post(f"{place}?catalogue=dx", "code,display\n001,=高血压病\n", status=201)
                await client.post(f"{place}/propose", {"code": "001", "target": "I10", "note": "查过病历"})
                await client.post(f"{place}/approve", {"note": "同意"}, who="乙")
                answer = await client.http.get(f"{place}/export?format=xlsx")
                assert answer.headers["content-type"].startswith("application/vnd.openxmlformats")
                sheet = openpyxl.load_workbook(io.BytesIO(answer.content)).active
                head, row = ([cell.value for cell in line] for line in sheet.rows)
                found = dict(zip(head, row, strict=True))
                assert (found["local_code"], found["local_name"], found["target_code"]) == (
                    "001",
                    "=高血压病",
                    "I10",
                )
                assert (found["authors"], found["reviewer"], found["note"]) == ("甲", "乙", "查过病历; 同意")
                assert sheet["B2"].data_type == "s"
                assert codes_of(await client.get(f"{place}/export?format=pdf", status=400)) == ["HT-CAT-62"]

        run(main())

    def test_a_mapping_from_import_to_translation(self, tmp_path: Path) -> None:
        async def main() -> None:
            maps = ActiveMaps(shipped=None)
            async with asking(tmp_path, maps=maps) as client:
                await client.publish(FIRST)
                place = "/codes/h1/diagnosis"
                made = await client.post(f"{place}?catalogue=dx", LOCAL, status=201)
                assert made["states"] == {"unmapped": 3}
                told = await client.get(f"{place}/suggestions?code=A1")
                assert told["rows"][0]["suggestions"][0]["code"] == "I10"
                await client.post(f"{place}/propose", {"code": "A1", "target": "I10"})
                await client.post(f"{place}/propose", {"code": "A3", "note": "目录缺"})
                wrong = await client.post(f"{place}/propose", {"code": "A2", "target": "X"}, status=400)
                assert codes_of(wrong) == ["HT-CAT-57"]
                own = await client.post(f"{place}/approve", {"codes": ["A1"]}, status=403)
                assert codes_of(own) == ["HT-CAT-51"]
                nothing = await client.post(f"{place}/publish", who="乙", status=409)
                assert codes_of(nothing) == ["HT-CAT-58"]
                done = await client.post(f"{place}/approve", who="乙")
                assert sorted(done["reviewed"]) == ["A1", "A3"]
                concept_map = await client.post(f"{place}/publish", who="乙", status=201)
                stored = await client.get(f"/fhir/ConceptMap/{concept_map['id']}")
                assert stored["group"] == concept_map["group"]
                translated = await client.get(
                    f"/fhir/ConceptMap/$translate?url={concept_map['url']}&code=A1&system={concept_map['group'][0]['source']}"
                )
                assert {"name": "result", "valueBoolean": True} in translated["parameter"]
                assert maps.translator.translate("diagnosis", {"code": "A1"}) == {
                    "system": "https://hutong.health/fhir/CodeSystem/dx", "code": "I10", "display": "高血压",
                }  # fmt: skip
                listed = (await client.get(place))["publications"]
                assert [row["who"] for row in listed] == ["乙"]
                kept = await client.get(f"{place}/publications/{listed[0]['version']}")
                assert kept == concept_map
                assert "A2" in await client.get(f"{place}/export")
                page = await client.get(f"{place}/rows?count=2")
                assert [row["code"] for row in page["rows"]] == ["A1", "A2"]
                assert page["after"] == "A2"

        run(main())

    def test_a_restart_translates_by_what_was_published(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                await client.post("/codes/h1/diagnosis?catalogue=dx&source=urn:id:HIS1", LOCAL, status=201)
                await client.post("/codes/h1/diagnosis/propose", {"code": "A2", "target": "E11"})
                await client.post("/codes/h1/diagnosis/approve", who="乙")
                await client.post("/codes/h1/diagnosis/publish", who="乙", status=201)
            maps = ActiveMaps(shipped=None)
            async with running(tmp_path, maps=maps):
                found = maps.translator.translate("diagnosis", {"system": "urn:id:HIS1", "code": "A2"})
                assert found is not None
                assert found["code"] == "E11"

        run(main())

    def test_two_authors_who_map_blind_need_a_third_when_they_differ(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                place = "/codes/h1/diagnosis"
                await client.post(f"{place}?catalogue=dx&blind=true", LOCAL, status=201)
                await client.post(f"{place}/propose", {"code": "A1", "target": "I10"})
                assert "proposals" not in await client.get(f"{place}/row?code=A1")
                told = await client.post(f"{place}/propose", {"code": "A1", "target": "I10.1"}, who="乙")
                assert told["state"] == "conflict"
                assert len((await client.get(f"{place}/row?code=A1"))["proposals"]) == 2
                refused = await client.post(f"{place}/reconcile", {"code": "A1", "target": "I10"}, status=403)
                assert codes_of(refused) == ["HT-CAT-51"]
                settled = await client.post(f"{place}/reconcile", {"code": "A1", "target": "I10"}, who="丙")
                assert settled["state"] == "approved"

        run(main())

    def test_open_rows_are_tasks(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                await client.post("/codes/zy/diagnosis?catalogue=dx", LOCAL, status=201)
                await client.post("/codes/zy/diagnosis/propose", {"code": "A1", "target": "I10"})
                bundle = await client.get("/codes/zy/diagnosis/tasks")
                tasks = {
                    row["resource"]["identifier"][0]["value"]: row["resource"] for row in bundle["entry"]
                }
                assert {code: task["status"] for code, task in tasks.items()} == {
                    "A1": "in-progress",
                    "A2": "requested",
                    "A3": "requested",
                }
                assert tasks["A1"]["output"][0]["valueCoding"]["code"] == "I10"
                await client.post("/codes/zy/diagnosis/approve", {"codes": ["A1"]}, who="乙")
                done = await client.get("/codes/zy/diagnosis/tasks?state=approved")
                assert [row["resource"]["status"] for row in done["entry"]] == ["completed"]
                await client.get("/codes/zy/diagnosis/tasks?state=nonsense", status=400)

        run(work())

    def test_what_is_accepted_above_a_cut_waits_for_review(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                place = "/codes/h1/diagnosis"
                await client.post(f"{place}?catalogue=dx", "code,display\nA1,高血压\nA9,骨折\n", status=201)
                told = await client.post(f"{place}/accept", {"cut": 0.9})
                assert [(row["code"], row["target"]) for row in told["accepted"]] == [("A1", "I10")]
                assert told["states"] == {"submitted": 1, "unmapped": 1}
                low = await client.post(f"{place}/accept", {"cut": 0.1}, status=400)
                assert codes_of(low) == ["HT-CAT-56"]

        run(main())

    def test_uploads_while_others_ask_are_served_in_turn(self, tmp_path: Path) -> None:
        async def main() -> None:
            async with asking(tmp_path) as client:
                await client.publish(FIRST)
                answers = await asyncio.gather(
                    *(
                        client.post(f"/codes/h{number}/diagnosis?catalogue=dx", LOCAL, status=201)
                        for number in range(8)
                    ),
                    client.get("/catalogues"),
                )
                assert all(answer["new"] == 3 for answer in answers[:8])

        run(main())
