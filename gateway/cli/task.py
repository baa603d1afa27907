"""`hutong task list|claim|transition`: the worklist, for people and scripts."""

import os
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gateway.cli import OK
from gateway.cli.fhir import ask, refused
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import print_json, say, styled, table
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

COLOURS = {"stat": "red", "asap": "red", "urgent": "yellow", "routine": "dim"}

Id = Annotated[str, typer.Argument(help=say("任务 id。", "Id of the task."))]
Owner = Annotated[
    list[str] | None,
    typer.Option(
        help=say("承担方（机构 id 或引用），可多次。", "Owner (organisation id or reference); may repeat.")
    ),
]
Code = Annotated[
    list[str] | None,
    typer.Option(
        help=say("任务种类，如 read-report，可多次。", "Kind of task, such as read-report; may repeat.")
    ),
]
Category = Annotated[
    list[str] | None,
    typer.Option(help=say("申请类别，如 ecg，可多次。", "Category, such as ecg; may repeat.")),
]
Status = Annotated[
    list[str] | None, typer.Option(help=say("状态；默认所有未完的。", "Status; all open ones by default."))
]
Priority = Annotated[list[str] | None, typer.Option(help=say("优先级。", "Priority."))]
Overdue = Annotated[bool, typer.Option("--overdue", help=say("只列超时的。", "Only what is overdue."))]
Count = Annotated[int, typer.Option(help=say("条数。", "How many."), min=1, max=200)]
Organization = Annotated[
    str | None, typer.Option("--organization", help=say("以此机构的名义。", "Act for this organisation."))
]
Roles = Annotated[
    str | None, typer.Option(help=say("以这些岗位（逗号分隔）。", "With these roles (commas)."))
]
Practitioner = Annotated[
    str | None,
    typer.Option(help=say("操作者（PractitionerRole 引用）。", "Who acts (PractitionerRole reference).")),
]
Reason = Annotated[str | None, typer.Option(help=say("原因（文字或代码）。", "The reason (text or code)."))]
To = Annotated[str, typer.Argument(help=say("新状态。", "The new status."))]
Report = Annotated[
    str | None, typer.Option(help=say("作为输出的报告（引用）。", "A report as output (reference)."))
]


def list_tasks(
    owner: Owner = None,
    code: Code = None,
    category: Category = None,
    status: Status = None,
    priority: Priority = None,
    overdue: Overdue = False,
    count: Count = 50,
    organization: Organization = None,
    roles: Roles = None,
    practitioner: Practitioner = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """The most urgent first; exit code 1 when the gateway refuses."""
    settings = load_settings(os.environ, file=config, data=data)
    given = {"owner": owner, "code": code, "category": category, "status": status, "priority": priority}
    params = [(name, value) for name, values in given.items() for value in values or ()]
    params += [("count", str(count)), *([("overdue", "true")] if overdue else [])]
    answer, tasks = _ask(
        settings,
        "GET",
        f"Task/$worklist?{urlencode(params)}",
        None,
        _who(settings, organization, roles, practitioner),
    )
    if tasks is None:
        return refused(answer, as_json)
    rows = [entry["resource"] for entry in tasks.get("entry", ()) if entry["search"]["mode"] == "match"]
    if as_json:
        print_json({"tasks": rows})
    else:
        head = [say(*words) for words in (("任务", "task"), ("种类", "kind"), ("优先级", "priority"), ("状态", "status"), ("阶段", "phase"), ("时限", "due"), ("承担方", "owner"))]  # fmt: skip
        print(table(map(_row, rows), head=head))
    return OK


def claim(
    id: Id,
    organization: Organization = None,
    roles: Roles = None,
    practitioner: Practitioner = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Exit code 1 when somebody else was faster, or the caller may not."""
    settings = load_settings(os.environ, file=config, data=data)
    headers = _who(settings, organization, roles, practitioner)
    return _told(*_ask(settings, "POST", f"Task/{_id(id)}/$claim", None, headers), as_json=as_json)


def transition(
    id: Id,
    to: To,
    reason: Reason = None,
    report: Report = None,
    organization: Organization = None,
    roles: Roles = None,
    practitioner: Practitioner = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Exit code 1 when the state machine refuses; it says what is allowed and who may."""
    settings = load_settings(os.environ, file=config, data=data)
    headers = _who(settings, organization, roles, practitioner)
    answer, task = _ask(settings, "GET", f"Task/{_id(id)}", None, headers)
    if task is None:
        return refused(answer, as_json)
    wanted = task | {"status": to}
    if reason:
        wanted["statusReason"] = {"text": reason}
    if report:
        kind = {"coding": [{"system": "https://hutong.health/fhir/CodeSystem/task-input", "code": "report"}]}
        wanted["output"] = [
            *(task.get("output") or ()), {"type": kind, "valueReference": {"reference": report}}
        ]  # fmt: skip
    headers["If-Match"] = f'W/"{task["meta"]["versionId"]}"'
    return _told(*_ask(settings, "PUT", f"Task/{_id(id)}", wanted, headers), as_json=as_json)


def _ask(
    settings: Settings, method: str, path: str, body: Json | None, headers: dict[str, str]
) -> tuple[Any, Json | None]:
    status, answer = ask(settings, method, path, body, headers=headers)
    return answer, answer if status < 300 else None


def _who(
    settings: Settings, organization: str | None, roles: str | None, practitioner: str | None
) -> dict[str, str]:
    named = {
        settings.actor_organization_header: organization,
        settings.actor_roles_header: roles,
        settings.actor_practitioner_header: practitioner,
    }
    return {name: value for name, value in named.items() if value}


def _id(text: str) -> str:
    id = text.removeprefix("Task/")
    if not id.replace("-", "").replace(".", "").isalnum() or not id.isascii():
        raise InvalidInput("HT-REST-03", id=id[:80])
    return id


def _told(answer: Any, task: Json | None, *, as_json: bool) -> int:
    if task is None:
        return refused(answer, as_json)
    if as_json:
        print_json(task)
    else:
        print(table([_row(task)]))
    return OK


def _row(task: Json) -> list[str]:
    def first(element: str) -> str:
        coding: Json = next(iter((task.get(element) or {}).get("coding") or ()), {})
        return str(coding.get("display") or coding.get("code") or "")

    priority = str(task.get("priority") or "routine")
    due = str(((task.get("restriction") or {}).get("period") or {}).get("end") or "")
    owner = task.get("owner") or {}
    return [
        str(task["id"]), first("code"), styled(priority, COLOURS.get(priority, "dim")), str(task["status"]),
        first("businessStatus"), due[:16].replace("T", " "), str(owner.get("display") or owner.get("reference") or ""),
    ]  # fmt: skip
