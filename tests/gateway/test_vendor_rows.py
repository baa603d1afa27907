"""Rows of vendors' views by the shipped maps: what a county meets every day (docs/adapters/table.md)."""

import io
import json
from pathlib import Path
from typing import Any, ClassVar

from openpyxl import Workbook

from mappings.language.active import ActiveMaps
from tests.gateway.running import run
from tests.gateway.test_ecg import only
from tests.gateway.test_messages_http import serving
from tests.mappings.ecg_files import sample, to_dicom

MAPS = ActiveMaps()
GOLDEN = Path(__file__).parent.parent / "golden"
SHEET = GOLDEN / "vendor-lab-result" / "gbk-sheet" / "sheet.csv"


class TestLaboratory:
    def test_the_rows_of_one_report_are_one_report(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                for _ in range(2):
                    answer = await client.post("/messages/table?wait=stored", content=SHEET.read_bytes())
                    assert answer.status_code == 200, answer.text
                report = await only(client, "DiagnosticReport")
                found = (await client.get("/fhir/Observation")).json()
                ids = {f"Observation/{row['resource']['id']}" for row in found["entry"]}
                assert len(ids) == 3
                assert {row["reference"] for row in report["result"]} == ids
                assert report["specimen"] == [
                    {"reference": f"Specimen/{(await only(client, 'Specimen'))['id']}"}
                ]
                await only(client, "Patient")

        run(body())

    def test_a_workbook_of_the_same(self, tmp_path: Path) -> None:
        async def body() -> None:
            book = Workbook()
            for line in SHEET.read_text("gbk").splitlines():
                book.active.append(line.split(","))
            file = io.BytesIO()
            book.save(file)
            async with serving(tmp_path, maps=MAPS) as (_, client):
                answer = await client.post("/messages/table?wait=stored", content=file.getvalue())
                assert answer.status_code == 200, answer.text
                assert len((await only(client, "DiagnosticReport"))["result"]) == 3

        run(body())


class TestRequests:
    ROW: ClassVar[dict[str, Any]] = {
        "jgdm": "H1", "brid": "P0001", "xm": "张三丰", "csrq": "1950-01-01", "sqdh": "A2026001", "jclx": "心电", "xmmc": "十二导联心电图",
        "sqsj": "2026-03-15 08:00:00", "sqys": "李建国", "lczd": "胸闷",
    }  # fmt: skip

    def test_an_envelope_becomes_an_order_that_the_ecg_finds(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = json.dumps({"code": 0, "msg": "ok", "data": [self.ROW]}, ensure_ascii=False).encode()
                answer = await client.post("/messages/json?wait=stored", content=raw)
                assert answer.json()["code"] == 0, answer.text
                order = await only(client, "ServiceRequest")
                await client.post("/messages/ecg?wait=stored", content=to_dicom(sample(1)))
                observation = await only(client, "Observation")
                assert observation["basedOn"][0]["reference"] == f"ServiceRequest/{order['id']}"
                assert observation["subject"] == order["subject"]

        run(body())


class TestWhichMap:
    def test_a_person_alone_is_no_follow_up(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                answer = await client.post(
                    "/messages/table?wait=stored",
                    content="xm,xb,sfzh,csrq\n张三,男,11010519491231002X,1949-12-31".encode("gbk"),
                )
                assert answer.status_code == 200
                assert (await client.get("/messages/1")).json()["event"] == "vendor-patient"
                assert (await client.get("/fhir/Condition")).json()["total"] == 0

        run(body())
