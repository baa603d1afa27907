"""CSV and TSV tables in UTF-8 or any GB charset."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from terminology.catalogue.columns import INACTIVE, Columns, match
from terminology.catalogue.row import Name, Row, Table, problem
from terminology.issues import InvalidInput, Issue

MAX_CELL = 4000
MAX_ROWS = 5_000_000
MAX_UNPACKED = 1 << 30


def read(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the rows of a delimited file; a GBK file is read and reported, never mistaken for UTF-8."""
    text, encoding, is_guessed = decode(_unpack(content))
    lines = csv.reader(io.StringIO(text), delimiter=_delimiter(text), strict=False)
    try:
        rows, problems = rows_of(lines, columns)
    except csv.Error as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    if is_guessed:
        problems.append(problem("HT-CAT-06", None, "information", encoding=encoding))
    return Table(tuple(rows), tuple(problems), encoding, is_guessed)


def decode(content: bytes) -> tuple[str, str, bool]:
    """Return text, encoding and whether it was guessed: a BOM declares, else strict UTF-8, else strict GB18030."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace"), encoding, False
    for encoding in ("utf-8", "gb18030"):
        try:
            return content.decode(encoding), encoding, encoding != "utf-8"
        except UnicodeDecodeError:
            continue
    raise InvalidInput("HT-CAT-07")


def rows_of(lines: Iterable[Sequence[str]], columns: Mapping[str, Any]) -> tuple[list[Row], list[Issue]]:
    """Turn cells into rows; the first line that is not a comment holds the headings."""
    numbered = (
        (number, cells)
        for number, cells in enumerate(lines, 1)
        if any(cells) and not cells[0].startswith("#")
    )
    head = next(numbered, None)
    if head is None:
        raise InvalidInput("HT-CAT-08")
    places = match([str(cell).strip() for cell in head[1]], columns)
    rows: list[Row] = []
    problems: list[Issue] = []
    for number, cells in numbered:
        if len(rows) >= MAX_ROWS:
            raise InvalidInput("HT-CAT-09", limit=MAX_ROWS)
        rows.extend(_row(number, [cell.strip() for cell in cells], places, problems))
    return rows, problems


def _row(number: int, cells: list[str], places: Columns, problems: list[Issue]) -> Iterator[Row]:
    def cell(at: int | None) -> str:
        return cells[at] if at is not None and at < len(cells) else ""

    def several(at: int | None) -> tuple[str, ...]:
        """The values of a cell as an export parts them."""
        return tuple(filter(None, (value.strip() for value in cell(at).split("|"))))

    if any(len(value) > MAX_CELL for value in cells):
        problems.append(problem("HT-CAT-10", number, limit=MAX_CELL))
        return
    code, display = cell(places.code), cell(places.display)
    if not code or not display:
        problems.append(problem("HT-CAT-11", number, part="code" if not code else "display"))
        return
    names = tuple(
        Name(value, "en" if value.isascii() else "zh-CN") for at in places.names for value in several(at)
    )
    yield Row(
        code=code,
        display=display,
        parents=several(places.parent),
        names=names,
        properties={name: value for name, at in places.properties.items() if (value := cell(at))},
        spellings=tuple(value for at in places.spellings for value in several(at)),
        definition=cell(places.definition) or None,
        is_inactive=cell(places.status).lower() in INACTIVE,
        line=number,
    )


def _delimiter(text: str) -> str:
    head = text[: text.find("\n") if "\n" in text else len(text)]
    return max(",\t;|", key=head.count)


def _unpack(content: bytes) -> bytes:
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    if len(unpacked) > MAX_UNPACKED:
        raise InvalidInput("HT-CAT-04", size=len(unpacked), limit=MAX_UNPACKED)
    return unpacked
