"""`hutong doctor`: look at everything that a start needs, and say how to fix what is wrong."""

import importlib.util
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from gateway.catalogues.place import has_snapshots, snapshot_folder
from gateway.cli import FINDINGS
from gateway.cli.client import call_json
from gateway.cli.names import foreign_owner
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import language, print_json, say, styled, table
from gateway.journal.journal import FILE, Reader
from gateway.lock import holder
from gateway.settings import Settings, load_settings
from terminology.issues import FhirError
from terminology.snapshot.library import SUFFIX

Verdict = Literal["ok", "warning", "fail"]
MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fail": ("✗", "red")}
MIB = 1024 * 1024
LEAST_FREE_MIB = 512
EXTRAS = {
    "postgres": "asyncpg",
    "redis": "redis",
    "dicom": "pydicom",
    "tables": "sqlalchemy",
    "ecg": "ecgdatakit",
    "xlsx": "openpyxl",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `fix`: what to do, "" when nothing needs doing."""

    name: str
    verdict: Verdict
    text: str
    fix: str = ""


def doctor(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    checks = list(_checks(data, config))
    if as_json:
        rows = [
            {"name": row.name, "verdict": row.verdict, "text": row.text, "fix": row.fix} for row in checks
        ]
        print_json({"checks": rows, "ok": all(row.verdict != "fail" for row in checks)})
    else:
        print(table([(styled(*MARKS[row.verdict]), row.name, row.text) for row in checks]))
        for row in checks:
            if row.fix:
                print(f"→ {row.name}: {row.fix}")
    if any(row.verdict == "fail" for row in checks):
        raise typer.Exit(FINDINGS)


def _checks(data: Path | None, config: Path | None) -> Iterator[Check]:
    yield _python()
    yield _names()
    yield _sqlite()
    yield _extras()
    try:
        settings = load_settings(os.environ, file=config, data=data)
    except FhirError as error:
        for issue in error.issues:
            yield Check(say("设置", "settings"), "fail", issue.text(language()), issue.fix(language()))
        return
    yield Check(
        say("设置", "settings"),
        "ok",
        str(config or os.environ.get("HUTONG_CONFIG") or say("默认", "defaults")),
    )
    yield _folder(settings)
    yield _disk(settings)
    yield _clock(settings)
    running = holder(settings.data)
    yield _running(running)
    if running is None:
        yield _port("HTTP", settings.host, settings.port, "port")
        if settings.mllp:
            yield _port("MLLP", settings.host, settings.mllp_port, "mllp-port")
        if settings.dicom:
            yield _port("DICOM", settings.host, settings.dicom_port, "dicom-port")
    yield from _journal(settings)
    yield _catalogues(settings)


def _catalogues(settings: Settings) -> Check:
    name = say("目录", "catalogues")
    if has_snapshots(settings):
        count = len(list(snapshot_folder(settings).glob(f"*{SUFFIX}")))
        return Check(name, "ok", say(f"{count} 个已发布的版本", f"{count} published versions"))
    text = say(
        "还没有：编码检索、$translate 和互认只有内置的小表", "none yet: only small built-in tables answer"
    )
    fix = say(
        "hutong terms load --shipped 导入全部自带目录；或 hutong terms load --shipped icd10 lab-items",
        "hutong terms load --shipped loads all that ship; or hutong terms load --shipped icd10 lab-items",
    )
    return Check(name, "warning", text, fix)


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("Python", "ok", version)


def _names() -> Check:
    name = say("安装", "installation")
    error = foreign_owner()
    if error is None:
        return Check(name, "ok", str(Path(__file__).resolve().parent.parent.parent))
    return Check(name, "fail", error.issues[0].text(language()), error.issues[0].fix(language()))


def _sqlite() -> Check:
    import apsw

    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:2]) >= (3, 45):
        return Check("SQLite", "ok", version)
    return Check("SQLite", "fail", version, "pip install --upgrade apsw")


def _extras() -> Check:
    there = [extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is not None]
    return Check(say("可选组件", "extras"), "ok", ", ".join(there) or say("无", "none"))


def _folder(settings: Settings) -> Check:
    name, path = say("数据目录", "data folder"), settings.data.resolve()
    place = path
    while not place.exists():
        place = place.parent
    if os.access(place, os.W_OK):
        return Check(name, "ok", str(path))
    text = say(f"{path} 不可写", f"{path} cannot be written")
    return Check(
        name,
        "fail",
        text,
        say(
            "更正权限，或用 --data 指定另一个目录。",
            "Correct its permissions, or choose another one with --data.",
        ),
    )


def _disk(settings: Settings) -> Check:
    place = settings.data.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // MIB
    name, text = say("磁盘", "disk"), say(f"剩余 {free:,} MiB", f"{free:,} MiB free")
    if free < settings.min_free_mib:
        return Check(
            name,
            "fail",
            text,
            say("清理或扩容：新消息会被拒收。", "Free space: new messages are being refused."),
        )
    if free < LEAST_FREE_MIB:
        return Check(name, "warning", text, say("很快会满。", "It will be full soon."))
    return Check(name, "ok", text)


def _clock(settings: Settings) -> Check:
    """A clock before this version was made gives every resource a wrong lastUpdated."""
    now = time.time()
    text = time.strftime("%Y-%m-%d %H:%M:%S %z") + f", {settings.timezone}"
    if now > Path(__file__).stat().st_mtime - 86_400:
        return Check(say("时钟", "clock"), "ok", text)
    return Check(
        say("时钟", "clock"), "fail", text, say("校准系统时间（NTP）。", "Set the system time (NTP).")
    )


def _running(running: dict[str, object] | None) -> Check:
    name = say("运行中的网关", "running gateway")
    if running is None:
        return Check(name, "ok", say("无", "none"))
    url = str(running.get("url", ""))
    if not url:
        return Check(
            name,
            "warning",
            f"pid {running.get('pid')}",
            say("它正在启动或停止。", "It is starting or stopping."),
        )
    try:
        status, health = call_json(url, "/health")
    except FhirError as error:
        return Check(name, "fail", error.issues[0].text(language()), error.issues[0].fix(language()))
    verdict: Verdict = "ok" if status == 200 else "fail"
    return Check(name, verdict, f"{url} {health.get('status')}, pid {running.get('pid')}")


def _port(name: str, host: str, port: int, option: str) -> Check:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            fix = say(f"用 --{option} 指定另一个端口。", f"Choose another one with --{option}.")
            return Check(name, "fail", f"{host}:{port} {error.strerror}", fix)
    return Check(name, "ok", say(f"{host}:{port} 空闲", f"{host}:{port} is free"))


def _journal(settings: Settings) -> Iterator[Check]:
    name = say("消息", "messages")
    if not (settings.data / FILE).is_file():
        yield Check(name, "ok", say("还没有", "none yet"))
        return
    reader = Reader(settings.data)
    counts = reader.counts()
    reader.close()
    text = ", ".join(f"{state} {number}" for state, number in sorted(counts.items())) or say(
        "全部入库", "all stored"
    )
    if counts.get("parked") or counts.get("failed"):
        yield Check(
            name,
            "warning",
            text,
            say(
                "hutong messages list --state trouble 查看原因。",
                "See why with hutong messages list --state trouble.",
            ),
        )
    else:
        yield Check(name, "ok", text)
