"""The terminology service: load, memory, operations over HTTP on ICD-10, a large poly-hierarchy, automatic mapping.

    scripts/bench terminology [--seconds 2] [--concepts 500000] [--json FILE]

Figures of one machine and hour; the naive column (SQLite LIKE over the same names, in process, no HTTP) tells the ratio.
"""

import argparse
import asyncio
import csv
import gzip
import io
import json
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from bench_load import Figures, load, request

from terminology.hanzi import fold, initials
from terminology.snapshot.build import Concept, write
from terminology.snapshot.code_system import SnapshotCodeSystem
from terminology.tables.domain import TABLES
from terminology.workbench.drug_name import parse
from terminology.workbench.suggest import Local, Suggester, Target

ROOT = Path(__file__).parent.parent
ICD = "urn:oid:2.16.156.10011.2.3.3.11"
VALUE_SET = "https://hutong.health/fhir/ValueSet/icd10"
MAP = "https://hutong.health/fhir/ConceptMap/bench"
CONNECTIONS = 8
PORT = 8991


def table(name: str) -> list[dict[str, str]]:
    content = (TABLES / name).read_bytes()
    text = gzip.decompress(content).decode() if name.endswith(".gz") else content.decode()
    return list(csv.DictReader(line for line in io.StringIO(text) if not line.startswith("#")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--concepts", type=int, default=500_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rng = random.Random(11)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        found |= over_http(Path(folder), options.seconds, rng)
        found |= large(Path(folder), options.concepts, rng)
    found |= mapping(rng)
    for name, value in found.items():
        print(f"{name:<52} {value}")
    if options.json:
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=2))


def over_http(folder: Path, seconds: float, rng: random.Random) -> dict[str, Any]:
    rows = table("icd10_nhsa_v2.csv.gz")
    names = [row["display"] for row in rows]
    found: dict[str, Any] = {}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    base = [sys.executable, "-m", "gateway"]

    def loaded(*names: str) -> float:
        start = time.perf_counter()
        command = [*base, "terms", "load", "--shipped", *names, "--data", str(folder)]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return round(time.perf_counter() - start, 1)

    found[f"ICD-10 ({len(rows):,} rows) loaded and frozen, s"] = loaded("icd10")
    found["all other shipped catalogues, s"] = loaded()
    start = time.perf_counter()
    server = subprocess.Popen(
        [*base, "serve", "--port", str(PORT), "--data", str(folder)],
        env=environment | {"HUTONG_MLLP": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: get(f"/fhir/CodeSystem/$lookup?system={ICD}&code={quote(rows[0]['code'])}"))
        found["restart to first $lookup, s"] = round(time.perf_counter() - start, 2)
        scenarios: dict[str, Callable[[int], bytes]] = {
            "$lookup": lambda _: ask("CodeSystem/$lookup", system=ICD, code=rng.choice(rows)["code"]),
            "CodeSystem/$validate-code": lambda _: ask(
                "CodeSystem/$validate-code", url=ICD, **code_and_display(rng.choice(rows))
            ),
            "ValueSet/$validate-code": lambda _: ask(
                "ValueSet/$validate-code", url=VALUE_SET, system=ICD, code=rng.choice(rows)["code"]
            ),
            "$subsumes": lambda _: ask(
                "CodeSystem/$subsumes",
                system=ICD,
                codeA=rng.choice(rows)["code"],
                codeB=rng.choice(rows)["code"],
            ),
            "$expand filter, 1-3 Han": lambda _: expand(han(names, rng)),
            "$expand filter, initials": lambda _: expand(spoken(names, rng)),
            "$expand page of 50": lambda _: ask(
                "ValueSet/$expand", url=VALUE_SET, offset=str(rng.randrange(30_000)), count="50"
            ),
            "$translate": lambda _: ask(
                "ConceptMap/$translate", url=MAP, system="urn:clinical", code=rng.choice(rows)["code"]
            ),
        }
        for name, make in scenarios.items():
            if name == "$translate":
                found["memory with ICD-10 in use, MiB"] = memory(server.pid)
                post_map()
            asyncio.run(load(PORT, CONNECTIONS, 0.3, make))
            one, many = (
                asyncio.run(load(PORT, connections, seconds, make)) for connections in (1, CONNECTIONS)
            )
            found[f"{name} (8 connections)"] = shown(one, many)
        found["filtered expansions that are wrong, of 300"] = sum(
            is_wrong(han(names, rng)) for _ in range(300)
        )
        found["memory with a stored map of 35,591 rows too, MiB"] = memory(server.pid)
    finally:
        server.terminate()
        server.wait()
    snapshots = folder / "catalogues" / "snapshots"
    found["ICD-10 snapshot in two processes, MiB"] = shared(snapshots / "icd10-1.snapshot")
    found["naive: SQLite LIKE %xx% limit 20, in process"] = naive(names, rng)
    return found


def memory(pid: int) -> str:
    """Resident memory, and what of it is the process's own (mapped files are shared and can be dropped)."""
    used = psutil.Process(pid).memory_full_info()
    return f"{used.rss / 2**20:.0f}, of it its own {used.uss / 2**20:.0f}"


SHARING = """
import sys
from pathlib import Path
from terminology.snapshot.code_system import SnapshotCodeSystem
system = SnapshotCodeSystem(Path(sys.argv[1]))
for ordinal in range(len(system)):
    system.locate(system.code(ordinal)), system.display(ordinal)
list(system.search("高血压")), system.snapshot.gram_ord.sum(), system.snapshot.gram_key.sum()
print("ready", flush=True)
sys.stdin.read()
"""


def shared(path: Path, readers: int = 2) -> str:
    """How much of a snapshot's memory two processes that read all of it hold together."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, str(path)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(readers)
    ]
    rss = pss = 0
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        for row in psutil.Process(process.pid).memory_maps():
            if row.path == str(path):
                rss, pss = rss + row.rss, pss + row.pss
    for process in processes:
        process.communicate()
    size = path.stat().st_size
    return f"{size / 2**20:.1f} mapped, seen {rss / 2**20:.1f}, held {pss / 2**20:.1f}"


def wait_for(ready: Callable[[], Any], seconds: float = 30) -> None:
    end = time.perf_counter() + seconds
    while True:
        try:
            ready()
            return
        except OSError:
            if time.perf_counter() > end:
                raise
            time.sleep(0.02)


def get(path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def post_map() -> None:
    rows = table("icd10_clinical_to_nhsa_v2.csv.gz")
    elements = [
        {"code": row["clinical_code"], "target": [{"code": row["nhsa_code"], "equivalence": "equivalent"}]}
        for row in rows
    ]
    group = [{"source": "urn:clinical", "target": ICD, "element": elements}]
    body = {"resourceType": "ConceptMap", "id": "bench", "url": MAP, "status": "active", "group": group}
    query = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/fhir/ConceptMap/bench",
        json.dumps(body).encode(),
        {"Content-Type": "application/fhir+json"},
        method="PUT",
    )
    urllib.request.urlopen(query).read()


def ask(operation: str, **values: str) -> bytes:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())
    return request("GET", f"/fhir/{operation}?{query}")


def expand(text: str) -> bytes:
    return ask("ValueSet/$expand", url=VALUE_SET, filter=text, count="20")


def code_and_display(row: dict[str, str]) -> dict[str, str]:
    return {"code": row["code"], "display": row["display"]}


def han(names: list[str], rng: random.Random) -> str:
    while True:
        runs = re.findall(r"[一-鿿]+", rng.choice(names))
        if runs:
            run = rng.choice(runs)
            start = rng.randrange(len(run))
            return str(run[start : start + rng.randint(1, 3)])


def spoken(names: list[str], rng: random.Random) -> str:
    while True:
        letters = next(iter(initials("".join(re.findall(r"[一-鿿]+", rng.choice(names))))), "")
        if len(letters) >= 3:
            start = rng.randrange(len(letters) - 2)
            return letters[start : start + rng.randint(2, 3)]


def is_wrong(text: str) -> bool:
    answer = get(f"/fhir/ValueSet/$expand?url={VALUE_SET}&filter={quote(text)}&count=100")
    return any(fold(text) not in fold(row["display"]) for row in answer["expansion"].get("contains", []))


def shown(one: Figures, many: Figures) -> str:
    times = f"p50 {one.p50:.2f} ms alone, {many.p50:.2f} at 8  p95 {many.p95:.1f}  p99 {many.p99:.1f}"
    return f"{many.rate:>7,.0f}/s  {times}" + (f"  ERRORS {many.errors}" if many.errors else "")


def naive(names: list[str], rng: random.Random) -> str:
    database = sqlite3.connect(":memory:")
    database.execute("create table name(display text)")
    database.executemany("insert into name values(?)", ((name,) for name in names))
    start, count = time.perf_counter(), 200
    for _ in range(count):
        database.execute(
            "select * from name where display like ? limit 20", (f"%{han(names, rng)}%",)
        ).fetchall()
        database.execute(
            "select count(*) from name where display like ?", (f"%{han(names, rng)}%",)
        ).fetchall()
    return f"{count / (time.perf_counter() - start):>7,.0f}/s"


def large(folder: Path, count: int, rng: random.Random) -> dict[str, Any]:
    """A synthetic poly-hierarchy: one in five concepts has a second parent."""
    names = [row["display"] for row in table("icd10_nhsa_v2.csv.gz")]
    concepts = []
    for number in range(count):
        parents = (
            {f"c{rng.randrange(number)}" for _ in range(2 if rng.random() < 0.2 else 1)} if number else set()
        )
        concepts.append(Concept(f"c{number}", f"{rng.choice(names)}{number % 97}", parents=sorted(parents)))
    start = time.perf_counter()
    path = folder / "large.snapshot"
    meta = {"resource": {"url": "urn:large", "version": "1"}}
    write(
        path,
        concepts,
        meta,
        progress=lambda done, every: print(f"\r… {done:,} of {every:,}", end="", file=sys.stderr),
    )
    print(file=sys.stderr)
    built = time.perf_counter() - start
    start = time.perf_counter()
    system = SnapshotCodeSystem(path)
    opened = time.perf_counter() - start
    lookups = timed(lambda: system.display(system.locate(f"c{rng.randrange(count)}") or 0), 5_000)
    filters = [han(names, rng) for _ in range(500)]
    turn = iter(filters * 2)
    searches = timed(lambda: list(system.search(next(turn))[:20]), 500)
    subsumes = timed(lambda: system.is_descendant(rng.randrange(count), rng.randrange(count)), 5_000)
    label = f"{count:,} concepts"
    return {
        f"{label}: build, s": round(built, 1),
        f"{label}: largest memory while building, MiB": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        ),
        f"{label}: file, MB / open, ms": f"{path.stat().st_size / 1e6:.0f} / {opened * 1000:.1f}",
        f"{label}: lookup p50, p95 ms": lookups,
        f"{label}: filtered search p50, p95 ms": searches,
        f"{label}: subsumes p50, p95 ms": subsumes,
    }


def timed(work: Callable[[], Any], times: int) -> str:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    return f"{taken[len(taken) // 2]:.3f}, {taken[len(taken) * 95 // 100]:.3f}"


ABBREVIATIONS = {
    "恶性肿瘤": "Ca",
    "高血压": "HBP",
    "冠状动脉粥样硬化性心脏病": "冠心病",
    "慢性阻塞性肺疾病": "COPD",
    "综合征": "综合症",
    "黏膜": "粘膜",
}


def noisy(name: str, rng: random.Random) -> str:
    """Spelling, order, brackets, sides, abbreviations, as local tables write them."""
    for full, short in ABBREVIATIONS.items():
        if full in name and rng.random() < 0.5:
            name = name.replace(full, short)
    kind, at = rng.randrange(6), rng.randrange(max(1, len(name) - 1))
    if kind == 0:
        return re.sub("[，、（）()]", "", name)
    if kind == 1 and len(name) > 4:
        return name[:at] + name[at + 1 :]
    if kind == 2 and len(name) > 4:
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    if kind == 3:
        return rng.choice(["左侧", "右侧"]) + name
    if kind == 4 and "，" in name:
        first, _, rest = name.partition("，")
        return rest + first
    return name + rng.choice(["?", "（待查）", "(复查)", " 术后"])


def mapping(rng: random.Random) -> dict[str, Any]:
    rows = table("icd10_nhsa_v2.csv.gz")
    suggester = Suggester("diagnosis", [Target(row["code"], row["display"]) for row in rows])
    sample = rng.sample(rows, 500)
    diagnoses = rated(
        suggester, [(noisy(row["display"], rng), row["display"]) for row in sample], by_name=True
    )
    # What was approved teaches: half of the abbreviations are given as approved pairs.
    taught = [
        (Local("", row["display"].replace(full, short)), row["code"])
        for full, short in ABBREVIATIONS.items()
        for row in [r for r in rows if full in r["display"]][:40]
    ]
    learned = Suggester("diagnosis", [Target(row["code"], row["display"]) for row in rows], taught)
    after = rated(learned, [(noisy(row["display"], rng), row["display"]) for row in sample], by_name=True)
    drugs = table("drug_catalogue_sample.csv")
    local = list(csv.DictReader((ROOT / "tests" / "data" / "drugs" / "local_names.csv").open()))
    of_drugs = Suggester("drug", [Target(row["code"], row["display"], (), row["strength"]) for row in drugs])
    result = rated(of_drugs, [(row["local_name"], row["expected"]) for row in local], by_name=False)
    return {
        "mapping 500 noisy diagnoses": diagnoses,
        "… after 240 approvals with abbreviations": after,
        f"mapping {len(local)} local drug names": result,
        "strength clashes among accepted drugs (≥ 0.9)": clashes(
            of_drugs, [row["local_name"] for row in local]
        ),
    }


def rated(suggester: Suggester, pairs: list[tuple[str, str]], *, by_name: bool) -> str:
    first = five = 0
    start = time.perf_counter()
    for name, expected in pairs:
        found = [
            row.target.display if by_name else row.target.code for row in suggester.suggest(Local("", name))
        ]
        first += found[:1] == [expected]
        five += expected in found
    taken = (time.perf_counter() - start) / len(pairs) * 1000
    return f"top-1 {first / len(pairs):.3f}  top-5 {five / len(pairs):.3f}  {taken:.1f} ms a term"


def clashes(suggester: Suggester, names: list[str]) -> int:
    found = 0
    for name in names:
        best = suggester.suggest(Local("", name), 1)[0]
        if best.may_be_bulk_accepted and best.confidence >= 0.9:
            found += parse(name).strength_agrees(parse(best.target.display, best.target.strength)) == "clash"
    return found


if __name__ == "__main__":
    main()
