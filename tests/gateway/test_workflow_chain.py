"""The whole way on real sample data: a township's GBK order over MLLP, the centre's worklist, images and waveform of
devices, the signed report, and the ORU on the township's MLLP listener, in its charset (workflows W1, W2)."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from terminology.fhirjson import Json
from tests.gateway.dicom_network import ask, client, imaging, put, query, read, send, wait_for
from tests.gateway.receivers import mllp_receiver
from tests.gateway.running import Sender, msa, run

DATA = Path(__file__).parent.parent / "data"
CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
TOWN = "QSWSY"
READER = {
    "X-Hutong-Organization": "centre",
    "X-Hutong-Roles": "read",
    "X-Hutong-Practitioner": "PractitionerRole/li",
}
AUDITOR = {
    "X-Hutong-Organization": "centre",
    "X-Hutong-Roles": "aud",
    "X-Hutong-Practitioner": "PractitionerRole/wang",
}


def order(number: str, item: str, section: str, *, second: int) -> bytes:
    """An order as the township's HIS sends it: GBK, names in Chinese, TQ in ORC-7."""
    lines = [
        f"MSH|^~\\&|HIS|{TOWN}|GW|XYLYGT|202603150830{second:02d}||ORM^O01^ORM_O01|{number}|P|2.4||||||GBK",
        "PID|1||99999901^^^QSWSY&青山卫生院~11523141||测试^一一||19280410|F|||某省某市某路6栋",
        f"ORC|NW|{number}|||||^^^^^S||202603150830{second:02d}|||D01^李建国|||||020101^全科^000000",
        f"OBR|1|{number}||{item}||||||||||||||||||||{section}",
    ]
    return ("\r".join(lines) + "\r").encode("gbk")


def made_by_device(file: str, **values: str) -> bytes:
    """A sample object as the device makes it from the worklist: with this patient and accession number."""
    found = read((DATA / file).read_bytes())
    for name, value in values.items():
        setattr(found, name, value)
    written = BytesIO()
    found.save_as(written)
    return written.getvalue()


class Centre:
    """What the centre's people and the township do over the wire."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.http = client(gateway)

    async def rows(self, path: str, **headers: str) -> list[Json]:
        answer = await self.http.get(f"/fhir/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [row["resource"] for row in answer.json().get("entry", ()) if row["search"]["mode"] == "match"]

    async def read(self, reference: str) -> Json:
        found: Json = (await self.http.get(f"/fhir/{reference}")).json()
        return found

    async def post(self, path: str, who: dict[str, str], body: Json | None = None) -> Json:
        answer = await self.http.post(f"/fhir/{path}", headers=who, json=body)
        assert answer.status_code in (200, 201), answer.text
        found: Json = answer.json()
        return found

    async def update(self, resource: Json, who: dict[str, str], **elements: Any) -> Json:
        headers = who | {"If-Match": f'W/"{resource["meta"]["versionId"]}"'}
        place = f"/fhir/{resource['resourceType']}/{resource['id']}"
        answer = await self.http.put(place, headers=headers, json=resource | elements)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


async def registered(gateway: Gateway) -> None:
    """A centre that reads images and ECGs, with two physicians."""
    category = [{"coding": [{"system": CATEGORY, "code": code}]} for code in ("imaging", "ecg")]
    await put(
        gateway,
        {"resourceType": "Organization", "id": "centre", "name": "县影像心电中心"},
        {"resourceType": "HealthcareService", "id": "reading", "active": True, "category": category,
         "providedBy": {"reference": "Organization/centre"}},
        *(
            {"resourceType": "PractitionerRole", "id": id, "practitioner": {"display": name},
             "organization": {"reference": "Organization/centre"}}
            for id, name in (("li", "李建国"), ("wang", "王丽"))
        ),
    )  # fmt: skip


async def ordered(gateway: Gateway, raw: bytes) -> None:
    sender = await Sender.connect(gateway.mllp_port)
    assert msa(await sender.ask(raw, "gbk"))[1] == "AA"
    await sender.close()


async def reported(centre: Centre, order: str, text: str) -> Json:
    """Claim the reading, write, verify and sign; return the report."""
    [reading] = await wait_for(
        lambda: centre.rows(f"Task/$worklist?code=read-report&patient={order.partition('|')[0]}", **READER)
    )
    reading = await centre.post(f"Task/{reading['id']}/$claim", READER)
    known = await centre.rows(f"DiagnosticReport?based-on={reading['focus']['reference']}")
    if known:
        # The device said something already; the reader goes on from there.
        report = await centre.update(
            known[0], READER, conclusion=text, performer=[{"reference": "PractitionerRole/li"}]
        )
    else:
        draft = {
            "resourceType": "DiagnosticReport", "status": "preliminary",
            "code": (await centre.read(reading["focus"]["reference"]))["code"],
            "basedOn": [reading["focus"]], "subject": reading["for"], "conclusion": text,
            "performer": [{"reference": "PractitionerRole/li"}],
        }  # fmt: skip
        report = await centre.post("DiagnosticReport", READER, draft)
    reading = await centre.read(f"Task/{reading['id']}")
    await centre.update(reading, READER, status="completed")
    [verifying] = await centre.rows("Task/$worklist?code=verify-report", **AUDITOR)
    await centre.post(f"Task/{verifying['id']}/$claim", AUDITOR)
    return await centre.post(f"DiagnosticReport/{report['id']}/$sign", AUDITOR)


async def phases(centre: Centre, task: str) -> list[tuple[str, str]]:
    """The way of a Task, status and phase, repeats left out."""
    answer = (await centre.http.get(f"/fhir/{task}/_history?_count=50")).json()["entry"]
    steps = [
        (row["resource"]["status"], row["resource"]["businessStatus"]["coding"][0]["code"])
        for row in reversed(answer)
    ]
    return list(dict.fromkeys(steps))


def to_the_township(folder: Path, port: int) -> Path:
    """A destination as docs/operations/destinations.md has it: the township's own listener, GBK."""
    path = folder / "destinations.yaml"
    path.write_text(
        "destinations:\n"
        f"  - {{name: 青山卫生院HIS, organization: {TOWN}, channel: mllp, address: '127.0.0.1:{port}', charset: GBK,\n"
        f"     maps: {{report-final: out-hl7v2-results}}, sender: [HUTONG, XYLYGT], receiver: [HIS, {TOWN}]}}\n",
        "utf-8",
    )
    return path


def segments(raw: bytes) -> dict[str, list[list[str]]]:
    """The fields of a message by segment."""
    found: dict[str, list[list[str]]] = {}
    for line in raw.decode("gbk").strip("\r").split("\r"):
        fields = line.split("|")
        found.setdefault(fields[0], []).append(fields)
    return found


def returned(found: dict[str, list[list[str]]], report: Json, accession: str) -> bytes:
    """The ORU as the township must get it, byte for byte. Only MSH-7 and MSH-10 are taken from what came."""
    sent, control = found["MSH"][0][6], found["MSH"][0][9]
    issued = report["issued"].replace("-", "").replace("T", "").replace(":", "").partition("+")[0]
    lines = [
        f"MSH|^~\\&|HUTONG|XYLYGT|HIS|QSWSY|{sent}||ORU^R01^ORU_R01|{control}|P|2.4||||||GBK",
        "PID|1||99999901^^^QSWSY^^青山卫生院~11523141^^^QSWSY||测试^一一||19280410|F|||某省某市某路6栋",
        "ORC|RE|SQ1|||||||20260315083001|||D01^李建国^^^^^^^QSWSY|||||020101^全科||||全科^^020101^^^QSWSY^科室^^^020101",
        f"OBR|1|SQ1||CT001^胸部CT平扫^L|S|||||||||||D01^李建国^^^^^^^QSWSY||{accession}||||{issued}||RAD|F|||||||&王丽",
        f"OBX|1|TX|19005-8^诊断意见^LN||双肺未见异常||||||F|||{issued}",
    ]
    return "".join(f"{line}\r" for line in lines).encode("gbk")


class TestImaging:
    def test_from_the_township_to_the_signed_report(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with (
                mllp_receiver() as town,
                imaging(tmp_path, mllp=True, destinations=to_the_township(tmp_path, town.port)) as gateway,
            ):
                await registered(gateway)
                centre = Centre(gateway)
                await ordered(gateway, order("SQ1", "CT001^胸部CT平扫", "RAD", second=1))
                [task] = await wait_for(lambda: centre.rows("Task/$worklist?code=fulfill", **READER))
                assert (task["status"], task["priority"]) == ("requested", "stat")
                [row] = await asyncio.to_thread(ask, gateway.dicom_port, query(PatientID="99999901"))
                raw = made_by_device(
                    "dicom/CT_small.dcm", AccessionNumber=row.AccessionNumber, PatientID="99999901",
                    PatientName="CeShi^YiYi", StudyInstanceUID=row.StudyInstanceUID,
                )  # fmt: skip
                [answer] = await asyncio.to_thread(send, gateway.dicom_port, raw)
                assert answer.Status == 0
                [study] = await wait_for(lambda: centre.rows("ImagingStudy?status=available"))
                assert study["basedOn"] == [task["focus"]]
                report = await reported(centre, task["for"]["reference"], "双肺未见异常")
                assert report["status"] == "final"
                assert await phases(centre, f"Task/{task['id']}") == [
                    ("requested", "ordered"),
                    ("accepted", "ordered"),
                    ("in-progress", "acquired"),
                    ("in-progress", "images-available"),
                    ("in-progress", "claimed"),
                    ("in-progress", "drafted"),
                    ("completed", "issued"),
                ]
                assert (await centre.read(task["focus"]["reference"]))["status"] == "completed"
                await town.wait(1)
                [message] = town.taken
                assert message == returned(segments(message), report, row.AccessionNumber)

        run(body())


class TestEcg:
    def test_the_device_speaks_first_and_the_physician_signs(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with (
                mllp_receiver() as town,
                imaging(tmp_path, mllp=True, destinations=to_the_township(tmp_path, town.port)) as gateway,
            ):
                await registered(gateway)
                centre = Centre(gateway)
                await ordered(gateway, order("SQ2", "ECG01^常规心电图", "EC", second=2))
                [task] = await wait_for(lambda: centre.rows("Task/$worklist?category=ecg", **READER))
                raw = made_by_device(
                    "ecg/waveform_ecg.dcm",
                    AccessionNumber="SQ2",
                    PatientID="99999901",
                    PatientName="CeShi^YiYi",
                )
                answer = await centre.http.post("/messages/ecg?wait=stored", content=raw)
                assert answer.status_code == 200, answer.text
                waiting = await centre.read(f"Task/{task['id']}")
                assert waiting["status"] == "in-progress"
                assert waiting["businessStatus"]["coding"][0]["code"] == "quality-checked"
                report = await reported(centre, task["for"]["reference"], "窦性心律,正常心电图")
                assert (report["status"], report["conclusion"]) == ("final", "窦性心律,正常心电图")
                assert (await centre.read(f"Task/{task['id']}"))["status"] == "completed"
                await town.wait(1)
                found = segments(town.taken[-1])
                assert found["OBR"][0][2].startswith("SQ2")
                assert found["OBR"][0][25] == "F"
                assert any("窦性心律,正常心电图" in fields[5] for fields in found["OBX"])

        run(body())


class TestAReceiverThatIsDown:
    def test_what_was_signed_meanwhile_arrives_once_and_in_order(self, tmp_path: Path) -> None:
        """Its listener is down while two reports are signed and a correction follows; then it is there again."""

        async def body() -> None:
            async with mllp_receiver() as gone:
                port = gone.port
            async with imaging(tmp_path, mllp=True, destinations=to_the_township(tmp_path, port)) as gateway:
                await registered(gateway)
                centre = Centre(gateway)
                for number in (1, 2):
                    await ordered(gateway, order(f"SQ{number}", "CT001^胸部CT平扫", "RAD", second=number))
                    [task] = await wait_for(
                        lambda: centre.rows("Task/$worklist?code=fulfill&status=requested", **READER)
                    )
                    report = {
                        "resourceType": "DiagnosticReport", "status": "preliminary", "code": {"text": "胸部CT"},
                        "basedOn": [task["focus"]], "subject": task["for"], "conclusion": f"结论{number}",
                    }  # fmt: skip
                    made = await centre.post("DiagnosticReport", READER, report)
                    await centre.post(f"DiagnosticReport/{made['id']}/$sign", AUDITOR)
                await asyncio.sleep(0.5)
                async with mllp_receiver(port=port) as town:
                    await town.wait(2)
                    await asyncio.sleep(0.3)
                    texts = [message.decode("gbk") for message in town.taken]
                    assert len(town.effects) == 2
                    assert {number for number in (1, 2) for text in texts if f"结论{number}" in text} == {
                        1,
                        2,
                    }

        run(body())
