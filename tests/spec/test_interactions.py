"""Every row of tests/spec/http over every store (https://hl7.org/fhir/R4/http.html)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.server import Server
from tests.gateway.stores import STORES, store_of
from tests.spec.interactions import Case, load_cases, run

CASES = load_cases()


# PostgreSQL takes two minutes for the whole table; scripts/test_tables runs it there too.
TABLE_STORES = STORES if os.environ.get("HUTONG_TEST_TABLES") == "all" else ("memory", "sqlite")


@pytest.fixture(params=TABLE_STORES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    # Every row must hold beside the state machines, as `hutong serve` runs them, and without.
    server = Server(store_of(request.param, tmp_path, request), workflow=request.param == "sqlite")
    yield server
    server.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_interaction(case: Case, server: Server) -> None:
    run(case, server)


def test_the_table_is_as_long_as_promised() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
