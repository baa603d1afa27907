"""The official FHIRPath suite: reading its XML and judging one test.

An `invalid` test passes when the expression is refused; otherwise values must be equal, and types where they are given.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from conformance import definitions
from conformance.fhirpath import compile
from terminology.fhirjson import decode_resource
from terminology.issues import FhirError

FOLDER = Path(__file__).parent.parent / "data" / "fhirpath"


@dataclass(frozen=True)
class Case:
    """`outputs`: pairs (type, text), or None where the test only has to be refused."""

    id: str
    expression: str
    input: str | None
    is_invalid: bool
    is_predicate: bool
    is_ordered: bool
    outputs: tuple[tuple[str, str], ...]


def cases(path: Path = FOLDER / "tests-fhir-r4-part.xml") -> Iterator[Case]:
    seen: dict[str, int] = {}
    for group in ElementTree.parse(path).getroot().iter("group"):
        for test in group.iter("test"):
            name = f"{group.get('name')}/{test.get('name')}"
            seen[name] = seen.get(name, 0) + 1
            expression = test.find("expression")
            assert expression is not None
            file = test.get("inputfile")
            yield Case(
                id=name if seen[name] == 1 else f"{name}#{seen[name]}",
                expression=expression.text or "",
                input=file.rpartition(".")[0] + ".json" if file else None,
                is_invalid=expression.get("invalid") is not None,
                is_predicate=test.get("predicate") == "true",
                is_ordered=test.get("ordered") != "false",
                outputs=tuple((row.get("type", ""), row.text or "") for row in test.iter("output")),
            )


@cache
def resource(file: str) -> dict[str, Any]:
    return decode_resource((FOLDER / file).read_bytes())


def verdict(case: Case) -> str:
    """Return "" when the test passes, else what is wrong."""
    given = resource(case.input) if case.input else None
    try:
        found = compile(case.expression).typed(given)
    except FhirError as error:
        return "" if case.is_invalid else f"refused: {error}"
    if case.is_invalid:
        return f"accepted: {found}"
    if case.is_predicate:
        truth = bool(found) and found[0][0] is not False
        wanted = bool(case.outputs) and case.outputs[0][1] == "true"
        return "" if truth is wanted else f"predicate: {found}"
    if len(found) != len(case.outputs):
        return f"{len(found)} instead of {len(case.outputs)} results: {found}"
    wanted_rows = list(case.outputs)
    if not case.is_ordered:
        wanted_rows.sort(key=lambda row: row[1])
        found.sort(key=lambda row: text_of(*row))
    for (kind, wanted), (value, own) in zip(wanted_rows, found, strict=True):
        if not same_value(wanted, value, own):
            return f"{text_of(value, own)!r} instead of {wanted!r}"
        if kind and not same_type(kind, own):
            return f"type {own} instead of {kind}"
    return ""


def text_of(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "time":
        return f"@T{value}"
    if kind in ("date", "dateTime", "instant"):
        return f"@{value}"
    if isinstance(value, dict) and "value" in value:
        unit = value["unit"] if "code" not in value else f"'{value['code']}'"
        return f"{value['value']} {unit}"
    return str(value)


def same_value(wanted: str, value: Any, kind: str) -> bool:
    text = text_of(value, kind)
    # The suite writes a date-time without its T or with it, and dates with or without @.
    if text == wanted or text.removeprefix("@") == wanted.removeprefix("@").removesuffix("T"):
        return True
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        # Digits count for boundaries; elsewhere the suite is content with the number ("decimal 1" for 1.0).
        return "." not in wanted and Decimal(wanted) == value
    return False


def same_type(wanted: str, own: str) -> bool:
    return wanted == own or own in definitions.base_types(wanted) or wanted in definitions.base_types(own)
