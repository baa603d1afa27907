"""`POST /messages/cda` and `$convert?adapter=cda`: a shared document is stored, a bad one is kept with its reason."""

import base64
from pathlib import Path

from mappings.language.active import ActiveMaps
from tests.gateway.running import run
from tests.gateway.test_messages_http import serving

GOLDEN = Path(__file__).parent.parent / "golden"
REPORT = (GOLDEN / "cda-laboratory-report" / "blood-count" / "document.xml").read_bytes()
MAPS = ActiveMaps()
FHIR = {"Accept": "application/fhir+json", "Accept-Language": "en"}


def test_a_document_is_stored_with_its_original(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            answer = await client.post("/messages/cda?wait=stored", content=REPORT)
            assert (answer.status_code, answer.json()["answer"]) == (200, "accept")
            told = (await client.get(answer.headers["location"])).json()
            assert (told["state"], told["event"]) == ("stored", "C0007 检验报告")
            found = (await client.get("/fhir/DocumentReference?type=C0007")).json()
            (reference,) = [row["resource"] for row in found["entry"]]
            attachment = reference["content"][0]["attachment"]
            binary = (await client.get(f"/fhir/{attachment['url']}", headers=FHIR)).json()
            assert base64.b64decode(binary["data"]) == REPORT
            document = await client.get("/fhir/Composition?_count=1")
            (composition,) = [row["resource"] for row in document.json()["entry"]]
            whole = (await client.get(f"/fhir/Composition/{composition['id']}/$document")).json()
            assert whole["type"] == "document"
            types = [row["resource"]["resourceType"] for row in whole["entry"]]
            assert types[0] == "Composition"
            assert types.count("Observation") == 6

    run(body())


def test_the_same_document_twice_is_one(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            await client.post("/messages/cda?wait=stored", content=REPORT)
            again = await client.post("/messages/cda?wait=stored", content=REPORT)
            assert again.json()["text"].startswith("repeat")
            found = (await client.get("/fhir/DiagnosticReport?_summary=count")).json()
            assert found["total"] == 1

    run(body())


def test_bad_documents_are_kept_and_told_why(tmp_path: Path) -> None:
    two = REPORT.replace(
        b"</recordTarget>",
        b"</recordTarget><recordTarget><patientRole><patient><name>x</name></patient></patientRole></recordTarget>",
    )
    bad = {
        b"<ClinicalDocument><recordTarget/></ClinicalDocument>": "HT-CDA-03",
        two: "HT-CDA-02",
        REPORT[:3000]: "HT-XML-02",
        b"<!DOCTYPE x><ClinicalDocument/>": "HT-XML-03",
        REPORT.replace(b"recordTarget", b"recordTargets"): "HT-CDA-01",
    }

    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            for raw, code in bad.items():
                answer = await client.post("/messages/cda", content=raw)
                assert 400 <= answer.status_code < 500
                told = answer.json()
                assert told["answer"] == "error"
                assert [issue["code"] for issue in told["issues"]] == [code]
                assert told["issues"][0]["zh"]
                assert told["issues"][0]["en"]
                kept = answer.headers["location"]
                assert (await client.get(kept)).json()["state"] == "parked"
                assert (await client.get(f"{kept}/raw")).content == raw

    run(body())


def test_a_preview_stores_nothing_and_explains(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            answer = await client.post("/fhir/$convert?adapter=cda", content=REPORT)
            assert answer.status_code == 200
            parts = {row["name"]: row for row in answer.json()["parameter"]}
            assert parts["return"]["resource"]["entry"][0]["resource"]["resourceType"] == "Composition"
            assert "recordTarget/patientRole/patient/name" in answer.text
            assert (await client.get("/fhir/Composition?_summary=count")).json()["total"] == 0

    run(body())
