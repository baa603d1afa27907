"""Every row of tests/spec/http over every store (https://hl7.org/fhir/R4/http.html)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.server import Server
from tests.gateway.stores import STORES
from tests.spec.interactions import Case, load_cases, run

CASES = load_cases()


@pytest.fixture(params=sorted(STORES))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    server = Server(STORES[request.param](tmp_path))
    yield server
    server.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_interaction(case: Case, server: Server) -> None:
    run(case, server)


def test_the_table_is_as_long_as_promised() -> None:
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
