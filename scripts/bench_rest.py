"""REST over HTTP: our server beside a naive one, one table (docs/design.md §3 decision 9).

    scripts/bench rest [--seconds 2] [--rounds 3] [--resources 5000] [--no-baseline] [--json FILE]

Both servers run on this machine with the client beside them; the rounds of the two alternate, the median counts. The
same machine gives other absolute rates an hour later: read the ratios.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import uvloop
from bench_load import Figures, load, request

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
PATIENTS = 100
CODES = [("http://loinc.org", f"{2000 + number}-{number % 10}") for number in range(20)]


def observation(number: int, rng: random.Random) -> dict[str, Any]:
    """A lab result of about 700 bytes."""
    system, code = CODES[number % len(CODES)]
    day = f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:bench", "value": f"o{number}-{rng.random()}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": system, "code": code, "display": "葡萄糖"}], "text": "葡萄糖"},
        "subject": {"reference": f"Patient/p{rng.randrange(PATIENTS)}"},
        "effectiveDateTime": f"{day}T08:30:00+08:00",
        "performer": [{"display": "检验科"}],
        "valueQuantity": {
            "value": 6.3,
            "unit": "mmol/L",
            "system": "http://unitsofmeasure.org",
            "code": "mmol/L",
        },
        "interpretation": [{"text": "偏高"}],
        "referenceRange": [
            {"low": {"value": 3.9, "unit": "mmol/L"}, "high": {"value": 6.1, "unit": "mmol/L"}}
        ],
    }


def bundle(rng: random.Random) -> dict[str, Any]:
    """A Patient and 99 Observations that refer to it by urn:uuid, about 90 kB."""
    patient = f"urn:uuid:{uuid.UUID(int=rng.getrandbits(128))}"
    entries: list[dict[str, Any]] = [
        {
            "fullUrl": patient,
            "resource": {
                "resourceType": "Patient",
                "name": [{"text": "王小明"}],
                "gender": "male",
                "birthDate": "1960-05-01",
            },
            "request": {"method": "POST", "url": "Patient"},
        }
    ]
    for number in range(99):
        entries.append(
            {
                "fullUrl": f"urn:uuid:{uuid.UUID(int=rng.getrandbits(128))}",
                "resource": observation(number, rng) | {"subject": {"reference": patient}},
                "request": {"method": "POST", "url": "Observation"},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


class Process:
    """One server under test."""

    def __init__(self, name: str, app: str, port: int, **environment: str) -> None:
        self.name, self.port = name, port
        path = os.pathsep.join([str(FOLDER / "bench_baseline"), str(ROOT)])
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "uvicorn",
                app,
                "--port",
                str(port),
                "--log-level",
                "warning",
                "--no-access-log",
            ],
            env=os.environ | environment | {"PYTHONPATH": path},
            cwd=ROOT,
        )
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/fhir/Patient/p0", timeout=1).read()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{name} did not start") from None
                time.sleep(0.01)
        self.ready = time.perf_counter() - start

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps(body).encode()
        query = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/fhir+json"}
        )
        with urllib.request.urlopen(query) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def memory(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def seed(server: Process, count: int) -> list[str]:
    """Store patients and `count` Observations; return the ids of some Observations."""
    rng = random.Random(7)
    ids: list[str] = []
    patients = [
        {
            "fullUrl": f"urn:uuid:p{n}",
            "resource": {"resourceType": "Patient", "id": f"p{n}", "name": [{"text": "王"}]},
            "request": {
                "method": "PUT" if server.name != "naive" else "POST",
                "url": f"Patient/p{n}" if server.name != "naive" else "Patient",
            },
        }
        for n in range(PATIENTS)
    ]
    server.post("/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": patients})
    for start in range(0, count, 250):
        entries = [
            {
                "fullUrl": f"urn:uuid:o{n}",
                "resource": observation(n, rng),
                "request": {"method": "POST", "url": "Observation"},
            }
            for n in range(start, min(start + 250, count))
        ]
        answer = server.post("/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        ids += [entry["resource"]["id"] for entry in answer["entry"][:50]]
    return ids


def scenarios(ids: list[str]) -> dict[str, tuple[int, Callable[[int], bytes]]]:
    rng = random.Random(11)
    creates = [
        request("POST", "/fhir/Observation", json.dumps(observation(n, rng), ensure_ascii=False).encode())
        for n in range(500)
    ]
    reads = [request("GET", f"/fhir/Observation/{id}") for id in ids[:1000]]
    searches = []
    for _ in range(500):
        system, code = rng.choice(CODES)
        month = rng.randint(1, 9)
        searches.append(
            request(
                "GET",
                f"/fhir/Observation?subject=Patient/p{rng.randrange(PATIENTS)}&code={system}%7C{code}"
                f"&date=ge2024-{month:02d}-01&date=lt2024-{month + 3:02d}-01&_count=20",
            )
        )
    bundles = [
        request("POST", "/fhir", json.dumps(bundle(rng), ensure_ascii=False).encode()) for _ in range(20)
    ]
    return {
        "read, 16 connections": (16, lambda n: reads[n % len(reads)]),
        "read, 1 connection": (1, lambda n: reads[n % len(reads)]),
        "create, 16 connections": (16, lambda n: creates[n % len(creates)]),
        "create, 1 connection": (1, lambda n: creates[n % len(creates)]),
        "search patient+code+date, 16 connections": (16, lambda n: searches[n % len(searches)]),
        "transaction of 100, 16 connections": (16, lambda n: bundles[n % len(bundles)]),
        "transaction of 100, 1 connection": (1, lambda n: bundles[n % len(bundles)]),
    }


def median(rows: list[Figures]) -> Figures:
    return Figures(
        statistics.median(row.rate for row in rows),
        statistics.median(row.p50 for row in rows),
        statistics.median(row.p95 for row in rows),
        statistics.median(row.p99 for row in rows),
        sum(row.errors for row in rows),
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--resources", type=int, default=5000)
    arguments.add_argument("--no-baseline", action="store_true")
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    uvloop.install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = [
            Process(
                "normal",
                "hutong_server:app",
                18801,
                HUTONG_BENCH_DB=str(folder / "normal.db"),
                HUTONG_BENCH_SYNC="normal",
            ),
            Process(
                "full",
                "hutong_server:app",
                18802,
                HUTONG_BENCH_DB=str(folder / "full.db"),
                HUTONG_BENCH_SYNC="full",
            ),
        ]
        if not given.no_baseline:
            servers.append(Process("naive", "naive_server:app", 18803, NAIVE_DB=str(folder / "naive.db")))
        try:
            idle = {server.name: server.memory() for server in servers}
            plans = {server.name: scenarios(seed(server, given.resources)) for server in servers}
            table = measure(servers, plans, given.seconds, given.rounds)
            report(table, servers, idle, given.resources)
            if given.json:
                rows = {
                    row: {name: vars(figures) for name, figures in cells.items()}
                    for row, cells in table.items()
                }
                given.json.write_text(json.dumps(rows, indent=1) + "\n")
        finally:
            for server in servers:
                server.stop()


def measure(
    servers: list[Process], plans: dict[str, dict[str, Any]], seconds: float, rounds: int
) -> dict[str, dict[str, Figures]]:
    table: dict[str, dict[str, Figures]] = {}
    for row in plans["normal"]:
        found: dict[str, list[Figures]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                if server.name == "full" and not row.startswith(("create", "transaction")):
                    continue
                connections, make = plans[server.name][row]
                found[server.name].append(asyncio.run(load(server.port, connections, seconds, make)))
        table[row] = {name: median(rows) for name, rows in found.items() if rows}
    return table


def report(
    table: dict[str, dict[str, Figures]], servers: list[Process], idle: dict[str, float], count: int
) -> None:
    print(
        f"{count} Observations of 700 bytes, {PATIENTS} patients; rates in requests/s, p50/p99 in ms; client on the same machine"
    )
    print(f"{'':44}{'NORMAL':>9}{'p50':>7}{'p99':>7}{'FULL':>9}{'naive':>9}{'ratio':>8}{'errors':>8}")
    for row, cells in table.items():
        ours, full, naive = cells["normal"], cells.get("full"), cells.get("naive")
        print(
            f"{row:44}{ours.rate:9.0f}{ours.p50:7.1f}{ours.p99:7.1f}"
            f"{f'{full.rate:9.0f}' if full else '         '}"
            f"{f'{naive.rate:9.1f}{ours.rate / naive.rate:7.1f}x' if naive else '                 '}"
            f"{sum(figures.errors for name, figures in cells.items() if name != 'naive'):8d}"
        )
    for server in servers:
        print(
            f"{server.name}: ready in {server.ready:.2f} s, {idle[server.name]:.0f} MiB at start, {server.memory():.0f} MiB after"
        )


if __name__ == "__main__":
    main()
