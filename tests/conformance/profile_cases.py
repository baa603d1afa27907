"""The examples of the county profiles (tests/data/profiles): a valid one each, and how it is broken.

A case names what is `set` (null removes), the invariant `key` or issue `code` that must answer, and `at` where.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from conformance.profiles.table import Row, Table, load_table, load_yaml, table_ids
from terminology.fhirjson import Json, decode, encode
from terminology.issues import Issue

FOLDER = Path(__file__).parent.parent / "data" / "profiles"


@dataclass(frozen=True)
class Case:
    """`codes`: issue codes of which one must be told; `key`: the invariant, for HT-VAL-30; `at`: "" anywhere."""

    profile: str
    name: str
    resource: Json
    codes: tuple[str, ...]
    at: str
    key: str = ""
    severity: str = "error"

    def is_met(self, issues: list[Issue]) -> bool:
        return any(
            row.severity == self.severity
            and row.code.startswith(self.codes)
            and (not self.at or row.expression == self.at)
            and (not self.key or row.values.get("key") == self.key)
            for row in issues
        )


@cache
def example(identity: str) -> Json:
    """Return the valid example, numbers as JSON writes them."""
    found: Json = decode(encode(load_yaml(FOLDER / f"{identity}.yaml")["valid"]))
    return found


def written_cases(identity: str) -> Iterator[Case]:
    for row in load_yaml(FOLDER / f"{identity}.yaml")["cases"]:
        resource = copy.deepcopy(example(identity))
        for path, value in row.get("set", {}).items():
            put(resource, path.split("."), copy.deepcopy(value))
        for path, (count, value) in row.get("repeat", {}).items():
            put(resource, path.split("."), [copy.deepcopy(value) for _ in range(count)])
        drop_removed(resource)
        yield Case(
            identity,
            row["case"],
            decode(encode(resource)),
            (row.get("code", "HT-VAL-30"),),
            row["at"],
            row.get("key", ""),
            row.get("severity", "error"),
        )


def put(tree: Any, steps: list[str], value: Any) -> None:
    """Set what stands at a path of names and indexes; None marks it as removed."""
    here: Any = tree
    for step in steps[:-1]:
        here = here[int(step)] if step.isdigit() else here.setdefault(step, {})
    last: Any = int(steps[-1]) if steps[-1].isdigit() else steps[-1]
    if isinstance(here, list) and last == len(here):
        here.append(value)
    else:
        here[last] = value


def drop_removed(tree: Any) -> None:
    """Take out what is None, and what became empty by that."""
    rows = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree))
    for key, value in reversed(rows):
        if isinstance(value, dict | list):
            drop_removed(value)
        if value is None or value == {} or value == []:
            del tree[key]


def row_cases(identity: str) -> Iterator[Case]:
    """Yield what follows from the table alone: a required element missing, a wrong code, pattern or reference."""
    table = load_table(identity)
    for row in table.rows:
        for at, holder, name in places(example(identity), table.type, row):
            if row.least:
                yield _missing(table, row, holder, name)
            yield from _wrong_values(table, row, at, holder, name)


def _wrong_values(table: Table, row: Row, at: str, holder: list[str | int], name: str) -> Iterator[Case]:
    for rule in row.rules:
        word, _, rest = rule.partition(" ")
        value = _value(example(table.id), [*holder, name])
        place = f"{at}[0]" if isinstance(value, list) else at
        if word == "required":
            yield _broken(table, row, "another code", holder, name, _other_code(value), ("HT-VAL-3",), place)
        elif word == "patternCode":
            yield _broken(table, row, "another code", holder, name, "option", ("HT-VAL-87",), at)
        elif re.match(r"Reference\(", rule) and "Resource" not in rest:
            wrong: Any = {"reference": "Basic/1"}
            yield _broken(
                table,
                row,
                "another type of target",
                holder,
                name,
                [wrong] if isinstance(value, list) else wrong,
                ("HT-VAL-",),
                place,
            )


def _other_code(value: Any) -> Any:
    if isinstance(value, list):
        return [_other_code(value[0])]
    if isinstance(value, dict):
        system = "https://hutong.health/fhir/CodeSystem/role"
        coding = {"system": system, "code": "ord"}
        return {"coding": [coding]} if "coding" in value else coding
    return "ord"


def _missing(table: Table, row: Row, holder: list[str | int], name: str) -> Case:
    """The element goes, its holder stays, if with nothing but an id."""
    resource = copy.deepcopy(example(table.id))
    place = _value(resource, holder)
    del place[name]
    if not place:
        place["id"] = "x"
    return Case(table.id, f"{row.path} missing", resource, ("HT-VAL-",), "")


def _broken(
    table: Table,
    row: Row,
    how: str,
    holder: list[str | int],
    name: str,
    value: Any,
    codes: tuple[str, ...],
    at: str,
) -> Case:
    resource = copy.deepcopy(example(table.id))
    put(resource, [str(step) for step in [*holder, name]], value)
    drop_removed(resource)
    return Case(table.id, f"{row.path} {how}", resource, codes, at)


def places(resource: Json, type_name: str, row: Row) -> Iterator[tuple[str, list[str | int], str]]:
    """Yield (FHIRPath, way to the holder, member name) of a row's element in the example; slices are left out."""
    steps = row.path.split(".")
    if any(":" in step for step in steps) or "extension" in steps:
        return
    open_: list[tuple[str, list[str | int], Any]] = [(type_name, [], resource)]
    for number, step in enumerate(steps):
        after: list[tuple[str, list[str | int], Any]] = []
        for at, way, value in open_:
            name = _member(value, step)
            if name is None:
                continue
            label = f"{at}.{step.removesuffix('[x]')}"
            if number == len(steps) - 1:
                yield label, way, name
                continue
            found = value[name]
            if isinstance(found, list):
                after += [(f"{label}[{i}]", [*way, name, i], one) for i, one in enumerate(found)]
            else:
                after.append((label, [*way, name], found))
        open_ = after


def _member(value: Json, step: str) -> str | None:
    if not step.endswith("[x]"):
        return step if step in value else None
    stem = step.removesuffix("[x]")
    return next((name for name in value if name.startswith(stem) and name[len(stem) :][:1].isupper()), None)


def _value(tree: Any, way: list[str | int]) -> Any:
    for step in way:
        tree = tree[step]
    return tree


def all_ids() -> list[str]:
    return table_ids()
