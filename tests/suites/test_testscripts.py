"""The public TestScripts in tests/data/testscripts against the REST server; the baseline may only rise."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.store.memory import MemoryStore
from tests.gateway.server import Server
from tests.suites.testscript import Player

FOLDER = Path(__file__).parent.parent / "data" / "testscripts"
BASELINE = Path(__file__).parent / "testscripts_baseline.json"
# Scripts for the types of other FHIR versions say so; R4 servers have no such types.
OTHER_VERSIONS = {
    "all-resource-types-r4-and-r5",
    "all-resource-types-r4b-plus",
    "all-resource-types-r5-only",
    "all-resource-types-stu3-only",
    "all-resource-types-pre-r5",
}
# What a person is asked for before the script runs (variable.hint).
INPUTS = {"PatientSearchFamilyName": "Chalmers", "PatientSearchGivenName": "Peter"}
SCRIPTS = sorted(
    path
    for path in FOLDER.rglob("*.json")
    if "fixtures" not in path.parts and path.stem not in OTHER_VERSIONS
)
EXPECTED: dict[str, dict[str, str]] = json.loads(BASELINE.read_text("utf-8"))


def play(path: Path) -> dict[str, tuple[str, list[str]]]:
    server = Server(MemoryStore())
    # The crucible scripts read a Patient that the test system has from the beginning.
    server.request(
        "PUT",
        "Patient/example",
        {"resourceType": "Patient", "id": "example", "name": [{"family": "Chalmers"}]},
    )

    def send(method: str, url: str, body: str | bytes | None, headers: dict[str, str]) -> Any:
        return server.request(
            method, url, body, **{name.replace("-", "_"): value for name, value in headers.items()}
        )

    try:
        verdicts = Player(path, send, INPUTS).play()
        return {one.name: ("fail" if one.failures else "pass", one.failures) for one in verdicts}
    finally:
        server.close()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_script(path: Path) -> None:
    found = play(path)
    name = str(path.relative_to(FOLDER))
    wrong = {
        test: failures
        for test, (verdict, failures) in found.items()
        if verdict == "fail" and EXPECTED.get(name, {}).get(test) != "fail"
    }
    assert not wrong, wrong
    risen = [
        test
        for test, (verdict, _) in found.items()
        if verdict == "pass" and EXPECTED.get(name, {}).get(test) == "fail"
    ]
    assert not risen, f"these pass now; take them out of {BASELINE.name}: {risen}"
