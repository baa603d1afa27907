"""`hutong imaging …`: studies without an order, objects kept aside, forwarding, echo."""

import os
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli import FINDINGS
from gateway.cli.client import call
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import cut, language, print_json, say, styled, table
from gateway.lock import holder
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json, decode, encode
from terminology.issues import NotFound, Unavailable

Study = Annotated[str, typer.Argument(help=say("Study Instance UID。", "Study Instance UID."))]
Order = Annotated[str, typer.Argument(help=say("申请单：ServiceRequest/编号。", "Order: ServiceRequest/ID."))]
By = Annotated[str, typer.Option(help=say("操作人。", "Who decides."))]
Note = Annotated[str, typer.Option(help=say("备注。", "Note."))]
Reason = Annotated[str, typer.Option(help=say("原因。", "Reason."))]
Force = Annotated[
    bool, typer.Option("--force", help=say("患者不同也匹配。", "Link although the patients differ."))
]
State = Annotated[str, typer.Option(help=say("open、linked 或 dismissed。", "open, linked or dismissed."))]
Count = Annotated[int, typer.Option(help=say("最多列出几条。", "How many at most."))]
Destination = Annotated[str, typer.Argument(help=say("归档名。", "Name of the archive."))]
StudyOption = Annotated[str, typer.Option(help=say("只发送此检查。", "Send only this study."))]
Verb = Annotated[str, typer.Argument(help=say("list、accept 或 discard。", "list, accept or discard."))]
NumberOption = Annotated[int, typer.Argument(help=say("编号。", "Number."))]
Address = Annotated[
    str,
    typer.Argument(help=say("主机:端口；省略为本网关。", "HOST:PORT; this gateway when left out.")),
]
Called = Annotated[str, typer.Option("--called", help=say("对方的 AE 标题。", "AE title of the other side."))]


def orphans(
    study: Annotated[
        str,
        typer.Argument(help=say("只看此检查，附建议的申请单。", "Only this study, with suggested orders.")),
    ] = "",
    state: State = "open",
    count: Count = 50,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the studies that wait for their order."""
    settings = load_settings(os.environ, file=config, data=data)
    if study:
        found = _get(settings, f"/imaging/orphans/{quote(study)}")
        print_json(found) if as_json else print(_suggested(found))
        return
    rows = _get(settings, f"/imaging/orphans?state={quote(state)}&count={count}")["orphans"]
    if as_json:
        print_json({"orphans": rows})
    elif not rows:
        print(say("没有待匹配的检查。", "No studies wait for an order."))
    else:
        head = say("检查 患者 类型 影像 日期 原因", "study patient modality objects date reason").split()
        print(table([_row(row) for row in rows], head=head))
    if rows and state == "open":
        raise typer.Exit(FINDINGS)


def link(
    study: Study,
    order: Order,
    by: By = "",
    note: Note = "",
    force: Force = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    body = {"order": order, "by": by or _user(), "note": note, "force": force}
    found = _post(settings, f"/imaging/orphans/{quote(study)}/link", body)
    said = say(
        f"已匹配：{found.get('reference', study)} → {order}",
        f"linked: {found.get('reference', study)} → {order}",
    )
    print_json(found) if as_json else print(said)


def dismiss(
    study: Study,
    reason: Reason = "",
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    found = _post(
        settings, f"/imaging/orphans/{quote(study)}/dismiss", {"reason": reason, "by": by or _user()}
    )
    print_json(found) if as_json else print(say("已移出。", "Dismissed."))


def aside(
    verb: Verb = "list",
    number: NumberOption = 0,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Objects under a known UID with other content, or of another patient than their study's."""
    settings = load_settings(os.environ, file=config, data=data)
    if verb in ("accept", "discard"):
        found = _post(settings, f"/imaging/asides/{number}/{verb}", {})
        print_json(found) if as_json else print(f"{found['id']}: {found['state']}")
        return
    rows = _get(settings, "/imaging/asides")["asides"]
    if as_json:
        print_json({"asides": rows})
    elif not rows:
        print(say("没有另行保存的影像。", "No objects are kept aside."))
    else:
        shown = [
            (str(row["id"]), row["reason"], row["study"], row["uid"], cut(row.get("detail", ""), 60))
            for row in rows
        ]
        print(table(shown, head=say("编号 原因 检查 影像 说明", "id reason study object detail").split()))
    if rows:
        raise typer.Exit(FINDINGS)


def forwards(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    rows = _get(settings, "/imaging/forwards")["forwards"]
    if as_json:
        print_json({"forwards": rows})
    elif not rows:
        print(
            say("没有设置转发的归档（dicom_forward）。", "No archive to forward to is set (dicom_forward).")
        )
    else:
        shown = [
            (row["destination"], row["address"], str(row["waiting"]), str(row["sent"]), str(row["parked"]),
             cut(row.get("first", {}).get("problem", ""), 60))
            for row in rows
        ]  # fmt: skip
        print(
            table(
                shown,
                head=say(
                    "归档 地址 等待 已发 搁置 问题", "archive address waiting sent parked problem"
                ).split(),
            )
        )
    if any(row["parked"] or row.get("first", {}).get("problem") for row in rows):
        raise typer.Exit(FINDINGS)


def resend(
    destination: Destination,
    study: StudyOption = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Try again now what waits or was parked, or send a study again."""
    settings = load_settings(os.environ, file=config, data=data)
    path = f"studies/{quote(study)}" if study else "retry"
    found = _post(settings, f"/imaging/forwards/{quote(destination)}/{path}", {})
    print_json(found) if as_json else print(
        say(f"排队 {found['queued']} 个影像", f"{found['queued']} objects queued")
    )


def echo(
    address: Address = "",
    called: Called = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask a DICOM node whether it answers (C-ECHO)."""
    settings = load_settings(os.environ, file=config, data=data)
    from gateway.imaging.send_dimse import echo as ask

    own = (holder(settings.data) or {}).get("dicom_port") or settings.dicom_port
    host, _, port = (address or f"{settings.host}:{own}").rpartition(":")
    title = called or settings.dicom_ae_title
    if not host or not port.isdigit():
        raise NotFound("HT-DCM-34", address=address[:60])
    answers = ask(host, int(port), called=title, title=settings.dicom_ae_title)
    if as_json:
        print_json({"address": f"{host}:{port}", "called": title, "answers": answers})
    else:
        mark = styled("✓", "green") if answers else styled("✗", "red")
        print(
            f"{mark} {title}@{host}:{port} "
            + (say("有应答", "answers") if answers else say("无应答", "does not answer"))
        )
    if not answers:
        raise typer.Exit(FINDINGS)


def _url(settings: Settings) -> str:
    running = holder(settings.data)
    if not running or not running.get("url"):
        raise Unavailable("HT-DCM-35", data=settings.data)
    return str(running["url"])


def _get(settings: Settings, path: str) -> Json:
    return _answered(*call(_url(settings), path))


def _post(settings: Settings, path: str, body: Json) -> Json:
    return _answered(*call(_url(settings), path, body=encode(body)))


def _answered(status: int, _: Any, content: bytes) -> Json:
    found = decode(content or b"{}")
    if status < 300 and isinstance(found, dict):
        return found
    issue = (found.get("issue") or [{}])[0]
    text = issue.get("details", {}).get("text", f"HTTP {status}")
    fix = next(
        (
            row.get("valueString", "")
            for row in issue.get("extension", ())
            if row.get("url", "").endswith("issue-fix")
        ),
        "",
    )
    code = next((row.get("code", "") for row in issue.get("details", {}).get("coding", ())), "")
    typer.echo(f"{code} {text}\n  {fix}".strip(), err=True)
    raise typer.Exit(FINDINGS)


def _row(row: Json) -> tuple[str, ...]:
    reason = row["reason_zh"] if language() == "zh" else row["reason_en"]
    who = f"{row.get('patient_id', '')} {row.get('patient_name', '')}".strip()
    return (
        row["study"],
        cut(who, 40),
        row.get("modalities", ""),
        str(row.get("instances", "")),
        row.get("study_date", ""),
        reason,
    )


def _suggested(found: Json) -> str:
    lines = [
        f"{found['uid']}  {found.get('patient_id', '')} {found.get('patient_name', '')}  {found.get('description', '')}"
    ]
    for row in found["suggestions"]:
        day = (row.get("authored") or "")[:10]
        lines.append(
            f"  {row['score']:>3}  {row['order']}  {row.get('patient') or ''}  {row['code']}  {day}  {' '.join(row['reasons'])}"
        )
    if not found["suggestions"]:
        lines.append(say("  没有相近的申请单。", "  No order comes near."))
    return "\n".join(lines)


def _user() -> str:
    return os.environ.get("USER", "") or f"uid {os.getuid()} {datetime.now().date()}"
