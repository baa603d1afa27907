"""Measure order → visible in the centre's worklist, and final report → at the placer, under a steady load of orders.

Run as `scripts/bench workflow [--rate N] [--seconds N] [--poll SECONDS]`. One `hutong serve` with the embedded store and
synchronous=FULL. This process is the township (orders by MLLP in GBK, and a listener that takes its reports), the
centre's poller (`Task/$worklist` again and again) and the centre's own system, which reports an order as soon as it sees
it (ORU by MLLP). What is measured is the time on the wire, the poller's pause included.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
VISIBLE_BAR, RETURNED_BAR = 2.0, 3.0
WARM = 200
"""Orders before the measured ones."""


@dataclass
class Times:
    """Seconds by order number: when it was sent, seen in the worklist, reported, and when the report was back."""

    ordered: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    reported: dict[str, float] = field(default_factory=dict)
    returned: dict[str, float] = field(default_factory=dict)
    doubled: int = 0

    def forget(self) -> None:
        for rows in (self.ordered, self.seen, self.reported, self.returned):
            rows.clear()


def order(number: str) -> bytes:
    lines = (
        f"MSH|^~\\&|HIS|T1|GW|HT|20260315083012||ORM^O01|{number}|P|2.4||||||GBK",
        f"PID|1||P{number}^^^T1^MR||张^三丰||19850101|M",
        f"ORC|NW|{number}|||||||20260315083000|||D01^李建国",
        f"OBR|1|{number}||CT001^胸部CT平扫||||||||||||||||||||RAD",
    )
    return ("\r".join(lines) + "\r").encode("gbk")


def report(number: str) -> bytes:
    lines = (
        f"MSH|^~\\&|RIS|C1|GW|HT|20260315093012||ORU^R01|U{number}|P|2.4||||||GBK",
        f"PID|1||P{number}^^^T1^MR||张^三丰||19850101|M",
        f"ORC|RE|{number}|F{number}",
        f"OBR|1|{number}|F{number}|CT001^胸部CT平扫|||20260315090000|||||||||||||||20260315093012||RAD|F",
        "OBX|1|TX|IMP^诊断意见^L||双肺未见异常||||||F",
    )
    return ("\r".join(lines) + "\r").encode("gbk")


class Line:
    """One MLLP connection; answers are read beside the sending."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer, self.refused = writer, 0
        self.reading = asyncio.create_task(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                self.refused += b"MSA|AA" not in await reader.readuntil(b"\x1c\r")
            except (asyncio.IncompleteReadError, ConnectionError):
                return

    def send(self, raw: bytes) -> None:
        self.writer.write(b"\x0b" + raw + b"\x1c\r")


async def line(port: int) -> Line:
    return Line(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))


async def township(times: Times) -> asyncio.Server:
    """The listener of the township's HIS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                body = (await reader.readuntil(b"\x1c\r"))[1:-2]
                fields = {row.split(b"|", 1)[0]: row.split(b"|") for row in body.split(b"\r")}
                number = fields[b"ORC"][2].split(b"^")[0].decode()
                times.doubled += number in times.returned
                times.returned.setdefault(number, time.perf_counter())
                control = fields[b"MSH"][9].decode()
                ack = f"MSH|^~\\&|HIS|T1|HUTONG||20260315||ACK|A{control}|P|2.4\rMSA|AA|{control}"
                writer.write(b"\x0b" + ack.encode() + b"\x1c\r")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**22)


def rest(url: str, method: str, path: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/fhir+json"}
    with urlopen(Request(f"{url}/fhir/{path}", data, headers, method=method), timeout=60) as answer:
        return json.load(answer)


def look(url: str) -> list[str]:
    """Return the numbers of the orders that the centre's worklist shows as waiting."""
    page = rest(url, "GET", "Task/$worklist?owner=centre&code=fulfill&status=requested&count=200")
    orders = [row["resource"] for row in page.get("entry", ()) if row["search"]["mode"] == "include"]
    return [row["identifier"][0]["value"] for row in orders if row["resourceType"] == "ServiceRequest"]


async def centre(url: str, ris: Line, times: Times, poll: float) -> None:
    while True:
        for number in await asyncio.to_thread(look, url):
            if number not in times.seen:
                times.seen[number] = time.perf_counter()
                times.reported[number] = time.perf_counter()
                ris.send(report(number))
        await asyncio.sleep(poll)


async def measure(
    url: str, mllp: int, times: Times, rate: float, seconds: float, poll: float, first: str = "Q"
) -> int:
    """Order at a steady rate, wait for the last report; return how many messages were refused."""
    his, ris = await line(mllp), await line(mllp)
    poller = asyncio.create_task(centre(url, ris, times, poll))
    started = time.perf_counter()
    for place in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, started + place / rate - time.perf_counter()))
        number = f"{first}{place:06}"
        times.ordered[number] = time.perf_counter()
        his.send(order(number))
    deadline = time.perf_counter() + 60
    while len(times.returned) < len(times.ordered) and time.perf_counter() < deadline:  # noqa: ASYNC110  (another process does the work)
        await asyncio.sleep(0.1)
    poller.cancel()
    for one in (his, ris):
        one.writer.close()
    return his.refused + ris.refused


def percentile(values: list[float], share: float) -> float:
    rows = sorted(values)
    return rows[min(len(rows) - 1, int(len(rows) * share))] if rows else float("nan")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def bench(rate: float, seconds: float, poll: float) -> bool:
    times = Times()
    listener = await township(times)
    port = listener.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        destinations = Path(folder) / "destinations.yaml"
        destinations.write_text(
            f"destinations: [{{name: T1, organization: T1, channel: mllp, address: '127.0.0.1:{port}', charset: GBK,"
            " maps: {report-final: out-hl7v2-results}, receiver: [HIS, T1], parallel: 4}]\n"
        )
        command = [
            sys.executable, "-m", "gateway", "serve", "--json", "--port", "0", "--mllp-port", "0", "--data", folder,
        ]  # fmt: skip
        environment = {**os.environ, "HUTONG_LOG_LEVEL": "warning", "HUTONG_DESTINATIONS": str(destinations)}
        server = subprocess.Popen(  # noqa: ASYNC220  (nothing else runs yet)
            command, stdout=subprocess.PIPE, env=environment, cwd=Path(__file__).parent.parent
        )
        try:
            assert server.stdout is not None
            told = json.loads(b"".join(iter(server.stdout.readline, b"}\n")) + b"}")
            url = told["url"]
            rest(
                url,
                "PUT",
                "Organization/centre",
                {"resourceType": "Organization", "id": "centre", "name": "县影像中心"},
            )
            service = {
                "resourceType": "HealthcareService", "id": "centre", "active": True,
                "providedBy": {"reference": "Organization/centre"},
                "category": [{"coding": [{"system": CATEGORY, "code": "imaging"}]}],
            }  # fmt: skip
            rest(url, "PUT", "HealthcareService/centre", service)
            # The first messages compile their maps; what is measured is a gateway at work.
            await measure(url, told["mllp_port"], times, 20, WARM / 20, poll, first="W")
            times.forget()
            before = cpu_seconds(server.pid)
            refused = await measure(url, told["mllp_port"], times, rate, seconds, poll)
            used = cpu_seconds(server.pid) - before
        finally:
            server.terminate()
            server.wait(30)
    listener.close()
    return tell(times, rate, seconds, poll, refused, used)


def tell(times: Times, rate: float, seconds: float, poll: float, refused: int, used: float) -> bool:
    visible = [times.seen[one] - times.ordered[one] for one in times.seen]
    returned = [times.returned[one] - times.reported[one] for one in times.returned]
    count = len(times.ordered)
    print(f"{count} orders, {rate:g} a second for {seconds:g} s; the worklist is read every {poll:g} s")
    for name, rows, bar in (
        ("order → visible in the worklist", visible, VISIBLE_BAR),
        ("final report → at the placer", returned, RETURNED_BAR),
    ):
        p50, p95, most = percentile(rows, 0.5), percentile(rows, 0.95), max(rows, default=float("nan"))
        print(f"{name:34} p50 {p50:6.2f} s   p95 {p95:6.2f} s   most {most:6.2f} s   (bar p95 {bar:g} s)")
    print(f"lost {count - len(times.returned)}, doubled {times.doubled}, refused {refused}")
    print(
        f"server's own time {used / max(1, count) * 1000:.1f} ms an order with its report;"
        f" the machine's load was {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return (
        len(times.returned) == count
        and percentile(visible, 0.95) <= VISIBLE_BAR
        and percentile(returned, 0.95) <= RETURNED_BAR
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="orders a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--poll", type=float, default=0.5, help="pause between two looks at the worklist")
    chosen = parser.parse_args()
    sys.exit(0 if asyncio.run(bench(chosen.rate, chosen.seconds, chosen.poll)) else 1)


if __name__ == "__main__":
    main()
