"""`hutong conformance status|override|proposals|quality|presets`: what a person decides about members."""

import asyncio
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.client import call
from gateway.cli.conformance import load_target
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import pad, print_json, say, styled
from gateway.lock import holder
from gateway.members.registry import Registry, shown
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json, decode
from terminology.issues import InvalidInput, NotFound

Member = Annotated[str | None, typer.Argument(help=say("成员（MSH-4）。", "The member (MSH-4)."))]
By = Annotated[str, typer.Option(help=say("谁决定。", "Who decides."))]
MEASURES = {
    "completeness": "关键字段完整", "mapping": "编码已对照", "references": "引用可解析", "timeliness": "24 小时内到达", "duplicates": "无重复",
}  # fmt: skip
Reason = Annotated[str, typer.Option(help=say("原因。", "Why."))]


def status(
    member: Member = None,
    to: Annotated[str, typer.Option(help=say("变更到的状态。", "The state to move to."))] = "",
    enter: Annotated[
        Path | None,
        typer.Option(help=say("按目标文件登记成员（draft）。", "Enter a member of a target file (draft).")),
    ] = None,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the certificates, show one with its history, or move one to another state."""
    settings = load_settings(os.environ, file=config, data=data)
    registry, today = _registry(settings), settings.now().date()
    if enter is not None:
        if not by:
            raise InvalidInput("HT-CT-50", name="--by", detail="required")
        made = registry.enter(load_target(enter), by=by)
        rows = [shown(made, today)]
    elif member is None:
        rows = [shown(row, today) for row in registry.certificates()]
    elif to:
        rows = [shown(registry.move(member, to, by=by, reason=reason), today)]
    else:
        history = [row for row in registry.ledger.rows() if row.get("member") == member]
        rows = [shown(registry.certificate(member), today) | {"history": history}]
    if as_json:
        print_json({"certificates": rows, "ledger_is_whole": registry.ledger.is_whole()})
        return
    for row in rows:
        print(
            f"{row['member']}  {styled(row['state_today'], 'bold')}  {', '.join(row['roles'])}  ≤ {row['valid_to']}"
        )
        for event in row.get("history", ()):
            print(
                f"  {event['at']}  {event.get('was', '')} → {event.get('now', event['event'])}  {event.get('by', '')}  {event.get('reason', '')}"
            )
    if not registry.ledger.is_whole():
        print(styled(say("台账被改动。", "The ledger was changed."), "red"))
        raise typer.Exit(FINDINGS)


def override(
    member: Member = None,
    approve: Annotated[
        str, typer.Option(help=say("批准的编号（须另一人）。", "Number to approve (by another person)."))
    ] = "",
    hours: Annotated[float, typer.Option(help=say("小时数，至多 24。", "Hours, at most 24."))] = 4.0,
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Ask for an emergency override, approve one as the second person, or list them."""
    registry = _registry(load_settings(os.environ, file=config, data=data))
    if approve:
        rows = [registry.approve_override(approve, by=by)]
    elif member is not None:
        rows = [registry.ask_override(member, reason=reason, by=by, hours=hours)]
    else:
        rows = registry.overrides()
    _print(
        {"overrides": rows},
        rows,
        as_json,
        ("id", "member", "state", "asked_by", "approved_by", "ends", "reason"),
    )


def proposals(
    accept: Annotated[
        str, typer.Option(help=say("接受的编号：暂停证书。", "Number to accept: suspends."))
    ] = "",
    dismiss: Annotated[str, typer.Option(help=say("驳回的编号。", "Number to dismiss."))] = "",
    by: By = "",
    reason: Reason = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what the nightly checks propose, or decide one."""
    registry = _registry(load_settings(os.environ, file=config, data=data))
    if accept or dismiss:
        rows = [registry.decide(accept or dismiss, accept=bool(accept), by=by, reason=reason)]
    else:
        rows = registry.proposals()
    _print({"proposals": rows}, rows, as_json, ("id", "member", "kind", "state", "at", "by", "reason"))


def quality(
    member: Annotated[
        str | None,
        typer.Option(
            help=say("成员（MSH-4）；不填为全部数据。", "The member (MSH-4); all data without one.")
        ),
    ] = None,
    days: Annotated[int, typer.Option(help=say("最近天数。", "The last days."))] = 30,
    least: Annotated[
        str,
        typer.Option(help=say("最低等级，低于它退出码为 1。", "Least grade; below it the exit code is 1.")),
    ] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Grade A–E of production data: completeness, mapping, references, timeliness, duplicates."""
    from conformance.testing.quality import meets

    if least not in ("", "A", "B", "C", "D", "E"):
        raise InvalidInput("HT-CT-50", name="--least", detail="A … E")
    settings = load_settings(os.environ, file=config, data=data)
    running = holder(settings.data)
    if running and running.get("url"):
        query = urlencode({"days": days} | ({"member": member} if member else {}))
        answered, _, body = call(running["url"], f"/conformance/quality?{query}")
        found = decode(body)
        if answered != 200:
            print_json(found)
            return FINDINGS
    else:
        found = asyncio.run(_here(settings, member, days))
    if as_json:
        print_json(found)
    else:
        print(
            styled(
                f"{member or '*'}: {found['grade'] or '—'}  {found['score'] if found['score'] is not None else '—'}",
                "bold",
            )
        )
        for row in found["measures"]:
            share = f"{row['share']:.1%}" if row["share"] is not None else say("未观察到", "not observed")
            worst = ", ".join(f"{one['what']} {one['count']}" for one in row["worst"][:3])
            name = pad(say(MEASURES.get(row["name"], row["name"]), row["name"]), 14)
            print(f"{name} {share:>8}  {row['good']}/{row['total']}  {styled(worst, 'dim')}")
    return OK if not least or meets(found["grade"], least) else FINDINGS


def list_presets(
    save: Annotated[
        Path | None, typer.Option(help=say("由目标文件保存预设。", "Save the preset of a target file."))
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List the presets of vendor products, or keep what a target file found out as one."""
    from conformance.testing.preset import presets, save_preset

    folder = load_settings(os.environ, file=config, data=data).data / "presets"
    if save is not None:
        print(save_preset(load_target(save), folder).stem)
        return
    found = presets(folder)
    if as_json:
        print_json({"presets": found})
        return
    for name, row in found.items():
        print(
            f"{name}  {say(row.get('zh', name), row.get('en', name))}  {styled(', '.join(row.get('roles', ())), 'dim')}"
        )


async def _here(settings: Settings, member: str | None, days: int) -> Json:
    """Measure over the data folder while no gateway runs."""
    from gateway.assembly.store import open_store
    from gateway.journal import Journal
    from gateway.members.sample import quality_of

    store, journal = await open_store(settings), Journal(settings.data)
    try:
        found = await quality_of(store, journal, member=member, days=days)
    finally:
        await store.close()
        journal.close()
    if member is not None and found.resources == 0:
        raise NotFound("HT-CT-54", member=member)
    return {"member": member, "days": days} | found.to_json()


def _registry(settings: Settings) -> Registry:
    return Registry(settings.data / "certificates", clock=settings.now)


def _print(document: Json, rows: list[Json], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        print_json(document)
        return
    for row in rows:
        print("  ".join(str(row[name]) for name in columns if row.get(name)))
