"""The public part of the official FHIRPath suite against a baseline that may only rise."""

import json

import pytest
from fhirpath_suite import FOLDER, Case, cases, verdict

BASELINE = json.loads((FOLDER / "baseline.json").read_text())


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.id)
def test_case(case: Case) -> None:
    wrong = verdict(case)
    if case.id in BASELINE["failing"]:
        assert wrong, f"{case.id} passes now: take it out of baseline.json"
    else:
        assert not wrong, f"{case.expression}: {wrong}"


def test_baseline_is_at_least_98_percent() -> None:
    total = sum(1 for _ in cases())
    assert total == BASELINE["total"] == 523
    assert (total - len(BASELINE["failing"])) / total >= 0.98
