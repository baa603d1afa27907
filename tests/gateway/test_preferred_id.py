"""NamingSystem/$preferred-id (docs/terminology/preferred-id.md)."""

from collections.abc import Iterator

import pytest
from server import Server

from gateway.store.memory import MemoryStore


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    system = {
        "resourceType": "NamingSystem",
        "id": "ours",
        "name": "Ours",
        "status": "active",
        "kind": "identifier",
        "date": "2026-01-01",
        "uniqueId": [
            {"type": "uri", "value": "http://old.example/ids"},
            {"type": "uri", "value": "https://hutong.health/ids", "preferred": True},
            {"type": "oid", "value": "1.2.3.4", "period": {"end": "2020-01-01"}},
            {"type": "oid", "value": "1.2.3.5"},
            {"type": "uuid", "value": "urn:uuid:B1B2C3D4-0000-4000-8000-000000000001"},
        ],
    }
    assert made.request("PUT", "NamingSystem/ours", system).status_code == 201
    yield made
    made.close()


@pytest.mark.parametrize(
    ("id", "type", "result"),
    [
        ("http://snomed.info/sct", "oid", "2.16.840.1.113883.6.96"),
        ("2.16.840.1.113883.6.96", "uri", "http://snomed.info/sct"),
        ("urn:oid:2.16.840.1.113883.6.1", "uri", "http://loinc.org"),
        ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "oid", "2.16.840.1.113883.5.4"),
        ("http://old.example/ids", "uri", "https://hutong.health/ids"),
        ("http://old.example/ids", "oid", "1.2.3.5"),
        ("1.2.3.5", "uuid", "b1b2c3d4-0000-4000-8000-000000000001"),
    ],
)
def test_one_identification_gives_another(server: Server, id: str, type: str, result: str) -> None:
    answer = server.request("GET", f"NamingSystem/$preferred-id?id={id}&type={type}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["parameter"] == [{"name": "result", "valueString": result}]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("id=http://nobody.example&type=oid", 404, "HT-TX-62"),
        ("id=http://snomed.info/sct&type=uuid", 404, "HT-TX-62"),
        ("id=http://snomed.info/sct&type=name", 400, "HT-TX-61"),
        ("type=oid", 400, "HT-MR-11"),
        ("id=x", 400, "HT-MR-11"),
    ],
)
def test_what_cannot_be_answered(server: Server, query: str, status: int, code: str) -> None:
    answer = server.request("GET", f"NamingSystem/$preferred-id?{query}")
    assert answer.status_code == status
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == code
