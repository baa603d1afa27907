"""Business versions of terminology resources: which one a pattern means, and which one is later.

R4 says nothing about the order of versions; the terminology ecosystem guide and R5's versionAlgorithm do
(https://hl7.org/fhir/R5/codesystem-version-algorithm.html). Semver patterns may hold wildcards: `1.x.x`, `1.x`, `1.*`.
"""

import re
from functools import cmp_to_key
from typing import Literal

Algorithm = Literal["semver", "date", "integer", "natural", "alpha"]

WILDCARDS = frozenset({"x", "X", "*"})

_SEMVER = re.compile(
    r"(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?\??"
)
_THREE_NUMBERS = re.compile(r"(?:\d+|[xX*])\.(?:\d+|[xX*])\.(?:\d+|[xX*])(?:[-+].+)?")
_DATE = re.compile(r"\d{4}(?:-?(?:0[1-9]|1[0-2])(?:-?(?:0[1-9]|[12]\d|3[01]))?)?(?:T.*)?")


def guess(version: str) -> Algorithm | None:
    """Guess how a version is built from its look; None when it looks like nothing known."""
    if version.isascii() and version.isdigit():
        return "integer"
    if "-" in version and _DATE.fullmatch(version):
        return "date"
    if _THREE_NUMBERS.fullmatch(version):
        return "semver"
    return "natural" if any(character.isdigit() for character in version) else None


def matches(pattern: str | None, version: str | None, algorithm: str | None = None) -> bool:
    """Say whether a version is what a pattern asks for.

    Equal strings always match. For semver, wildcards stand for any number; a wildcard in the last place stands for
    all that follows. A date or free-form pattern matches what it begins ("2023" → "2023-04"); integers match only
    themselves.
    """
    if pattern == version:
        return True
    if not pattern or not version:
        return False
    algorithm = algorithm or guess(version)
    if algorithm == "semver" or (has_wildcard(pattern) and _SEMVER.fullmatch(version)):
        return _matches_semver(pattern, version)
    return algorithm != "integer" and version.startswith(pattern)


def has_wildcard(pattern: str) -> bool:
    return any(part in WILDCARDS for part in re.split(r"[.-]", pattern))


def compare(first: str | None, second: str | None) -> int:
    """Return a negative, zero or positive number when `first` is earlier than, equal to, later than `second`."""
    if not first or not second:
        return bool(first) - bool(second)
    keys = _key(first), _key(second)
    if keys[0][0] != keys[1][0]:
        return (first > second) - (first < second)
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


def latest(versions: list[str | None]) -> str | None:
    """Return the latest of versions; a resource without one is the earliest."""
    return max(versions, key=cmp_to_key(compare))


def _matches_semver(pattern: str, version: str) -> bool:
    wanted, given = _SEMVER.fullmatch(pattern), _SEMVER.fullmatch(version)
    if not wanted or not given:
        return False
    is_open = pattern.endswith("?")
    for wish, part in zip(wanted.groups()[:3], given.groups()[:3], strict=True):
        if wish is None:
            if is_open or part is None:
                continue
            return False
        if wish in WILDCARDS:
            is_open = is_open or wanted.groups()[:3].index(wish) == _depth(wanted) - 1
            if part is None:
                return False
        elif wish != part:
            return False
    if is_open and not wanted[4] and not wanted[5]:
        return True
    return (wanted[4], wanted[5]) == (given[4], given[5])


def _depth(match: re.Match[str]) -> int:
    return sum(part is not None for part in match.groups()[:3])


def _key(version: str) -> tuple[str, tuple[int, ...], bool, str]:
    semver = _SEMVER.fullmatch(version)
    if semver and "." in version:
        numbers = tuple(int(part) if part and part.isdigit() else -1 for part in semver.groups()[:3])
        # semver.org §11: a pre-release comes before its release.
        return "semver", numbers, semver[4] is None, semver[4] or ""
    if _DATE.fullmatch(version) and not (version.isdigit() and len(version) < 8):
        return "date", (), True, version.replace("-", "")
    if version.isascii() and version.isdigit():
        return "integer", (int(version),), True, ""
    return "alpha", (), True, version
