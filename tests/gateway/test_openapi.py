"""The OpenAPI document says what the server does, and nothing else."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from conformance.definitions import resource_types
from gateway.operations.registry import ROWS
from gateway.rest.api_docs import ApiDocs
from gateway.rest.openapi import describe
from gateway.rest.route import ROUTES
from gateway.store.memory import MemoryStore
from terminology.fhirjson import encode
from tests.gateway.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(MemoryStore())
    yield server
    server.close()


@pytest.fixture(scope="module")
def api(server: Server) -> dict[str, Any]:
    return describe("http://test/fhir", server.context)


def test_every_type_has_its_paths(api: dict[str, Any]) -> None:
    for name in resource_types():
        assert {f"/{name}", f"/{name}/{{id}}", f"/{name}/_search", f"/{name}/{{id}}/_history/{{vid}}"} <= set(
            api["paths"]
        )


def test_every_operation_is_there(api: dict[str, Any]) -> None:
    for row in ROWS:
        assert any(path.endswith(f"/${row.name}") for path in api["paths"]), row.name


def test_every_described_route_exists(api: dict[str, Any]) -> None:
    for path, item in api["paths"].items():
        if "$" in path:
            continue
        shape = re.sub(r"^/[A-Z]\w+", "T", path).replace("{id}", "I").replace("{vid}", "V").lstrip("/")
        for method in set(item) - {"parameters"}:
            assert (shape, method.upper()) in ROUTES, (path, method)


def test_operation_ids_are_unique(api: dict[str, Any]) -> None:
    ids = [
        row["operationId"]
        for item in api["paths"].values()
        for method, row in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', encode(api).decode())):
        node = api
        for key in reference.split("/"):
            node = node[key]
        assert node


@pytest.mark.parametrize(
    "name", ["Patient", "Observation", "ServiceRequest", "DiagnosticReport", "Task", "Claim"]
)
def test_examples_work(name: str, server: Server, api: dict[str, Any]) -> None:
    body = api["paths"][f"/{name}"]["post"]["requestBody"]["content"]["application/fhir+json"]["example"]
    made = server.request("POST", name, encode(body), content_type="application/fhir+json")
    assert made.status_code == 201
    content = api["paths"][f"/{name}/{{id}}"]["patch"]["requestBody"]["content"]
    for kind, part in content.items():
        if kind == "application/fhir+json":
            continue
        patched = server.request(
            "PATCH", f"{name}/{made.json()['id']}", encode(part["example"]), content_type=kind
        )
        assert patched.status_code == 200, patched.text
        assert patched.json()["language"] == "zh-CN"


def test_the_transaction_example_works(server: Server, api: dict[str, Any]) -> None:
    body = api["paths"]["/"]["post"]["requestBody"]["content"]["application/fhir+json"]["example"]
    assert server.request("POST", "", body).status_code == 200


def test_it_is_served_without_other_servers(server: Server) -> None:
    async def fetch(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=ApiDocs(server.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path)

    page = asyncio.run(fetch("/docs/api"))
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    one = asyncio.run(fetch("/openapi.json?type=Patient")).json()
    assert one["openapi"] == "3.1.0"
    assert "/Patient" in one["paths"]
    assert "/Observation" not in one["paths"]
