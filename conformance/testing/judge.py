"""The operators of an assertion and the comparison with a minimum (testscript.html, assert-operator-codes)."""

from decimal import Decimal, InvalidOperation
from typing import Any

from terminology.issues import Issue

# https://hl7.org/fhir/R4/valueset-assert-response-code-types.html. Public scripts write `okay` for any success (a delete
# that answers 204), so that is how it is read; who means 200 writes responseCode.
RESPONSES = {
    "okay": range(200, 300),
    "created": range(201, 202),
    "noContent": range(204, 205),
    "notModified": range(304, 305),
    "bad": range(400, 401),
    "forbidden": range(403, 404),
    "notFound": range(404, 405),
    "methodNotAllowed": range(405, 406),
    "conflict": range(409, 410),
    "gone": range(410, 411),
    "preconditionFailed": range(412, 413),
    "unprocessable": range(422, 423),
}
OPERATORS = (
    "equals",
    "notEquals",
    "in",
    "notIn",
    "greaterThan",
    "lessThan",
    "empty",
    "notEmpty",
    "contains",
    "notContains",
    "eval",
)


def compare(value: str, wanted: str, operator: str) -> Issue | None:
    """Return what is wrong, None when `value` is as wanted; an unknown operator is wrong too."""
    choices = [part.strip() for part in wanted.split(",")]
    holds = {
        "equals": lambda: value == wanted,
        "notEquals": lambda: value != wanted,
        "in": lambda: value in choices,
        "notIn": lambda: value not in choices,
        "greaterThan": lambda: _order(value, wanted) > 0,
        "lessThan": lambda: _order(value, wanted) < 0,
        "empty": lambda: value == "",
        "notEmpty": lambda: value != "",
        "contains": lambda: wanted in value,
        "notContains": lambda: wanted not in value,
        "eval": lambda: value == "true",
    }.get(operator)
    if holds is None:
        return Issue("HT-CT-08", {"operator": operator[:40]})
    if holds():
        return None
    return Issue("HT-CT-10", {"value": value[:200], "operator": operator, "wanted": wanted[:200]})


def contains_minimum(whole: Any, part: Any) -> bool:
    """Tell whether everything in `part` is in `whole`; what the server itself owns (id, meta, text) aside."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in ("id", "meta", "text") or contains_minimum(whole.get(name), value)
            for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(contains_minimum(item, one) for item in whole) for one in part
        )
    return bool(whole == part)


def text_of(value: Any) -> str:
    """Return a value of FHIRPath as text, as scripts compare it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _order(value: str, wanted: str) -> int:
    """Numbers by size, dates and other text by their characters; what cannot be compared is neither."""
    try:
        left, right = Decimal(value), Decimal(wanted)
    except InvalidOperation:
        if not value or not wanted:
            return 0
        return (value > wanted) - (value < wanted)
    return (left > right) - (left < right)
