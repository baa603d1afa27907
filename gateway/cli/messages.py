"""`hutong messages list|show|replay|unmapped`: what became of messages, also while the gateway does not run."""

import asyncio
import os
import sys
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gateway.channels.http import read_filter, shown
from gateway.cli import FINDINGS
from gateway.cli.client import call_json
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import cut, print_json, say, styled, table
from gateway.journal.journal import FILE, Reader
from gateway.lock import holder
from gateway.rest.request import Request
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound, Unavailable

# What every message brings along; the rest is what it is about.
BACKGROUND = frozenset({"MessageHeader", "Organization", "Practitioner", "PractitionerRole", "Location"})
COLOURS = {"stored": "green", "parked": "red", "failed": "yellow", "mapped": "yellow", "received": "cyan"}

State = Annotated[
    str | None,
    typer.Option(
        help=say(
            "状态：received mapped stored failed parked，或 trouble（所有未入库的）。",
            "State: received mapped stored failed parked, or trouble (all that is not stored).",
        )
    ),
]
Source = Annotated[str | None, typer.Option(help=say("来源，例如 LIS|H1。", "Sender, such as LIS|H1."))]
Event = Annotated[str | None, typer.Option(help=say("事件，例如 ORU^R01。", "Event, such as ORU^R01."))]
Patient = Annotated[
    str | None, typer.Option(help=say("患者标识（PID-3.1）。", "Patient identifier (PID-3.1)."))
]
Control = Annotated[str | None, typer.Option(help=say("消息控制号（MSH-10）。", "Control id (MSH-10)."))]
RequestId = Annotated[str | None, typer.Option(help=say("请求号。", "Request id."))]
Since = Annotated[
    str | None, typer.Option(help=say("此时起收到的（ISO 8601）。", "Received from this time on (ISO 8601)."))
]
Until = Annotated[
    str | None, typer.Option(help=say("此时前收到的（ISO 8601）。", "Received before this time (ISO 8601)."))
]
Count = Annotated[int, typer.Option(help=say("最多列出几条。", "How many at most."))]
Before = Annotated[int | None, typer.Option(help=say("从此编号之前继续。", "Go on before this number."))]
Raw = Annotated[
    bool,
    typer.Option("--raw", help=say("原样输出消息的字节。", "Write the bytes of the message as they came.")),
]
Number = Annotated[int, typer.Argument(help=say("消息编号。", "Number of the message."))]
Numbers = Annotated[list[int] | None, typer.Argument(help=say("消息编号。", "Numbers of the messages."))]
Domain = Annotated[str | None, typer.Option(help=say("只看此术语域。", "Only this terminology domain."))]


def list_messages(
    state: State = None,
    source: Source = None,
    event: Event = None,
    patient: Patient = None,
    control_id: Control = None,
    request_id: RequestId = None,
    since: Since = None,
    until: Until = None,
    count: Count = 50,
    before: Before = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    wanted = {
        "state": state, "source": source, "event": event, "patient": patient, "control_id": control_id,
        "request_id": request_id, "since": since, "until": until, "before": before, "count": count,
    }  # fmt: skip
    filter, start, size = read_filter(_request(wanted))
    page = _reader(load_settings(os.environ, file=config, data=data)).entries(
        filter, before=start, count=size
    )
    if as_json:
        print_json({"messages": [shown(entry) for entry in page.entries], "next": page.next})
        return
    if not page.entries:
        print(say("没有消息。", "No messages."))
        return
    head = say(
        "编号 收到 状态 事件 来源 控制号 结果", "id received state event source control-id result"
    ).split()
    print(table([_row(shown(entry)) for entry in page.entries], head=head))
    if page.next is not None:
        print(say(f"… 还有更早的：--before {page.next}", f"… more: --before {page.next}"))


def show(
    number: Number, raw: Raw = False, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    entry = _reader(load_settings(os.environ, file=config, data=data)).entry(number, with_raw=True)
    if entry is None:
        raise NotFound("HT-MSG-10", id=number)
    if raw:
        sys.stdout.buffer.write(entry.raw or b"")
        return
    if as_json:
        print_json(shown(entry))
        return
    print(describe(shown(entry)))


def replay(
    numbers: Numbers = None,
    state: State = None,
    source: Source = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    wanted = {"state": state, "source": source, "event": event, "since": since, "until": until}
    if not numbers and not any(wanted.values()):
        raise InvalidInput("HT-MSG-15")
    if not numbers:
        filter, _, _ = read_filter(_request(wanted))
        numbers = _all(_reader(settings), filter)
    found = _replay_numbers(settings, numbers)
    if as_json:
        print_json({"messages": found})
    else:
        print(table([_row(row) for row in found]) or say("没有消息。", "No messages."))
    if any(row["state"] != "stored" for row in found):
        raise typer.Exit(FINDINGS)


def unmapped(
    domain: Domain = None,
    count: Count = 50,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    rows = _reader(load_settings(os.environ, file=config, data=data)).unmapped(domain=domain, count=count)
    if as_json:
        print_json({"unmapped": rows})
        return
    if not rows:
        print(say("所有编码都有对照。", "Every code has a map."))
        return
    head = say("次数 术语域 编码 名称 编码系统 来源", "count domain code display system source").split()
    names = ("count", "domain", "code", "display", "system", "source")
    print(table([[cut(str(row[name]), 40) for name in names] for row in rows], head=head))


# An image has hundreds of elements that no map reads: more would hide what was wrong.
MOST_UNREAD = 20


def describe(row: Json) -> str:
    """Return a message for people: what came, what it became, what was not understood."""
    lang = say("zh", "en")
    lines = [
        f"{styled('#' + str(row['id']), 'bold')} {styled(row['state'], COLOURS[row['state']])}  {row['event'] or row['kind']}",
        f"  {row['received']}  {row['source']}  {row['control_id']}  {row['channel']} {row['peer']}",
        f"  request {row['request_id']}  {row['size']:,} B"
        + (f"  {_short(row['map'])}" if "map" in row else ""),
    ]
    if "charset" in row:
        guessed = say("（推断）", " (inferred)") if row.get("charset_guessed") else ""
        lines.append(f"  {say('字符集', 'charset')} {row['charset']}{guessed}")
    for reference in row.get("resources", ()):
        lines.append(f"  → {reference}")
    for issue in row.get("issues", ()):
        place = f"{issue['source']}: " if "source" in issue else ""
        lines.append(f"  ! {issue['code']} {place}{issue[lang]}\n      {issue[f'fix_{lang}']}")
    if "unread" in row:
        names = [unread["field"] for unread in row["unread"]]
        fields = ", ".join(names[:MOST_UNREAD])
        if len(names) > MOST_UNREAD:
            fields += say(
                f" …共 {len(names)} 个，--json 全部列出", f" … {len(names)} in all, --json lists them"
            )
        lines.append(f"  {say('没有映射读取的字段', 'fields that no map read')}: {fields}")
    for code in row.get("unmapped", ()):
        lines.append(f"  ? {code['domain']}: {code['code'] or ''} {code['display'] or ''}")
    return "\n".join(lines)


def _short(map: str) -> str:
    """A map and the beginning of its version, which is a hash."""
    name, _, version = map.partition("|")
    return f"{name} {version[:12]}"


def _row(row: Json) -> list[str]:
    received = datetime.fromisoformat(row["received"]).strftime("%m-%d %H:%M:%S")
    state = row["state"]
    return [
        str(row["id"]),
        received,
        state,
        row["event"],
        cut(row["source"], 24),
        cut(row["control_id"], 20),
        cut(_result(row), 60),
    ]


def _result(row: Json) -> str:
    """In a few words: the resources by type, or the first problem."""
    if row["state"] != "stored":
        issue = next(iter(row.get("issues", ())), None)
        return f"{issue['code']} {issue[say('zh', 'en')]}" if issue else ""
    return kinds_of(row.get("resources", ()))


def kinds_of(references: Any) -> str:
    """ "Patient, Observation ×12" of references."""
    counts: dict[str, int] = {}
    for name in sorted(
        (reference.partition("/")[0] for reference in references), key=BACKGROUND.__contains__
    ):
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(name if number == 1 else f"{name} ×{number}" for name, number in counts.items())


def _reader(settings: Settings) -> Reader:
    if not (settings.data / FILE).is_file():
        raise Unavailable("HT-CLI-17", path=settings.data)
    return Reader(settings.data)


def _request(wanted: dict[str, Any]) -> Request:
    given = {name: str(value) for name, value in wanted.items() if value is not None}
    return Request("GET", "", query=urlencode(given))


def _all(reader: Reader, filter: Any) -> list[int]:
    ids: list[int] = []
    before = None
    while True:
        page = reader.entries(filter, before=before, count=500)
        ids += [entry.id for entry in page.entries]
        before = page.next
        if before is None:
            return sorted(ids)


def _replay_numbers(settings: Settings, numbers: list[int]) -> list[Json]:
    reader = _reader(settings)
    for number in numbers:
        if reader.entry(number) is None:
            raise NotFound("HT-MSG-10", id=number)
    running = holder(settings.data)
    if running and running.get("url"):
        return [
            call_json(running["url"], f"/messages/{number}/replay", method="POST", body=b"")[1]
            for number in numbers
        ]
    return asyncio.run(_replay_here(settings, numbers))


async def _replay_here(settings: Settings, numbers: list[int]) -> list[Json]:
    from gateway.app import build

    gateway = await build(settings, is_serving=False)
    try:
        gateway.intake.start()
        await gateway.intake.replay(numbers)
        await gateway.intake.drained()
        entries = [gateway.journal.entry(number) for number in numbers]
        return [shown(entry) for entry in entries if entry is not None]
    finally:
        await gateway.close()
