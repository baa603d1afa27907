"""SIGKILL while a view and a drop folder are read: every row and file is there, each once."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import apsw

from gateway.store.sqlite import SqliteStore

ROOT = Path(__file__).parent.parent.parent
ROWS, FILES, KILLS = 1500, 12, 5


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--json",
        "--port",
        "0",
        "--mllp-port",
        "0",
        "--data",
        str(folder / "data"),
    ]
    environment = {**os.environ, "HUTONG_LOG_LEVEL": "error", "HUTONG_SOURCES": str(folder / "sources.yaml")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    assert process.stdout is not None
    b"".join(iter(process.stdout.readline, b"}\n"))
    return process


def end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


def count(folder: Path, statement: str) -> int:
    connection = apsw.Connection(str(folder / "data" / "journal.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5000)
    try:
        return int(connection.execute(statement).get)
    finally:
        connection.close()


def test_every_row_and_file_once(tmp_path: Path) -> None:
    view = sqlite3.connect(tmp_path / "his.db")
    with view:
        view.execute(
            "create table v_follow (ID integer, JKDABH text, XM text, SFRQ text, SSY integer, SZY integer)"
        )
        rows = [
            (number, f"R{number:06}", f"张{number}", "20260315", 130, 80) for number in range(1, ROWS + 1)
        ]
        view.executemany("insert into v_follow values (?, ?, ?, ?, ?, ?)", rows)
    view.close()
    drop = tmp_path / "drop"
    drop.mkdir()
    for number in range(FILES):
        lines = [f"F{number:03}{row:03},李{row},20260315,130,80" for row in range(40)]
        (drop / f"{number:02}.csv").write_text("\n".join(["jkdabh,xm,sfrq,ssy,szy", *lines]), "utf-8")
    sources = [
        {"name": "his", "kind": "database", "url": f"sqlite:///{tmp_path / 'his.db'}", "table": "v_follow", "key": "ID", "batch": 20, "every_seconds": 0.2},
        {"name": "drop", "kind": "folder", "path": str(drop), "stable_seconds": 0, "every_seconds": 0.2},
    ]  # fmt: skip
    (tmp_path / "sources.yaml").write_text(json.dumps({"sources": sources}), "utf-8")
    chance = random.Random(5)
    for _ in range(KILLS):
        process = start(tmp_path)
        time.sleep(chance.uniform(0.1, 0.9))
        end(process, signal.SIGKILL)
    process = start(tmp_path)
    total = ROWS + FILES * 40
    deadline = time.monotonic() + 120
    while (
        time.monotonic() < deadline
        and count(tmp_path, "select count(*) from message where state = 'stored'") < total
    ):
        time.sleep(0.3)
    end(process, signal.SIGTERM)
    assert count(tmp_path, "select count(*) from message where state = 'stored'") == total
    assert count(tmp_path, "select count(*) from message") == total
    assert len(list((drop / "processed").iterdir())) == FILES
    assert [path.name for path in drop.iterdir()] == ["processed"]
    asyncio.run(stored_once(tmp_path / "data", total))


async def stored_once(folder: Path, count: int) -> None:
    """As many patients as rows, each in its first version."""
    store = SqliteStore(folder / "store.sqlite")
    versions = [version async for version in store.history("Patient")]
    await store.close()
    assert len({version.id for version in versions}) == count
    assert {version.version for version in versions} == {1}
