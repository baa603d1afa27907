"""An ECG from the device's file to the drawing: kinds, quality gate, order matching, $ecg-waveform, $ecg-svg."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mappings.ecg.draw import GAINS, LAYOUTS, SPEEDS, Chart, Layout, draw
from mappings.ecg.read import read_recording
from mappings.language.active import ActiveMaps
from tests.gateway.running import run
from tests.gateway.test_messages_http import serving
from tests.mappings.ecg_files import LEADS, sample, to_aecg, to_dicom, to_muse, to_scp

MAPS = ActiveMaps()
DATA = Path(__file__).parent.parent / "data" / "ecg"
SVG = "{http://www.w3.org/2000/svg}"
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "r1",
    "identifier": [{"system": "urn:his", "value": "A2026001"}],
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/p1"},
    "encounter": {"reference": "Encounter/e1"},
}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"text": "张三丰"}],
    "birthDate": "1950-01-01",
}
ENCOUNTER: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "e1",
    "status": "in-progress",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
    "subject": {"reference": "Patient/p1"},
}


async def put(client: Any, *resources: dict[str, Any]) -> None:
    for resource in resources:
        answer = await client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text


async def only(client: Any, type: str) -> dict[str, Any]:
    found = (await client.get(f"/fhir/{type}")).json()
    assert found["total"] == 1, type
    return dict(found["entry"][0]["resource"])


class TestSending:
    @pytest.mark.parametrize(
        ("kind", "write"), [("aecg", to_aecg), ("scp", to_scp), ("ecg", to_dicom), ("ecg", to_muse)]
    )
    def test_a_file_becomes_resources_and_keeps_its_bytes(
        self, tmp_path: Path, kind: str, write: Any
    ) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = write(sample(1))
                answer = await client.post(f"/messages/{kind}?wait=stored", content=raw)
                assert (answer.status_code, answer.json()["answer"]) == (200, "accept")
                told = (await client.get("/messages/1")).json()
                assert told["state"] == "stored", told
                observation = await only(client, "Observation")
                assert not any("valueSampledData" in row for row in observation["component"])
                report = await only(client, "DiagnosticReport")
                assert report["status"] == "preliminary"
                assert report["conclusion"].startswith("窦性心律")
                assert report["conclusionCode"] == [{"text": "机器自动分析，未经医师确认"}]
                assert report["result"] == [{"reference": f"Observation/{observation['id']}"}]
                attachment = (await only(client, "DocumentReference"))["content"][0]["attachment"]
                file = await client.get(f"/fhir/{attachment['url']}")
                assert file.content == raw
                assert attachment["size"] == len(raw)
                again = await client.post(f"/messages/{kind}?wait=stored", content=raw)
                assert again.json()["text"] == "repeat of message 1"

        run(body())

    def test_seven_leads_are_refused_in_both_languages_and_kept(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = to_scp(sample(1, leads=LEADS[:7]))
                answer = await client.post("/messages/scp", content=raw)
                assert answer.status_code == 422
                told = answer.json()
                assert told["answer"] == "error"
                assert told["issues"][0]["code"] == "HT-ECG-01"
                assert "只有 7 个导联" in told["issues"][0]["zh"]
                assert "has 7 leads" in told["issues"][0]["en"]
                assert (await client.get("/messages/1")).json()["state"] == "parked"
                assert (await client.get("/messages/1/raw")).content == raw
                assert (await client.get("/fhir/Observation")).json()["total"] == 0

        run(body())

    @pytest.mark.parametrize(
        ("kind", "raw", "status", "code"),
        [
            ("aecg", b"<AnnotatedECG type=", 400, "HT-ECG-20"),
            ("aecg", to_scp(sample(1)), 400, "HT-ECG-25"),
            ("scp", to_scp(sample(1))[:3000], 400, "HT-ECG-20"),
            ("ecg", b"hello", 400, "HT-ECG-21"),
            ("aecg", to_aecg(sample(1), doctype="<!DOCTYPE x [<!ENTITY a 'b'>]>"), 400, "HT-ECG-24"),
        ],
    )
    def test_what_cannot_be_read_is_kept_for_a_person(
        self, tmp_path: Path, kind: str, raw: bytes, status: int, code: str
    ) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                answer = await client.post(f"/messages/{kind}", content=raw)
                assert (answer.status_code, answer.json()["issues"][0]["code"]) == (status, code)
                assert (await client.get("/messages/1/raw")).content == raw
                fhir = {"Accept": "application/fhir+json", "Accept-Language": "en"}
                outcome = (await client.post(f"/messages/{kind}", content=raw + b" ", headers=fhir)).json()
                assert outcome["resourceType"] == "OperationOutcome"

        run(body())


class TestDicom:
    """A waveform object is a study and an ECG; both speak of one patient."""

    def test_an_ecg_as_dicom_object(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                answer = await client.post("/messages/dicom?wait=stored", content=to_dicom(sample(1)))
                assert answer.status_code == 200
                assert (await client.get("/messages/1")).json()["state"] == "stored"
                subject = (await only(client, "ImagingStudy"))["subject"]
                observation = await only(client, "Observation")
                assert (
                    observation["subject"]
                    == subject
                    == {"reference": f"Patient/{(await only(client, 'Patient'))['id']}"}
                )
                picture = await client.get(f"/fhir/Observation/{observation['id']}/$ecg-svg")
                assert picture.status_code == 200

        run(body())

    def test_the_preview_has_the_waveform_on_demand(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = (DATA / "waveform_ecg.dcm").read_bytes()
                for query, wanted in (("dicom&waveform=true", True), ("dicom", False)):
                    answer = await client.post(f"/fhir/$convert?adapter={query}", content=raw)
                    assert answer.status_code == 200, answer.text
                    assert ("valueSampledData" in answer.text) is wanted
                    assert '"DiagnosticReport"' in answer.text

        run(body())

    def test_seven_leads_are_parked(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                answer = await client.post("/messages/dicom", content=to_dicom(sample(1, leads=LEADS[:7])))
                assert (answer.status_code, answer.json()["issues"][0]["code"]) == (422, "HT-ECG-01")
                assert (await client.get("/messages/1")).json()["state"] == "parked"

        run(body())


class TestOrders:
    def test_the_order_of_that_number_and_its_patient(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                await put(client, PATIENT, ENCOUNTER, ORDER)
                await client.post("/messages/ecg?wait=stored", content=to_dicom(sample(1)))
                observation = await only(client, "Observation")
                assert observation["basedOn"] == [
                    {
                        "reference": "ServiceRequest/r1",
                        "type": "ServiceRequest",
                        "identifier": {"value": "A2026001"},
                    }
                ]
                assert observation["subject"] == {"reference": "Patient/p1"}
                assert observation["encounter"] == {"reference": "Encounter/e1"}
                assert (await only(client, "DiagnosticReport"))["subject"] == {"reference": "Patient/p1"}
                # The device's own number leads to the patient from now on.
                assert "P0001" in json.dumps(await only(client, "Patient"))

        run(body())

    def test_an_order_of_another_patient_is_not_touched(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                await put(client, {**PATIENT, "name": [{"text": "李四"}]}, ENCOUNTER, ORDER)
                await client.post("/messages/ecg?wait=stored", content=to_dicom(sample(1)))
                observation = await only(client, "Observation")
                assert "reference" not in observation["basedOn"][0]
                assert observation["subject"] != {"reference": "Patient/p1"}
                told = (await client.get("/messages/1")).json()
                assert [row["code"] for row in told["issues"]] == ["HT-ECG-13"]

        run(body())

    def test_an_unknown_order_stays_as_its_number(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                await client.post("/messages/ecg?wait=stored", content=to_muse(sample(1)))
                assert [row["code"] for row in (await client.get("/messages/1")).json()["issues"]] == [
                    "HT-ECG-12"
                ]
                # Its order comes later: the record finds it by itself.
                await put(client, PATIENT, ENCOUNTER, ORDER)
                for _ in range(200):
                    observation = await only(client, "Observation")
                    if "reference" in observation["basedOn"][0]:
                        break
                    await asyncio.sleep(0.02)
                assert observation["basedOn"][0]["reference"] == "ServiceRequest/r1"
                assert observation["subject"] == {"reference": "Patient/p1"}
                assert (await only(client, "DiagnosticReport"))["encounter"] == {"reference": "Encounter/e1"}

        run(body())


class TestOnDemand:
    def test_convert_with_and_without_waveform(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = (DATA / "aecg_hl7_example.xml").read_bytes()
                for query, leads in (("aecg", 0), ("ecg&waveform=false", 0), ("aecg&waveform=true", 12)):
                    answer = await client.post(
                        f"/fhir/$convert?adapter={query}",
                        content=raw,
                        headers={"Content-Type": "application/xml"},
                    )
                    assert answer.status_code == 200, answer.text
                    bundle = answer.json()["parameter"][0]["resource"]
                    (observation,) = [
                        row["resource"]
                        for row in bundle["entry"]
                        if row["resource"]["resourceType"] == "Observation"
                    ]
                    assert sum("valueSampledData" in row for row in observation["component"]) == leads
                answer = await client.post("/fhir/$convert?adapter=aecg&waveform=yes", content=raw)
                assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (
                    400,
                    "HT-ECG-31",
                )
                seven = to_aecg(sample(1, leads=LEADS[:7]))
                answer = await client.post("/fhir/$convert?adapter=aecg", content=seven)
                assert "HT-ECG-01" in answer.text

        run(body())

    def test_waveform_and_drawing_of_what_is_stored(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                made = sample(1)
                await client.post("/messages/aecg?wait=stored", content=to_aecg(made))
                for type in ("Observation", "DiagnosticReport", "DocumentReference"):
                    id = (await only(client, type))["id"]
                    answer = await client.get(f"/fhir/{type}/{id}/$ecg-waveform")
                    assert answer.status_code == 200, answer.text
                    shown = answer.json()
                    leads = {
                        row["code"]["text"]: row["valueSampledData"]
                        for row in shown["component"]
                        if "valueSampledData" in row
                    }
                    assert set(leads) == set(LEADS)
                    assert leads["V1"]["data"] == " ".join(map(str, made.leads["V1"]))
                    assert any(row.get("valueQuantity", {}).get("value") == 72 for row in shown["component"])
                    picture = await client.get(
                        f"/fhir/{type}/{id}/$ecg-svg", headers={"Accept": "image/svg+xml"}
                    )
                    assert picture.status_code == 200, picture.text
                    assert picture.headers["content-type"].startswith("image/svg+xml")
                    assert etree.fromstring(picture.content).tag == f"{SVG}svg"
                assert (await client.get("/fhir/Observation")).json()["total"] == 1

        run(body())

    def test_an_observation_with_its_own_leads(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                raw = to_aecg(sample(1))
                answer = await client.post("/fhir/$convert?adapter=aecg&waveform=true", content=raw)
                bundle = answer.json()["parameter"][0]["resource"]
                (observation,) = [
                    row["resource"]
                    for row in bundle["entry"]
                    if row["resource"]["resourceType"] == "Observation"
                ]
                kept = {
                    key: observation[key]
                    for key in ("resourceType", "id", "status", "code", "component", "effectiveDateTime")
                }
                await put(client, PATIENT, {**kept, "subject": {"reference": "Patient/p1"}})
                picture = await client.get(f"/fhir/Observation/{kept['id']}/$ecg-svg?language=en&layout=12x1")
                root = etree.fromstring(picture.content)
                assert "张三丰" in "".join(root.itertext())
                assert "HR 72 bpm" in root.findtext(f"{SVG}desc")

        run(body())

    def test_what_cannot_be_drawn(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, maps=MAPS) as (_, client):
                plain = {
                    "resourceType": "Observation",
                    "id": "o1",
                    "status": "final",
                    "code": {"text": "脉搏"},
                }
                await put(client, plain)
                for path, status, code in (
                    ("Observation/o1/$ecg-svg", 404, "HT-ECG-30"),
                    ("Observation/o1/$ecg-waveform", 404, "HT-ECG-30"),
                    ("Observation/none/$ecg-svg", 404, "HT-REST-01"),
                    ("Observation/o1/$ecg-svg?gain=7&speed=1", 400, "HT-ECG-31"),
                ):
                    answer = await client.get(f"/fhir/{path}")
                    assert (
                        answer.status_code,
                        answer.json()["issue"][0]["details"]["coding"][0]["code"],
                    ) == (status, code)
                assert (
                    len((await client.get("/fhir/Observation/o1/$ecg-svg?gain=7&speed=1")).json()["issue"])
                    == 2
                )

        run(body())


class TestDrawing:
    """workflows.md §7.1"""

    RECORDING = read_recording(to_dicom(sample(1)))

    def drawn(self, chart: Chart) -> Any:
        return etree.fromstring(draw(self.RECORDING, chart).encode())

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("speed", SPEEDS)
    @pytest.mark.parametrize("gain", GAINS)
    def test_the_paper_is_in_real_millimetres(self, layout: Layout, speed: int, gain: int) -> None:
        root = self.drawn(Chart(layout, speed, gain))
        width, height = float(root.get("width")[:-2]), float(root.get("height")[:-2])
        assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
        # Ten seconds, the calibration pulse and the margins.
        assert 10 * speed + 10 < width < 10 * speed + 30
        pulse = root.find(f"{SVG}path[@class='trace pulse']").get("d")
        assert f"v{-gain}h{0.2 * speed:g}v{gain}" in pulse
        assert {path.get("data-lead") for path in root.iter(f"{SVG}path")} - {None} == set(LEADS)

    def test_the_path_is_the_signal(self) -> None:
        made = sample(1)
        root = self.drawn(Chart("12x1", 50, 20))
        path = root.find(f"{SVG}path[@data-lead='V6']").get("d")
        head, _, rest = path.partition("l")
        y = [float(head[1:].split()[1])]
        for drop in rest.split()[1::2]:
            y.append(y[-1] + float(drop))
        top, bottom = max(made.leads["V6"]), min(made.leads["V6"])
        # 20 mm/mV: the swing of the drawing is that of the signal to a hundredth of a millimetre.
        assert max(y) - min(y) == pytest.approx((top - bottom) * 2.5 / 1000 * 20, abs=0.03)

    def test_the_grid_has_lines_of_1_and_5_mm(self) -> None:
        root = self.drawn(Chart())
        fine, coarse = (root.find(f"{SVG}path[@class='{name}']").get("d") for name in ("fine", "coarse"))
        assert coarse.startswith("M0 0V")
        assert "M5 0V" in coarse
        assert "M1 0V" in fine
        assert "M5 0V" not in fine

    def test_the_text_alternative_lists_what_is_seen(self) -> None:
        chinese = self.drawn(Chart(language="zh"))
        said = chinese.findtext(f"{SVG}desc")
        assert "心率 72 bpm" in said
        assert "窦性心律" in said
        assert "V6" in said
        assert "张三丰" in chinese.findtext(f"{SVG}title")
        english = self.drawn(Chart(language="en", is_anonymous=True))
        assert "Leads: I, II" in english.findtext(f"{SVG}desc")
        assert "张三丰" not in etree.tostring(english, encoding="unicode")

    @pytest.mark.parametrize("layout", ["3x4+1", "6x2", "12x1"])
    def test_five_seconds_leave_no_lead_empty(self, layout: Any) -> None:
        recording = read_recording(to_dicom(sample(1, seconds=5)))
        assert recording.seconds == 5
        text = draw(recording, Chart(layout=layout, language="en"))
        drawn = {node.get("data-lead") for node in etree.fromstring(text.encode()).iter(f"{SVG}path")} - {
            None
        }
        assert {"I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"} <= drawn
        assert ("columns overlap in time" in text) == (layout != "12x1")
        assert "columns overlap" not in draw(self.RECORDING, Chart(layout=layout, language="en"))

    def test_texts_of_strangers_are_escaped(self) -> None:
        recording = read_recording(to_dicom(sample(1, statements=("<script>alert(1)</script> & co",))))
        root = etree.fromstring(draw(recording).encode())
        assert root.find(f".//{SVG}script") is None

    def test_seven_leads_name_what_is_missing(self) -> None:
        recording = read_recording(to_dicom(sample(1, leads=LEADS[:7])))
        text = "".join(etree.fromstring(draw(recording).encode()).itertext())
        assert "缺导联 V2, V3, V4, V5, V6" in text


def test_the_hash_of_the_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    import hashlib

    async def body() -> None:
        async with serving(tmp_path, maps=MAPS) as (_, client):
            raw = to_scp(sample(4))
            await client.post("/messages/scp?wait=stored", content=raw)
            attachment = (await only(client, "DocumentReference"))["content"][0]["attachment"]
            assert base64.b64decode(attachment["hash"]) == hashlib.sha1(raw).digest()

    run(body())
