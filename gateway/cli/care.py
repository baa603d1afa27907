"""`hutong critical list|acknowledge|register` and `hutong care due|six-ones`: what the care of patients waits for."""

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.fhir import ask, refused
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import print_json, say, table
from gateway.settings import load_settings
from terminology.fhirjson import Json

Id = Annotated[str, typer.Argument(help=say("资源 id。", "Id of the resource."))]
RepeatBack = Annotated[
    str | None, typer.Option("--repeat-back", help=say("复述项目和数值。", "Item and value read back."))
]
Done = Annotated[str | None, typer.Option("--action", help=say("处理措施。", "What was done."))]
Practitioner = Annotated[str | None, typer.Option(help=say("操作者（引用）。", "Who acts (reference)."))]
Start = Annotated[str | None, typer.Option(help=say("起始日期。", "First day."))]
End = Annotated[str | None, typer.Option(help=say("截止日期。", "Last day."))]
Organization = Annotated[
    str | None, typer.Option(help=say("接收机构（引用）。", "Receiving organisation (reference)."))
]
Day = Annotated[
    str | None, typer.Option("--date", help=say("日期，默认今天。", "The day; today by default."))
]
Within = Annotated[int, typer.Option(help=say("几天内到期。", "Due within so many days."), min=0, max=366)]
Team = Annotated[str | None, typer.Option(help=say("责任团队（引用）。", "The team (reference)."))]
Phase = Annotated[
    str | None,
    typer.Option(help=say("阶段：due 到期、overdue 逾期、lost 失访。", "Phase: due, overdue or lost.")),
]
Xlsx = Annotated[Path | None, typer.Option(help=say("写入 Excel 文件。", "Write an Excel file."))]
# Names of columns and rates, as a Chinese reader sees them.
WORDS = {
    "sent": "发出", "value": "危急值", "receiver": "接收方", "acknowledged": "确认", "repeat-back": "复述", "handled": "处理",
    "status": "状态", "date": "日期", "phase": "阶段", "days": "天数", "name": "姓名", "category": "种类", "colour": "分级",
    "plan": "计划", "team": "团队", "sent-in-time": "及时通报率", "acknowledged-in-time": "及时确认率", "handled-in-time": "及时处理率",
}  # fmt: skip
WAITING = "requested,received,accepted,in-progress"


def list_critical(data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """What nobody has acknowledged yet, the oldest first."""
    params = urlencode(
        {"code": "acknowledge-critical,confirm-critical", "status": WAITING, "_sort": "authored-on"}
    )
    found = _get(f"Task?{params}", data, config, as_json)
    if found is None:
        return FINDINGS
    rows = [entry["resource"] for entry in found.get("entry", ())]
    if as_json:
        print_json({"tasks": rows})
        return OK
    head = [say(*words) for words in (("任务", "task"), ("危急值", "critical value"), ("状态", "status"), ("时限", "due"), ("承担方", "owner"))]  # fmt: skip
    print(table(map(_task_row, rows), head=head))
    return OK


def acknowledge(
    id: Id,
    repeat_back: RepeatBack = None,
    action: Done = None,
    practitioner: Practitioner = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Open it, read it back, tell what was done; exit code 1 when the repeat-back is wrong."""
    given = {"repeatBack": repeat_back, "action": action}
    rows: list[Json] = [
        {"name": name, "valueString": value} for name, value in given.items() if value is not None
    ]
    if practitioner:
        rows.append({"name": "practitioner", "valueReference": {"reference": practitioner}})
    body: Json = {"resourceType": "Parameters", **({"parameter": rows} if rows else {})}
    settings = load_settings(os.environ, file=config, data=data)
    status, task = ask(settings, "POST", f"Task/{id.removeprefix('Task/')}/$acknowledge", body)
    if status != 200:
        return refused(task, as_json)
    print_json(task) if as_json else print(f"{task['id']}  {task.get('description', '')}  {task['status']}")
    return OK


def register(
    start: Start = None,
    end: End = None,
    organization: Organization = None,
    xlsx: Xlsx = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """The register and its rates."""
    given = {"start": start, "end": end, "organization": organization}
    params = urlencode({name: value for name, value in given.items() if value})
    found = _get(f"Communication/$critical-register?{params}", data, config, as_json)
    if found is None:
        return FINDINGS
    rows = [_parts(row) for row in found["parameter"] if row["name"] == "row"]
    if xlsx is not None:
        from gateway.critical.register import COLUMNS, Register

        rates = {row["name"]: row["valueDecimal"] for row in found["parameter"] if "valueDecimal" in row}
        whole = [{name: str(row.get(name, "")) for name in COLUMNS} for row in rows]
        xlsx.write_bytes(Register(whole, rates).xlsx())
        print(str(xlsx))
        return OK
    return _printed(
        found,
        rows,
        ("sent", "value", "receiver", "acknowledged", "repeat-back", "handled", "status"),
        as_json,
    )


def due(
    day: Day = None,
    within: Within = 7,
    team: Team = None,
    phase: Phase = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Visits of chronic care that are due, overdue or lost."""
    given = {"date": day, "within": str(within), "team": team, "phase": phase}
    params = urlencode({name: value for name, value in given.items() if value})
    found = _get(f"CarePlan/$due?{params}", data, config, as_json)
    if found is None:
        return FINDINGS
    rows = [_parts(row) for row in found["parameter"] if row["name"] == "visit"]
    return _printed(
        found, rows, ("date", "phase", "days", "name", "category", "colour", "plan", "team"), as_json
    )


def six_ones(id: Id, data: Data = None, config: Config = None, as_json: AsJson = False) -> int:
    """The six ones of a plan; exit code 1 when one is missing."""
    found = _get(f"CarePlan/{id.removeprefix('CarePlan/')}/$six-ones", data, config, as_json)
    if found is None:
        return FINDINGS
    missing = [row["valueCode"] for row in found["parameter"] if row["name"] == "missing"]
    if as_json:
        print_json(found)
    else:
        for row in found["parameter"]:
            if "part" in row:
                parts = _parts(row)
                print(f"{'✓' if parts['done'] else '✗'} {parts['title']}  {parts.get('evidence', '')}")
    return FINDINGS if missing else OK


def _get(path: str, data: Data, config: Config, as_json: bool) -> Any:
    settings = load_settings(os.environ, file=config, data=data)
    status, found = ask(settings, "GET", path)
    if status != 200:
        refused(found, as_json)
        return None
    return found


def _parts(row: Json) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in row.get("part", ()):
        value = next((value for key, value in part.items() if key.startswith("value")), "")
        found[part["name"]] = value.get("reference", "") if isinstance(value, dict) else value
    return found


def _printed(found: Json, rows: list[dict[str, Any]], names: tuple[str, ...], as_json: bool) -> int:
    if as_json:
        print_json(found)
        return OK
    if not rows:
        print(say("没有。", "None."))
        return OK
    head = [say(WORDS.get(name, name), name) for name in names]
    print(table([[str(row.get(name, "")) for name in names] for row in rows], head=head))
    for row in found["parameter"]:
        if "valueDecimal" in row:
            name = row["name"]
            print(f"{say(WORDS.get(name, name), name)}: {float(row['valueDecimal']):.1%}")
    return OK


def _task_row(task: Json) -> list[str]:
    return [
        str(task["id"]),
        str(task.get("description", "")),
        str(task.get("status", "")),
        str((task.get("restriction") or {}).get("period", {}).get("end", "")),
        str((task.get("owner") or {}).get("reference", "")),
    ]
