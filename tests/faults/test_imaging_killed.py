"""Killed while objects come: what was acknowledged is there, once."""

import time
from pathlib import Path

import httpx

from tests.gateway.dicom_network import CT, device, read, started
from tests.mappings.dicom_files import ct

COUNT = 40


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    with (
        started(tmp_path, dicom="true", dicom_port="0") as (process, said),
        device(said["dicom_port"], CT) as association,
    ):
        for number in range(1, COUNT // 2 + 1):
            uid = f"1.2.3.1.1.{number}"
            answer = association.send_c_store(read(ct(uid=uid, number=number)))
            if getattr(answer, "Status", None) == 0:
                acknowledged.append(uid)
        process.kill()
        process.wait(20)
    assert len(acknowledged) == COUNT // 2
    with started(tmp_path, dicom="true", dicom_port="0", dicom_quiet_seconds="0.3") as (_, said):
        url = said["url"]
        rows = httpx.get(f"{url}/dicomweb/studies/1.2.3.1/instances?limit=100").json()
        assert sorted(row["00080018"]["Value"][0] for row in rows) == sorted(acknowledged)
        with device(said["dicom_port"], CT) as association:
            # The device doesn't know how far it came and sends all again.
            for number in range(1, COUNT + 1):
                answer = association.send_c_store(read(ct(uid=f"1.2.3.1.1.{number}", number=number)))
                assert answer.Status == 0
        for _ in range(200):
            found = httpx.get(f"{url}/fhir/ImagingStudy?status=available").json().get("entry", [])
            if found and found[0]["resource"]["numberOfInstances"] == COUNT:
                break
            time.sleep(0.05)
        assert len(found) == 1
        assert found[0]["resource"]["numberOfInstances"] == COUNT
        assert len(list((tmp_path / "imaging" / "objects").rglob("*.dcm"))) == COUNT
        assert list((tmp_path / "imaging" / "inbox").iterdir()) == []
