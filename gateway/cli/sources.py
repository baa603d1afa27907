"""`hutong sources list` and `hutong sources run NAME`: what is read of its own accord, and reading it now."""

import asyncio
import os
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli import FINDINGS
from gateway.cli.client import call_json
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import print_json, say, styled, table
from gateway.lock import holder
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

Name = Annotated[
    str, typer.Argument(help=say("数据源名称；缺省为全部。", "Name of the source; default: all."))
]
File = Annotated[
    str,
    typer.Option("--sources", help=say("数据源文件（YAML）。", "File of sources (YAML)."), metavar="FILE"),
]


def list_sources(
    data: Data = None, config: Config = None, sources: File = "", as_json: AsJson = False
) -> None:
    settings = _settings(data, config, sources)
    running = holder(settings.data)
    if running and running.get("url"):
        rows = call_json(running["url"], "/sources")[1].get("sources", [])
    else:
        rows = _from_disk(settings)
    if not rows and not as_json:
        print(
            say(
                "没有数据源。写法见 docs/operations/sources.md。",
                "No sources. How to write them: docs/operations/sources.md.",
            )
        )
        return
    if as_json:
        print_json({"sources": rows})
        return
    print(
        table(
            [_line(row) for row in rows],
            head=(say("名称", "name"), say("类别", "kind"), say("位置", "place"), say("映射", "map"),
                  say("读到", "read to"), say("上次", "last look")),
        )
    )  # fmt: skip


def run_sources(
    name: Name = "", data: Data = None, config: Config = None, sources: File = "", as_json: AsJson = False
) -> None:
    settings = _settings(data, config, sources)
    running = holder(settings.data)
    if running and running.get("url"):
        found = _through(running["url"], name)
    else:
        found = asyncio.run(_here(settings, name))
    if as_json:
        print_json({"sources": found})
    else:
        for row in found:
            print(_told(row))
    if any(row["end"] != "ok" or row["refused"] or row["failed_files"] for row in found):
        raise typer.Exit(FINDINGS)


def _settings(data: Any, config: Any, sources: str) -> Settings:
    from pathlib import Path

    chosen = {"sources": Path(sources)} if sources else {}
    settings = load_settings(os.environ, file=config, data=data, **chosen)
    # A running gateway was told its file when it started; it is asked.
    if settings.sources is None and not (holder(settings.data) or {}).get("url"):
        raise InvalidInput(
            "HT-TAB-10", file="sources", reason=say("没有设置 sources", "the setting sources names no file")
        )
    return settings


def _from_disk(settings: Settings) -> list[Json]:
    """Without a running gateway: the file, and the positions of the journal when there is one."""
    from gateway.journal.journal import FILE, Reader
    from gateway.sources.polling import describe
    from gateway.sources.source import load_sources

    assert settings.sources is not None
    found = load_sources(settings.sources, os.environ)
    if not (settings.data / FILE).is_file():
        return [describe(source, lambda _: None) for source in found]
    reader = Reader(settings.data)
    try:
        return [describe(source, reader.checkpoint) for source in found]
    finally:
        reader.close()


def _through(url: str, name: str) -> list[Json]:
    names = [name] if name else [row["name"] for row in call_json(url, "/sources")[1].get("sources", [])]
    found = []
    for one in names:
        status, answer = call_json(url, f"/sources/{quote(one, safe='')}/run", body=b"", method="POST")
        if status == 404:
            raise NotFound("HT-TAB-11", name=one, known="-")
        found.append({"name": one, **answer})
    return found


async def _here(settings: Settings, name: str) -> list[Json]:
    from gateway.app import build

    gateway = await build(settings, is_serving=False)
    try:
        gateway.intake.start()
        names = [name] if name else list(gateway.polling.sources)
        found = [{"name": one, **await gateway.polling.look(one)} for one in names]
        # A file counts as whole when it did not change for a while: the first look only remembers it.
        for row in found:
            wait = gateway.polling.settling_seconds(row["name"])
            if wait and not row["files"]:
                await asyncio.sleep(wait)
                row |= await gateway.polling.look(row["name"])
        await gateway.intake.drained()
    finally:
        await gateway.close()
    return found


def _line(row: Json) -> tuple[str, ...]:
    last = row.get("last") or {}
    told = ""
    if last:
        colour = "green" if last["end"] == "ok" else "red"
        told = f"{styled(last['end'], colour)} {last['at']} +{last['taken']} ={last['repeated']} ✗{last['refused']}"
    position = ", ".join(
        f"{name} {value[1] if isinstance(value, list) else value}"
        for name, value in (row.get("position") or {}).items()
    )
    return row["name"], row["kind"], row["place"], row["map"] or row["adapter"], position or "-", told or "-"


def _told(row: Json) -> str:
    lang = say("zh", "en")
    mark = styled("✓", "green") if row["end"] == "ok" and not row["refused"] else styled("✗", "red")
    lines = [
        f"{mark} {row['name']}  "
        + say(
            f"新 {row['taken']}，已有 {row['repeated']}，被拒 {row['refused']}，文件 {row['files']}",
            f"{row['taken']} new, {row['repeated']} known, {row['refused']} refused, {row['files']} files",
        )
    ]
    lines += [
        f"    {issue['code']} {issue[lang]}\n      {issue[f'fix_{lang}']}" for issue in row.get("issues", ())
    ]
    return "\n".join(lines)
