"""The forms of FHIR's primitive types (https://hl7.org/fhir/R4/datatypes.html#primitive).

One table serves both ways of checking: the closures that explain (structure.py) and the schema that only accepts
(schema.py). Dates are calendar-true in the pattern itself, so that both refuse 30 February.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# HT-VAL codes of what a value can be wrong about.
WRONG_JSON_TYPE = "HT-VAL-05"
WRONG_FORM = "HT-VAL-06"
OUT_OF_RANGE = "HT-VAL-07"
TOO_LONG = "HT-VAL-08"
EMPTY_STRING = "HT-VAL-09"
NO_ZONE = "HT-VAL-10"
BAD_ID = "HT-VAL-11"
BAD_BASE64 = "HT-VAL-12"
NOT_A_DATE = "HT-VAL-13"

MAX_STRING = 1024 * 1024

_YEAR = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_LEAP = r"([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    rf"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    rf"|{_LEAP}-02-29)"
)
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_TEXT = r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+"

# String-valued types: the whole value must match.
PATTERNS: dict[str, str] = {
    "string": _TEXT,
    "markdown": _TEXT,
    "xhtml": _TEXT,
    "code": r"[^\s]+( [^\s]+)*",
    "id": r"[A-Za-z0-9\-\.]{1,64}",
    "uri": r"[^\s\x00-\x1f]+",
    "url": r"[^\s\x00-\x1f]+",
    "canonical": r"[^\s\x00-\x1f]+",
    "oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "date": rf"{_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY}",
    "dateTime": rf"{_YEAR}(-(0[1-9]|1[0-2]))?|{_DAY}(T{_CLOCK}{_ZONE})?",
    "instant": rf"{_DAY}T{_CLOCK}{_ZONE}",
    "time": _CLOCK,
    "base64Binary": r"[0-9a-zA-Z+/=\s]+",
}
# Number-valued types: the smallest and the largest value.
RANGES: dict[str, tuple[int, int]] = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}
_UNZONED = re.compile(rf"{_DAY}T{_CLOCK}")
_SHAPED_LIKE_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a primitive value: a HT-VAL code and the blanks of its sentence."""

    code: str
    values: dict[str, Any]


Check = Callable[[Any], Problem | None]


def check_of(type_name: str) -> Check:
    """Return the check of a primitive type; a value without problem gives None."""
    return _CHECKS.get(type_name) or _CHECKS["string"]


def _boolean(value: Any) -> Problem | None:
    return None if value is True or value is False else _wrong_type("boolean", value)


def _decimal(value: Any) -> Problem | None:
    kind = type(value)
    return None if kind is int or kind is Decimal or kind is float else _wrong_type("decimal", value)


def _integer_check(type_name: str) -> Check:
    low, high = RANGES[type_name]

    def check(value: Any) -> Problem | None:
        if type(value) is not int:
            if type(value) is Decimal or type(value) is float:
                return Problem(WRONG_FORM, {"value": value, "type": type_name})
            return _wrong_type(type_name, value)
        if low <= value <= high:
            return None
        return Problem(OUT_OF_RANGE, {"value": value, "type": type_name, "low": low, "high": high})

    return check


def _string_check(type_name: str) -> Check:
    match = re.compile(PATTERNS[type_name]).fullmatch

    def check(value: Any) -> Problem | None:
        if type(value) is not str:
            return _wrong_type(type_name, value)
        if match(value) is None:
            return _explain(value, type_name)
        if len(value) > MAX_STRING:
            return Problem(TOO_LONG, {"length": len(value), "limit": MAX_STRING})
        return None

    return check


def _text_check(type_name: str) -> Check:
    """Strings and markdown: nearly every value is plain, and asking that first is three times cheaper than a pattern."""
    match = re.compile(PATTERNS[type_name]).fullmatch

    def check(value: Any) -> Problem | None:
        if type(value) is not str:
            return _wrong_type(type_name, value)
        if not value or not (value.isprintable() or match(value)):
            return _explain(value, type_name)
        if len(value) > MAX_STRING:
            return Problem(TOO_LONG, {"length": len(value), "limit": MAX_STRING})
        return None

    return check


def _base64(value: Any) -> Problem | None:
    if type(value) is not str:
        return _wrong_type("base64Binary", value)
    if not value:
        return Problem(EMPTY_STRING, {})
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return Problem(BAD_BASE64, {"value": value[:40]})
    return None


def _explain(value: str, type_name: str) -> Problem:
    if not value:
        return Problem(EMPTY_STRING, {})
    if type_name == "id":
        return Problem(BAD_ID, {"value": value[:80], "length": len(value)})
    if type_name in ("dateTime", "instant") and _UNZONED.fullmatch(value):
        return Problem(NO_ZONE, {"value": value})
    if type_name in ("date", "dateTime", "instant") and _SHAPED_LIKE_DATE.fullmatch(value):
        return Problem(NOT_A_DATE, {"value": value[:40], "type": type_name})
    return Problem(WRONG_FORM, {"value": value[:80], "type": type_name})


def _wrong_type(type_name: str, value: Any) -> Problem:
    return Problem(
        WRONG_JSON_TYPE, {"type": type_name, "expected": json_type(type_name), "found": json_kind(value)}
    )


def json_type(type_name: str) -> str:
    if type_name == "boolean":
        return "boolean"
    return "number" if type_name == "decimal" or type_name in RANGES else "string"


def json_kind(value: Any) -> str:
    """Return the JSON word for a value's kind: object, array, string, number, boolean, null."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "string" if isinstance(value, str) else "null"


_CHECKS: dict[str, Check] = {
    "boolean": _boolean,
    "decimal": _decimal,
    "base64Binary": _base64,
    **{name: _integer_check(name) for name in RANGES},
    **{
        name: _string_check(name)
        for name in PATTERNS
        if name not in ("base64Binary", "string", "markdown", "xhtml")
    },
    **{name: _text_check(name) for name in ("string", "markdown", "xhtml")},
}
