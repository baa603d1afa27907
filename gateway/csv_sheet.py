"""Lists as CSV for a spreadsheet: UTF-8 with its mark, and no cell that runs."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

# A spreadsheet takes text that begins so for a formula; a name from a message must not run at its reader's.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_sheet(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """Return the sheet; the byte-order mark makes Excel read UTF-8."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([as_text(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def as_text(cell: Any) -> Any:
    """Return the cell, a text that begins like a formula with an apostrophe before it (CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
