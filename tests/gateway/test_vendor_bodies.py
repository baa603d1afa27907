"""Vendor JSON and XML over HTTP: any body that a site's map reads, answered as vendors answer."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.gateway.running import run
from tests.gateway.test_hospital_platform import found, serving

VISIT = """
mapping: visit-json
source: {format: json}
resources:
  - id: patient
    type: Patient
    key: sfzh
    shared: true
    set: {identifier: [{value: sfzh}], name: [{text: xm}]}
  - id: visit
    type: Encounter
    key: jzlsh
    set:
      identifier: [{value: jzlsh}]
      status: =finished
      class: {code: =AMB}
      subject: ref patient
tests:
  - record: {xm: 张三, sfzh: "110", jzlsh: "1"}
    expect: {Patient.name.text: 张三}
"""
ORDER = """
mapping: order-xml
source: {format: xml, root: Request, where: ['Header/TradeCode = "PatInfo"']}
resources:
  - id: patient
    type: Patient
    key: Body/PatientID
    set: {identifier: [{value: Body/PatientID}], name: [{text: Body/Name}]}
tests:
  - xml: <Request><Header><TradeCode>PatInfo</TradeCode></Header><Body><PatientID>1</PatientID></Body></Request>
    expect: {Patient.identifier.value: "1"}
"""


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "visit.yaml").write_text(VISIT, "utf-8")
    (folder / "order.yaml").write_text(ORDER, "utf-8")
    return folder


class TestJson:
    @pytest.mark.parametrize(
        "body",
        [
            '{"xm": "张三", "sfzh": "110", "jzlsh": "M1"}',
            '{"code": 200, "msg": "ok", "data": {"xm": "张三", "sfzh": "110", "jzlsh": "M1"}}',
            '{"code": 0, "msg": "", "data": {"total": 1, "list": [{"xm": "张三", "sfzh": "110", "jzlsh": "M1"}]}}',
            '[{"xm": "张三", "sfzh": "110", "jzlsh": "M1"}]',
        ],
    )
    @pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
    def test_with_and_without_envelope(self, tmp_path: Path, maps: Path, body: str, codec: str) -> None:
        async def check() -> None:
            async with serving(tmp_path / "data", maps=maps) as (gateway, client):
                answer = await client.post("/messages/json?wait=stored", content=body.encode(codec))
                assert answer.status_code == 200
                told = answer.json()
                assert (told["code"], told["msg"], told["data"]["id"]) == (0, "成功", 1)
                await gateway.intake.drained()
                (patient,) = await found(client, "Patient")
                assert patient["name"][0]["text"] == "张三"

        run(check())

    def test_several_items_are_several_messages(self, tmp_path: Path, maps: Path) -> None:
        rows = ", ".join(f'{{"xm": "甲{n}", "sfzh": "11{n}", "jzlsh": "M{n}"}}' for n in range(3))

        async def check() -> None:
            async with serving(tmp_path / "data", maps=maps) as (gateway, client):
                answer = await client.post(
                    "/messages/json", content=f'{{"code": 0, "data": [{rows}]}}'.encode()
                )
                assert [row["code"] for row in answer.json()["data"]] == [0, 0, 0]
                await gateway.intake.drained()
                assert len(await found(client, "Encounter")) == 3

        run(check())

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [(b"{", 400, "HT-MAP-36"), (b"[1]", 400, "HT-MAP-36"), (b'{"a": 1}', 422, "HT-MAP-35")],
    )
    def test_refused_and_kept(self, tmp_path: Path, maps: Path, body: bytes, status: int, code: str) -> None:
        async def check() -> None:
            async with serving(tmp_path / "data", maps=maps) as (_, client):
                answer = await client.post("/messages/json", content=body)
                assert answer.status_code == status
                told = answer.json()
                assert told["code"] == status
                assert told["data"]["issues"][0]["code"] == code
                assert told["data"]["issues"][0]["zh"]
                assert len((await client.get("/messages?state=parked")).json()["messages"]) == 1

        run(check())


class TestXml:
    def test_taken(self, tmp_path: Path, maps: Path) -> None:
        body = (
            '<?xml version="1.0" encoding="GBK"?><Request><Header><TradeCode>PatInfo</TradeCode></Header>'
            "<Body><PatientID>P1</PatientID><Name>张三</Name></Body></Request>"
        )

        async def check() -> None:
            async with serving(tmp_path / "data", maps=maps) as (gateway, client):
                answer = await client.post("/messages/xml", content=body.encode("gbk"))
                assert answer.status_code == 200
                assert ElementTree.fromstring(answer.content).findtext("code") == "0"
                await gateway.intake.drained()
                (patient,) = await found(client, "Patient")
                assert patient["name"][0]["text"] == "张三"

        run(check())

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"<Request><Header>", 400, "HT-XML-02"),
            (b"<Request/>", 422, "HT-MAP-35"),
            (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 400, "HT-XML-03"),
        ],
    )
    def test_refused_and_kept(self, tmp_path: Path, maps: Path, body: bytes, status: int, code: str) -> None:
        async def check() -> None:
            async with serving(tmp_path / "data", maps=maps) as (_, client):
                answer = await client.post("/messages/xml", content=body)
                assert answer.status_code == status
                issue = ElementTree.fromstring(answer.content).find("data/issue")
                assert issue is not None
                assert issue.get("code") == code
                (kept,) = (await client.get("/messages?state=parked")).json()["messages"]
                assert (await client.get(f"/messages/{kept['id']}/raw")).content == body

        run(check())
