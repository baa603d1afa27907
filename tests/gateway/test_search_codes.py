"""`:in`, `:not-in`, `:above` and `:below` with value sets and code systems that the server holds (search.html#modifiers)."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.store.memory import MemoryStore
from tests.gateway.server import Server

ICD = "http://example.org/icd"


@pytest.fixture
def server() -> Iterator[Any]:
    server = Server(MemoryStore())
    concepts = [
        {"code": "E11", "display": "2型糖尿病", "concept": [{"code": "E11.9", "display": "无并发症"}]},
        {"code": "I10"},
    ]
    for resource in (
        {
            "resourceType": "CodeSystem",
            "id": "icd",
            "url": ICD,
            "status": "active",
            "content": "complete",
            "hierarchyMeaning": "is-a",
            "concept": concepts,
        },
        {
            "resourceType": "ValueSet",
            "id": "vs",
            "url": "http://example.org/vs",
            "status": "active",
            "compose": {"include": [{"system": ICD, "concept": [{"code": "I10"}, {"code": "E11"}]}]},
        },
        *(
            {
                "resourceType": "Condition",
                "id": code.replace(".", "-"),
                "code": {"coding": [{"system": ICD, "code": code}]},
                "subject": {"reference": "Patient/p"},
            }
            for code in ("E11", "E11.9", "I10")
        ),
    ):
        answer = server.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code == 201, answer.text
    yield server
    server.close()


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("code:in=http://example.org/vs", ["E11", "I10"]),
        ("code:not-in=http://example.org/vs", ["E11-9"]),
        (f"code:below={ICD}%7CE11", ["E11", "E11-9"]),
        (f"code:above={ICD}%7CE11.9", ["E11", "E11-9"]),
        (f"code:above={ICD}%7CI10", ["I10"]),
        ("code:in=ValueSet/vs", ["E11", "I10"]),
        ("code:not-in=ValueSet/vs", ["E11-9"]),
    ],
)
def test_codes_of_the_server(server: Any, query: str, ids: list[str]) -> None:
    answer = server.request("GET", f"Condition?{query}")
    assert answer.status_code == 200, answer.text
    assert sorted(entry["resource"]["id"] for entry in answer.json().get("entry", [])) == ids


def test_an_unknown_value_set_is_named(server: Any) -> None:
    answer = server.request("GET", "Condition?code:in=http://example.org/none")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-SEARCH-41"


def test_a_value_set_of_all_codes_of_a_large_system_needs_no_list(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.search.codes.MAX_CODES", 2)
    everything = {
        "resourceType": "ValueSet",
        "id": "all",
        "url": "http://example.org/all",
        "status": "active",
        "compose": {"include": [{"system": ICD}]},
    }
    assert server.request("PUT", "ValueSet/all", everything).status_code == 201
    answer = server.request("GET", "Condition?code:in=http://example.org/all")
    assert answer.json()["total"] == 3
    monkeypatch.setattr("gateway.search.codes.MAX_CODES", 1)
    answer = server.request("GET", "Condition?code:below=" + ICD + "%7CE11")
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-SEARCH-22"
