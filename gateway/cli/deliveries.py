"""`hutong deliveries list|show|replay|park|discard`: what was sent to whom, also while the gateway does not run."""

import os
import sys
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gateway.cli import FINDINGS
from gateway.cli.client import call_json
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import cut, language, print_json, say, styled, table
from gateway.lock import holder
from gateway.outbound.ledger import Ledger
from gateway.outbound.reader import Reader
from gateway.outbound.routes import read_filter, shown
from gateway.outbound.schema import FILE
from gateway.rest.request import Request
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound, Unavailable

COLOURS = {"delivered": "green", "parked": "red", "failed": "yellow", "waiting": "cyan", "discarded": "white"}
MOST = 10_000

State = Annotated[
    str | None,
    typer.Option(
        help=say(
            "状态：waiting failed delivered parked discarded，或 trouble（未送达的）。",
            "State: waiting failed delivered parked discarded, or trouble (all that is not delivered).",
        )
    ),
]
To = Annotated[str | None, typer.Option(help=say("发送目标。", "Destination."))]
Topic = Annotated[
    str | None, typer.Option(help=say("主题，例如 report-final。", "Topic, such as report-final."))
]
Control = Annotated[str | None, typer.Option(help=say("消息控制号（MSH-10）。", "Control id (MSH-10)."))]
Focus = Annotated[
    str | None,
    typer.Option(help=say("资源，例如 DiagnosticReport/1。", "Resource, such as DiagnosticReport/1.")),
]
Since = Annotated[
    str | None, typer.Option(help=say("此时起产生的（ISO 8601）。", "Made from this time on (ISO 8601)."))
]
Until = Annotated[
    str | None, typer.Option(help=say("此时前产生的（ISO 8601）。", "Made before this time (ISO 8601)."))
]
Count = Annotated[int, typer.Option(help=say("最多列出几条。", "How many at most."))]
Before = Annotated[int | None, typer.Option(help=say("从此编号之前继续。", "Go on before this number."))]
Raw = Annotated[
    bool, typer.Option("--raw", help=say("原样输出发出的字节。", "Write the bytes that are sent."))
]
Answer = Annotated[
    bool, typer.Option("--answer", help=say("原样输出对方的应答。", "Write the receiver's answer."))
]
Render = Annotated[
    bool,
    typer.Option("--render", help=say("用当前映射重新生成报文。", "Let the map write the message anew.")),
]
Number = Annotated[int, typer.Argument(help=say("发送编号。", "Number of the delivery."))]
Numbers = Annotated[list[int] | None, typer.Argument(help=say("发送编号。", "Numbers of the deliveries."))]


def list_deliveries(
    state: State = None,
    to: To = None,
    topic: Topic = None,
    control_id: Control = None,
    focus: Focus = None,
    since: Since = None,
    until: Until = None,
    count: Count = 50,
    before: Before = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    wanted = {
        "state": state, "destination": to, "topic": topic, "control_id": control_id, "focus": focus,
        "since": since, "until": until, "before": before, "count": count,
    }  # fmt: skip
    filter, start, size = read_filter(_request(wanted))
    reader = _reader(load_settings(os.environ, file=config, data=data))
    rows = reader.deliveries(filter, before=start, count=size + 1)
    if as_json:
        following = rows[size - 1].id if len(rows) > size else None
        print_json({"deliveries": [shown(row) for row in rows[:size]], "next": following})
        return
    if not rows:
        print(say("没有发送记录。", "No deliveries."))
        return
    head = say(
        "编号 时间 状态 目标 主题 资源 控制号 应答",
        "id made state destination topic focus control-id answer",
    ).split()
    print(table([_row(shown(row)) for row in rows[:size]], head=head))
    if len(rows) > size:
        number = rows[size - 1].id
        print(say(f"… 还有更早的：--before {number}", f"… more: --before {number}"))


def show(
    number: Number,
    raw: Raw = False,
    answer: Answer = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    reader = _reader(load_settings(os.environ, file=config, data=data))
    found = reader.delivery(number, with_bodies=True)
    if found is None:
        raise NotFound("HT-OUT-10", id=number)
    if raw or answer:
        body = found.sent if raw else found.answer
        if body is None:
            raise NotFound("HT-OUT-17", id=number)
        sys.stdout.buffer.write(body)
        return
    row = shown(found)
    if as_json:
        print_json(row)
        return
    print(_described(row))


def replay(
    numbers: Numbers = None,
    state: State = None,
    to: To = None,
    topic: Topic = None,
    since: Since = None,
    until: Until = None,
    render: Render = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    wanted = {"state": state, "destination": to, "topic": topic, "since": since, "until": until}
    if not numbers and not any(wanted.values()):
        raise InvalidInput("HT-OUT-15")
    chosen = numbers or _all(_reader(settings), wanted)
    _act(settings, chosen, "replay", as_json=as_json, query="?render=true" if render else "")


def park(numbers: Numbers = None, data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    _act(load_settings(os.environ, file=config, data=data), numbers or [], "park", as_json=as_json)


def discard(
    numbers: Numbers = None, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    _act(load_settings(os.environ, file=config, data=data), numbers or [], "discard", as_json=as_json)


def _act(settings: Settings, numbers: list[int], what: str, *, as_json: bool, query: str = "") -> None:
    """Do it through the running gateway, which sends at once; without one, in the log, for the next start."""
    reader = _reader(settings)
    for number in numbers:
        if reader.delivery(number) is None:
            raise NotFound("HT-OUT-10", id=number)
    running = holder(settings.data)
    if running and running.get("url"):
        found = []
        for number in numbers:
            status, row = call_json(
                running["url"], f"/deliveries/{number}/{what}{query}", method="POST", body=b""
            )
            if status >= 400:
                print(row["issue"][0]["details"]["text"], file=sys.stderr)
                raise typer.Exit(FINDINGS)
            found.append(row)
    else:
        found = _act_here(settings, numbers, what, is_anew=bool(query))
    if as_json:
        print_json({"deliveries": found})
    else:
        print(table([_row(row) for row in found]) or say("没有发送记录。", "No deliveries."))


def _act_here(settings: Settings, numbers: list[int], what: str, *, is_anew: bool) -> list[Json]:
    import asyncio

    async def act() -> list[Json]:
        ledger = Ledger(settings.data)
        try:
            if what == "replay":
                await ledger.resend(sorted(numbers), is_written_anew=is_anew)
            else:
                state = "parked" if what == "park" else "discarded"
                await ledger.set_aside(numbers, state, {"set_aside": True})  # type: ignore[arg-type]  # one of two
            rows = [ledger.delivery(number) for number in numbers]
            return [shown(row) for row in rows if row is not None]
        finally:
            ledger.close()

    return asyncio.run(act())


def _described(row: Json) -> str:
    lang = language()
    lines = [
        f"{styled('#' + str(row['id']), 'bold')} {styled(row['state'], COLOURS[row['state']])}  {row['topic']} → {row['destination']}",
        f"  {row['created']}  {row['focus']}  {row['control_id']}  {row['size']:,} B  {row.get('map', '').partition('|')[0]}",
    ]
    if row["attempts"]:
        said = " ".join(str(row[name]) for name in ("answer", "reason") if row.get(name))
        lines.append(f"  {say('尝试', 'attempts')} {row['attempts']}  {row['updated']}  {said}")
    if "next_attempt" in row:
        lines.append(f"  {say('下次', 'next')} {row['next_attempt']}")
    for issue in row.get("issues", ()):
        lines.append(f"  ! {issue['code']} {issue[lang]}\n      {issue[f'fix_{lang}']}")
    return "\n".join(lines)


def _row(row: Json) -> list[str]:
    said = " ".join(str(row[name]) for name in ("answer", "reason") if row.get(name))
    issue = next(iter(row.get("issues", ())), None)
    if issue is not None:
        said = f"{issue['code']} {issue[language()]}"
    return [
        str(row["id"]),
        datetime.fromisoformat(row["created"]).strftime("%m-%d %H:%M:%S"),
        row["state"],
        cut(row["destination"], 24),
        row["topic"],
        cut(row["focus"], 40),
        row["control_id"],
        cut(said, 60),
    ]


def _reader(settings: Settings) -> Reader:
    if not (settings.data / FILE).is_file():
        raise Unavailable("HT-OUT-18", path=settings.data)
    return Reader(settings.data)


def _request(wanted: dict[str, Any]) -> Request:
    given = {name: str(value) for name, value in wanted.items() if value is not None}
    return Request("GET", "", query=urlencode(given))


def _all(reader: Reader, wanted: dict[str, Any]) -> list[int]:
    filter, before, _ = read_filter(_request(wanted))
    ids: list[int] = []
    while len(ids) < MOST:
        rows = reader.deliveries(filter, before=before, count=500)
        ids += [row.id for row in rows]
        if len(rows) < 500:
            break
        before = rows[-1].id
    return sorted(ids)
