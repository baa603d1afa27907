"""The memory store decides a search resource by resource, the others by index: on anything random they must agree."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.search import Parameters, parse
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Commit, Delete, Put, Store
from gateway.store.sqlite import SqliteStore

FAMILY = ["王", "李", "张", "欧阳", "Smith", "O'Neil", "van der Berg", "Müller"]
GIVEN = ["小明", "伟", "丽", "John", "Anna Maria", "建国"]
CODES = ["A", "B", "a-1", "8480-6", "x,y", "p|q"]
SYSTEMS = ["http://loinc.org", "http://snomed.info/sct", None, "urn:s"]
UNITS = [
    ("mmol/L", "http://unitsofmeasure.org"),
    ("umol/L", "http://unitsofmeasure.org"),
    ("mg", None),
    ("g/L", "urn:u"),
]
DATES = [
    "1970",
    "1970-05",
    "1970-05-01",
    "2024-01-01T08:00:00+08:00",
    "2024-01-01T00:00:00Z",
    "2023-12-31T23:59:59.123+08:00",
]
IDS = [f"r{n}" for n in range(12)]


def some(r: random.Random, value: Any, chance: float = 0.7) -> Any:
    return value if r.random() < chance else None


def concept(r: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    codings = [
        {
            k: v
            for k, v in (
                ("system", r.choice(SYSTEMS)),
                ("code", some(r, r.choice(CODES), 0.9)),
                ("display", some(r, r.choice(GIVEN), 0.4)),
            )
            if v
        }
        for _ in range(r.randint(0, 2))
    ]
    if codings:
        found["coding"] = codings
    if r.random() < 0.3:
        found["text"] = r.choice(FAMILY)
    return found or {"text": "无"}


def quantity(r: random.Random) -> dict[str, Any]:
    unit, system = r.choice(UNITS)
    row: dict[str, Any] = {"value": r.choice([1, 5, 5000, 100, 99.6, 100.4, 0]), "unit": unit}
    if system:
        row |= {"system": system, "code": unit}
    if r.random() < 0.15:
        row["comparator"] = r.choice(["<", ">"])
    return row


def period(r: random.Random) -> dict[str, str]:
    return {
        k: v for k, v in (("start", some(r, r.choice(DATES))), ("end", some(r, r.choice(DATES)))) if v
    } or {"start": "1970"}


def resource(r: random.Random, type: str, id: str) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": type, "id": id}
    if r.random() < 0.3:
        found["meta"] = {
            "tag": [{"system": "t", "code": r.choice(CODES)}],
            "profile": ["http://p/" + r.choice("ab")],
        }
    if r.random() < 0.2:
        found["text"] = {"status": "generated", "div": f"<div>病人 {r.choice(GIVEN)} note</div>"}
    if type == "Patient":
        names = [
            {
                k: v
                for k, v in (
                    ("family", some(r, r.choice(FAMILY))),
                    ("given", some(r, [r.choice(GIVEN)])),
                    ("text", some(r, r.choice(FAMILY) + r.choice(GIVEN), 0.4)),
                )
                if v
            }
            for _ in range(r.randint(0, 2))
        ]
        found["name"] = [name for name in names if name]
        found["gender"] = r.choice(["male", "female"])
        found["birthDate"] = r.choice(DATES[:3])
        found["identifier"] = [{"system": "urn:id", "value": r.choice(["11010519491231002X", "x1", "X1"])}]
        found["telecom"] = [{"system": "phone", "value": "138-0013-8000"}]
        found["managingOrganization"] = {"reference": f"Organization/{r.choice(IDS)}"}
    elif type == "Organization":
        found["name"] = r.choice(FAMILY) + "医院"
        found["partOf"] = {"reference": f"Organization/{r.choice(IDS)}"}
    else:
        found["status"] = r.choice(["final", "preliminary"])
        found["code"] = concept(r)
        found["subject"] = {"reference": r.choice([f"Patient/{r.choice(IDS)}", "http://other/Patient/1"])}
        found["performer"] = [{"reference": f"Organization/{r.choice(IDS)}"} for _ in range(r.randint(0, 2))]
        found["effectiveDateTime" if r.random() < 0.5 else "effectivePeriod"] = None
        if "effectiveDateTime" in found:
            found["effectiveDateTime"] = r.choice(DATES)
        else:
            found["effectivePeriod"] = period(r)
        found["valueQuantity"] = quantity(r)
        found["component"] = [
            {"code": concept(r), "valueQuantity": quantity(r)} for _ in range(r.randint(0, 3))
        ]
    return {k: v for k, v in found.items() if v not in (None, [], {})}


def token(r: random.Random) -> str:
    code = r.choice(CODES).replace(",", "\\,").replace("|", "\\|")
    system = r.choice(SYSTEMS)
    return r.choice([code, f"{system or ''}|{code}", f"|{code}", f"{system or 'urn:s'}|"])


def amount(r: random.Random) -> str:
    number = r.choice(["1", "5", "5.0", "100", "5000", "0", "1e2"])
    unit, system = r.choice(UNITS)
    return r.choice(["", "", "gt", "lt", "ge", "le", "ne", "sa", "eb", "ap"]) + r.choice(
        [number, f"{number}|{system or ''}|{unit}", f"{number}||{unit}"]
    )


def when(r: random.Random) -> str:
    return r.choice(["", "gt", "lt", "ge", "le", "ne", "sa", "eb", "ap"]) + r.choice(DATES)


def criterion(r: random.Random, type: str, depth: int = 2) -> tuple[str, str]:
    name = r.choice(FAMILY + GIVEN)
    common = [
        ("_id", r.choice(IDS)),
        ("_tag", r.choice(CODES[:3])),
        ("_profile", "http://p/a"),
        ("_text", r.choice(["病人", "note", "小明"])),
        ("_content", r.choice(["医院", "note", "伟"])),
    ]
    own: dict[str, list[tuple[str, str]]] = {
        "Patient": [
            ("name", name[: r.randint(1, 3)]),
            ("name:contains", name[-1]),
            ("name:exact", name),
            ("family", name),
            ("given", name[:1]),
            ("pinyin", r.choice(["wang", "xm", "zhang", "ouy"])),
            ("gender", r.choice(["male", "female,other"])),
            ("gender:not", "male"),
            ("birthdate", when(r)),
            ("birthdate:missing", r.choice(["true", "false"])),
            ("name:missing", "true"),
            ("identifier", r.choice(["x1", "urn:id|X1", "11010519491231002x"])),
            ("phone", "13800138000"),
            ("organization", f"Organization/{r.choice(IDS)}"),
        ],
        "Organization": [("name", name), ("name:contains", "医"), ("partof", r.choice(IDS))],
        "Observation": [
            ("code", token(r)),
            ("code", f"{token(r)},{token(r)}"),
            ("code:not", token(r)),
            ("code:text", name[:2]),
            ("code:missing", r.choice(["true", "false"])),
            ("status", "final"),
            ("date", when(r)),
            ("date:missing", "false"),
            ("subject", r.choice([f"Patient/{r.choice(IDS)}", r.choice(IDS), "http://other/Patient/1"])),
            ("patient", r.choice(IDS)),
            ("subject:missing", "true"),
            ("value-quantity", amount(r)),
            ("combo-value-quantity", amount(r)),
            ("combo-code", token(r)),
            ("component-code-value-quantity", f"{token(r)}${amount(r)}"),
            ("combo-code-value-quantity", f"{token(r)}${amount(r)}"),
            ("code-value-quantity", f"{token(r)}${amount(r)}"),
            ("performer", r.choice(IDS)),
        ],
    }
    if depth and r.random() < 0.25:
        if type == "Observation":
            inner, value = criterion(r, "Patient", depth - 1)
            return f"patient.{inner}", value
        if type == "Patient":
            if r.random() < 0.5:
                inner, value = criterion(r, "Observation", depth - 1)
                return f"_has:Observation:patient:{inner}", value
            inner, value = criterion(r, "Organization", depth - 1)
            return f"organization.{inner}", value
        inner, value = criterion(r, "Organization", depth - 1)
        return f"partof.{inner}", value
    return r.choice(own[type] + common)


def request(r: random.Random) -> tuple[str, list[tuple[str, str]]]:
    type = r.choice(["Patient", "Observation", "Observation", "Organization"])
    params = [criterion(r, type) for _ in range(r.choice([0, 1, 1, 1, 2, 2, 3]))]
    sorts = {
        "Patient": ["birthdate", "-birthdate", "family", "-name,birthdate", "gender,-_lastUpdated", "_id"],
        "Observation": ["date", "-date", "code", "value-quantity,-date", "-status,_id", "subject"],
        "Organization": ["name", "-_id", "-_lastUpdated"],
    }
    if r.random() < 0.6:
        params.append(("_sort", r.choice(sorts[type])))
    if r.random() < 0.4:
        includes = {
            "Patient": [("_include", "Patient:organization"), ("_revinclude", "Observation:patient")],
            "Observation": [("_include", "Observation:*"), ("_include", "Observation:patient")],
            "Organization": [
                ("_include:iterate", "Organization:partof"),
                ("_revinclude", "Patient:organization"),
            ],
        }
        params.append(r.choice(includes[type]))
    params.append(("_count", str(r.choice([2, 5, 50]))))
    return type, params


async def answer(store: Store, type: str, params: Sequence[tuple[str, str]]) -> list[Any]:
    """All pages: ids, included, total."""
    query = parse(type, params, parameters=store.parameters, now=1_700_000_000_000_000)
    pages: list[Any] = []
    while True:
        page = await store.search(query)
        pages.append(([v.id for v in page.matches], sorted((v.type, v.id) for v in page.included)))
        if page.cursor is None or len(pages) > 60:
            return pages
        query = replace(query, cursor=page.cursor)


async def fill(stores: Sequence[Store], seed: int) -> None:
    r = random.Random(seed)
    for _ in range(90):
        type = r.choice(["Patient", "Patient", "Organization", "Observation", "Observation"])
        changes: list[Put | Delete] = [Put(resource(r, type, r.choice(IDS)))]
        if r.random() < 0.08:
            changes = [Delete(type, r.choice(IDS))]
        for store in stores:
            await store.commit(Commit(changes))


async def compare(reference: Store, other: Store, seed: int, searches: int) -> None:
    await fill([reference, other], seed)
    r = random.Random(seed + 1)
    for _ in range(searches):
        type, params = request(r)
        expected = await answer(reference, type, params)
        found = await answer(other, type, params)
        assert found == expected, (seed, type, params)


@pytest.mark.parametrize("few", [1000, 0], ids=["sets", "walks"])
@pytest.mark.parametrize("seed", range(6))
def test_memory_and_sqlite_agree(
    seed: int, few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`walks`: as in a large database, where no condition has few candidates."""
    monkeypatch.setattr("gateway.search.plan.FEW", few)
    parameters = Parameters()

    async def main() -> None:
        store = SqliteStore(tmp_path / "s.db", parameters, synchronous="normal")
        try:
            await compare(MemoryStore(parameters), store, seed, 120)
        finally:
            await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("few", [1000, 0], ids=["sets", "walks"])
def test_memory_and_postgres_agree(few: int, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.postgres import PostgresStore

    monkeypatch.setattr("gateway.search.plan.FEW", few)
    parameters = Parameters()

    async def main() -> None:
        store = await PostgresStore.open(postgres_dsn, parameters, fresh=True)
        try:
            await compare(MemoryStore(parameters), store, 100 + few, 150)
        finally:
            await store.close()

    asyncio.run(main())
