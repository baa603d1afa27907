"""A mapping project as a table for people: CSV, or a workbook."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from gateway.csv_sheet import FORMULA
from gateway.workbench.projects import LocalRow
from terminology.issues import Unavailable

HEADINGS = (
    "local_code", "local_name", "strength", "maker", "uses", "state", "target_code", "target_name", "relationship",
    "authors", "reviewer", "note",
)  # fmt: skip
WIDTHS = (16, 40, 14, 24, 8, 12, 18, 40, 14, 18, 12, 30)


def lines(
    rows: Iterable[LocalRow], display: Callable[[str], str | None], authors: Mapping[str, Sequence[str]]
) -> Iterator[list[str]]:
    """Return the rows in the order of HEADINGS. `display`: name of a target; `authors`: who proposed, by local code."""
    for row in rows:
        name = display(row.target) if row.target else ""
        yield [
            row.local.code,
            row.local.name,
            row.local.strength,
            row.local.maker,
            str(row.uses),
            row.state,
            row.target or "",
            name or "",
            row.relationship or "",
            ", ".join(authors.get(row.local.code, ())),
            row.reviewer or "",
            row.note or "",
        ]


def to_csv(rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(rows)
    return out.getvalue()


def to_xlsx(rows: Iterable[Sequence[str]], *, title: str) -> bytes:
    """Return a workbook of one sheet; every cell is text, so codes keep their zeros and nothing is a formula."""
    try:
        from openpyxl import Workbook  # the extra [xlsx]
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise Unavailable("HT-CAT-12", extra="xlsx") from None
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title[:31])
    for number, width in enumerate(WIDTHS):
        sheet.column_dimensions[chr(ord("A") + number)].width = width
    sheet.freeze_panes = "A2"
    sheet.append(HEADINGS)
    for row in rows:
        cells = [WriteOnlyCell(sheet, value=value) for value in row]
        for cell, value in zip(cells, row, strict=True):
            cell.data_type = "s"
            if value.startswith(FORMULA):
                cell.quotePrefix = True
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
