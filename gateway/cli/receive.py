"""`hutong receive FILE…`: take the messages of files, through the running gateway or, when none runs, here."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.channels.http import shown
from gateway.cli import FINDINGS
from gateway.cli.client import call, call_json
from gateway.cli.messages import COLOURS, describe
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import print_json, say, styled
from gateway.journal.detail import issue_row
from gateway.lock import holder
from gateway.settings import Settings, load_settings
from mappings.convert import guess_kind
from terminology.fhirjson import Json, decode
from terminology.issues import FhirError, NotFound

Files = Annotated[
    list[Path],
    typer.Argument(help=say("消息文件；- 为标准输入。", "Files of messages; - is standard input.")),
]
Kind = Annotated[
    str,
    typer.Option(
        help=say(
            "消息类别：hl7v2 astm hl7v3 rhin cda xml json table dicom ecg aecg scp；不写则按内容识别。",
            "Kind of message: hl7v2 astm hl7v3 rhin cda xml json table dicom ecg aecg scp; by the bytes when absent.",
        )
    ),
]


def receive(
    files: Files, kind: Kind = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    contents = [(str(path), _read(path)) for path in files]
    running = holder(settings.data)
    if running and running.get("url"):
        found = [
            (name, row)
            for name, raw in contents
            for row in _send(running["url"], kind or guess_kind(raw), raw)
        ]
    else:
        found = asyncio.run(_here(settings, kind, contents))
    if as_json:
        print_json({"messages": [{"file": name, **row} for name, row in found]})
    else:
        for name, row in found:
            print(f"{styled(name, 'dim')}\n{describe(row) if 'id' in row else _refused(row)}")
    if any(row["state"] != "stored" for _, row in found):
        raise typer.Exit(FINDINGS)


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError:
        raise NotFound("HT-CLI-14", path=path) from None


def _send(url: str, kind: str, raw: bytes) -> list[Json]:
    status, headers, body = call(
        url, f"/messages/{kind}?wait=stored", body=raw, accept="application/fhir+json"
    )
    ids = [part.strip() for part in headers.get("x-message-id", "").split(",") if part.strip()]
    if ids:
        return [call_json(url, f"/messages/{id}")[1] for id in ids]
    return [
        {
            "state": "refused",
            "status": status,
            "answer": body.decode("utf-8", "replace"),
            "issues": _issues(body),
        }
    ]


def _issues(body: bytes) -> list[Json]:
    """The problems of an OperationOutcome as rows; none when the answer is something else."""
    try:
        answer = decode(body)
    except ValueError:
        return []
    rows = answer.get("issue", ()) if isinstance(answer, dict) else ()
    return [_issue(row) for row in rows]


def _issue(row: Json) -> Json:
    details = row.get("details") or {}
    fix = next((e["valueString"] for e in row.get("extension", ()) if e["url"].endswith("/issue-fix")), "")
    code = next((coding["code"] for coding in details.get("coding", ())), row.get("code", ""))
    # The answer is in the language of the command, which is all that is shown.
    text = details.get("text") or row.get("diagnostics", "")
    return {"code": code, "zh": text, "en": text, "fix_zh": fix, "fix_en": fix}


async def _here(settings: Settings, kind: str, contents: list[tuple[str, bytes]]) -> list[tuple[str, Json]]:
    from gateway.app import build

    gateway = await build(settings, is_serving=False)
    found: list[tuple[str, Json]] = []
    kept: list[tuple[int, int]] = []
    try:
        gateway.intake.start()
        if kind and kind not in gateway.intake.kinds:
            known = ", ".join(gateway.intake.kinds)
            raise NotFound("HT-MSG-11", kind=kind, known=known, known_first=next(iter(gateway.intake.kinds)))
        for name, raw in contents:
            try:
                taken = await gateway.intake.take(
                    raw, kind=kind or guess_kind(raw), channel="file", peer=name
                )
            except FhirError as error:
                found.append((name, _refusal(error)))
                continue
            for row in taken:
                if row.receipt is not None:
                    kept.append((len(found), row.receipt.id))
                found.append((name, _refusal(row.error) if row.error is not None else {}))
        await gateway.intake.drained()
        for place, id in kept:
            entry = gateway.journal.entry(id)
            if entry is not None:
                found[place] = (found[place][0], shown(entry))
    finally:
        await gateway.close()
    return found


def _refusal(error: FhirError) -> Json:
    return {"state": "refused", "issues": [issue_row(issue) for issue in error.issues]}


def _refused(row: Json) -> str:
    lang = say("zh", "en")
    lines = [f"  {styled(say('未接收', 'not taken'), COLOURS['parked'])}"]
    lines += [
        f"  ! {issue['code']} {issue[lang]}\n      {issue[f'fix_{lang}']}" for issue in row.get("issues", ())
    ]
    if "answer" in row and not row.get("issues"):
        lines.append(f"  HTTP {row['status']}: {row['answer'][:500]}")
    return "\n".join(lines)
