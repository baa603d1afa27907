"""`/messages` over HTTP, the front and the pages."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from gateway.pages import all_codes
from tests.gateway.running import hl7, msa, run, running


@asynccontextmanager
async def serving(folder: Path, **chosen: Any) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    async with running(folder, mllp=False, **chosen) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield gateway, client


class TestSending:
    def test_the_acknowledgement_is_the_answer(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post(
                    "/messages/hl7v2?wait=stored",
                    content=hl7(charset="GBK"),
                    headers={"X-Request-Id": "abc-1"},
                )
                assert answer.status_code == 200
                assert answer.headers["content-type"] == "application/hl7-v2"
                assert answer.headers["x-request-id"] == "abc-1"
                assert answer.headers["location"] == "/messages/1"
                assert msa(answer.content.decode("gbk"))[1:3] == ["AA", "M1"]
                told = (await client.get("/messages/1")).json()
                assert (told["state"], told["request_id"], told["charset"]) == ("stored", "abc-1", "gb18030")
                assert (await client.get("/messages/1/raw")).content == hl7(charset="GBK")

        run(body())

    def test_refused_as_acknowledgement_and_as_outcome(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post("/messages/hl7v2", content=hl7(pid=False))
                assert answer.status_code == 422
                assert msa(answer.text)[1] == "AE"
                fhir = {"Accept": "application/fhir+json", "Accept-Language": "en"}
                answer = await client.post("/messages/hl7v2", content=hl7(pid=False), headers=fhir)
                (issue,) = answer.json()["issue"]
                assert issue["details"]["coding"][0]["code"] == "HT-MSG-04"
                assert issue["details"]["text"].startswith("ORU^R01 needs a patient")
                answer = await client.post("/messages/hl7v2", content=b"nonsense", headers=fhir)
                assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (
                    400,
                    "HT-V2-01",
                )

        run(body())

    def test_what_the_door_refuses(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path, message_max_bytes=2048) as (gateway, client):
                for method, path, content, status, code in (
                    ("POST", "/messages/hl7v2", b"", 400, "HT-MSG-13"),
                    ("POST", "/messages/hl7v2", b"x" * 3000, 413, "HT-MSG-05"),
                    ("POST", "/messages/fax", b"x", 404, "HT-MSG-11"),
                    ("DELETE", "/messages/1", b"", 405, "HT-MSG-14"),
                    ("GET", "/messages/77", b"", 404, "HT-MSG-10"),
                    ("GET", "/messages?state=lost", b"", 400, "HT-MSG-12"),
                    ("GET", "/messages?since=yesterday", b"", 400, "HT-MSG-12"),
                    ("GET", "/messages?count=many", b"", 400, "HT-MSG-12"),
                ):
                    headers = {"Accept": "application/fhir+json"}
                    answer = await client.request(method, path, content=content, headers=headers)
                    assert (
                        answer.status_code,
                        answer.json()["issue"][0]["details"]["coding"][0]["code"],
                    ) == (status, code)
                assert gateway.journal.last_id() == 0

        run(body())

    def test_enhanced_mode_without_accept_acknowledgement(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post("/messages/hl7v2", content=hl7(tail="|||NE|AL||UNICODE UTF-8"))
                assert msa(answer.text)[1:3] == ["AA", "M1"]
                answer = await client.post(
                    "/messages/hl7v2", content=hl7(control_id="M2", tail="|||NE|NE||UNICODE UTF-8")
                )
                assert (answer.status_code, answer.content) == (202, b"")

        run(body())


class TestLooking:
    def test_pages_by_keyset(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (gateway, client):
                for number in range(7):
                    await client.post(
                        "/messages/hl7v2", content=hl7(control_id=f"M{number}", patient=f"P{number % 2}")
                    )
                await gateway.intake.drained()
                found: list[int] = []
                url = "/messages?count=3&source=LIS%7CH1"
                while url:
                    page = (await client.get(url)).json()
                    found += [row["id"] for row in page["messages"]]
                    url = page.get("next", "")
                assert found == [7, 6, 5, 4, 3, 2, 1]
                for query, ids in (
                    ("patient=P1", [6, 4, 2]), ("control_id=M3", [4]), ("event=ORU%5ER01&count=1", [7]), ("state=trouble", []),
                    ("until=2020-01-01", []), ("since=2020-01-01T00:00:00%2B08:00&count=2", [7, 6]), ("request_id=none", []),
                ):  # fmt: skip
                    page = (await client.get(f"/messages?{query}")).json()
                    assert [row["id"] for row in page["messages"]] == ids, query

        run(body())

    def test_replay_one_and_many(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (gateway, client):
                await client.post("/messages/hl7v2?wait=stored", content=hl7())
                again = (await client.post("/messages/1/replay")).json()
                assert again["state"] == "stored"
                assert again["written"] == []
                answer = await client.post("/messages/replay?state=stored")
                assert (answer.status_code, answer.json()) == (202, {"replayed": 1, "complete": True})
                await gateway.intake.drained()
                codes = (await client.get("/messages/unmapped")).json()["unmapped"]
                assert [(row["code"], row["count"]) for row in codes] == [("WBC", 1)]

        run(body())


class TestFront:
    def test_health_metrics_and_fhir(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                assert (await client.get("/health")).json()["status"] == "ok"
                await client.post("/messages/hl7v2?wait=stored", content=hl7())
                found = (await client.get("/fhir/Observation?patient.identifier=P0001")).json()
                assert found["entry"][0]["resource"]["valueString"] == "12.5"
                text = (await client.get("/metrics")).text
                assert 'hutong_messages_total{channel="http",answer="accept"} 1' in text
                assert 'hutong_processed_total{state="stored"} 1' in text
                assert 'hutong_http_requests_total{part="fhir",method="GET",status="200"} 1' in text
                for line in text.strip().split("\n"):
                    assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2

        run(body())

    def test_every_error_code_has_a_page_in_both_languages(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                index = (await client.get("/docs/errors")).text
                for code, row in all_codes().items():
                    assert f"/docs/errors/{code}" in index
                    assert all((row.zh, row.en, row.fix_zh, row.fix_en))
                page = await client.get("/docs/errors/HT-MSG-04", headers={"Accept-Language": "en"})
                assert 'lang="en"' in page.text
                assert "needs a patient" in page.text
                page = await client.get("/docs/errors/ht-msg-04?lang=zh")
                assert "如何解决" in page.text
                assert (await client.get("/docs/errors/HT-NO-99")).status_code == 404
                assert (await client.get("/")).status_code == 200

        run(body())


def test_logs_follow_a_message_by_its_request_id(tmp_path: Path) -> None:
    import io
    import logging

    from gateway.logs import JsonLines

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("gateway.ingest")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)

    async def body() -> None:
        async with serving(tmp_path) as (_, client):
            await client.post(
                "/messages/hl7v2?wait=stored", content=hl7(), headers={"X-Request-Id": "trace-me"}
            )

    try:
        run(body())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(row["event"], row["request_id"], row["message_id"]) for row in rows] == [
        ("message received", "trace-me", 1),
        ("message processed", "trace-me", 1),
    ]
    assert "张" not in stream.getvalue()
