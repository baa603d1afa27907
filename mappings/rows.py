"""Table rows and JSON bodies: bytes to objects for maps of format `table` and `json`. CSV in any of the charsets met.

Workbooks (mappings/xlsx.py) give a sheet each; database views hand over the same rows as JSON (gateway/channels).
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import StringIO

import msgspec

from mappings.hl7v2.charset import Decoded, decode
from mappings.xlsx import is_workbook, read_workbook
from terminology.fhirjson import Json
from terminology.fhirjson import decode as decode_json
from terminology.issues import Issue, MalformedMessage, TooLarge

ROW_LIMIT = 1_000_000
_DELIMITERS = ",\t;|"
# What vendors call the parts of their answers.
_ENVELOPE = frozenset(
    {"code", "msg", "message", "status", "success", "resultCode", "errcode", "ret", "errMsg", "retCode"}
)
_INNER = ("data", "rows", "list", "records", "result", "results", "items", "content")


@dataclass(frozen=True, slots=True)
class Rows:
    """`rows` in order; `columns` as named in the sheet's first line; charset facts as for messages.

    `problems`: number of a row (from 0) → why it can't be trusted.
    """

    rows: list[Json]
    columns: tuple[str, ...]
    codec: str = "utf-8"
    is_guessed: bool = False
    issues: tuple[Issue, ...] = ()
    name: str = ""
    problems: Mapping[int, Issue] = field(default_factory=dict)

    def part(self, start: int, end: int) -> "Rows":
        """Return the rows from `start` to before `end`."""
        problems = {at - start: issue for at, issue in self.problems.items() if start <= at < end}
        return replace(self, rows=self.rows[start:end], problems=problems)


def read_sheets(raw: bytes, *, most: int = ROW_LIMIT) -> list[Rows]:
    """Return the sheets of a workbook, or what `read_rows` gives as the only one; a JSON envelope is opened.

    Raises TooLarge (HT-TAB-02) as soon as there are more than `most` rows.
    """
    if is_workbook(raw):
        sheets = read_workbook(raw, most=most)
        return [
            Rows(sheet.rows, sheet.columns, "utf-8", issues=sheet.issues, name=sheet.name) for sheet in sheets
        ]
    return [read_rows(raw, opens_envelope=True, most=most)]


def in_envelope(body: object) -> list[Json] | None:
    """Return the rows of a vendor's `{code, msg, data}` body, None when it is none.

    The rows are a list of objects, one object, or a page (`data.list`, `data.rows`, `data.records`).
    """
    if not isinstance(body, dict) or not body.keys() & _ENVELOPE:
        return None
    inner = next((body[name] for name in _INNER if isinstance(body.get(name), (list, dict))), None)
    if isinstance(inner, dict):
        page = next((inner[name] for name in _INNER if isinstance(inner.get(name), list)), None)
        inner = page if page is not None else [inner]
    if not inner or not all(isinstance(row, dict) for row in inner):
        return None
    return inner


def read_rows(raw: bytes, *, opens_envelope: bool = False, most: int = ROW_LIMIT) -> Rows:
    """Return the rows of a CSV sheet, a JSON array, one JSON object, or objects line by line (NDJSON).

    Cells are texts without outer blanks, empty ones left out. `opens_envelope`: of a `{code, msg, data}` body the rows
    are those in `data`. Raises MalformedMessage (HT-MAP-36), TooLarge (HT-TAB-02).
    """
    decoded = decode(raw)
    told = charset_issues(decoded)
    text = decoded.text.lstrip("\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        rows = _json(text)
        if opens_envelope and len(rows) == 1:
            rows = in_envelope(rows[0]) or rows
        columns = tuple(dict.fromkeys(key for row in rows[:100] for key in row))
        return Rows(rows, columns, decoded.codec, decoded.is_guessed, told)
    table = _csv(text, most)
    return replace(table, codec=decoded.codec, is_guessed=decoded.is_guessed, issues=told)


def charset_issues(decoded: Decoded) -> tuple[Issue, ...]:
    """Return what the charset ladder tells, in the words of sheets and bodies: they have no MSH-18, and UTF-8 is no guess."""
    return tuple(
        Issue("HT-TAB-16", issue.values, issue.severity) if issue.code == "HT-V2-13" else issue
        for issue in decoded.issues
        if not (issue.code == "HT-V2-13" and decoded.codec == "utf-8")
    )


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
        raise MalformedMessage("HT-MAP-36", format="JSON", reason="嵌套过深 / too deeply nested") from None
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise MalformedMessage(
            "HT-MAP-36",
            format="JSON",
            reason="既不是对象，也不是对象的列表 / neither an object nor a list of objects",
        )
    return rows


def _csv(text: str, most: int) -> Rows:
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    if not first.strip() or delimiter not in first:
        raise MalformedMessage(
            "HT-MAP-36", format="CSV", reason="第一行没有列名 / the first line has no columns"
        )
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    rows: list[Json] = []
    problems: dict[int, Issue] = {}
    try:
        header = [name.strip() for name in next(reader)]
        for line in reader:
            if len(rows) >= most:
                raise TooLarge("HT-TAB-02", limit=most)
            row = {
                name: cell.strip() for name, cell in zip(header, line, strict=False) if name and cell.strip()
            }
            if len(line) > len(header) and any(map(str.strip, line[len(header) :])):
                # One delimiter too many moves every cell behind it under the wrong name.
                values = {"line": reader.line_num, "count": len(line), "columns": len(header)}
                problems[len(rows)] = Issue("HT-TAB-04", values, source=f"line {reader.line_num}")
                row |= {
                    f"#{at}": cell for at, cell in enumerate(line[len(header) :], len(header) + 1) if cell
                }
            if row:
                rows.append(row)
    except csv.Error as error:
        raise MalformedMessage("HT-MAP-36", format="CSV", reason=str(error)) from None
    if not rows:
        raise MalformedMessage(
            "HT-MAP-36", format="CSV", reason="列名下没有数据行 / no row below the column names"
        )
    return Rows(rows, tuple(header), problems=problems)
