"""The attributes of a kind of catalogue: Chinese headings to codes, cells to values, wrong values told row by row.

`attributes.toml` is the table. A property that it does not name is kept as the file calls it.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from terminology import hanzi
from terminology.catalogue.row import Row, problem
from terminology.issues import Issue

FILE = Path(__file__).with_name("attributes.toml")
KINDS = {"drug": "drug", "lab-item": "item", "exam-item": "item"}
"""Kind of a catalogue → section of the table."""

TRUE = frozenset({"1", "是", "有", "y", "yes", "true", "√", "可"})
FALSE = frozenset({"0", "否", "无", "n", "no", "false", "×", "不可"})
DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
SEPARATORS = re.compile(r"[,，、;；|/\s]+")


@dataclass(frozen=True, slots=True)
class Attribute:
    """`codes`: what a table writes, folded, → the code. `problem`: what a wrong value is called."""

    code: str
    type: str
    headings: tuple[str, ...] = ()
    codes: Mapping[str, str] = field(default_factory=dict)
    problem: str = "HT-CAT-37"


@cache
def attributes(kind: str) -> dict[str, Attribute]:
    """Return the attributes of a kind of catalogue by code; none for the kinds that have none."""
    rows: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text("utf-8")).get(KINDS.get(kind, ""), {})
    return {
        code: Attribute(
            code,
            row["type"],
            tuple(hanzi.fold(heading) for heading in row["headings"]),
            {hanzi.fold(written): meant for written, meant in row.get("codes", {}).items()},
            row.get("problem", "HT-CAT-37"),
        )
        for code, row in rows.items()
    }


@cache
def _by_heading(kind: str) -> dict[str, Attribute]:
    found = {heading: row for row in attributes(kind).values() for heading in row.headings}
    return found | attributes(kind)


def read_attributes(rows: Iterable[Row], kind: str) -> tuple[tuple[Row, ...], list[Issue]]:
    """Return the rows with attributes under their codes as values of their types, and HT-CAT-37 for what is none."""
    known = _by_heading(kind)
    problems: list[Issue] = []
    return tuple(_read(row, known, problems) if known else row for row in rows), problems


def _read(row: Row, known: Mapping[str, Attribute], problems: list[Issue]) -> Row:
    properties: dict[str, Any] = {}
    for name, value in row.properties.items():
        attribute = known.get(name) or known.get(hanzi.fold(name))
        if attribute is None:
            properties[name] = value
            continue
        try:
            properties[attribute.code] = TYPES[attribute.type](value, attribute)
        except (ValueError, InvalidOperation):
            properties[attribute.code] = value
            expected = ", ".join(dict.fromkeys(attribute.codes.values())) or EXPECTED[attribute.type]
            problems.append(
                problem(
                    attribute.problem, row.line, concept=row.code, attribute=attribute.code, value=str(value)[:80], expected=expected
                )
            )  # fmt: skip
    return replace(row, properties=properties)


def _text(value: Any, _: Attribute) -> str:
    return str(value).strip()


def _flag(value: Any, _: Attribute) -> bool:
    folded = hanzi.fold(str(value))
    if folded not in TRUE | FALSE:
        raise ValueError(folded)
    return folded in TRUE


def _whole(value: Any, _: Attribute) -> int:
    digits = hanzi.fold(str(value)).removesuffix("天").removesuffix("日").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6):
        raise ValueError(digits)
    return int(digits)


def _decimal(value: Any, _: Attribute) -> Decimal:
    number = Decimal(hanzi.fold(str(value)).removesuffix("元").strip())
    if not number.is_finite() or number < 0 or abs(number.adjusted()) > 12:
        raise ValueError(value)
    return number


def _date(value: Any, _: Attribute) -> str:
    """Return a date as it is known: a year, a month or a day."""
    text = str(value).strip()
    if not DAY.fullmatch(text):
        raise ValueError(text)
    date.fromisoformat(text + "-01" * (2 - text.count("-")))
    return text


def _code(value: Any, attribute: Attribute) -> str:
    found = attribute.codes.get(hanzi.fold(str(value)))
    if found is None:
        raise ValueError(value)
    return found


def _codes(value: Any, attribute: Attribute) -> list[str]:
    listed = value if isinstance(value, list) else SEPARATORS.split(str(value).strip())
    found = {_code(one, attribute) for one in listed if one}
    return [code for code in dict.fromkeys(attribute.codes.values()) if code in found]


TYPES: Mapping[str, Callable[[Any, Attribute], Any]] = {
    "text": _text, "flag": _flag, "whole": _whole, "decimal": _decimal, "date": _date, "code": _code, "codes": _codes,
}  # fmt: skip
EXPECTED = {
    "flag": "是 否 true false", "whole": "0, 1, 2 …", "decimal": "12.50", "date": "2023 / 2023-05 / 2023-05-01",
    "text": "…", "code": "…", "codes": "…",
}  # fmt: skip
