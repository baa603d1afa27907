"""`hutong stats`: what the centres did, by month, centre and category; as table, JSON, CSV or workbook."""

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.fhir import ask
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import language, print_json, say, table
from gateway.csv_sheet import as_text, csv_sheet
from gateway.settings import load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

Action = Annotated[
    str,
    typer.Argument(
        help=say("show 显示，export 须给出 --csv 或 --xlsx。", "show, or export with --csv or --xlsx.")
    ),
]
Month = Annotated[
    str | None, typer.Option(help=say("月份 2026-05 或年份 2026。", "A month, 2026-05, or a year, 2026."))
]
Centre = Annotated[str | None, typer.Option(help=say("中心（机构 id）。", "A centre (organisation id)."))]
Category = Annotated[str | None, typer.Option(help=say("申请类别。", "A category of orders."))]
Csv = Annotated[Path | None, typer.Option(help=say("写入 CSV 文件。", "Write a CSV file."))]
Xlsx = Annotated[Path | None, typer.Option(help=say("写入 Excel 文件。", "Write an Excel file."))]


def stats(
    action: Action = "show",
    month: Month = None,
    centre: Centre = None,
    category: Category = None,
    csv: Csv = None,
    xlsx: Xlsx = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Counts, turnaround (median and 90 %, pauses left out), share within the time limit."""
    if action not in ("show", "export") or (action == "export" and csv is None and xlsx is None):
        raise InvalidInput("HT-CLI-19", detail=f"{action}: show | export --csv/--xlsx", command="stats")
    settings = load_settings(os.environ, file=config, data=data)
    given = {"month": month, "owner": centre, "category": category}
    query = urlencode({name: value for name, value in given.items() if value})
    status, answer = ask(settings, "GET", f"Task/$statistics?{query}")
    if status != 200:
        print_json(answer)
        return FINDINGS
    rows = [
        {part["name"]: _value(part) for part in row["part"]}
        for row in answer["parameter"]
        if row["name"] == "row"
    ]
    if csv is not None:
        _write_csv(csv, rows)
    if xlsx is not None:
        _write_xlsx(xlsx, rows)
    if as_json:
        print_json({"rows": rows})
    elif action == "show":
        print(table(_cells(rows), head=_head()))
    return OK


def _value(part: Json) -> Any:
    return next(value for name, value in part.items() if name.startswith("value"))


def _head() -> list[str]:
    from gateway.workflow.statistics import COLUMNS, TITLES

    return [TITLES[name][0 if language() == "zh" else 1] for name in COLUMNS]


def _cells(rows: list[Json]) -> list[list[Any]]:
    from gateway.workflow.statistics import COLUMNS

    return [[row.get(name, "") for name in COLUMNS] for row in rows]


def _write_csv(path: Path, rows: list[Json]) -> None:
    path.write_bytes(csv_sheet(_head(), _cells(rows)))


def _write_xlsx(path: Path, rows: list[Json]) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet(say("统计", "statistics"))
    sheet.append(_head())
    for row in _cells(rows):
        sheet.append([float(cell) if hasattr(cell, "as_tuple") else as_text(cell) for cell in row])
    book.save(path)
