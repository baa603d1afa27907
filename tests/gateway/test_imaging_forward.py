"""Forwarding: real archives at the other end, by C-STORE and by STOW-RS; out of reach, refusing, back again."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from gateway.imaging.destinations import read_destinations
from gateway.imaging.send_dimse import echo
from terminology.issues import InvalidInput
from tests.gateway.dicom_network import CT, client, imaging, live, send, wait_for
from tests.gateway.running import run
from tests.mappings.dicom_files import ct


@contextmanager
def archive(port: int = 0, *, statuses: list[int] | None = None) -> Iterator[tuple[int, list[str]]]:
    """A storage SCP of its own; yields its port and the UIDs that came, in order."""
    came: list[str] = []
    answers = list(statuses or [])

    def store(event: Any) -> int:
        came.append(str(event.request.AffectedSOPInstanceUID))
        return answers.pop(0) if answers else 0

    ae = AE(ae_title="ORTHANC")
    ae.add_supported_context(CT, ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield server.server_address[1], came
    finally:
        server.shutdown()


def raws(count: int) -> list[bytes]:
    return [ct(uid=f"1.2.3.1.1.{number}", number=number) for number in range(1, count + 1)]


async def status(gateway: Any) -> dict:
    async with client(gateway) as http:
        return (await http.get("/imaging/forwards")).json()["forwards"][0]


async def sent(gateway: Any, count: int) -> dict:
    async def look() -> dict | None:
        row = await status(gateway)
        return row if row["sent"] == count else None

    return await wait_for(look)


def test_objects_arrive_in_their_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        with archive() as (port, came):
            async with imaging(
                tmp_path, dicom_forward=f"orthanc=dicom://ORTHANC@127.0.0.1:{port}"
            ) as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, *raws(5))
                await sent(gateway, 5)
                assert came == [f"1.2.3.1.1.{number}" for number in range(1, 6)]

    run(scenario())


def test_an_archive_that_is_away_keeps_its_queue_over_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        with archive() as (port, _):
            pass
        where = f"orthanc=dicom://ORTHANC@127.0.0.1:{port}"
        async with imaging(tmp_path, dicom_forward=where, store="sqlite") as gateway:
            await asyncio.to_thread(send, gateway.dicom_port, *raws(3))

            async def failed() -> bool:
                return bool((await status(gateway)).get("first", {}).get("problem"))

            await wait_for(failed)
            row = await status(gateway)
            assert (row["waiting"], row["sent"]) == (3, 0)
        with archive(port) as (_, came):
            async with (
                imaging(tmp_path, dicom_forward=where, store="sqlite") as gateway,
                client(gateway) as http,
            ):
                assert (await http.post("/imaging/forwards/orthanc/retry")).json()["queued"] == 3
                await sent(gateway, 3)
                assert came == ["1.2.3.1.1.1", "1.2.3.1.1.2", "1.2.3.1.1.3"]

    run(scenario())


def test_a_refused_object_is_parked_and_the_next_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        with archive(statuses=[0xC000]) as (port, came):
            async with imaging(
                tmp_path, dicom_forward=f"orthanc=dicom://ORTHANC@127.0.0.1:{port}"
            ) as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, *raws(2))
                row = await sent(gateway, 1)
                assert row["parked"] == 1
                async with client(gateway) as http:
                    parked = (await http.get("/imaging/forwards/orthanc")).json()["parked"]
                    assert parked[0]["uid"] == "1.2.3.1.1.1"
                    assert "C000" in parked[0]["problem"]
                    await http.post("/imaging/forwards/orthanc/studies/1.2.3.1")
                await sent(gateway, 2)
                assert came == ["1.2.3.1.1.1", "1.2.3.1.1.2", "1.2.3.1.1.1", "1.2.3.1.1.2"]

    run(scenario())


def test_by_stow_to_another_gateway(tmp_path: Path) -> None:
    with live(tmp_path / "other") as other:

        async def scenario() -> None:
            async with imaging(tmp_path / "own", dicom_forward=f"pacs={other}/dicomweb") as gateway:
                await asyncio.to_thread(send, gateway.dicom_port, *raws(3))
                await sent(gateway, 3)

        run(scenario())
        import httpx

        rows = httpx.get(f"{other}/dicomweb/studies/1.2.3.1/instances").json()
        assert len(rows) == 3


def test_destinations_of_a_setting() -> None:
    found = read_destinations(
        "a=dicom://ORTHANC@10.0.0.5:4242, b=https://user:secret@pacs.example/dicom-web/"
    )
    assert [(row.name, row.kind) for row in found] == [("a", "dicom"), ("b", "stow")]
    assert "secret" not in found[1].shown
    for text in (
        "a",
        "a=ftp://x",
        "a=dicom://10.0.0.5:4242",
        "a=dicom://T@h",
        "a=http://x,a=http://y",
        "a=dicom://T@h:x",
    ):
        with pytest.raises(InvalidInput):
            read_destinations(text)


def test_echo_of_another_node() -> None:
    with archive() as (port, _):
        assert echo("127.0.0.1", port, called="ORTHANC", title="HUTONG")
    assert not echo("127.0.0.1", port, called="ORTHANC", title="HUTONG")


class TestCommands:
    """`hutong imaging …` against a running gateway."""

    def hutong(self, *words: str, lang: str = "en") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HUTONG_LANG": lang}
        return subprocess.run(
            [sys.executable, "-m", "gateway", "imaging", *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )

    def test_orphans_link_and_dismiss(self, tmp_path: Path) -> None:
        import httpx

        from tests.gateway.dicom_network import PATIENT, order

        with live(tmp_path) as gateway:
            for body in (PATIENT, order("r1")):
                assert (
                    httpx.put(f"{gateway}/fhir/{body['resourceType']}/{body['id']}", json=body).status_code
                    == 201
                )
            for raw in (
                ct(),
                ct(
                    uid="1.2.9.1.1",
                    series="1.2.9.1",
                    study="1.2.9",
                    patient="P9",
                    name="李^四",
                    birth="19700101",
                ),
            ):
                assert httpx.post(f"{gateway}/messages/dicom?wait=stored", content=raw).status_code == 200
            data = ("--data", str(tmp_path))
            for _ in range(100):
                listed = self.hutong("orphans", "--json", *data)
                if len(json.loads(listed.stdout)["orphans"]) == 2:
                    break
            assert listed.returncode == 1
            one = self.hutong("orphans", "1.2.3.1", *data)
            assert "ServiceRequest/r1" in one.stdout
            assert "+patient-number" in one.stdout
            wrong = self.hutong("link", "1.2.9", "ServiceRequest/r1", *data, lang="zh")
            assert wrong.returncode == 1
            assert "HT-DCM-33" in wrong.stderr
            assert (
                self.hutong("link", "1.2.3.1", "ServiceRequest/r1", "--by", "王技师", *data).returncode == 0
            )
            assert self.hutong("dismiss", "1.2.9", "--reason", "自费", *data).returncode == 0
            assert self.hutong("orphans", *data).returncode == 0
            assert self.hutong("aside", "list", *data).returncode == 0
            assert self.hutong("forwards", *data).returncode == 0
            assert self.hutong("resend", "nowhere", *data).returncode == 1

    def test_echo_of_this_gateway(self, tmp_path: Path) -> None:
        with live(tmp_path, dicom="true", dicom_port="0"):
            found = self.hutong("echo", "--data", str(tmp_path))
            assert found.returncode == 0, found.stderr
            assert "HUTONG@127.0.0.1" in found.stdout

    def test_echo_without_anybody(self, tmp_path: Path) -> None:
        found = self.hutong("echo", "127.0.0.1:1", "--data", str(tmp_path))
        assert found.returncode == 1
        assert "does not answer" in found.stdout
        assert self.hutong("orphans", "--data", str(tmp_path)).returncode == 3
