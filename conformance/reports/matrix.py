"""Requirement × member as a spreadsheet (needs the extra `xlsx`)."""

import io
from collections.abc import Mapping, Sequence

from conformance.testing.requirements import Requirement
from conformance.testing.verdict import Verdict

COLOURS = {
    "pass": "C6EFCE",
    "attested": "C6EFCE",
    "waived": "FFEB9C",
    "not-evaluated": "FFEB9C",
    "fail": "FFC7CE",
    "error": "FFC7CE",
}


def to_xlsx(register: Mapping[str, Requirement], members: Mapping[str, Sequence[Verdict]]) -> bytes:
    """Return a workbook: a row a requirement that any member was judged on, a column a member."""
    from openpyxl import Workbook
    from openpyxl.styles import PatternFill

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "matrix"
    sheet.append(["id", "要求", "requirement", "level", "source", *members])
    states = {name: {row.requirement.id: row.state for row in rows} for name, rows in members.items()}
    for id, row in register.items():
        if not any(id in known for known in states.values()):
            continue
        sheet.append(
            [id, row.zh, row.en, row.level, row.source, *(known.get(id, "") for known in states.values())]
        )
        for cell in sheet[sheet.max_row][5:]:
            colour = COLOURS.get(str(cell.value))
            if colour:
                cell.fill = PatternFill("solid", fgColor=colour)
    sheet.freeze_panes = "B2"
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()
