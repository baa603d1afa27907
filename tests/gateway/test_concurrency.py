"""Parallel clients (docs/design.md §3 decision 5; https://hl7.org/fhir/R4/http.html#concurrency)."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.server import Server
from tests.gateway.stores import STORES, store_of

CLIENTS = 64
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "1"}]}


@pytest.fixture(params=STORES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(store_of(request.param, tmp_path, request))
    yield server
    server.close()


def together(server: Server, *requests: tuple[str, str, object, dict[str, str]]) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        return await asyncio.gather(
            *(server.send(method, path, body, **headers) for method, path, body, headers in requests)  # type: ignore[arg-type]
        )

    return server.run(send())


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


class TestConditionalCreate:
    """http.html#ccreate under 64 clients"""

    def test_exactly_one_is_created(self, server: Server) -> None:
        one = ("POST", "Patient", PATIENT, {"if_none_exist": "identifier=urn:s|1"})
        answers = together(server, *[one] * CLIENTS)
        assert statuses(answers) == {201: 1, 200: CLIENTS - 1}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert server.request("GET", "Patient?_summary=count").json()["total"] == 1

    def test_inside_transactions_too(self, server: Server) -> None:
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": "urn:uuid:1",
                    "resource": PATIENT,
                    "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|1"},
                },
                {
                    "resource": {"resourceType": "Condition", "subject": {"reference": "urn:uuid:1"}},
                    "request": {"method": "POST", "url": "Condition"},
                },
            ],
        }
        answers = together(server, *[("POST", "", bundle, {})] * 32)
        assert statuses(answers) == {200: 32}
        assert server.request("GET", "Patient?_summary=count").json()["total"] == 1
        [patient] = server.request("GET", "Patient").json()["entry"]
        found = server.request("GET", f"Condition?subject=Patient/{patient['resource']['id']}&_summary=count")
        assert found.json()["total"] == 32

    def test_conditional_update_creates_one(self, server: Server) -> None:
        answers = together(server, *[("PUT", "Patient?identifier=urn:s|1", PATIENT, {})] * 16)
        assert statuses(answers) == {201: 1, 200: 15}
        assert server.request("GET", "Patient?_summary=count").json()["total"] == 1


class TestOneWinner:
    """http.html#concurrency"""

    def test_parallel_updates_with_if_match(self, server: Server) -> None:
        body = {"resourceType": "Patient", "id": "p"}
        server.request("PUT", "Patient/p", body)
        answers = together(server, *[("PUT", "Patient/p", body, {"if_match": 'W/"1"'})] * CLIENTS)
        assert statuses(answers) == {200: 1, 412: CLIENTS - 1}
        assert server.request("GET", "Patient/p").json()["meta"]["versionId"] == "2"

    def test_parallel_creates_under_one_id(self, server: Server) -> None:
        body = {"resourceType": "Patient", "id": "p"}
        answers = together(server, *[("PUT", "Patient/p", body, {"if_none_match": "*"})] * CLIENTS)
        assert statuses(answers) == {201: 1, 412: CLIENTS - 1}

    def test_parallel_patches_all_take_effect(self, server: Server) -> None:
        server.request("PUT", "Patient/p", {"resourceType": "Patient", "id": "p", "name": [{"text": "0"}]})
        patches = [
            (
                "PATCH",
                "Patient/p",
                [{"op": "add", "path": "/name/-", "value": {"text": str(number)}}],
                {"content_type": "application/json-patch+json"},
            )
            for number in range(1, 17)
        ]
        answers = together(server, *patches)
        assert statuses(answers) == {200: 16}
        names = server.request("GET", "Patient/p").json()["name"]
        assert sorted(int(name["text"]) for name in names) == list(range(17))

    def test_parallel_updates_without_conditions_are_all_versions(self, server: Server) -> None:
        body = {"resourceType": "Patient", "id": "p"}
        answers = together(server, *[("PUT", "Patient/p", body, {})] * 32)
        assert set(statuses(answers)) <= {200, 201}
        assert server.request("GET", "Patient/p/_history").json()["total"] == 32


class TestTransactions:
    """http.html#transaction: serialisable, no deadlock, no 5xx"""

    def test_crossing_writes_of_two_resources_stay_equal(self, server: Server) -> None:
        def bundle(number: int) -> dict[str, object]:
            ids = ("a", "b") if number % 2 else ("b", "a")
            return {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "resource": {"resourceType": "Patient", "id": id, "name": [{"text": str(number)}]},
                        "request": {"method": "PUT", "url": f"Patient/{id}"},
                    }
                    for id in ids
                ],
            }

        answers = together(server, *[("POST", "", bundle(number), {}) for number in range(32)])
        assert statuses(answers) == {200: 32}
        left, right = (server.request("GET", f"Patient/{id}").json() for id in "ab")
        assert left["name"] == right["name"]
        assert left["meta"]["versionId"] == right["meta"]["versionId"] == "32"

    def test_a_failing_one_leaves_nothing(self, server: Server) -> None:
        server.request("PUT", "Patient/p", {"resourceType": "Patient", "id": "p"})
        bundle = {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": {"resourceType": "Group", "type": "person", "actual": True},
                    "request": {"method": "POST", "url": "Group"},
                },
                {
                    "resource": {"resourceType": "Patient", "id": "p"},
                    "request": {"method": "PUT", "url": "Patient/p", "ifMatch": 'W/"1"'},
                },
            ],
        }
        answers = together(server, *[("POST", "", bundle, {})] * 16)
        assert statuses(answers) == {200: 1, 412: 15}
        assert server.request("GET", "Group?_summary=count").json()["total"] == 1
