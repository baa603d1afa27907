"""FHIR JSON: bytes → resource (https://hl7.org/fhir/R4/json.html).

`parse` is the fast way; what is wrong with the bytes is located by a second, slow reading only when something is
wrong (positions.py).
"""

import json
import re
from decimal import Decimal
from typing import Any

import msgspec

from conformance.formats.positions import Positions, locate
from terminology.fhirjson import Json, decode
from terminology.issues import InvalidInput, Issue, TooLarge

MAX_BYTES = 64 * 1024 * 1024
# Questionnaire groups and Lists of extensions nest some 30 deep in the deepest published resource.
MAX_DEPTH = 200

BOM = b"\xef\xbb\xbf"


def parse(body: bytes | str, *, duplicates: bool = True) -> Json:
    """Return the resource in `body`: an object, not checked further; decimals keep their digits.

    A byte order mark is skipped. `duplicates` false saves a third of the time and lets the last of two equal
    properties win. Raises InvalidInput (HT-FMT-01, -02, -04) with line and column, TooLarge (HT-FMT-03, -05).
    """
    raw = body.encode() if isinstance(body, str) else body
    if len(raw) > MAX_BYTES:
        raise TooLarge("HT-FMT-05", size=len(raw), limit=MAX_BYTES)
    raw = raw.removeprefix(BOM)
    if _may_be_deep(raw):
        _check_depth(raw)
    try:
        value = decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise _located(raw, str(problem)) from None
    if not isinstance(value, dict):
        raise InvalidInput("HT-FMT-02", found=_kind(value))
    if duplicates and _has_duplicates(raw):
        raise InvalidInput(duplicate_issues(raw))
    return value


def duplicate_issues(raw: bytes) -> list[Issue]:
    """Return one issue for each property that stands twice in its object."""
    positions = locate(raw)
    return [
        Issue("HT-FMT-04", {"name": path.rpartition(".")[2]}, "error", path, _source(*place))
        for path, place in positions.duplicates
    ]


def positions_of(body: bytes | str) -> Positions:
    """Return line and column of every JSON path of `body`; slow, for showing problems to people."""
    return locate((body.encode() if isinstance(body, str) else body).removeprefix(BOM))


class _DuplicateError(Exception):
    pass


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _DuplicateError


# The C scanner of the standard library hands over the pairs of each object; values are dropped on the way.
_scanner = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_float=len, parse_int=len)


def _has_duplicates(raw: bytes) -> bool:
    try:
        _scanner.decode(raw.decode())
    except _DuplicateError:
        return True
    except ValueError:
        return False  # stricter about something that `decode` accepted; not about duplicates
    return False


# Everything but brackets and quotes.
_PLAIN = bytes(set(range(256)) - set(b'{}[]"'))
_STRING = re.compile(rb'"[^"]*"')


def _may_be_deep(raw: bytes) -> bool:
    """Tell whether brackets could nest deeper than MAX_DEPTH, at the speed of C: peel off one level after the other."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    escaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    # Most strings hold no bracket and are now two quotes side by side; the pattern is for the few that do.
    rest = escaped.translate(None, _PLAIN).replace(b'""', b"")
    rest = _STRING.sub(b"", rest) if b'"' in rest else rest
    for _ in range(MAX_DEPTH // 2):
        peeled = rest.replace(b"{}", b"").replace(b"[]", b"")
        if len(peeled) == len(rest):
            return bool(rest)  # brackets that do not pair: the exact count decides, then the parser speaks
        rest = peeled
    return True


def _check_depth(raw: bytes) -> None:
    """Raise TooLarge when brackets nest deeper than MAX_DEPTH; linear, brackets inside strings do not count."""
    depth = 0
    in_string = False
    index = 0
    for piece in raw.split(b'"'):
        if in_string:
            # A quote is escaped by an odd number of backslashes before it.
            trailing = len(piece) - len(piece.rstrip(b"\\"))
            if trailing % 2 == 0:
                in_string = False
        else:
            opened = piece.count(b"{") + piece.count(b"[")
            if opened and depth + opened > MAX_DEPTH:
                _count_through(piece, depth, raw, index)
            depth += opened - piece.count(b"}") - piece.count(b"]")
            in_string = True
        index += len(piece) + 1


def _count_through(piece: bytes, depth: int, raw: bytes, start: int) -> None:
    for offset, byte in enumerate(piece):
        if byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                line = raw.count(b"\n", 0, start + offset) + 1
                column = start + offset - raw.rfind(b"\n", 0, start + offset)
                raise TooLarge("HT-FMT-03", source=_source(line, column), limit=MAX_DEPTH)
        elif byte in b"}]":
            depth -= 1


def _located(raw: bytes, problem: str) -> InvalidInput:
    try:
        text = raw.decode()
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        column = wrong.start - raw.rfind(b"\n", 0, wrong.start)
        return InvalidInput(
            "HT-FMT-01",
            source=_source(line, column),
            line=line,
            column=column,
            problem=f"not UTF-8 ({wrong.reason})",
        )
    try:
        json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as wrong:
        line, column = wrong.lineno, wrong.colno
        return InvalidInput(
            "HT-FMT-01", source=_source(line, column), problem=wrong.msg, line=line, column=column
        )
    except RecursionError:
        return InvalidInput("HT-FMT-01", line=1, column=1, problem="nested too deeply")
    return InvalidInput("HT-FMT-01", line=1, column=1, problem=problem)


def _source(line: int, column: int) -> str:
    return f"line {line} column {column}"


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "[…]"
    return str(value)[:40] if value is not None else "null"
