"""SIGKILL under MLLP load, ten times: every acknowledged message is there once, and no resource is doubled."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw

from gateway.journal.journal import Reader
from gateway.store.sqlite import SqliteStore
from tests.gateway.running import Sender, msa

ROOT = Path(__file__).parent.parent.parent
KILLS = 10


def message(number: int) -> bytes:
    """A result of a patient of its own, so that resources can be counted."""
    lines = (
        f"MSH|^~\\&|LIS|H1|GW|HT|20260315103012||ORU^R01^ORU_R01|K{number:06}|P|2.4||||||UNICODE UTF-8",
        f"PID|1||K{number:06}^^^H1^MR||张^三||19850101|M",
        f"OBR|1|REQ{number:06}^HIS|LAB{number:06}^LIS|XCG^血常规|||20260315081500|||||||||||||||20260315103000|||F",
        "OBX|1|NM|WBC^白细胞计数^LOCAL||12.5|10*9/L|3.5-9.5|H|||F",
    )
    return ("\r".join(lines) + "\r").encode()


class Server:
    """`hutong serve` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "gateway",
            "serve",
            "--json",
            "--port",
            "0",
            "--mllp-port",
            "0",
            "--data",
            str(folder),
        ]
        environment = {**os.environ, "HUTONG_LOG_LEVEL": "error"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
        assert self.process.stdout is not None
        told = json.loads(b"".join(iter(self.process.stdout.readline, b"}\n")) + b"}")
        self.port, self.url = told["mllp_port"], told["url"]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


async def load(server: Server, numbers: list[int], acknowledged: set[int], seconds: float) -> None:
    """Send the messages over four connections until the server is killed."""

    async def one(part: list[int]) -> None:
        sender = await Sender.connect(server.port)
        try:
            for number in part:
                answer = await sender.ask(message(number))
                assert msa(answer)[1:3] == ["AA", f"K{number:06}"]
                acknowledged.add(number)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            await sender.close()

    before = len(acknowledged)
    tasks = [asyncio.ensure_future(one(numbers[place::4])) for place in range(4)]
    while len(acknowledged) == before:  # noqa: ASYNC110  (it takes a moment until the maps are loaded)
        await asyncio.sleep(0.005)
    await asyncio.sleep(seconds)
    server.kill()
    await asyncio.gather(*tasks)


def test_killed_ten_times_under_load(tmp_path: Path) -> None:
    acknowledged: set[int] = set()
    sent = 0
    for kill in range(KILLS):
        server = Server(tmp_path)
        # What was not acknowledged before is sent again, as a hospital's sender does.
        again = [number for number in range(sent) if number not in acknowledged]
        numbers = [*again, *range(sent, sent + 400)]
        asyncio.run(load(server, numbers, acknowledged, 0.05 + 0.05 * kill))
        sent = max([sent, *(number + 1 for number in acknowledged)])
    assert len(acknowledged) > 3 * KILLS

    server = Server(tmp_path)
    reader = Reader(tmp_path)
    deadline = time.monotonic() + 120
    while reader.counts() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert reader.counts() == {}
    server.stop()

    kept = [
        row[0]
        for row in apsw.Connection(str(tmp_path / "journal.sqlite")).execute("select control_id from message")
    ]
    assert len(kept) == len(set(kept))
    assert {f"K{number:06}" for number in acknowledged} <= set(kept)
    asyncio.run(stored_once(tmp_path, len(kept)))


async def stored_once(folder: Path, count: int) -> None:
    """As many patients, reports, observations and Provenances as messages, each in its first version."""
    store = SqliteStore(folder / "store.sqlite")
    for type in ("Patient", "DiagnosticReport", "Observation", "Provenance"):
        versions = [version async for version in store.history(type)]
        assert len({version.id for version in versions}) == count, type
        assert {version.version for version in versions} == {1}, type
    await store.close()
