"""Regular expressions within bounds: every match has a time limit, so nested repetition cannot hold the process.

The dialect is that of the `regex` package, which reads Java's and JavaScript's named groups `(?<name>…)` too.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from conformance.fhirpath.host import Run
from terminology.issues import InvalidInput, TooCostly

MAX_PATTERN = 4_000
REFERENCE = re.compile(r"\\(.)|\$(?:\{([A-Za-z][A-Za-z0-9]*)\}|([0-9]{1,2}))", re.DOTALL)

Found = TypeVar("Found")


def matches(run: Run, text: str, pattern: str, flags: str = "") -> bool:
    """Tell whether the pattern occurs in the text. Raises InvalidInput HT-FP-15, TooCostly HT-FP-23."""
    compiled = _compiled(pattern, flags)
    return _timed(run, pattern, lambda limit: compiled.search(text, timeout=limit)) is not None


def fully_matches(run: Run, text: str, pattern: str, flags: str = "") -> bool:
    """Tell whether the pattern covers the whole text."""
    compiled = _compiled(pattern, flags)
    return _timed(run, pattern, lambda limit: compiled.fullmatch(text, timeout=limit)) is not None


def replace_matches(run: Run, text: str, pattern: str, substitution: str, flags: str = "") -> str:
    """Return the text with every match replaced; an empty pattern replaces nothing."""
    if not pattern:
        return text
    compiled = _compiled(pattern, flags)
    length = len(text)

    def replacement(match: Any) -> str:
        nonlocal length
        try:
            found = REFERENCE.sub(
                lambda row: row[1] if row[1] is not None else match[row[2] or int(row[3])] or "", substitution
            )
        except IndexError as error:
            raise InvalidInput(
                "HT-FP-15", pattern=pattern, reason=f"no such group in {substitution!r}"
            ) from error
        length += len(found)
        run.bound_text(length)
        return found

    return str(_timed(run, pattern, lambda limit: compiled.sub(replacement, text, timeout=limit)))


def _timed(run: Run, pattern: str, action: Callable[[float], Found]) -> Found:
    limit = run.host.limits.regex_seconds
    run.spend(16)
    try:
        return action(limit)
    except TimeoutError as error:
        raise TooCostly("HT-FP-23", pattern=pattern, limit=limit) from error


@lru_cache(maxsize=512)
def _compiled(pattern: str, flags: str) -> Any:
    import regex  # here: 15 ms that an expression without patterns need not pay

    if len(pattern) > MAX_PATTERN:
        raise InvalidInput("HT-FP-15", pattern=f"{pattern[:40]}…", reason=f"longer than {MAX_PATTERN}")
    # Single-line mode is the rule of FHIRPath: `.` matches a line end.
    options = regex.DOTALL | regex.VERSION0
    for flag in flags:
        if flag not in "im":
            raise InvalidInput("HT-FP-15", pattern=pattern, reason=f"unknown flag {flag!r}")
        options |= regex.IGNORECASE if flag == "i" else regex.MULTILINE
    try:
        return regex.compile(pattern, options)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise InvalidInput("HT-FP-15", pattern=pattern, reason=str(error)) from error
