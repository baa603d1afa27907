"""terminology/versions.py"""

import pytest

from terminology.versions import compare, guess, latest, matches


@pytest.mark.parametrize(
    ("pattern", "version", "expected"),
    [
        ("1.0.0", "1.0.0", True),
        ("1.x.x", "1.2.0", True),
        ("1.0.x", "1.2.0", False),
        ("1.x", "1.2.0", True),
        ("1.*", "1.2", True),
        ("1", "1.0.0", False),  # tests `version-w-bad`: a bare number is no pattern
        ("1?", "1.0.0", True),
        ("2.x.x", "1.2.0", False),
        ("1.0.0", "1.0.0-beta", False),
        ("2023", "2023-04-01", True),
        ("2023-05", "2023-04-01", False),
        ("2", "20", False),  # integers match only themselves
        (None, "1.0.0", False),
        ("1.0.0", None, False),
        (None, None, True),
    ],
)
def test_matches(pattern, version, expected):
    assert matches(pattern, version) is expected


def test_the_algorithm_of_the_code_system_decides():
    assert not matches("1.0", "1.0.3", "semver")
    assert matches("1.0", "1.0.3", "natural")


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0.0", "semver"), ("12", "integer"), ("2024-05-01", "date"), ("1.0", "natural"), ("spring", None)],
)
def test_guess(version, expected):
    assert guess(version) == expected


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (None, "1"),
        ("1.2.0", "1.10.0"),
        ("1.0.0-beta", "1.0.0"),
        ("9", "10"),
        ("2023-12-31", "2024-01"),
        ("20230101", "2024-01-01"),
    ],
)
def test_compare(earlier, later):
    assert compare(earlier, later) < 0
    assert compare(later, earlier) > 0
    assert latest([later, earlier]) == later


def test_equal_versions_compare_equal():
    assert compare("1.0.0", "1.0.0") == 0
    assert compare(None, None) == 0
