"""Workbooks (XLSX) as rows: every sheet, cells as written, dates as dates.

ECMA-376 part 1, §18 (SpreadsheetML). Read from the XML itself, so that a number keeps the digits that the file has:
numbers stand there as text, dates as days since 1899-12-30 with a date format. Bounded before anything is unpacked.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any

from terminology.fhirjson import Json
from terminology.issues import Issue, MalformedMessage, TooLarge

MOST_PARTS = 2_000
MOST_BYTES = 256 * 1024 * 1024
MOST_ROWS = 1_000_000
MOST_COLUMNS = 2_000
# A heading is looked for in this many rows: titles stand above it.
HEADING_ROWS = 20

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_RELATION = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
# §18.8.30: built-in formats of dates and times, those of Chinese Excel included (27–36, 50–58).
_DATES = frozenset((*range(14, 18), *range(27, 32), 36, *range(50, 55), 57, 58))
_TIMES = frozenset((*range(18, 22), *range(32, 36), 45, 46, 47, 55, 56))
_BOTH = frozenset((22,))
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_FIXED = re.compile(r"0\.(0+)")
_CELL = re.compile(r"([A-Z]{1,3})(\d+)")
_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_LONG = re.compile(r"-?[1-9]\d{15,}(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Sheet:
    """`rows` with the number of their line in the sheet; cells are texts, empty ones left out."""

    name: str
    columns: tuple[str, ...]
    rows: list[Json]
    lines: list[int]
    issues: tuple[Issue, ...] = ()


@dataclass(frozen=True, slots=True)
class _Book:
    strings: list[str]
    # Style number → ("date" | "time" | "both" | "", digits after the point or -1).
    styles: list[tuple[str, int]]
    epoch: datetime


def is_workbook(raw: bytes) -> bool:
    return raw[:4] == b"PK\x03\x04"


def read_workbook(raw: bytes, *, most: int = MOST_ROWS) -> list[Sheet]:
    """Return the sheets that have rows below a heading, hidden ones left out; at most `most` rows in all.

    Raises MalformedMessage (HT-TAB-01) for a file that is no workbook or has no rows, TooLarge (HT-TAB-02).
    """
    try:
        archive = zipfile.ZipFile(BytesIO(raw))
        infos = archive.infolist()
        if len(infos) > MOST_PARTS or sum(info.file_size for info in infos) > MOST_BYTES:
            raise TooLarge("HT-TAB-02", limit=MOST_BYTES)
        if any(info.flag_bits & 1 for info in infos):
            raise _malformed("已加密 / encrypted")
        found = list(_sheets(archive, most))
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        IndexError,
        EOFError,
        NotImplementedError,
        OSError,
        SyntaxError,
        zlib.error,
    ) as error:
        raise _malformed(f"{type(error).__name__}: {error}") from None
    if not found:
        raise _malformed("列名下没有数据行 / no row below the column names")
    return found


def _sheets(archive: zipfile.ZipFile, most: int) -> Iterator[Sheet]:
    workbook = _tree(archive, "xl/workbook.xml")
    targets = {
        row.get("Id"): str(row.get("Target"))
        for row in _tree(archive, "xl/_rels/workbook.xml.rels")
        if row.get("TargetMode") != "External"
    }
    properties = next(_all(workbook, "workbookPr"), None)
    is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    book = _Book(_strings(archive), _styles(archive), _EPOCH_1904 if is_1904 else _EPOCH)
    total = 0
    for node in _all(workbook, "sheet"):
        target = targets.get(node.get(_RELATION) or node.get(_STRICT_RELATION))
        if target is None or node.get("state") in ("hidden", "veryHidden"):
            continue
        path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        sheet = _sheet(archive, path, str(node.get("name")), book, most - total)
        if sheet is not None:
            total += len(sheet.rows)
            yield sheet


def _sheet(archive: zipfile.ZipFile, path: str, name: str, book: _Book, most: int) -> Sheet | None:
    columns: dict[int, str] = {}
    rows: list[Json] = []
    lines: list[int] = []
    issues: dict[str, Issue] = {}
    above: list[tuple[int, dict[int, str]]] = []
    for line, cells in _rows(archive, path, book, issues, name):
        if not columns:
            # The heading is the first row with at least two names, none of them a number.
            texts = [text for text in cells.values() if text]
            if len(texts) >= 2 and not any(_is_number(text) for text in texts):
                columns = {at: text for at, text in cells.items() if text}
            else:
                above.append((line, cells))
                if len(above) > HEADING_ROWS:
                    return None
            continue
        row = {columns[at]: text for at, text in cells.items() if text and at in columns}
        if row:
            if len(rows) >= most:
                raise TooLarge("HT-TAB-02", limit=most)
            rows.append(row)
            lines.append(line)
    return Sheet(name, tuple(columns.values()), rows, lines, tuple(issues.values())) if rows else None


def _rows(
    archive: zipfile.ZipFile, path: str, book: _Book, issues: dict[str, Issue], sheet: str
) -> Iterator[tuple[int, dict[int, str]]]:
    """Yield (line, column → text); a row without its number follows the one before."""
    from lxml import etree

    line = 0
    with archive.open(path) as part:
        for _, row in etree.iterparse(
            part, events=("end",), tag=(f"{_MAIN}row", f"{_STRICT}row"), resolve_entities=False, no_network=True,
            load_dtd=False, huge_tree=False,
        ):  # fmt: skip
            number = row.get("r")
            line = int(number) if number and number.isdigit() else line + 1
            yield line, _cells(row, book, issues, sheet)
            row.clear()
            while row.getprevious() is not None:
                del row.getparent()[0]


def _cells(row: Any, book: _Book, issues: dict[str, Issue], sheet: str) -> dict[int, str]:
    found: dict[int, str] = {}
    at = -1
    for cell in row:
        place = _CELL.fullmatch(cell.get("r") or "")
        at = _column(place[1]) if place else at + 1
        if at >= MOST_COLUMNS:
            break
        text = _text(cell, book)
        if text:
            found[at] = text
            if cell.get("t") in (None, "n") and _LONG.fullmatch(text):
                # Excel keeps 15 digits of a number: an identity number typed as a number has lost its end.
                issues.setdefault(
                    str(at), Issue("HT-TAB-03", {"cell": f"{sheet}!{cell.get('r') or at}"}, "warning")
                )
    return found


def _text(cell: Any, book: _Book) -> str:
    kind = cell.get("t")
    if kind == "inlineStr":
        return _plain(cell)
    value = next((node.text or "" for node in cell if node.tag.endswith("}v")), "")
    if kind == "s":
        return book.strings[int(value)] if value else ""
    if kind == "b":
        return "true" if value == "1" else "false"
    if kind in ("str", "e", "d"):
        # A formula's text; an error (#N/A) is nothing that was measured; ISO 8601 dates of strict files.
        return "" if kind == "e" else value.strip()
    style = cell.get("s")
    meaning, digits = book.styles[int(style)] if style and int(style) < len(book.styles) else ("", -1)
    return _number(value.strip(), meaning, digits, book.epoch)


def _number(value: str, meaning: str, digits: int, epoch: datetime) -> str:
    if not value:
        return ""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return value
    if meaning:
        return _moment(number, meaning, epoch) or value
    if "." in value or "E" in value or "e" in value:
        # Binary fractions: 0.30000000000000004 was typed, and is shown, as 0.3.
        number = Decimal(f"{number:.15g}")
    if digits >= 0 and number == round(number, digits):
        return f"{number:.{digits}f}"
    return format(number, "f")


def _moment(days: Decimal, meaning: str, epoch: datetime) -> str:
    try:
        moment = epoch + timedelta(seconds=round(float(days) * 86_400))
    except (OverflowError, ValueError):
        return ""
    if meaning == "time" and days < 1:
        return f"{moment:%H:%M:%S}"
    if meaning == "date" and days == days.to_integral_value():
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _styles(archive: zipfile.ZipFile) -> list[tuple[str, int]]:
    if "xl/styles.xml" not in archive.namelist():
        return []
    tree = _tree(archive, "xl/styles.xml")
    formats = {str(node.get("numFmtId")): str(node.get("formatCode") or "") for node in _all(tree, "numFmt")}
    cells = next(_all(tree, "cellXfs"), None)
    found = []
    for node in cells if cells is not None else ():
        id = str(node.get("numFmtId") or "0")
        found.append(_meaning(int(id) if id.isdigit() else 0, formats.get(id, "")))
    return found


def _meaning(id: int, code: str) -> tuple[str, int]:
    if not code:
        kind = "date" if id in _DATES else "time" if id in _TIMES else "both" if id in _BOTH else ""
        return kind, {1: 0, 2: 2}.get(id, -1)
    letters = _QUOTED.sub("", code.split(";")[0]).lower()
    has_day = (
        "y" in letters or "d" in letters or ("m" in letters and "h" not in letters and "s" not in letters)
    )
    has_time = "h" in letters or "s" in letters
    if has_day or has_time:
        return "both" if has_day and has_time else "date" if has_day else "time", -1
    fixed = _FIXED.search(letters)
    return "", len(fixed[1]) if fixed and "%" not in letters and "e" not in letters else -1


def _strings(archive: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in archive.namelist():
        return []
    return [_plain(node) for node in _all(_tree(archive, "xl/sharedStrings.xml"), "si")]


def _plain(node: Any) -> str:
    """The text of a string item; phonetic guides (rPh) are no part of it."""
    parts = []
    for inner in node.iter(f"{_MAIN}t", f"{_STRICT}t"):
        if not inner.getparent().tag.endswith("}rPh"):
            parts.append(inner.text or "")
    return "".join(parts).replace("_x000D_", "").strip()


def _all(tree: Any, name: str) -> Iterator[Any]:
    yield from tree.iter(f"{_MAIN}{name}", f"{_STRICT}{name}")


def _tree(archive: zipfile.ZipFile, path: str) -> Any:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(archive.read(path), parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from None


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _is_number(text: str) -> bool:
    try:
        Decimal(text)
    except InvalidOperation:
        return False
    return True


def _malformed(reason: str) -> MalformedMessage:
    return MalformedMessage("HT-TAB-01", reason=" ".join(reason.split())[:200])
