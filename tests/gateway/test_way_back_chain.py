"""The whole way: a township's GBK order comes in, the centre reports, the result reaches the township's own listener."""

import asyncio
from pathlib import Path

import httpx

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from tests.gateway.receivers import mllp_receiver
from tests.gateway.running import run, running
from tests.gateway.test_deliveries import config, destination, until

ORDER = (
    "MSH|^~\\&|HIS|H1|HUTONG|XYLYGT|20260315083012||ORM^O01|ORD1|P|2.4||||||GBK\r"
    "PID|1||P0001^^^H1^MR||张三丰||19850101|1\r"
    "PV1|1|O|^^^020101&全科|||||||||||||||||MZ0001\r"
    "ORC|NW|REQ0001^HIS|||||||20260315083000|||D01^李建国\r"
    "OBR|1|REQ0001^HIS||XDT^常规心电图|||||||||||||||||||||EC\r"
)


async def bundle_of(client: httpx.AsyncClient, query: str) -> list[dict]:
    answer = (await client.get(f"/fhir/{query}")).json()
    return [row["resource"] for row in answer.get("entry", ())]


def test_order_in_report_out(tmp_path: Path) -> None:
    async def go() -> None:
        async with mllp_receiver() as township, mllp_receiver() as stranger:
            rows = [
                destination(
                    "township",
                    channel="mllp",
                    address=f"127.0.0.1:{township.port}",
                    charset="GBK",
                    organization=["H1", "HIS"],
                    maps={"report-final": "out-hl7v2-results", "task-status": "out-hl7v2-order-status"},
                ),
                destination(
                    "stranger", channel="mllp", address=f"127.0.0.1:{stranger.port}", organization="H9"
                ),
            ]
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, *rows)
            ) as gateway:
                transport = httpx.ASGITransport(app=gateway.asgi)
                async with httpx.AsyncClient(transport=transport, base_url="http://gw", timeout=30) as client:
                    answer = await client.post("/messages/hl7v2?wait=stored", content=ORDER.encode("gbk"))
                    assert "MSA|AA|ORD1" in answer.text
                    [order] = await bundle_of(client, "ServiceRequest?identifier=REQ0001")
                    report = {
                        "resourceType": "DiagnosticReport",
                        "status": "final",
                        "identifier": [{"system": "urn:id:ECG", "value": "BG1"}],
                        "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
                        "code": {"coding": [{"code": "XDT", "display": "常规心电图"}]},
                        "subject": order["subject"],
                        "issued": "2026-03-15T09:00:00+08:00",
                        "conclusion": "窦性心律，正常心电图",
                    }
                    made = await client.post("/fhir/DiagnosticReport", json=report)
                    assert made.status_code == 201, made.text
                    async with asyncio.timeout(20):
                        while not any(b"ORU^R01" in body for body in township.taken):
                            township.arrived.clear()
                            await township.arrived.wait()
                    await until(lambda: gateway.post.ledger.counts() == {})
                    result = parse(next(body for body in township.taken if b"ORU^R01" in body))
                    assert result.decoded.is_guessed is False
                    assert [result.get(path) for path in ("MSH-18", "PID-3.1", "PID-5.1", "PID-8")] == [
                        "GBK", "P0001", "张三丰", "M",
                    ]  # fmt: skip
                    assert [result.get(path) for path in ("ORC-2.1", "ORC-2.2", "OBR-2.1", "OBR-25")] == [
                        "REQ0001", "HIS", "REQ0001", "F",
                    ]  # fmt: skip
                    assert result.get("OBX-5") == "窦性心律，正常心电图"
                    steps = [parse(body) for body in township.taken if b"ORM^O01" in body]
                    assert all(step.get("ORC-2.1") == "REQ0001" for step in steps)
                    assert stranger.taken == []

    run(go())
