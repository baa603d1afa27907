"""The catalogues that come with Hutong, described in `shipped.toml`, read from `terminology/tables`."""

import csv
import gzip
import io
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from terminology.catalogue.check import check
from terminology.catalogue.delimited import decode, rows_of
from terminology.catalogue.icd10 import split_pair
from terminology.catalogue.kinds import of_kind
from terminology.catalogue.row import Row, Table
from terminology.tables.domain import TABLES
from terminology.tables.rows import table_rows

FILE = Path(__file__).with_name("shipped.toml")


@dataclass(frozen=True, slots=True)
class Shipped:
    """A row of `shipped.toml`; `is_sample` marks tables that are known to be incomplete.

    `flags`: a table of properties by the beginning of the code (prefix, property, value). `attributes`: a table of
    properties by the name of the item.
    """

    id: str
    url: str
    title: str
    kind: str
    version: str
    file: str
    where: tuple[str, str] | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    parents: str = ""
    flags: str = ""
    attributes: str = ""
    pad: int = 0
    is_sample: bool = False


@cache
def shipped() -> dict[str, Shipped]:
    """Return the shipped catalogues by id."""
    table: dict[str, dict[str, Any]] = tomllib.loads(FILE.read_text("utf-8"))
    found = {}
    for id, row in table.items():
        where = row.pop("where", None)
        found[id] = Shipped(id=id, where=tuple(where) if where else None, **row)
    return found


def load_shipped(catalogue: Shipped) -> Table:
    """Return the rows of a shipped catalogue; of doubled codes the first stands."""
    content = (TABLES / catalogue.file).read_bytes()
    text, encoding, _ = decode(gzip.decompress(content) if catalogue.file.endswith(".gz") else content)
    lines = csv.reader(line for line in io.StringIO(text) if not line.startswith("#"))
    head = next(lines)
    kept = _where(lines, head, catalogue.where)
    rows, problems = rows_of([head, *kept], {**catalogue.columns, "keep_others": False})
    unique = {row.code: row for row in reversed(rows)}
    found = [_filled(unique[code], catalogue) for code in dict.fromkeys(row.code for row in rows)]
    if catalogue.parents == "prefix":
        found = list(_with_parents(found))
    if catalogue.flags:
        found = [_flagged(row, prefixes(catalogue.flags)) for row in found]
    if catalogue.attributes:
        found = [_described(row, named_attributes(catalogue.attributes)) for row in found]
    return of_kind(check(Table(tuple(found), tuple(problems), encoding)), catalogue.kind)


@cache
def named_attributes(file: str) -> dict[str, dict[str, str]]:
    """Return a table of attributes by the name of the item; empty cells are unknown."""
    return {
        row["display"]: {name: value for name, value in row.items() if name != "display" and value}
        for row in table_rows(file)
    }


def _described(row: Row, known: Mapping[str, Mapping[str, str]]) -> Row:
    held = known.get(row.display)
    return replace(row, properties={**row.properties, **held}) if held else row


@cache
def prefixes(file: str) -> dict[str, dict[str, str]]:
    """Return a table of flags: prefix → property → value."""
    found: dict[str, dict[str, str]] = {}
    for row in table_rows(file):
        found.setdefault(row["prefix"], {})[row["property"]] = row["value"]
    return found


def _flagged(row: Row, flags: Mapping[str, Mapping[str, str]]) -> Row:
    """Give a code the properties of its prefixes, and name both parts of a dagger and asterisk pair."""
    properties: dict[str, Any] = dict(row.properties)
    for end in range(3, min(len(row.code), 6)):
        properties |= flags.get(row.code[:end], {})
    pair = split_pair(row.code)
    if pair is not None:
        properties |= {"dagger": pair.dagger, "asterisk": pair.asterisk}
    return replace(row, properties=properties) if properties else row


def _where(lines: Iterator[list[str]], head: list[str], where: tuple[str, str] | None) -> Iterator[list[str]]:
    for cells in lines:
        if where is None or cells[head.index(where[0])] == where[1]:
            yield cells


def _filled(row: Row, catalogue: Shipped) -> Row:
    return (
        replace(row, code=row.code.zfill(catalogue.pad), line=None)
        if catalogue.pad
        else replace(row, line=None)
    )


def _with_parents(rows: list[Row]) -> Iterator[Row]:
    """Give each code the longest shorter code of the table that it begins with: I10.x00x002 → I10.x00 → I10."""
    codes = {row.code for row in rows}
    for row in rows:
        stem = row.code.partition("+")[0]
        above = next(
            (stem[:end] for end in range(len(stem) - (stem == row.code), 0, -1) if stem[:end] in codes), None
        )
        yield replace(row, parents=(above,)) if above else row
