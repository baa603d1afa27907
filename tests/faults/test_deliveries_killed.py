"""SIGKILL while messages go out: every acknowledged write reaches the receiver, once in effect, in the order of its key."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import yaml

from gateway.outbound.reader import Reader
from mappings.hl7v2 import parse
from tests.gateway.receivers import Receiver, mllp_receiver

ROOT = Path(__file__).parent.parent.parent
KILLS = 5
PEOPLE = 4


class Server:
    """`hutong serve` as a process of its own."""

    def __init__(self, folder: Path, destinations: Path) -> None:
        command = [sys.executable, "-m", "gateway", "serve", "--json", "--port", "0", "--data", str(folder)]
        environment = {
            **os.environ,
            "HUTONG_LOG_LEVEL": "error",
            "HUTONG_MLLP": "false",
            "HUTONG_DESTINATIONS": str(destinations),
        }
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        assert self.process.stdout is not None
        told = json.loads(b"".join(iter(self.process.stdout.readline, b"}\n")) + b"}")
        self.url = told["url"]

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


async def write(url: str, person: int, start: int, written: dict[int, int]) -> None:
    """Give one patient one new number after the other until the server is gone; `written`: the last that it said yes to."""
    async with httpx.AsyncClient(base_url=f"{url}/fhir", timeout=10) as client:
        with suppress(httpx.HTTPError):
            for number in range(start, start + 10_000):
                patient = {
                    "resourceType": "Patient",
                    "id": f"p{person}",
                    "identifier": [{"system": "urn:id:H1", "value": f"P{person}"}],
                    "name": [{"text": f"第{number}"}],
                }
                answer = await client.put(f"/Patient/p{person}", json=patient)
                assert answer.status_code in (200, 201), answer.text
                written[person] = number


def names(receiver: Receiver, person: int) -> list[int]:
    """The numbers that the receiver has of one patient, in the order in which they took effect."""
    messages = [parse(body) for body in receiver.effects.values()]
    found = [message for message in messages if message.get("PID-3.1") == f"P{person}"]
    return [int((message.get("PID-5.1") or "第0")[1:]) for message in found]


def test_killed_while_messages_go_out(tmp_path: Path) -> None:
    async def go() -> None:
        async with mllp_receiver() as register:
            path = tmp_path / "destinations.yaml"
            row = {
                "name": "register",
                "channel": "mllp",
                "address": f"127.0.0.1:{register.port}",
                "maps": {"patient-changed": "out-hl7v2-demographics"},
                "retry": {"first_seconds": 0.05, "longest_seconds": 0.2},
            }
            path.write_text(yaml.safe_dump({"destinations": [row]}))
            written: dict[int, int] = {}
            for kill in range(KILLS):
                server = await asyncio.to_thread(Server, tmp_path / "data", path)
                before = len(register.taken)
                tasks = [
                    asyncio.ensure_future(write(server.url, person, written.get(person, 0) + 1, written))
                    for person in range(PEOPLE)
                ]
                await register.wait(before + 3, 60)
                await asyncio.sleep(0.05 + 0.1 * kill)
                await asyncio.to_thread(server.end, signal.SIGKILL)
                await asyncio.gather(*tasks)
            server = await asyncio.to_thread(Server, tmp_path / "data", path)
            reader = Reader(tmp_path / "data")
            async with asyncio.timeout(60):
                while reader.counts() or await _waiting(server.url):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(server.end, signal.SIGTERM)
            reader.close()
            assert sum(written.values()) > 3 * KILLS
            for person in range(PEOPLE):
                found = names(register, person)
                # A write whose answer was lost may have happened: its number is there once or twice in the order.
                assert sorted(found) == found
                assert set(range(1, written[person] + 1)) <= set(found)
                assert len(found) - len(set(found)) <= KILLS

    asyncio.run(asyncio.wait_for(go(), 240))


async def _waiting(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/deliveries?state=trouble&count=1")
        return bool(answer.json()["deliveries"])
