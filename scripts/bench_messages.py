"""Measure the door and the whole way: MLLP in → durable acknowledgement, and MLLP in → stored, indexed, searchable.

Run as `scripts/bench messages [--messages N] [--results N] [--connections N] [--window N]`. One `hutong serve` with the
embedded store and synchronous=FULL, the sender in this process beside it. The messages are GB 18030 laboratory results,
no two alike. The acknowledgement is measured while the same process maps and stores what it has acknowledged.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

ITEMS = (
    "WBC^白细胞计数^LOCAL||12.5|10*9/L|3.5-9.5|H", "RBC^红细胞计数^LOCAL||4.3|10*12/L|4.3-5.8|N",
    "HGB^血红蛋白^LOCAL||128|g/L|130-175|L", "PLT^血小板计数^LOCAL||210|10*9/L|125-350|N",
    "CRP^C反应蛋白^LOCAL||8.1|mg/L|<10|N", "NEU^中性粒细胞计数^LOCAL||3.2|10*9/L|1.8-6.3|N",
)  # fmt: skip


def message(number: int, results: int, per_patient: int = 1) -> bytes:
    person = number // per_patient
    chance = random.Random(person)
    name = (
        chance.choice("张王李赵刘陈杨黄周吴")
        + "^"
        + "".join(chance.choice("伟芳娜敏静丽强磊军洋") for _ in range(2))
    )
    lines = [
        f"MSH|^~\\&|LIS|H{person % 4}|GW|HT|2026031510{number // 60 % 60:02}{number % 60:02}||ORU^R01^ORU_R01|M{number:08}|P|2.4||||||GB18030",
        f"PID|1||P{person:08}^^^H{person % 4}^MR||{name}||19{chance.randrange(40, 99)}0101|{chance.choice('MF')}",
        f"OBR|1|REQ{number:08}^HIS|LAB{number:08}^LIS|XCG^血常规|||20260315081500|||||||||李建国||||||20260315103000|||F",
        *(
            f"OBX|{row}|NM|{ITEMS[row % len(ITEMS)].replace('^', f'{row}^', 1)}|||F"
            for row in range(1, results + 1)
        ),
    ]
    return ("\r".join(lines) + "\r").encode("gb18030")


async def send(port: int, rows: list[bytes], window: int) -> int:
    """Send over one connection with `window` messages under way; return how many were accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    accepted = under_way = 0
    for raw in rows:
        writer.write(b"\x0b" + raw + b"\x1c\r")
        under_way += 1
        if under_way >= window:
            accepted += b"MSA|AA" in await reader.readuntil(b"\x1c\r")
            under_way -= 1
    for _ in range(under_way):
        accepted += b"MSA|AA" in await reader.readuntil(b"\x1c\r")
    writer.close()
    return accepted


def processed(url: str) -> int:
    text = urlopen(f"{url}/metrics").read().decode()
    return sum(int(number) for number in re.findall(r"hutong_processed_total\{[^}]*\} (\d+)", text))


async def measure(
    url: str, port: int, rows: list[bytes], connections: int, window: int
) -> tuple[float, float]:
    """Return messages per second to the acknowledgement, and to the store."""
    before = processed(url)
    started = time.perf_counter()
    parts = [rows[number::connections] for number in range(connections)]
    accepted = sum(await asyncio.gather(*(send(port, part, window) for part in parts)))
    acknowledged = time.perf_counter() - started
    assert accepted == len(rows), f"{len(rows) - accepted} messages were not accepted"
    while processed(url) - before < len(rows):  # noqa: ASYNC110  (another process does the work)
        await asyncio.sleep(0.05)
    return len(rows) / acknowledged, len(rows) / (time.perf_counter() - started)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, whatever else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def bench_messages(count: int, results: int, connections: int, window: int, per_patient: int = 1) -> None:
    with tempfile.TemporaryDirectory() as folder:
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
            folder,
        ]
        environment = {**os.environ, "HUTONG_LOG_LEVEL": "warning"}
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parent.parent
        )
        try:
            assert server.stdout is not None
            told = json.loads(b"".join(iter(server.stdout.readline, b"}\n")) + b"}")
            rows = [message(number, results, per_patient) for number in range(count + 200)]
            asyncio.run(measure(told["url"], told["mllp_port"], rows[:200], connections, window))
            before = cpu_seconds(server.pid)
            door, way = asyncio.run(measure(told["url"], told["mllp_port"], rows[200:], connections, window))
            used = (cpu_seconds(server.pid) - before) / count
            status = Path(f"/proc/{server.pid}/status").read_text()
            memory = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]  # always there
        finally:
            server.terminate()
            server.wait(30)
    print(
        f"{count} messages of {len(rows[0]):,} bytes, {results} OBX, {per_patient} a patient, {connections} connections × {window}"
    )
    print(f"ready in                 {told['ready_seconds']:8.2f} s")
    print(f"MLLP in → durable ACK    {door:8,.0f} messages/s   (bar 1,000)")
    print(f"MLLP in → stored         {way:8,.0f} messages/s   (bar   300)")
    print(
        f"server's own time        {used * 1000:8.2f} ms/message; the machine's load was {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"largest memory           {memory:8,} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--results", type=int, default=6)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--per-patient", type=int, default=1, help="messages of one patient")
    chosen = parser.parse_args()
    bench_messages(chosen.messages, chosen.results, chosen.connections, chosen.window, chosen.per_patient)


if __name__ == "__main__":
    main()
