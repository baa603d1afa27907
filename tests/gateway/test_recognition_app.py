"""Recognition through the whole gateway: the store that watches stands above the state machines."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from gateway.app import build
from gateway.settings import Settings
from terminology.fhirjson import Json
from tests.conformance.recognition.county import County
from tests.gateway.test_duplicate_reminder import QUERY
from tests.gateway.test_recognition_reminders import order, visit


def test_order_reminder_decision_correction(tmp_path: Path) -> None:
    async def run() -> None:
        gateway = await build(Settings(data=tmp_path, store="memory", mllp=False))
        await gateway.start()
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
        client = httpx.AsyncClient(transport=transport, base_url="http://test/fhir")

        async def send(method: str, path: str, body: Json | None = None) -> Any:
            content = json.dumps(body).encode() if body is not None else None
            answer = await client.request(
                method, f"/{path}", content=content, headers={"content-type": "application/fhir+json"}
            )
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

        county = County()
        doctor = {"resourceType": "Practitioner", "id": "li", "name": [{"text": "李明"}]}
        for row in (
            county.patient, county.community, county.hospital, county.township, county.specimen, county.observation,
            county.report, doctor, visit(), order(),
        ):  # fmt: skip
            row.pop("meta", None)
            await send("PUT", f"{row['resourceType']}/{row['id']}", row)
        found = await send("GET", "Communication?category=recognition-reminder&_sort=sent")
        words = {row["resource"]["topic"]["coding"][0]["code"] for row in found["entry"]}
        assert words == {"visit", "order"}
        decision: Json = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "result", "valueReference": {"reference": "Observation/potassium"}},
                {"name": "order", "valueReference": {"reference": "ServiceRequest/o1"}},
                {"name": "action", "valueCode": "accept"},
                {"name": "organization", "valueReference": {"reference": "Organization/township"}},
            ],
        }
        await send("POST", "Patient/zhang/$recognition-decision", decision)
        report = await send("GET", "DiagnosticReport/chemistry")
        await send("PUT", "DiagnosticReport/chemistry", report | {"status": "corrected"})
        opened = await send("GET", "Task?code=mutual-recognition&status=in-progress")
        assert [row["resource"]["businessStatus"]["coding"][0]["code"] for row in opened["entry"]] == [
            "reopened"
        ]
        recalls = await send("GET", "Task?code=acknowledge-correction")
        assert "Organization/township" in {row["resource"]["owner"]["reference"] for row in recalls["entry"]}
        answer = await send("POST", "Patient/zhang/$recognition-decision", decision)
        assert answer["id"] == opened["entry"][0]["resource"]["id"]
        headers = {"clientId": "v", "orgCode": "1", "timestamp": "2026-03-20 10:00:00", "sign": "-"}
        vendor = await client.post("http://test/api/report/getDenyReasons", content=b"{}", headers=headers)
        assert vendor.json()["code"] == 200
        query = QUERY.format(
            root="RepeatTestReminder", transaction="IST-RS2", code="2823-3", since="20260301000000"
        )
        soap = (
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3">'
            f"<action>IST-RS2</action><message><![CDATA[{query}]]></message></HIPMessageServer></s:Body></s:Envelope>"
        )
        told = await client.post("http://test/soap/RHINMessageServer", content=soap.encode())
        assert told.status_code == 200, told.text
        assert "RepeatTestReminderResponse" in told.text
        assert "chemistry" in told.text
        await client.aclose()
        await gateway.close()

    asyncio.run(run())
