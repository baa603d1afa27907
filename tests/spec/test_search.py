"""Every row of the search tables over every store (https://hl7.org/fhir/R4/search.html)."""

import asyncio
from typing import Any

import pytest
from search import Case, answer, cases, read

from gateway.store.sqlite import SqliteStore
from terminology.issues import FhirError

STORES = ("memory", "sqlite", "postgres")
CASES = list(cases())


def test_the_tables_are_large_enough() -> None:
    assert len(CASES) >= 700
    assert len({case.asked for case in CASES}) >= 690


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_search(case: Case, kind: str, request: pytest.FixtureRequest, runner: asyncio.Runner) -> None:
    found = runner.run(answer(request.getfixturevalue(kind), case.asked, ordered=" > " in case.expected))
    if " > " not in case.expected:
        assert found == case.expected
    else:
        assert found.split(" + ")[0] == case.expected.split(" + ")[0]


@pytest.mark.parametrize("few", [1000, 0], ids=["sets", "walks"])
def test_every_search_uses_an_index(
    few: int, sqlite: Any, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite tells how it finds the rows: never by reading a whole table of resources or values."""
    monkeypatch.setattr("gateway.search.plan.FEW", few)
    store = sqlite
    assert isinstance(store, SqliteStore)
    tables = ("version", "token", "string", "date", "quantity", "suffix", "display", "word")
    scans: dict[str, list[str]] = {}
    asked = 0
    for case in CASES:
        try:
            query = read(case.asked, store.parameters)
            plan = runner.run(store.explain(query))
        except FhirError:
            continue
        asked += 1
        # A scan of `version` in the order of its key is how everything of all types is listed, newest first.
        bad = [
            line
            for line in plan
            for table in tables
            if line.startswith("SCAN") and _table(line, table) and "INDEX" not in line and query.types
        ]
        if bad:
            scans[case.asked] = bad
    assert asked > 500
    assert scans == {}


def _table(line: str, table: str) -> bool:
    """Return whether a line of the plan names this table (aliases are a letter and a number)."""
    name = line.split()[1]
    letters = {"version": "vx", "token": "ky", "string": "k", "date": "k", "quantity": "k", "word": "w"}
    if name == table:
        return True
    return len(name) <= 3 and name[0] in letters.get(table, "") and (name[1:] == "" or name[1:].isdigit())
