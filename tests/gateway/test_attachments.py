"""Large attachments leave the row (https://hl7.org/fhir/R4/datatypes.html#Attachment)."""

import base64
import hashlib
from collections.abc import Iterator

import pytest

from gateway.rest.context import Limits
from gateway.store.memory import MemoryStore
from tests.gateway.server import Server

CONTENT = bytes(range(256)) * 16
SCAN = {
    "resourceType": "DocumentReference",
    "id": "d",
    "status": "current",
    "content": [
        {"attachment": {"contentType": "application/pdf", "data": base64.b64encode(CONTENT).decode()}}
    ],
}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(MemoryStore(), limits=Limits(inline_attachment_bytes=1_000))
    yield server
    server.close()


def test_a_large_attachment_becomes_a_binary(server: Server) -> None:
    attachment = server.request("PUT", "DocumentReference/d", SCAN).json()["content"][0]["attachment"]
    assert "data" not in attachment
    assert attachment["size"] == len(CONTENT)
    assert attachment["hash"] == base64.b64encode(hashlib.sha1(CONTENT).digest()).decode()
    file = server.request("GET", attachment["url"], accept="application/pdf", range="bytes=256-511")
    assert file.status_code == 206
    assert file.content == CONTENT[256:512]
    assert file.headers["x-security-context"] == "DocumentReference/d"


def test_writing_it_again_stores_no_second_file(server: Server) -> None:
    server.request("PUT", "DocumentReference/d", SCAN)
    server.request("PUT", "DocumentReference/d", SCAN)
    [entry] = server.request("GET", "Binary/_history").json()["entry"]
    assert entry["resource"]["meta"]["versionId"] == "1"


def test_inside_a_transaction_too(server: Server) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": SCAN, "request": {"method": "PUT", "url": "DocumentReference/d"}}],
    }
    answer = server.request("POST", "", bundle).json()
    assert answer["entry"][0]["resource"]["content"][0]["attachment"]["url"].startswith("Binary/")


def test_small_ones_and_other_data_stay(server: Server) -> None:
    sampled = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "ECG"},
        "valueSampledData": {
            "origin": {"value": 0},
            "period": 10,
            "dimensions": 1,
            "data": " ".join(["1.50"] * 500),
        },
    }
    kept = server.request("PUT", "Observation/o", sampled).json()
    assert kept["valueSampledData"]["data"] == sampled["valueSampledData"]["data"]  # type: ignore[index]
    small = {**SCAN, "content": [{"attachment": {"data": "YWJj"}}]}
    assert (
        server.request("PUT", "DocumentReference/d", small).json()["content"][0]["attachment"]["data"]
        == "YWJj"
    )
