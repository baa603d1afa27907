"""`/conformance` over ASGI: tests, runs and their forms, again and compared, certificates verified (docs/conformance.md)."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.conformance_api import ConformanceApi
from gateway.members.nightly import Nightly
from gateway.members.routes import MemberRoutes
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json
from tests.gateway.live import serving


def clock() -> datetime:
    return datetime.now().astimezone()


class Centre:
    """A client of `/conformance` over a data folder."""

    def __init__(self, data: Path) -> None:
        self.runner = asyncio.Runner()
        store = MemoryStore()
        self.api = ConformanceApi(
            data, clock=clock, members=lambda: MemberRoutes(Nightly(data, store, None, clock=clock))
        )
        transport = httpx.ASGITransport(app=self.api)  # type: ignore[arg-type]  # an ASGI application
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    def call(self, method: str, path: str, body: Json | bytes | None = None) -> httpx.Response:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        return self.runner.run(
            self.client.request(method, f"/conformance/{path}", content=content, timeout=60)
        )

    def close(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    (tmp_path / "targets").mkdir()
    made = Centre(tmp_path)
    with serving(MemoryStore()) as base:
        target = {"member": "H1", "roles": ["fhir-server"], "fhir": {"base": base}}
        (tmp_path / "targets" / "h1.yaml").write_text(yaml.safe_dump(target), "utf-8")
        silent = target | {"fhir": {"base": "http://127.0.0.1:9/fhir", "seconds": 0.3}}
        (tmp_path / "targets" / "silent.yaml").write_text(yaml.safe_dump(silent), "utf-8")
        yield made
    made.close()


TWO = ["FS-META", "FS-META-VERSION"]


class TestRuns:
    def test_a_run_and_all_its_forms(self, centre: Centre) -> None:
        made = centre.call("POST", "runs", {"target": "h1", "tests": TWO})
        assert made.status_code == 201, made.text
        document = made.json()
        assert document["counts"] == {"pass": 2}
        assert [row["id"] for row in centre.call("GET", "runs").json()["runs"]] == [document["id"]]
        starts = {
            "html": b"<!doctype html>",
            "junit": b"<?xml",
            "sarif": b"{",
            "testreport": b"{",
            "xlsx": b"PK",
        }
        for form, start in starts.items():
            answer = centre.call("GET", f"runs/{document['id']}/{form}")
            assert answer.status_code == 200
            assert answer.content.startswith(start), (form, answer.content[:40])

    def test_what_did_not_pass_is_played_again_and_compared(self, centre: Centre) -> None:
        first = centre.call("POST", "runs", {"target": "silent", "tests": TWO}).json()
        assert first["counts"] == {"not-evaluated": 2}
        again = centre.call("POST", "runs", {"target": "h1", "failed": first["id"]}).json()
        assert again["counts"] == {"pass": 2}
        found = centre.call("GET", f"runs/{first['id']}/compare/{again['id']}").json()
        assert len(found["better"]) == 2
        assert found["worse"] == []
        assert centre.call("POST", "runs", {"target": "h1", "failed": again["id"]}).status_code == 400

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"target": "h1", "tests": ["NOBODY"]}, 400),
            ({"target": "h1", "roles": ["nobody"]}, 400),
            ({"target": "../h1"}, 400),
            ({"target": "h9"}, 404),
            ({"target": "h1", "tests": "FS-META"}, 400),
            (b"[", 400),
            (b"x" * 300_000, 413),
        ],
    )
    def test_what_cannot_be_run_is_an_error(self, centre: Centre, body: Any, status: int) -> None:
        assert centre.call("POST", "runs", body).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "tests", 200),
        ("GET", "tests?role=nobody", 400),
        ("GET", "requirements", 200),
        ("GET", "coverage", 200),
        ("GET", "runs/none", 404),
        ("GET", "certificates", 200),
        ("GET", "certificates/H9", 404),
        ("GET", "overrides", 200),
        ("GET", "proposals", 200),
        ("GET", "presets", 200),
        ("GET", "quality?days=7", 200),
        ("GET", "quality?member=H9", 404),
        ("POST", "nightly", 200),
        ("DELETE", "runs", 405),
        ("GET", "nothing", 405),
    ],
)
def test_every_path_answers(centre: Centre, method: str, path: str, status: int) -> None:
    answer = centre.call(method, path, {} if method == "POST" else None)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
