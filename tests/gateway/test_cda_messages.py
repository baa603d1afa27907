"""`POST /messages/cda` and `$convert?adapter=cda`: a shared document is stored, a bad one is kept with its reason."""

import base64
from pathlib import Path

from mappings.cda.receive import convert_document
from mappings.language.active import ActiveMaps
from mappings.language.trial import ask
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


def test_a_document_comes_back_as_document(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            await client.post("/messages/cda?wait=stored", content=REPORT)
            (composition,) = [
                row["resource"] for row in (await client.get("/fhir/Composition")).json()["entry"]
            ]
            answer = await client.get(f"/fhir/Composition/{composition['id']}/$cda?charset=GB18030")
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/hl7-cda+xml; charset=gb18030"
            again = convert_document(answer.content, MAPS)
            first = convert_document(REPORT, MAPS)
            assert ask("Observation.value.value", again) == ask("Observation.value.value", first)
            assert ask("DiagnosticReport.conclusion", again) == ask("DiagnosticReport.conclusion", first)
            # The report leads to the document that holds it.
            (report,) = [
                row["resource"] for row in (await client.get("/fhir/DiagnosticReport")).json()["entry"]
            ]
            other = await client.get(f"/fhir/DiagnosticReport/{report['id']}/$cda?charset=GB18030")
            assert other.content == answer.content

    run(body())


def test_what_has_no_document_is_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            order = {
                "resourceType": "ServiceRequest",
                "id": "r",
                "status": "active",
                "intent": "order",
                "subject": {"display": "x"},
            }
            await client.put("/fhir/ServiceRequest/r", json=order)
            answer = await client.get("/fhir/ServiceRequest/r/$cda", headers=FHIR)
            assert answer.status_code == 422
            assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-CDA-05"
            answer = await client.get("/fhir/ServiceRequest/r/$cda?charset=BIG5", headers=FHIR)
            assert answer.status_code == 400
            assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-CDA-08"
            assert (await client.get("/fhir/Composition/none/$cda")).status_code == 404

    run(body())


def test_a_replaced_document_is_superseded(tmp_path: Path) -> None:
    number = b'extension="JYWD202603150042"'
    new = REPORT.replace(number, b'extension="JYWD-2"').replace(
        b'<effectiveTime value="2026031508', b'<effectiveTime value="2026031608', 1
    )
    new = new.replace(b"<component>", b'<relatedDocument typeCode="RPLC"><parentDocument><id root="2.16.156.10011.1.1" ' + number + b"/></parentDocument></relatedDocument><component>", 1)  # fmt: skip

    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            alone = await client.post("/messages/cda?wait=stored", content=new)
            assert alone.json()["answer"] == "accept"
            found = (await client.get("/fhir/DocumentReference")).json()
            assert [row["resource"]["status"] for row in found["entry"]] == ["current"]
            await client.post("/messages/cda?wait=stored", content=REPORT)
            again = new.replace(b"JYWD-2", b"JYWD-3")
            await client.post("/messages/cda?wait=stored", content=again)
            found = (await client.get("/fhir/DocumentReference?status=superseded")).json()
            (old,) = [row["resource"] for row in found["entry"]]
            assert old["masterIdentifier"]["value"] == number[11:-1].decode()
            assert old["content"][0]["attachment"]["url"].startswith("Binary/")

    run(body())


NOTE = (
    "MSH|^~\\&|EMR|H1|GW|XYLYGT|{time}||MDM^{event}^MDM_T02|{number}|P|2.4||||||UNICODE UTF-8\rEVN|{event}|{time}\r"
    "PID|1||P1^^^H1^MR||张^三||19850101|M\rPV1|1|I|3F^301^05^H1|||||||||||||||ZY1\r"
    "TXA|1|DS^出院小结^L|TX|{time}||||||||{number}|{parent}||||AU\rOBX|1|TX|DS^出院小结||头晕三天。||||||F\r"
)


def test_a_document_that_an_hl7_message_replaces_is_superseded(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            for time, event, number, parent in [
                ("20260315080000", "T02", "D1", ""),
                ("20260315090000", "T06", "D2", "D1"),
                ("20260316080000", "T10", "D3", "D2"),
            ]:
                note = NOTE.format(time=time, event=event, number=number, parent=parent)
                sent = await client.post("/messages/hl7v2?wait=stored", content=note.encode())
                assert b"MSA|AA" in sent.content
            found = (await client.get("/fhir/DocumentReference")).json()
            rows = {row["resource"]["masterIdentifier"]["value"]: row["resource"] for row in found["entry"]}
            assert {name: row["status"] for name, row in rows.items()} == {
                "D1": "current",
                "D2": "superseded",
                "D3": "current",
            }
            assert rows["D2"]["relatesTo"][0]["code"] == "appends"

    run(body())
