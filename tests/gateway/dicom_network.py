"""A gateway with its DICOM port open, devices that speak to it (real pynetdicom associations), and HTTP beside it."""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from mappings.language.active import ActiveMaps
from terminology.fhirjson import Json
from tests.gateway.running import running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pynetdicom import AE

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.22"
WORKLIST, MPPS, VERIFY = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.1"
MAPS = ActiveMaps()


@asynccontextmanager
async def imaging(folder: Path, **chosen: Any) -> AsyncIterator[Gateway]:
    values: dict[str, Any] = {
        "dicom": True,
        "dicom_port": 0,
        "mllp": False,
        "dicom_quiet_seconds": 0.3,
        **chosen,
    }
    async with running(folder, maps=MAPS, **values) as gateway:
        yield gateway


@contextmanager
def device(
    port: int | None, *classes: str, syntax: str | list[str] | None = None, title: str = "CT01"
) -> Iterator[Any]:
    """An association of a device; used in a thread of its own."""
    ae = AE(ae_title=title)
    for sop_class in classes:
        ae.add_requested_context(sop_class, syntax) if syntax else ae.add_requested_context(sop_class)
    association = ae.associate("127.0.0.1", port, ae_title="HUTONG")
    assert association.is_established
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        ae.shutdown()


def read(raw: bytes) -> Any:
    return dcmread(BytesIO(raw))


def send(port: int | None, *objects: bytes, title: str = "CT01", sop_class: str = CT) -> list[Any]:
    """C-STORE objects over one association; returns the answers."""
    with device(port, sop_class, title=title) as association:
        return [association.send_c_store(read(raw)) for raw in objects]


def ask(port: int | None, query: Dataset, *, title: str = "CT01") -> list[Any]:
    """A worklist query; returns the pending data sets."""
    with device(port, WORKLIST, title=title) as association:
        found = list(association.send_c_find(query, WORKLIST))
    assert found[-1][0].Status == 0
    return [row for status, row in found if status.Status == 0xFF00]


def query(**keys: str) -> Dataset:
    """A worklist query as modalities send it."""
    step, asked = Dataset(), Dataset()
    for name in ("Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
                 "ScheduledProcedureStepDescription", "ScheduledProcedureStepID"):  # fmt: skip
        setattr(step, name, keys.pop(name, ""))
    charset = keys.pop("SpecificCharacterSet", "")
    if charset:
        asked.SpecificCharacterSet = charset
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "RequestedProcedureID",
                 "RequestedProcedureDescription", "StudyInstanceUID"):  # fmt: skip
        setattr(asked, name, keys.pop(name, ""))
    assert not keys
    asked.ScheduledProcedureStepSequence = [step]
    return asked


async def wait_for(check: Any, *, seconds: float = 15.0) -> Any:
    """Return what `check` (a coroutine function) gives as soon as it gives something."""
    for _ in range(int(seconds / 0.05)):
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


def client(gateway: Gateway) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=gateway.asgi), base_url="http://test")


async def resources(gateway: Gateway, type: str, **params: str) -> list[Json]:
    async with client(gateway) as http:
        answer = await http.get(f"/fhir/{type}", params=params)
        assert answer.status_code == 200, answer.text
        return [row["resource"] for row in answer.json().get("entry", [])]


PATIENT: Json = {
    "resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:id:H1", "value": "P0001"}],
    "name": [{"text": "张三丰"}], "gender": "male", "birthDate": "1985-01-01",
}  # fmt: skip


def order(id: str, **changed: Any) -> Json:
    """An imaging order as a township writes it, without an accession number."""
    return {
        "resourceType": "ServiceRequest", "id": id, "status": "active", "intent": "order", "priority": "routine",
        "identifier": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}, "value": f"SQ-{id}"}],
        "category": [{"coding": [{"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": "imaging"}]}],
        "code": {"coding": [{"system": "urn:oid:1.2.3", "code": "CT001", "display": "胸部CT平扫"}], "text": "胸部CT平扫"},
        "subject": {"reference": "Patient/p1"}, "authoredOn": "2026-03-15T08:00:00+08:00",
        "occurrenceDateTime": "2026-03-15T09:30:00+08:00", "requester": {"display": "李建国"},
        "performer": [{"display": "影像中心"}], "reasonCode": [{"text": "咳嗽"}],
    } | changed  # fmt: skip


async def put(gateway: Gateway, *bodies: Json) -> list[Json]:
    async with client(gateway) as http:
        found = []
        for body in bodies:
            answer = await http.put(f"/fhir/{body['resourceType']}/{body['id']}", json=body)
            assert answer.status_code in (200, 201), answer.text
            found.append(answer.json())
        return found


@contextmanager
def started(folder: Path, **chosen: str) -> Iterator[tuple[subprocess.Popen[str], Json]]:
    """A gateway in a process of its own, and what it says of its ports."""
    environment = {**os.environ, **{f"HUTONG_{name.upper()}": value for name, value in chosen.items()}}
    words = ["serve", "--port", "0", "--mllp-port", "0", "--data", str(folder), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextmanager
def live(folder: Path, **chosen: str) -> Iterator[str]:
    """A gateway in a process of its own; gives its URL."""
    with started(folder, **chosen) as (_, said):
        yield str(said["url"])
