"""XLSX workbooks: the first sheet, or the one that the column map names."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from terminology.catalogue.delimited import rows_of
from terminology.catalogue.row import Table
from terminology.issues import InvalidInput, Unavailable


def read(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the rows of a sheet; numbers are taken as they are shown, so a code 001 must be a text cell."""
    try:
        import openpyxl  # the extra [xlsx]
    except ImportError:
        raise Unavailable("HT-CAT-12", extra="xlsx") from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    wanted = columns.get("sheet")
    if wanted is not None and wanted not in book.sheetnames:
        raise InvalidInput("HT-CAT-02", column=wanted, headings=", ".join(book.sheetnames))
    sheet = book[wanted] if wanted is not None else book[book.sheetnames[0]]
    rows, problems = rows_of(_lines(sheet.iter_rows(values_only=True)), columns)
    return Table(tuple(rows), tuple(problems), "xlsx")


def _lines(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[str]]:
    for row in rows:
        yield [
            ""
            if cell is None
            else str(int(cell))
            if isinstance(cell, float) and cell.is_integer()
            else str(cell)
            for cell in row
        ]
