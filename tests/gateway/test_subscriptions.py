"""R4 rest-hook Subscriptions over real endpoints: handshake, events by number, errors, replay (docs/api/subscription.md)."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.app import Gateway
from mappings.language.active import ActiveMaps
from tests.gateway.receivers import Receiver, http_receiver
from tests.gateway.running import run, running
from tests.gateway.test_deliveries import publish, until

TOPIC = "https://hutong.health/fhir/SubscriptionTopic/report-final"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"


def subscription(port: int, *, criteria: str = TOPIC, id: str = "s1", **channel: Any) -> dict[str, Any]:
    return {
        "resourceType": "Subscription",
        "id": id,
        "status": "requested",
        "reason": "test",
        "criteria": criteria,
        "channel": {
            "type": "rest-hook",
            "endpoint": f"http://127.0.0.1:{port}/notify",
            "payload": "application/fhir+json",
            "header": ["Authorization: Bearer abc"],
            **channel,
        },
    }


@asynccontextmanager
async def gateway_of(folder: Path, **chosen: Any) -> Any:
    async with running(folder, maps=ActiveMaps(), mllp=False, **chosen) as gateway:
        gateway.post.subscriptions._retry = type(gateway.post.subscriptions._retry)(
            first=0.05, longest=0.1, refusals=3
        )
        transport = httpx.ASGITransport(app=gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://gw/fhir") as client:
            yield gateway, client


async def put(client: httpx.AsyncClient, resource: dict[str, Any], expected: int = 201) -> dict[str, Any]:
    answer = await client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
    assert answer.status_code == expected, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def status_of(client: httpx.AsyncClient, id: str = "s1") -> str:
    return str((await client.get(f"/Subscription/{id}")).json()["status"])


async def becomes(client: httpx.AsyncClient, status: str, id: str = "s1", seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while await status_of(client, id) != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # what is waited for is behind HTTP


def parameters(bundle: dict[str, Any]) -> dict[str, Any]:
    rows = bundle["entry"][0]["resource"]["parameter"]
    return {row["name"]: next(value for key, value in row.items() if key != "name") for row in rows}


def told(endpoint: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for body in endpoint.taken]


class TestTopics:
    def test_handshake_then_events_by_number_with_ids_only(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path) as (gateway, client):
                made = await put(client, subscription(endpoint.port))
                assert made["status"] == "requested"
                await becomes(client, "active")
                for number in (1, 2):
                    await publish(gateway, number)
                await endpoint.wait(3)
                first, *events = told(endpoint)
                assert endpoint.headers[0]["authorization"] == "Bearer abc"
                assert endpoint.headers[0]["content-type"] == "application/fhir+json"
                assert first["type"] == "history"
                assert parameters(first)["type"] == "handshake"
                assert [parameters(one)["type"] for one in events] == ["event-notification"] * 2
                assert [parameters(one)["events-since-subscription-start"] for one in events] == ["1", "2"]
                parts = {row["name"]: row for row in parameters(events[0])["notification-event"]}
                assert parts["event-number"]["valueString"] == "1"
                assert parts["focus"]["valueReference"]["reference"] == "DiagnosticReport/r1"
                assert "resource" not in events[0]["entry"][1]
                assert events[0]["entry"][1]["fullUrl"].endswith("/DiagnosticReport/r1")

        run(go())

    def test_filters_by_receiver_and_by_search(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path) as (gateway, client):
                row = subscription(endpoint.port, criteria=f"{TOPIC}?receiver=Organization/h1")
                row["_criteria"] = {
                    "extension": [
                        {
                            "url": f"{BACKPORT}filter-criteria",
                            "valueString": "DiagnosticReport?subject=Patient/p2",
                        }
                    ]
                }
                await put(client, row)
                await becomes(client, "active")
                await publish(gateway, 1, receivers=["Organization/h1"], patient="p1")
                await publish(gateway, 2, receivers=["Organization/other"], patient="p2")
                await publish(gateway, 3, receivers=["Organization/h1"], patient="p2")
                await endpoint.wait(2)
                await asyncio.sleep(0.3)
                assert [one["entry"][1]["fullUrl"].rpartition("/")[2] for one in told(endpoint)[1:]] == ["r3"]

        run(go())

    def test_full_resources_and_xml(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path) as (gateway, client):
                full = {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": "full-resource"}]}
                await put(client, subscription(endpoint.port, _payload=full))
                await becomes(client, "active")
                await publish(gateway, 1)
                await endpoint.wait(2)
                assert told(endpoint)[1]["entry"][1]["resource"]["conclusion"] == "结论1"
                # An active subscription is changed as it is; the server asks for the handshake again.
                xml = {**subscription(endpoint.port, payload="application/fhir+xml"), "status": "active"}
                await put(client, xml, expected=200)
                await endpoint.wait(3)
                assert endpoint.taken[2].lstrip().startswith(b"<")
                assert b"handshake" in endpoint.taken[2]

        run(go())

    def test_the_topics_are_told(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with gateway_of(tmp_path) as (_, client):
                statement = (await client.get("/metadata")).json()
                [row] = [one for one in statement["rest"][0]["resource"] if one["type"] == "Subscription"]
                assert TOPIC in [one["valueCanonical"] for one in row["extension"]]
                assert {"status", "events"} <= {one["name"] for one in row["operation"]}

        run(go())


class TestSearchCriteria:
    def test_every_matching_write_is_told_once(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path, workflow=False) as (_, client):
                await put(client, subscription(endpoint.port, criteria="Patient?gender=female"))
                await becomes(client, "active")
                await put(client, {"resourceType": "Patient", "id": "a", "gender": "male"})
                await put(client, {"resourceType": "Patient", "id": "b", "gender": "female"})
                await put(
                    client, {"resourceType": "Patient", "id": "b", "gender": "female", "active": True}, 200
                )
                await endpoint.wait(3)
                await asyncio.sleep(0.3)
                assert [one["entry"][1]["fullUrl"].rpartition("/")[2] for one in told(endpoint)[1:]] == [
                    "b",
                    "b",
                ]

        run(go())


class TestErrors:
    def test_an_endpoint_that_was_down_gets_all_events_and_events_again(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as first:
                port = first.port
                async with gateway_of(tmp_path) as (gateway, client):
                    await put(client, subscription(port))
                    await becomes(client, "active")
                    # The endpoint goes away.
                    first.taken.clear()
                    await _down(gateway, client, port)

        async def _down(gateway: Gateway, client: httpx.AsyncClient, port: int) -> None:
            gateway.post.subscriptions.lanes["Subscription/s1"].senders[0]._url = "http://127.0.0.1:1/"  # type: ignore[attr-defined]
            for number in (1, 2, 3):
                await publish(gateway, number)
            await becomes(client, "error")
            assert "connection" in (await client.get("/Subscription/s1")).json()["error"]
            row = (await client.get("/Subscription/s1/$status")).json()["entry"][0]["resource"]
            codes = {one["name"]: one for one in row["parameter"]}
            assert codes["status"]["valueCode"] == "error"
            assert codes["type"]["valueCode"] == "query-status"
            again = (await client.get("/Subscription/s1/$events?eventsSinceNumber=2")).json()
            assert again["type"] == "history"
            assert len(again["entry"]) == 3
            numbers = [
                part["valueString"]
                for one in again["entry"][0]["resource"]["parameter"]
                if one["name"] == "notification-event"
                for part in one["part"]
                if part["name"] == "event-number"
            ]
            assert numbers == ["2", "3"]
            full = (
                await client.get("/Subscription/s1/$events?content=full-resource&eventsUntilNumber=1")
            ).json()
            assert full["entry"][1]["resource"]["id"] == "r1"
            gateway.post.subscriptions.lanes["Subscription/s1"].senders[0]._url = f"http://127.0.0.1:{port}/"  # type: ignore[attr-defined]
            await becomes(client, "active")
            await until(lambda: gateway.post.ledger.counts() == {})

        run(go())

    def test_a_refused_handshake_is_an_error_and_a_correction_activates(self, tmp_path: Path) -> None:
        answers = {"status": 403}

        async def go() -> None:
            async with (
                http_receiver(lambda *_: (answers["status"], b"no")) as endpoint,
                gateway_of(tmp_path) as (_, client),
            ):
                await put(client, subscription(endpoint.port))
                await becomes(client, "error")
                answers["status"] = 200
                await put(client, subscription(endpoint.port), expected=200)
                await becomes(client, "active")

        run(go())

    def test_what_cannot_be_kept_is_refused_with_its_place(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with gateway_of(tmp_path) as (_, client):
                for change, code in (
                    ({"channel": {"type": "websocket"}}, "HT-SUB-01"),
                    ({"channel": {"type": "rest-hook", "endpoint": "ftp://x/"}}, "HT-SUB-02"),
                    ({"channel": {"type": "rest-hook", "endpoint": "http://169.254.169.254/"}}, "HT-SUB-02"),
                    (
                        {"channel": {"type": "rest-hook", "endpoint": "http://x/", "payload": "text/plain"}},
                        "HT-SUB-03",
                    ),
                    ({"criteria": "https://example.org/topic"}, "HT-SUB-05"),
                    ({"criteria": "Patient?nosuch=1"}, "HT-SUB-06"),
                ):
                    answer = await client.put("/Subscription/s1", json={**subscription(1), **change})
                    assert answer.status_code == 422, change
                    codes = [one["details"]["coding"][0]["code"] for one in answer.json()["issue"]]
                    assert code in codes, (change, codes)
                assert (await client.get("/Subscription/s1")).status_code == 404
                assert (await client.get("/Subscription/s1/$status")).status_code == 404
                assert (await client.get("/Subscription/s1/$events?eventsSinceNumber=x")).status_code in (
                    400,
                    404,
                )

        run(go())

    def test_hosts_outside_the_setting_are_refused(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with gateway_of(tmp_path, subscription_hosts="*.example.org") as (_, client):
                answer = await client.put("/Subscription/s1", json=subscription(80))
                assert answer.status_code == 422

        run(go())


class TestLife:
    def test_off_and_deleted_subscriptions_are_told_nothing(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path) as (gateway, client):
                for id in ("s1", "s2"):
                    await put(client, subscription(endpoint.port, id=id))
                    await becomes(client, "active", id)
                await put(client, {**subscription(endpoint.port), "status": "off"}, expected=200)
                assert (await client.delete("/Subscription/s2")).status_code in (200, 204)
                await until(lambda: not gateway.post.subscriptions.lanes)
                await publish(gateway, 1)
                await asyncio.sleep(0.5)
                assert len(endpoint.taken) == 2
                assert await status_of(client) == "off"

        run(go())

    def test_heartbeats_and_the_end(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint, gateway_of(tmp_path) as (gateway, client):
                row = subscription(endpoint.port)
                row["channel"]["extension"] = [{"url": f"{BACKPORT}heartbeat-period", "valueUnsignedInt": 1}]
                await put(client, row)
                await endpoint.wait(2)
                assert parameters(told(endpoint)[1])["type"] == "heartbeat"
                await put(client, {**row, "status": "active", "end": "2020-01-01T00:00:00Z"}, expected=200)
                await becomes(client, "off")
                await until(lambda: not gateway.post.subscriptions.lanes)

        run(go())

    def test_a_restart_takes_up_what_was_there(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with http_receiver() as endpoint:
                async with gateway_of(tmp_path, store="sqlite") as (gateway, client):
                    await put(client, subscription(endpoint.port))
                    await becomes(client, "active")
                async with gateway_of(tmp_path, store="sqlite") as (gateway, client):
                    await publish(gateway, 1)
                    await endpoint.wait(2)
                    assert [parameters(one)["type"] for one in told(endpoint)] == [
                        "handshake",
                        "event-notification",
                    ]

        run(go())
