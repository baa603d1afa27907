#!/usr/bin/env python3
"""Measure a store: creates, searches in a small and in a large county, disk. `scripts/bench store [--patients N]`.

Searches run at 1,000 patients and at the asked number (64,000 by default) on the same queries; the last column is the
ratio of the medians. Every patient has ten small Observations and one Encounter.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.search import Parameters, parse
from gateway.store.protocol import Commit, Put
from gateway.store.sqlite import SqliteStore

FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英建国志华文玉兰红"
CODES = [("15074-8", "Glucose", "mmol/L"), ("2160-0", "Creatinine", "umol/L"), ("718-7", "Hemoglobin", "g/L"),
         ("8867-4", "Heart rate", "/min"), ("8480-6", "Systolic blood pressure", "mm[Hg]")]  # fmt: skip

QUERIES = [
    ("Patient", "identifier=urn:oid:2.16.156.1|3301{n:06}"),
    ("Patient", "name=王伟"),
    ("Patient", "name=王"),
    ("Patient", "name:contains=小"),
    ("Patient", "pinyin=zw"),
    ("Patient", "gender=male"),
    ("Patient", "gender=male&birthdate=ge1990"),
    ("Patient", "birthdate=1970-05"),
    ("Patient", "_sort=birthdate"),
    ("Patient", "family=张&_sort=-birthdate"),
    ("Patient", "_has:Observation:patient:code=http://loinc.org|718-7"),
    ("Patient", "_has:Observation:patient:value-quantity=gt199|http://unitsofmeasure.org|g/L"),
    ("Patient", "birthdate:missing=false"),
    ("Patient", "_lastUpdated=gt2020&_sort=_lastUpdated"),
    ("Observation", "patient=p{n}"),
    ("Observation", "patient=p{n}&code=http://loinc.org|15074-8&date=ge2023"),
    ("Observation", "code=http://loinc.org|15074-8"),
    ("Observation", "code=http://loinc.org|15074-8&_sort=-date"),
    ("Observation", "code:text=creat"),
    ("Observation", "value-quantity=5.4|http://unitsofmeasure.org|mmol/L"),
    ("Observation", "code-value-quantity=15074-8$gt9"),
    ("Observation", "status:not=final"),
    ("Observation", "patient.name=王伟"),
    ("Observation", "patient.gender=female&code=718-7"),
    ("Observation", "patient.identifier=3301{n:06}&_include=Observation:patient"),
    ("Observation", "date=2024-03-05"),
    ("Observation", "_content=glucose"),
    ("Encounter", "patient=p{n}&_revinclude=Observation:encounter"),
]  # fmt: skip


def patient(n: int, r: random.Random) -> dict[str, Any]:
    name = r.choice(FAMILY) + "".join(r.choice(GIVEN + "小") for _ in range(r.choice((1, 2, 2))))
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "identifier": [{"system": "urn:oid:2.16.156.1", "value": f"3301{n:06}"}],
        "name": [{"text": name}],
        "gender": r.choice(("male", "female")),
        "birthDate": f"{r.randint(1940, 2015)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}",
        "telecom": [{"system": "phone", "value": f"13{r.randint(0, 10**9 - 1):09}"}],
    }


def encounter(n: int, r: random.Random) -> dict[str, Any]:
    day = f"2024-{r.randint(1, 12):02}-{r.randint(1, 28):02}"
    return {
        "resourceType": "Encounter",
        "id": f"e{n}",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/p{n}"},
        "period": {"start": f"{day}T08:00:00+08:00", "end": f"{day}T09:00:00+08:00"},
    }


def observation(n: int, k: int, r: random.Random) -> dict[str, Any]:
    """About 700 bytes, as the measurements of docs/storage.md."""
    code, display, unit = CODES[k % len(CODES)]
    day = f"{r.randint(2020, 2024)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"
    return {
        "resourceType": "Observation",
        "id": f"o{n}-{k}",
        "status": "final" if r.random() < 0.98 else "amended",
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
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]},
        "subject": {"reference": f"Patient/p{n}"},
        "encounter": {"reference": f"Encounter/e{n}"},
        "effectiveDateTime": f"{day}T0{r.randint(0, 9)}:{r.randint(10, 59)}:00+08:00",
        "performer": [{"reference": f"Organization/org{n % 20}"}],
        "valueQuantity": {
            "value": r.randint(30, 2000) / 10,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
    }


async def load(store: Any, first: int, last: int) -> tuple[int, float]:
    """Write the patients [first, last) with what belongs to them; return resources and seconds."""
    r = random.Random(first)
    began = time.perf_counter()
    for start in range(first, last, 64):
        commits = []
        for n in range(start, min(start + 64, last)):
            rows = [patient(n, r), encounter(n, r), *(observation(n, k, r) for k in range(10))]
            commits.append(store.commit(Commit([Put(row) for row in rows])))
        await asyncio.gather(*commits)
    return (last - first) * 12, time.perf_counter() - began


async def creates(store: Any, clients: int, seconds: float) -> tuple[float, float, float]:
    """Creates per second by `clients` at once, p50 and p99 in milliseconds."""
    r = random.Random(7)
    stop = time.perf_counter() + seconds
    times: list[float] = []

    async def client(number: int) -> None:
        k = 0
        while time.perf_counter() < stop:
            resource = observation(1_000_000 + number, k, r)
            began = time.perf_counter()
            await store.commit(Commit([Put(resource, expected=0, method="POST")]))
            times.append(time.perf_counter() - began)
            k += 1

    began = time.perf_counter()
    await asyncio.gather(*(client(number + int(time.time()) % 100_000 * 100) for number in range(clients)))
    rate = len(times) / (time.perf_counter() - began)
    times.sort()
    return rate, times[len(times) // 2] * 1000, times[int(len(times) * 0.99)] * 1000


async def searches(stores: list[tuple[Any, int]], rounds: int) -> list[list[tuple[float, int]]]:
    """Median milliseconds (parsing included) and the number of matches of each query in each store, in turns."""
    r = random.Random(3)
    found = []
    for kind, text in QUERIES:
        times: list[list[float]] = [[] for _ in stores]
        sizes = [0 for _ in stores]
        for _ in range(rounds):
            for at, (store, patients) in enumerate(stores):
                asked = text.format(n=r.randrange(patients)) + "&_count=20"
                params = [tuple(part.split("=", 1)) for part in asked.split("&")]
                began = time.perf_counter()
                page = await store.search(parse(kind, params, strict=True, parameters=store.parameters))  # type: ignore[arg-type]
                times[at].append(time.perf_counter() - began)
                sizes[at] = len(page.matches)
            if sum(map(sum, times)) > 8:
                break
        found.append([(statistics.median(row) * 1000, size) for row, size in zip(times, sizes, strict=True)])
    return found


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=64_000)
    arguments.add_argument("--small", type=int, default=1_000)
    arguments.add_argument("--rounds", type=int, default=101)
    arguments.add_argument("--data", type=Path, help="keep the file here, and use it when it is full already")
    arguments.add_argument("--searches", action="store_true", help="the searches only")
    given = arguments.parse_args()
    folder = given.data or Path(tempfile.mkdtemp(prefix="hutong-bench-"))
    small = SqliteStore(folder / "small.db", Parameters(), synchronous="normal")
    if await small.read("Patient", "p0") is None:
        size, seconds = await load(small, 0, given.small)
        print(f"loaded {size:,} resources: {size / seconds:,.0f}/s")
    for mode in () if given.searches else ("normal", "full"):
        store = SqliteStore(folder / f"create-{mode}.db", Parameters(), synchronous=mode)  # type: ignore[arg-type]
        for clients in (1, 16, 64):
            rate, p50, p99 = await creates(store, clients, 3)
            print(
                f"create, synchronous={mode}, {clients:2} clients: {rate:6,.0f}/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms"
            )
        await store.close()
    large = SqliteStore(folder / "large.db", Parameters(), synchronous="normal")
    if await large.read("Patient", f"p{given.patients - 1}") is None:
        size, seconds = await load(large, 0, given.patients)
        print(f"loaded {size:,} resources: {size / seconds:,.0f}/s")
        await large.close()
        large = SqliteStore(folder / "large.db", Parameters(), synchronous="normal")
        print(f"disk: {await large.size() / size:,.0f} bytes a resource, all indexes and history included")
    rows = await searches([(small, given.small), (large, given.patients)], given.rounds)
    print(f"{'ms, median':70} {given.small:>8,} {given.patients:>8,}  ratio  hits")
    for (kind, text), ((a, _), (b, hits)) in zip(QUERIES, rows, strict=True):
        print(f"{kind + '?' + text:70} {a:8.2f} {b:8.2f} {b / a:6.2f}  {hits}")
    await small.close()
    await large.close()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    asyncio.run(main())
