"""Rows of a small table of this folder."""

import csv
import gzip
from collections.abc import Iterator

from terminology.tables.domain import TABLES


def table_rows(file: str) -> Iterator[dict[str, str]]:
    """Yield the rows by column name; lines that begin with # tell where the table comes from."""
    opened = gzip.open if file.endswith(".gz") else open
    with opened(TABLES / file, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))
