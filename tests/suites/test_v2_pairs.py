"""The pairs of ReportStream: how much of what its Bundles say ours say too. The figures may only rise."""

import subprocess
import sys
from pathlib import Path

import pytest
import v2_pairs

ROOT = Path(__file__).parents[2]
FLOOR = 0.97


@pytest.fixture(scope="module")
def comparisons() -> list[v2_pairs.Comparison]:
    active = v2_pairs.maps()
    return [v2_pairs.compare(name, active) for name in v2_pairs.names()]


def test_at_least_95_percent_of_the_facts_are_there(comparisons):
    expected = sum(one.expected for one in comparisons)
    missing = sum(len(one.missing) for one in comparisons)
    assert len(comparisons) == 44
    assert expected == 1693
    assert 1 - missing / expected >= FLOOR


def test_the_coverage_page_is_current():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "coverage", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
