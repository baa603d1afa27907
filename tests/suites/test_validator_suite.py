"""The public validator cases against a baseline that may only rise, and the bars that the project set itself."""

import json

import pytest
from validator_suite import BASELINE, Case, agrees, cases, figures

FAILING = frozenset(json.loads(BASELINE.read_text())["failing"])


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_case(case: Case) -> None:
    if case.id in FAILING:
        assert not agrees(case), f"{case.id} agrees now: take it out of {BASELINE.name}"
    else:
        assert agrees(case)


def test_bars() -> None:
    found = figures()
    share = {tier: right / total for tier, (right, total) in found.items()}
    assert share["core"] >= 0.96
    assert share["base"] >= 0.88
    assert share["profile"] >= 0.90


def test_no_valid_core_case_is_refused() -> None:
    refused = [
        case.id for case in cases() if case.tier == "core" and not case.is_invalid and not agrees(case)
    ]
    assert refused == []
