"""Table rows and JSON bodies: bytes to objects for maps of format `table` and `json`. CSV in any of the charsets met.

XLSX and database views have their own channels; what they hand over are the same rows.
"""

import csv
from dataclasses import dataclass
from io import StringIO

import msgspec

from mappings.hl7v2.charset import decode
from terminology.fhirjson import Json
from terminology.fhirjson import decode as decode_json
from terminology.issues import Issue, MalformedMessage

ROW_LIMIT = 1_000_000
_DELIMITERS = ",\t;|"


@dataclass(frozen=True, slots=True)
class Rows:
    """`rows` in order; `columns` as named in the sheet's first line; charset facts as for messages."""

    rows: list[Json]
    columns: tuple[str, ...]
    codec: str = "utf-8"
    is_guessed: bool = False
    issues: tuple[Issue, ...] = ()


def read_rows(raw: bytes) -> Rows:
    """Return the rows of a CSV sheet, a JSON array, one JSON object, or objects line by line (NDJSON).

    Cells are texts without outer blanks, empty ones left out. Raises MalformedMessage (HT-MAP-36).
    """
    decoded = decode(raw)
    text = decoded.text.lstrip("\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        rows = _json(text)
        columns = tuple(dict.fromkeys(key for row in rows[:100] for key in row))
        return Rows(rows, columns, decoded.codec, decoded.is_guessed, decoded.issues)
    table = _csv(text)
    return Rows(table.rows, table.columns, decoded.codec, decoded.is_guessed, decoded.issues)


def _json(text: str) -> list[Json]:
    try:
        found = decode_json(text)
    except msgspec.DecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].startswith("{"):
            raise MalformedMessage("HT-MAP-36", format="JSON", reason=str(error)) from None
        try:
            found = [decode_json(line) for line in lines]
        except msgspec.DecodeError:
            raise MalformedMessage("HT-MAP-36", format="JSON", reason=str(error)) from None
    except RecursionError:
        raise MalformedMessage("HT-MAP-36", format="JSON", reason="too deeply nested") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise MalformedMessage("HT-MAP-36", format="JSON", reason="neither an object nor a list of objects")
    return rows


def _csv(text: str) -> Rows:
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    if not first.strip() or delimiter not in first:
        raise MalformedMessage("HT-MAP-36", format="CSV", reason="the first line has no columns")
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    rows: list[Json] = []
    try:
        header = [name.strip() for name in next(reader)]
        for line in reader:
            if len(rows) >= ROW_LIMIT:
                raise MalformedMessage("HT-MAP-36", format="CSV", reason=f"more than {ROW_LIMIT} rows")
            row = {
                name: cell.strip() for name, cell in zip(header, line, strict=False) if name and cell.strip()
            }
            if row:
                rows.append(row)
    except csv.Error as error:
        raise MalformedMessage("HT-MAP-36", format="CSV", reason=str(error)) from None
    if not rows:
        raise MalformedMessage("HT-MAP-36", format="CSV", reason="no row below the column names")
    return Rows(rows, tuple(header))
