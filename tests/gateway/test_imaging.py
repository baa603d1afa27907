"""The DICOM port: objects kept, studies as resources, orders matched, worklist and performed steps."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway, build
from gateway.settings import Settings
from terminology.issues import Unavailable
from tests.gateway.dicom_network import (
    CT,
    MPPS,
    PATIENT,
    VERIFY,
    ask,
    client,
    device,
    imaging,
    order,
    put,
    query,
    read,
    resources,
    send,
    wait_for,
)
from tests.gateway.running import run
from tests.mappings.dicom_files import SAMPLES, ct


async def study(gateway: Gateway, status: str = "available") -> dict:
    async def look() -> dict | None:
        found = await resources(gateway, "ImagingStudy")
        return found[0] if found and found[0]["status"] == status else None

    return await wait_for(look)


class TestStore:
    """C-STORE: PS3.4 §B"""

    def test_echo(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:

                def speak() -> int:
                    with device(gateway.dicom_port, VERIFY) as association:
                        return association.send_c_echo().Status

                assert await asyncio.to_thread(speak) == 0

        run(scenario())

    def test_a_study_grows_and_becomes_available(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                raws = [ct(uid=f"1.2.3.1.1.{number}", number=number) for number in range(1, 4)]
                raws.append(ct(uid="1.2.3.1.2.1", series="1.2.3.1.2", series_number="2", number=1))
                answers = await asyncio.to_thread(send, gateway.dicom_port, *raws)
                assert [answer.Status for answer in answers] == [0, 0, 0, 0]
                found = await study(gateway)
                assert found["numberOfInstances"] == 4
                assert [(row["number"], row["numberOfInstances"]) for row in found["series"]] == [
                    (1, 3),
                    (2, 1),
                ]
                assert found["modality"] == [
                    {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
                ]
                patient = (await resources(gateway, "Patient"))[0]
                assert patient["name"][0]["text"] == "张三丰"
                endpoint = (await resources(gateway, "Endpoint"))[0]
                assert endpoint["address"].endswith("/dicomweb")
                assert found["endpoint"] == [{"reference": f"Endpoint/{endpoint['id']}"}]
                assert len(list((tmp_path / "imaging" / "objects").rglob("*.dcm"))) == 4

        run(scenario())

    def test_the_same_object_again_changes_nothing(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, ct())
                first = await study(gateway)
                assert [
                    row.Status for row in await asyncio.to_thread(send, gateway.dicom_port, ct(), ct())
                ] == [0, 0]
                await asyncio.sleep(0.5)
                assert (await study(gateway))["meta"]["versionId"] == first["meta"]["versionId"]

        run(scenario())

    def test_other_content_under_a_known_uid_is_kept_aside(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                answers = await asyncio.to_thread(send, gateway.dicom_port, ct(), ct(pixels=b"\7" * 64))
                assert [answer.Status for answer in answers] == [0, 0xB000]
                async with client(gateway) as http:
                    rows = (await http.get("/imaging/asides")).json()["asides"]
                    assert [(row["uid"], row["reason"]) for row in rows] == [("1.2.3.1.1.1", "conflict")]
                    done = await http.post(f"/imaging/asides/{rows[0]['id']}/accept")
                    assert done.json()["state"] == "accepted"
                    whole = await http.get(
                        "/dicomweb/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1",
                        headers={"Accept": "application/dicom"},
                    )
                    assert whole.content.endswith(b"\7" * 64)

        run(scenario())

    def test_two_patients_in_one_study(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                other = ct(uid="1.2.3.1.1.2", patient="P0002", name="Li^Si=李^四", birth="19700101")
                answers = await asyncio.to_thread(send, gateway.dicom_port, ct(), other)
                assert [answer.Status for answer in answers] == [0, 0xC002]
                assert "HT-DCM-21" in answers[1].ErrorComment
                assert (await study(gateway))["numberOfInstances"] == 1
                async with client(gateway) as http:
                    rows = (await http.get("/imaging/asides")).json()["asides"]
                    assert rows[0]["reason"] == "other-patient"

        run(scenario())

    def test_an_object_without_study_uid_is_refused_and_its_bytes_kept(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                answers = await asyncio.to_thread(send, gateway.dicom_port, ct(study=None))
                assert answers[0].Status == 0xA900
                assert answers[0].ErrorComment.startswith("HT-DCM-02")
                async with client(gateway) as http:
                    rows = (await http.get("/messages", params={"state": "parked"})).json()["messages"]
                    assert [row["issues"][0]["code"] for row in rows] == ["HT-DCM-02"]
                    raw = await http.get(f"/messages/{rows[0]['id']}/raw")
                    assert b"CT01" in raw.content
                assert await resources(gateway, "ImagingStudy") == []

        run(scenario())

    def test_a_full_disk_is_out_of_resources(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                gateway.imaging.archive.min_free = 1 << 60
                answers = await asyncio.to_thread(send, gateway.dicom_port, ct())
                assert answers[0].Status == 0xA700

        run(scenario())

    def test_what_was_stored_is_there_after_a_restart(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path, store="sqlite", dicom_quiet_seconds=2) as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, ct())
            async with imaging(tmp_path, store="sqlite") as gateway:
                assert (await study(gateway))["numberOfInstances"] == 1

        run(scenario())

    def test_a_report_becomes_its_resources(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                raw = (SAMPLES / "test-SR.dcm").read_bytes()
                sop_class = "1.2.840.10008.5.1.4.1.1.88.33"

                def speak() -> int:
                    return send(gateway.dicom_port, raw, sop_class=sop_class)[0].Status

                assert await asyncio.to_thread(speak) == 0
                await study(gateway)
                assert len(await resources(gateway, "DiagnosticReport")) == 1
                assert len(await resources(gateway, "Observation")) == 2

        run(scenario())

    def test_a_message_is_filed_too(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway, client(gateway) as http:
                for number in (1, 2):
                    raw = ct(uid=f"1.2.3.1.1.{number}", number=number)
                    answer = await http.post("/messages/dicom?wait=stored", content=raw)
                    assert answer.status_code == 200, answer.text
                assert (await study(gateway))["numberOfInstances"] == 2
                refused = await http.post("/messages/dicom", content=ct(uid=None))
                assert refused.status_code == 400
                assert refused.json()["issues"][0]["code"] == "HT-DCM-02"
                other = ct(uid="1.2.3.1.1.9", patient="P0002", name="Li^Si=李^四", birth="19700101")
                refused = await http.post("/messages/dicom", content=other)
                assert (refused.status_code, refused.json()["issues"][0]["code"]) == (422, "HT-DCM-21")
                truncated = await http.post("/messages/dicom", content=ct(pixels=b"1" * 500)[:900])
                assert truncated.json()["issues"][0]["code"] == "HT-DCM-03"

        run(scenario())


class TestOrders:
    def test_an_imaging_order_gets_its_accession_number(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                _, first = await put(gateway, PATIENT, order("r1"))
                number = next(
                    row["value"] for row in first["identifier"] if row["type"]["coding"][0]["code"] == "ACSN"
                )
                assert len(number) == 14
                _, again = await put(gateway, PATIENT, order("r1", priority="urgent"))
                assert number in [row["value"] for row in again["identifier"]]

        run(scenario())

    def test_a_study_finds_its_order_and_takes_its_patient(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                _, request = await put(gateway, PATIENT, order("r1"))
                number = request["identifier"][1]["value"]
                await asyncio.to_thread(send, gateway.dicom_port, ct(accession=number))
                found = await study(gateway)
                assert found["basedOn"] == [{"reference": "ServiceRequest/r1"}]
                assert found["subject"] == {"reference": "Patient/p1"}
                assert len(await resources(gateway, "Patient")) == 1

        run(scenario())

    def test_the_number_of_somebody_else_makes_an_orphan(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway, client(gateway) as http:
                _, request = await put(gateway, PATIENT, order("r1"))
                number = request["identifier"][1]["value"]
                raw = ct(accession=number, patient="P9", name="Li^Si=李^四", birth="19700101")
                await asyncio.to_thread(send, gateway.dicom_port, raw)
                found = await study(gateway)
                assert "basedOn" not in found
                rows = (await http.get("/imaging/orphans")).json()["orphans"]
                assert [(row["study"], row["reason"]) for row in rows] == [("1.2.3.1", "other-patient")]
                assert rows[0]["reason_zh"]
                refused = await http.post(
                    "/imaging/orphans/1.2.3.1/link", json={"order": "ServiceRequest/r1"}
                )
                assert refused.status_code == 422
                assert "HT-DCM-33" in refused.text

        run(scenario())

    def test_an_orphan_is_suggested_its_order_and_linked(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway, client(gateway) as http:
                await put(gateway, PATIENT, order("r1"), order("r2", code={"text": "上腹部彩超"}))
                await asyncio.to_thread(send, gateway.dicom_port, ct())
                await study(gateway)
                row = (await http.get("/imaging/orphans/1.2.3.1")).json()
                first, second = row["suggestions"][:2]
                assert (first["order"], second["order"]) == ("ServiceRequest/r1", "ServiceRequest/r2")
                assert first["score"] > second["score"]
                assert {"+patient-number", "+name", "+birth-date", "+modality", "+day"} <= set(
                    first["reasons"]
                )
                assert "-modality" in second["reasons"]
                done = await http.post(
                    "/imaging/orphans/1.2.3.1/link", json={"order": "ServiceRequest/r1", "by": "王技师"}
                )
                assert done.status_code == 200, done.text
                assert (await resources(gateway, "ImagingStudy"))[0]["basedOn"] == [
                    {"reference": "ServiceRequest/r1"}
                ]
                assert (await http.get("/imaging/orphans")).json()["orphans"] == []
                linked = (await http.get("/imaging/orphans?state=linked")).json()["orphans"]
                assert linked[0]["decided_by"] == "王技师"

        run(scenario())

    def test_an_order_that_comes_after_its_images(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, ct(accession="SQ-r1"))
                assert "basedOn" not in await study(gateway)
                await put(gateway, PATIENT, order("r1"))
                with gateway.imaging.archive.writing() as connection:
                    connection.execute("update orphan set looked = 0")

                async def look() -> bool:
                    return "basedOn" in (await resources(gateway, "ImagingStudy"))[0]

                await wait_for(look)

        run(scenario())

    def test_dismissing_wants_a_reason(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway, client(gateway) as http:
                await asyncio.to_thread(send, gateway.dicom_port, ct())
                await study(gateway)
                assert (await http.post("/imaging/orphans/1.2.3.1/dismiss", json={})).status_code == 409
                done = await http.post("/imaging/orphans/1.2.3.1/dismiss", json={"reason": "自费"})
                assert done.status_code == 200
                assert (await http.get("/imaging/orphans")).json()["orphans"] == []
                assert (
                    await http.post("/imaging/orphans/9.9/dismiss", json={"reason": "x"})
                ).status_code == 404

        run(scenario())


class TestWorklist:
    """Modality worklist: PS3.4 §K"""

    def test_names_in_the_charset_that_is_asked_for(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                await put(gateway, PATIENT, order("r1"))
                for charset, codec in (("GB18030", "gb18030"), ("ISO_IR 192", "utf-8"), ("", "gb18030")):
                    rows = await asyncio.to_thread(
                        ask, gateway.dicom_port, query(SpecificCharacterSet=charset)
                    )
                    assert str(rows[0].PatientName) == "Zhang^Sanfeng=张^三丰", charset
                    assert rows[0].RequestedProcedureDescription == "胸部CT平扫"
                    assert "张".encode(codec)
                rows = await asyncio.to_thread(
                    ask, gateway.dicom_port, query(SpecificCharacterSet="ISO_IR 100")
                )
                assert str(rows[0].PatientName) == "Zhang^Sanfeng"
                assert rows[0].RequestedProcedureDescription.isascii()

        run(scenario())

    def test_what_a_step_says(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                _, request = await put(gateway, PATIENT, order("r1"))
                row = (await asyncio.to_thread(ask, gateway.dicom_port, query()))[0]
                step = row.ScheduledProcedureStepSequence[0]
                number = request["identifier"][1]["value"]
                assert (row.PatientID, row.PatientBirthDate, row.PatientSex) == ("P0001", "19850101", "M")
                assert (
                    row.AccessionNumber == row.RequestedProcedureID == step.ScheduledProcedureStepID == number
                )
                assert (step.Modality, step.ScheduledStationAETitle) == ("CT", "CT01")
                assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == (
                    "20260315",
                    "093000",
                )
                assert row.StudyInstanceUID.startswith("2.25.")

        run(scenario())

    def test_matching_keys(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                bodies = await put(
                    gateway,
                    PATIENT,
                    {**PATIENT, "id": "p2", "identifier": [{"system": "urn:id:H1", "value": "P0002"}], "name": [{"text": "李四"}]},
                    order("r1"),
                    order("r2", subject={"reference": "Patient/p2"}, code={"text": "肝胆胰脾彩超"}, occurrenceDateTime="2026-03-16T10:00:00+08:00"),
                )  # fmt: skip
                number = bodies[2]["identifier"][1]["value"]

                async def found(**keys: str) -> list[str]:
                    rows = await asyncio.to_thread(ask, gateway.dicom_port, query(**keys))
                    return sorted(row.PatientID for row in rows)

                assert await found() == ["P0001", "P0002"]
                assert await found(Modality="US") == ["P0002"]
                assert await found(Modality="CT") == ["P0001"]
                assert await found(ScheduledProcedureStepStartDate="20260315") == ["P0001"]
                assert await found(ScheduledProcedureStepStartDate="20260315-20260316") == ["P0001", "P0002"]
                assert await found(ScheduledProcedureStepStartDate="20260316-") == ["P0002"]
                assert await found(ScheduledProcedureStepStartDate="-20260315") == ["P0001"]
                assert await found(ScheduledProcedureStepStartTime="0900-0945") == ["P0001"]
                assert await found(PatientID="P0002") == ["P0002"]
                assert await found(PatientID="P000*") == ["P0001", "P0002"]
                assert await found(PatientName="zhang*") == ["P0001"]
                assert await found(PatientName="LI^SI") == ["P0002"]
                assert await found(PatientName="*三*", SpecificCharacterSet="GB18030") == ["P0001"]
                assert await found(PatientName="李四", SpecificCharacterSet="ISO_IR 192") == ["P0002"]
                assert await found(AccessionNumber=number) == ["P0001"]
                assert await found(AccessionNumber="HT*") == ["P0001", "P0002"]
                assert await found(AccessionNumber="none") == []

        run(scenario())

    def test_a_planned_station_is_only_on_its_own_list(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:
                station = {"identifier": {"type": {"coding": [{"code": "ae-title"}]}, "value": "CT02"}}
                await put(gateway, PATIENT, order("r1", performer=[station]))
                assert (
                    await asyncio.to_thread(ask, gateway.dicom_port, query(ScheduledStationAETitle="CT01"))
                    == []
                )
                rows = await asyncio.to_thread(ask, gateway.dicom_port, query(ScheduledStationAETitle="CT02"))
                assert len(rows) == 1

        run(scenario())

    def test_an_order_whose_study_is_whole_leaves_the_list(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path) as gateway, client(gateway) as http:
                _, request = await put(gateway, PATIENT, order("r1"))
                assert len(await asyncio.to_thread(ask, gateway.dicom_port, query())) == 1
                number = request["identifier"][1]["value"]
                await asyncio.to_thread(send, gateway.dicom_port, ct(accession=number))
                await study(gateway)

                async def look() -> bool:
                    return not await asyncio.to_thread(ask, gateway.dicom_port, query())

                await wait_for(look)
                assert "hutong_imaging_orphans 0" in (await http.get("/metrics")).text

        run(scenario())


class TestPerformedSteps:
    """MPPS: PS3.4 §F.7"""

    def test_from_in_progress_to_completed(self, tmp_path: Path) -> None:
        from pydicom.dataset import Dataset

        async def scenario() -> None:
            async with imaging(tmp_path, dicom_quiet_seconds=3600) as gateway:
                _, request = await put(gateway, PATIENT, order("r1"))
                number = request["identifier"][1]["value"]
                row = (await asyncio.to_thread(ask, gateway.dicom_port, query()))[0]
                raw = ct(
                    accession=number, study=str(row.StudyInstanceUID), series=f"{row.StudyInstanceUID}.1"
                )

                def begin() -> list[int]:
                    scheduled, step = Dataset(), Dataset()
                    scheduled.AccessionNumber, scheduled.StudyInstanceUID = number, row.StudyInstanceUID
                    step.ScheduledStepAttributesSequence = [scheduled]
                    step.PerformedProcedureStepStatus, step.PerformedProcedureStepID = "IN PROGRESS", "S1"
                    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = (
                        "20260315",
                        "093000",
                    )
                    step.PatientID, step.Modality = "P0001", "CT"
                    with device(gateway.dicom_port, MPPS) as association:
                        first = association.send_n_create(step, MPPS, "1.2.9.1")[0].Status
                        return [first, association.send_n_create(step, MPPS, "1.2.9.1")[0].Status]

                def end(status: str) -> int:
                    image, series, step = Dataset(), Dataset(), Dataset()
                    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = (
                        "1.2.840.10008.5.1.4.1.1.2",
                        "1.2.3.1.1.1",
                    )
                    series.ReferencedImageSequence, series.SeriesInstanceUID = (
                        [image],
                        f"{row.StudyInstanceUID}.1",
                    )
                    step.PerformedProcedureStepStatus, step.PerformedSeriesSequence = status, [series]
                    step.PerformedProcedureStepEndDate, step.PerformedProcedureStepEndTime = (
                        "20260315",
                        "094500",
                    )
                    with device(gateway.dicom_port, MPPS) as association:
                        return association.send_n_set(step, MPPS, "1.2.9.1")[0].Status

                assert await asyncio.to_thread(begin) == [0, 0x0111]

                async def procedure(status: str) -> dict:
                    async def look() -> dict | None:
                        rows = await resources(gateway, "Procedure")
                        return rows[0] if rows and rows[0]["status"] == status else None

                    return await wait_for(look)

                started = await procedure("in-progress")
                assert started["basedOn"] == [{"reference": "ServiceRequest/r1"}]
                assert started["subject"] == {"reference": "Patient/p1"}
                await asyncio.to_thread(send, gateway.dicom_port, raw)
                assert await asyncio.to_thread(end, "COMPLETED") == 0
                assert (await procedure("completed"))["performedPeriod"]["end"] == "2026-03-15T09:45:00+08:00"
                # All that the device reported is there: nobody waits for the quiet hour.
                assert (await study(gateway))["basedOn"] == [{"reference": "ServiceRequest/r1"}]
                assert await asyncio.to_thread(end, "COMPLETED") == 0x0110
                assert await asyncio.to_thread(ask, gateway.dicom_port, query()) == []

        run(scenario())

    def test_a_step_that_nobody_created(self, tmp_path: Path) -> None:
        from pydicom.dataset import Dataset

        async def scenario() -> None:
            async with imaging(tmp_path) as gateway:

                def change() -> int:
                    step = Dataset()
                    step.PerformedProcedureStepStatus = "DISCONTINUED"
                    with device(gateway.dicom_port, MPPS) as association:
                        return association.send_n_set(step, MPPS, "1.2.9.2")[0].Status

                assert await asyncio.to_thread(change) == 0x0112

        run(scenario())


def test_a_class_of_the_makers_own_and_a_compressed_object(tmp_path: Path) -> None:
    async def scenario() -> None:
        private, jpeg = "1.2.840.113619.4.27", "1.2.840.10008.1.2.4.50"
        async with imaging(tmp_path) as gateway, client(gateway) as http:

            def speak() -> list[int]:
                from pydicom.encaps import encapsulate

                own = read(ct(sop_class=private))
                picture = read(ct(uid="1.2.3.1.1.2"))
                picture.file_meta.TransferSyntaxUID = jpeg
                picture.PixelData = encapsulate([b"\xff\xd8" + b"\1" * 100 + b"\xff\xd9"])
                picture["PixelData"].VR = "OB"
                picture["PixelData"].is_undefined_length = True
                with device(gateway.dicom_port, private) as association:
                    first = association.send_c_store(own).Status
                with device(gateway.dicom_port, CT, syntax=jpeg) as association:
                    return [first, association.send_c_store(picture).Status]

            assert await asyncio.to_thread(speak) == [0, 0]
            assert (await study(gateway))["numberOfInstances"] == 2
            place = "/dicomweb/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.2"
            frame = await http.get(
                f"{place}/frames/1", headers={"Accept": 'multipart/related; type="image/jpeg"'}
            )
            assert frame.status_code == 200
            assert b"\xff\xd8" + b"\1" * 100 + b"\xff\xd9" in frame.content
            plain = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1'
            assert (await http.get(place, headers={"Accept": plain})).status_code == 406
            assert (await http.get("/dicomweb/studies/1.2.3.1", headers={"Accept": plain})).status_code == 206
            assert (await http.get(f"{place}/rendered")).status_code == 422

    run(scenario())


class TestHostile:
    """What strangers and broken devices send: an answer each time, and the gateway goes on."""

    def test_mutated_objects_over_both_ways(self, tmp_path: Path) -> None:
        rng = random.Random(5)

        def broken(number: int) -> bytes:
            raw = bytearray(ct(uid=f"1.2.3.1.1.{number}", number=number))
            for _ in range(rng.randint(1, 6)):
                raw[rng.randrange(330, len(raw))] = rng.randrange(256)
            return bytes(raw[: rng.randrange(340, len(raw))]) if number % 3 == 0 else bytes(raw)

        async def scenario() -> None:
            async with imaging(tmp_path / "g") as gateway, client(gateway) as http:
                raws = [broken(number) for number in range(1, 61)]
                for raw in raws[:30]:
                    answer = await http.post(
                        "/dicomweb/studies", content=raw, headers={"Content-Type": "application/dicom"}
                    )
                    assert answer.status_code in (200, 202, 409), answer.text
                files = []
                for number, raw in enumerate(raws[30:]):
                    path = tmp_path / f"{number}.dcm"
                    path.write_bytes(raw)
                    files.append(path)

                def speak() -> list[int]:
                    from pynetdicom import _config

                    _config.STORE_SEND_CHUNKED_DATASET = True
                    with device(gateway.dicom_port, CT, syntax="1.2.840.10008.1.2.1") as association:
                        return [association.send_c_store(path).Status for path in files]

                statuses = await asyncio.to_thread(speak)
                assert set(statuses) <= {0, 0xA900, 0xB000, 0xC000, 0xC002}
                assert set(statuses) > {0}
                assert [
                    row.Status
                    for row in await asyncio.to_thread(
                        send, gateway.dicom_port, ct(uid="1.2.5", study="1.2.6", series="1.2.6.1")
                    )
                ] == [0]
                assert list((tmp_path / "g" / "imaging" / "inbox").iterdir()) == []

        run(scenario())

    def test_an_association_that_breaks_off_leaves_nothing(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path, dicom_max_bytes=300_000) as gateway:

                def speak() -> Any:
                    with device(gateway.dicom_port, CT) as association:
                        return association.send_c_store(read(ct(pixels=b"1" * 5_000_000)))

                answer = await asyncio.to_thread(speak)
                assert getattr(answer, "Status", None) in (None, 0xC000)
                inbox = tmp_path / "imaging" / "inbox"

                async def is_empty() -> bool:
                    return not list(inbox.iterdir())

                await wait_for(is_empty)
                assert [row.Status for row in await asyncio.to_thread(send, gateway.dicom_port, ct())] == [0]

        run(scenario())

    def test_only_named_peers_may_call(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path, dicom_peers="CT01, MR01") as gateway:
                assert [row.Status for row in await asyncio.to_thread(send, gateway.dicom_port, ct())] == [0]

                def stranger() -> bool:
                    from pynetdicom import AE

                    ae = AE(ae_title="STRANGER")
                    ae.add_requested_context(VERIFY)
                    association = ae.associate("127.0.0.1", gateway.dicom_port, ae_title="HUTONG")
                    try:
                        return bool(association.is_established)
                    finally:
                        ae.shutdown()

                assert not await asyncio.to_thread(stranger)

        run(scenario())

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with imaging(tmp_path / "a") as gateway:
                settings = Settings(
                    data=tmp_path / "b",
                    store="memory",
                    mllp=False,
                    dicom=True,
                    dicom_port=gateway.dicom_port or 0,
                )
                second = await build(settings)
                with pytest.raises(Unavailable) as found:
                    await second.start()
                await second.close()
                assert "--dicom-port" in found.value.issues[0].fix("en")

        run(scenario())


def test_a_bare_data_set_becomes_a_whole_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with imaging(tmp_path) as gateway, client(gateway) as http:
            raw = ct()
            bare = raw[raw.index(b"\x08\x00\x05\x00CS") :]
            assert (await http.post("/messages/dicom?wait=stored", content=bare)).status_code == 200
            place = "/dicomweb/studies/1.2.3.1/series/1.2.3.1.1/instances/1.2.3.1.1.1"
            whole = (await http.get(place, headers={"Accept": "application/dicom"})).content
            assert whole[128:132] == b"DICM"
            assert read(whole).PatientName == "Zhang^Sanfeng=张^三丰"
            # The same data set with its head is the same object.
            assert [row.Status for row in await asyncio.to_thread(send, gateway.dicom_port, raw)] == [0]

    run(scenario())


def test_an_order_that_is_sent_again_keeps_number_and_version(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with imaging(tmp_path) as gateway, client(gateway) as http:
            for control in ("C1", "C2"):
                lines = (
                    f"MSH|^~\\&|HIS|H1|GW|X|20260315083012||ORM^O01|{control}|P|2.4||||||UNICODE UTF-8",
                    "PID|1||P0001^^^H1||张^三丰||19850101|M",
                    "ORC|NW|SQ1||||||||||D01^李建国",
                    "OBR|1|SQ1||CT001^胸部CT平扫||||||||||||||||||||RAD",
                )
                answer = await http.post("/messages/hl7v2?wait=stored", content="\r".join(lines).encode())
                assert answer.status_code == 200, answer.text
            request = (await resources(gateway, "ServiceRequest"))[0]
            assert [row["value"] for row in request["identifier"]][-1].startswith("HT")
            assert request["meta"]["versionId"] == "1"

    run(scenario())


def test_an_ecg_brings_its_measurements(tmp_path: Path) -> None:
    pytest.importorskip("ecgdatakit")

    async def scenario() -> None:
        async with imaging(tmp_path) as gateway, client(gateway) as http:
            raw = next(path for path in (SAMPLES.parent / "ecg").glob("*.dcm")).read_bytes()
            answer = await http.post(
                "/dicomweb/studies", content=raw, headers={"Content-Type": "application/dicom"}
            )
            assert answer.status_code == 200
            found = await study(gateway)
            assert found["modality"][0]["code"] == "ECG"

            async def look() -> bool:
                return bool(await resources(gateway, "Observation"))

            await wait_for(look)

    run(scenario())


def test_a_study_without_any_patient_is_kept_as_an_orphan(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with imaging(tmp_path) as gateway, client(gateway) as http:
            nobody = ct(patient=None, name=None, birth=None, sex=None, issuer=None)
            await asyncio.to_thread(send, gateway.dicom_port, nobody)
            found = await study(gateway)
            assert found["subject"]["reference"].startswith("Patient/")
            rows = (await http.get("/imaging/orphans")).json()["orphans"]
            assert [row["reason"] for row in rows] == ["no-number"]

    run(scenario())


def test_namesakes_without_numbers_stay_two(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with imaging(tmp_path) as gateway:
            for number in (1, 2):
                raw = ct(
                    patient=None, uid=f"1.2.{number}.1.1", series=f"1.2.{number}.1", study=f"1.2.{number}"
                )
                await asyncio.to_thread(send, gateway.dicom_port, raw)

            async def look() -> bool:
                return len(await resources(gateway, "ImagingStudy", status="available")) == 2

            await wait_for(look)
            assert len(await resources(gateway, "Patient")) == 2

    run(scenario())


def test_a_whole_sequence_can_be_asked_for(tmp_path: Path) -> None:
    from pydicom.dataset import Dataset

    async def scenario() -> None:
        async with imaging(tmp_path) as gateway:
            await put(gateway, PATIENT, order("r1"))
            asked = Dataset()
            asked.PatientName, asked.ScheduledProcedureStepSequence = "", []
            row = (await asyncio.to_thread(ask, gateway.dicom_port, asked))[0]
            assert row.ScheduledProcedureStepSequence[0].Modality == "CT"
            asked.ScheduledProcedureStepSequence = [Dataset()]
            row = (await asyncio.to_thread(ask, gateway.dicom_port, asked))[0]
            assert row.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "CT01"

    run(scenario())
