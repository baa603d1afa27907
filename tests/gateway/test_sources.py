"""Sources: drop folders, database views, vendor interfaces; nothing lost, nothing doubled (docs/operations/sources.md)."""

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.app import Gateway
from gateway.cli import FINDINGS, OK
from gateway.cli.commands import run as command
from gateway.sources.source import load_sources
from mappings.language.active import ActiveMaps
from terminology.issues import InvalidInput
from tests.gateway.running import hl7, run, running
from tests.mappings.ecg_files import LEADS, sample, to_scp

MAPS = ActiveMaps()
HEAD = "jkdabh,xm,sfrq,ssy,szy"


def sheet(*numbers: int, charset: str = "utf-8") -> bytes:
    rows = [f"3701020010010{number:04},张三{number},20260315,{120 + number % 50},80" for number in numbers]
    return "\n".join([HEAD, *rows]).encode(charset)


@asynccontextmanager
async def reading(folder: Path, *entries: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway with sources that only look when they are told to."""
    file = folder / "sources.yaml"
    file.write_text(json.dumps({"sources": entries}, ensure_ascii=False), "utf-8")
    async with running(folder / "data", maps=MAPS, mllp=False, sources=file) as gateway:
        assert gateway.polling is not None
        await gateway.polling.rest()
        yield gateway


async def look(gateway: Gateway, name: str) -> dict[str, Any]:
    assert gateway.polling is not None
    found = await gateway.polling.look(name)
    await gateway.intake.drained()
    return found


async def patients(gateway: Gateway) -> int:
    from gateway.search import parse

    query = parse(
        "Patient", [("_count", "1000")], strict=True, parameters=gateway.store.parameters, max_count=1000
    )
    return len((await gateway.store.search(query)).matches)


def drop(path: Path, **more: Any) -> dict[str, Any]:
    path.mkdir(exist_ok=True)
    return {
        "name": "drop",
        "kind": "folder",
        "path": str(path),
        "stable_seconds": 0,
        "every_seconds": 3600,
        **more,
    }


class TestFolder:
    def test_a_sheet_is_taken_and_moved(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place)) as gateway:
                (place / "随访.csv").write_bytes(sheet(1, 2, 3, charset="gb18030"))
                found = await look(gateway, "drop")
                assert (found["end"], found["taken"], found["files"]) == ("ok", 3, 1)
                assert (place / "processed" / "随访.csv").read_bytes() == sheet(1, 2, 3, charset="gb18030")
                assert await patients(gateway) == 3
                assert gateway.journal.entry(1).detail["charset"] == "gb18030"  # type: ignore[union-attr]
                # The same content under another name is known; a second file of the same name is kept beside the first.
                (place / "随访.csv").write_bytes(sheet(1, 2, 3, charset="gb18030"))
                found = await look(gateway, "drop")
                assert (found["taken"], found["repeated"], found["files"]) == (0, 3, 1)
                assert len(list((place / "processed").iterdir())) == 2

        run(body())

    def test_files_of_every_kind_by_their_bytes(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place)) as gateway:
                (place / "a.hl7").write_bytes(hl7())
                (place / "b.scp").write_bytes(to_scp(sample(1)))
                (place / "c.json").write_bytes(
                    b'{"code":0,"msg":"ok","data":[{"jkdabh":"37010200100100012","xm":"a","sfrq":"20260315","ssy":130,"szy":80}]}'
                )
                found = await look(gateway, "drop")
                assert found["files"] == 3
                kinds = sorted(gateway.journal.entry(id).kind for id in (1, 2))  # type: ignore[union-attr]
                assert kinds == ["ecg", "hl7v2"]

        run(body())

    def test_what_is_refused_goes_to_failed_with_its_reasons(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place)) as gateway:
                (place / "seven.scp").write_bytes(to_scp(sample(1, leads=LEADS[:7])))
                (place / "noise.csv").write_bytes(b"\x00\x01\x02")
                (place / "one-off.csv").write_bytes(sheet(1, 2) + b",too,many")
                found = await look(gateway, "drop")
                assert (found["files"], found["failed_files"]) == (3, 3)
                told = json.loads((place / "failed" / "seven.scp.reasons.json").read_bytes())
                assert told["reasons"][0]["code"] == "HT-ECG-01"
                assert "导联" in told["reasons"][0]["zh"]
                told = json.loads((place / "failed" / "one-off.csv.reasons.json").read_bytes())
                assert [(row["row"], row["code"]) for row in told["reasons"]] == [(2, "HT-TAB-04")]
                assert (place / "failed" / "noise.csv").read_bytes() == b"\x00\x01\x02"
                # The good row of the sheet is there, the bad one is parked.
                assert await patients(gateway) == 1

        run(body())

    def test_a_growing_file_waits(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place, stable_seconds=0.3)) as gateway:
                (place / "a.csv").write_bytes(sheet(1))
                assert (await look(gateway, "drop"))["files"] == 0
                await asyncio.sleep(0.35)
                (place / "a.csv").write_bytes(sheet(1, 2))
                assert (await look(gateway, "drop"))["files"] == 0
                await asyncio.sleep(0.35)
                assert (await look(gateway, "drop"))["taken"] == 2

        run(body())

    def test_marker_and_rename(self, tmp_path: Path) -> None:
        async def body() -> None:
            place, other = tmp_path / "drop", tmp_path / "other"
            entries = (drop(place, ready="marker"), {**drop(other, ready="rename"), "name": "other"})
            async with reading(tmp_path, *entries) as gateway:
                (place / "a.csv").write_bytes(sheet(1))
                assert (await look(gateway, "drop"))["files"] == 0
                (place / "a.csv.ok").touch()
                assert (await look(gateway, "drop"))["taken"] == 1
                assert sorted(path.name for path in place.iterdir()) == ["processed"]
                (other / "b.csv.tmp").write_bytes(sheet(2))
                assert (await look(gateway, "other"))["files"] == 0
                os.replace(other / "b.csv.tmp", other / "b.csv")
                assert (await look(gateway, "other"))["taken"] == 1

        run(body())

    def test_a_file_kept_but_not_moved_before_the_power_went_is_recognised(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            place.mkdir()
            raw = sheet(*range(50))
            async with reading(tmp_path, drop(place)) as gateway:
                (place / "a.csv").write_bytes(raw)
                await look(gateway, "drop")
            (place / "processed" / "a.csv").rename(place / "a.csv")
            async with reading(tmp_path, drop(place)) as gateway:
                found = await look(gateway, "drop")
                assert (found["taken"], found["repeated"]) == (0, 50)

        run(body())

    def test_a_folder_that_is_away_is_told_and_tried_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place)) as gateway:
                place.rmdir()
                found = await look(gateway, "drop")
                assert (found["end"], found["issues"][0]["code"]) == ("failed", "HT-TAB-12")
                place.mkdir()
                assert (await look(gateway, "drop"))["end"] == "ok"

        run(body())

    def test_links_out_of_the_folder_are_left_alone(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            async with reading(tmp_path, drop(place)) as gateway:
                (tmp_path / "secret.csv").write_bytes(sheet(1))
                (place / "a.csv").symlink_to(tmp_path / "secret.csv")
                assert (await look(gateway, "drop"))["files"] == 0

        run(body())


class View:
    """A view of a hospital's database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run(
            "create table v_follow (ID integer, JKDABH text, XM text, SFRQ text, SSY integer, SZY integer, GXSJ timestamp)"
        )

    def run(self, statement: str, *rows: tuple[Any, ...]) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            if rows:
                connection.executemany(statement, rows)
            else:
                connection.execute(statement)
        connection.close()

    def add(self, *numbers: int, at: str = "2026-03-15 08:00:00") -> None:
        rows = [
            (number, f"3701020010010{number:04}", f"张{number}", "20260315", 130, 80, f"{at}.000000")
            for number in numbers
        ]
        self.run("insert into v_follow values (?, ?, ?, ?, ?, ?, ?)", *rows)

    def source(self, **more: Any) -> dict[str, Any]:
        chosen = {"table": "v_follow", "key": "ID", "batch": 10, "every_seconds": 3600} | more
        return {"name": "his", "kind": "database", "url": f"sqlite:///{self.path}", **chosen}


class TestDatabase:
    def test_by_a_growing_key(self, tmp_path: Path) -> None:
        async def body() -> None:
            view = View(tmp_path / "his.db")
            view.add(*range(1, 26))
            async with reading(tmp_path, view.source()) as gateway:
                assert (await look(gateway, "his"))["taken"] == 25
                assert await patients(gateway) == 25
                assert (await look(gateway, "his"))["taken"] == 0
                view.add(26, 27)
            async with reading(tmp_path, view.source()) as gateway:
                found = await look(gateway, "his")
                assert (found["taken"], found["repeated"]) == (2, 0)

        run(body())

    def test_by_time_of_change_alone(self, tmp_path: Path) -> None:
        async def body() -> None:
            view = View(tmp_path / "his.db")
            view.add(1, 2, at="2026-03-15 08:00:00")
            source = view.source(
                key="",
                query="select ID, JKDABH, XM, SFRQ, SSY, SZY, GXSJ from v_follow where SSY > 0",
                table="",
                time="GXSJ",
            )
            async with reading(tmp_path, source) as gateway:
                assert (await look(gateway, "his"))["taken"] == 2
                # A row of the same instant whose transaction ended later, and more of one instant than a portion.
                view.add(3, at="2026-03-15 08:00:00")
                view.add(*range(4, 40), at="2026-03-15 08:00:01")
                assert (await look(gateway, "his"))["taken"] == 37
                view.run("update v_follow set SSY = 150, GXSJ = '2026-03-15 09:00:00.000000' where ID = 5")
                assert (await look(gateway, "his"))["taken"] == 1
                assert await patients(gateway) == 39

        run(body())

    def test_by_time_and_key(self, tmp_path: Path) -> None:
        async def body() -> None:
            view = View(tmp_path / "his.db")
            view.add(*range(1, 31), at="2026-03-15 08:00:00")
            async with reading(tmp_path, view.source(time="GXSJ")) as gateway:
                assert (await look(gateway, "his"))["taken"] == 30
                view.add(31, at="2026-03-15 08:00:00")
                found = await look(gateway, "his")
                assert (found["taken"], found["repeated"]) == (1, 0)

        run(body())

    def test_a_database_that_is_away(self, tmp_path: Path) -> None:
        async def body() -> None:
            view = View(tmp_path / "his.db")
            view.add(1)
            async with reading(tmp_path, view.source()) as gateway:
                view.run("alter table v_follow rename to gone")
                found = await look(gateway, "his")
                assert (found["end"], found["issues"][0]["code"]) == ("failed", "HT-TAB-12")
                assert "no such table" in found["issues"][0]["en"]
                view.run("alter table gone rename to v_follow")
                assert (await look(gateway, "his"))["taken"] == 1

        run(body())

    def test_a_row_without_its_key_stops_the_source_and_loses_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            view = View(tmp_path / "his.db")
            view.add(1)
            async with reading(tmp_path, view.source(time="GXSJ")) as gateway:
                view.run("update v_follow set ID = null")
                assert (await look(gateway, "his"))["issues"][0]["code"] == "HT-TAB-14"
                view.run("update v_follow set ID = 1")
                assert (await look(gateway, "his"))["taken"] == 1

        run(body())


class Vendor(BaseHTTPRequestHandler):
    rows: ClassVar[list[dict[str, Any]]] = []
    failure: ClassVar[dict[str, Any] | None] = None
    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        Vendor.asked.append(query)
        since, page, size = query.get("since", [""])[0], int(query["page"][0]), int(query["size"][0])
        found = [row for row in Vendor.rows if str(row["updateTime"]) >= since]
        body = Vendor.failure or {
            "code": 0,
            "msg": "ok",
            "data": {"total": len(found), "list": found[(page - 1) * size : page * size]},
        }
        raw = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def vendor() -> Iterator[str]:
    Vendor.rows, Vendor.failure, Vendor.asked = [], None, []
    server = HTTPServer(("127.0.0.1", 0), Vendor)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/follow"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestInterface:
    def row(self, number: int, at: str) -> dict[str, Any]:
        return {
            "jkdabh": f"3701020010010{number:04}",
            "xm": f"张{number}",
            "sfrq": "20260315",
            "ssy": 130,
            "szy": 80,
            "updateTime": at,
        }

    def test_pages_of_an_envelope_on_from_the_last_time(self, tmp_path: Path) -> None:
        async def body() -> None:
            with vendor() as url:
                Vendor.rows = [self.row(number, f"2026-03-15 08:00:{number:02}") for number in range(1, 13)]
                entry = {
                    "name": "api", "kind": "http", "url": url, "params": {"since": "{since}", "page": "{page}", "size": "{size}"},
                    "envelope": {"code": "code", "ok": [0], "message": "msg", "data": "data.list"}, "since": "updateTime", "size": 5,
                    "first": "2026-01-01 00:00:00", "every_seconds": 3600,
                }  # fmt: skip
                async with reading(tmp_path, entry) as gateway:
                    assert (await look(gateway, "api"))["taken"] == 12
                    assert await patients(gateway) == 12
                    Vendor.rows.append(self.row(13, "2026-03-15 09:00:00"))
                    found = await look(gateway, "api")
                    assert found["taken"] == 1
                    assert Vendor.asked[-1]["since"] == ["2026-03-15 08:00:12"]
                    Vendor.failure = {"code": 401, "msg": "令牌过期", "data": None}
                    found = await look(gateway, "api")
                    assert (found["end"], found["issues"][0]["code"]) == ("failed", "HT-TAB-05")
                    assert "令牌过期" in found["issues"][0]["zh"]
                    Vendor.failure = {"code": 0, "msg": "ok"}
                    assert (await look(gateway, "api"))["issues"][0]["code"] == "HT-TAB-06"

        run(body())

    def test_a_server_that_is_away(self, tmp_path: Path) -> None:
        async def body() -> None:
            entry = {
                "name": "api",
                "kind": "http",
                "url": "http://127.0.0.1:9/x",
                "timeout_seconds": 1,
                "every_seconds": 3600,
            }
            async with reading(tmp_path, entry) as gateway:
                assert (await look(gateway, "api"))["issues"][0]["code"] == "HT-TAB-12"

        run(body())


class TestRunning:
    def test_started_with_the_gateway_listed_measured_and_told_to_look(self, tmp_path: Path) -> None:
        async def body() -> None:
            place = tmp_path / "drop"
            place.mkdir()
            (place / "a.csv").write_bytes(sheet(1, 2))
            file = tmp_path / "sources.yaml"
            file.write_text(json.dumps({"sources": [drop(place, every_seconds=0.2)]}), "utf-8")
            async with running(tmp_path / "data", maps=MAPS, mllp=False, sources=file) as gateway:
                # `running` is without MLLP but with the ports.
                for _ in range(100):
                    if (place / "processed" / "a.csv").exists():
                        break
                    await asyncio.sleep(0.05)
                await gateway.intake.drained()
                assert await patients(gateway) == 2
                transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    (row,) = (await client.get("/sources")).json()["sources"]
                    assert (row["name"], row["kind"], row["last"]["taken"]) == ("drop", "folder", 2)
                    (place / "b.csv").write_bytes(sheet(3))
                    assert (await client.post("/sources/drop/run")).json()["end"] == "ok"
                    answer = await client.post("/sources/none/run")
                    assert (
                        answer.status_code,
                        answer.json()["issue"][0]["details"]["coding"][0]["code"],
                    ) == (404, "HT-TAB-11")
                    metrics = (await client.get("/metrics")).text
                    assert 'hutong_source_messages_total{source="drop",outcome="taken"}' in metrics

        run(body())

    def test_a_gateway_without_sources_says_so(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path, maps=MAPS, mllp=False) as gateway:
                transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    assert (await client.get("/sources")).json() == {"sources": []}
                    assert (await client.post("/sources/x/run")).status_code == 404
                    assert (await client.delete("/sources")).status_code == 405

        run(body())

    def test_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        place = tmp_path / "drop"
        file = tmp_path / "sources.yaml"
        file.write_text(json.dumps({"sources": [drop(place)]}), "utf-8")
        (place / "a.csv").write_bytes(sheet(1, 2))
        told = ["--data", str(tmp_path / "data"), "--sources", str(file)]
        assert command(["sources", "list", *told]) == OK
        assert "drop" in capsys.readouterr().out
        assert command(["sources", "run", "drop", *told, "--json"]) == OK
        (found,) = json.loads(capsys.readouterr().out)["sources"]
        assert (found["taken"], found["files"]) == (2, 1)
        (place / "b.csv").write_bytes(b"\x00")
        assert command(["sources", "run", *told]) == FINDINGS
        assert command(["sources", "list", *told, "--json"]) == OK


class TestTheFile:
    def problems(self, tmp_path: Path, text: str, **environment: str) -> list[str]:
        path = tmp_path / "sources.yaml"
        path.write_text(text, "utf-8")
        with pytest.raises(InvalidInput) as caught:
            load_sources(path, environment)
        assert {issue.code for issue in caught.value.issues} == {"HT-TAB-10"}
        return [issue.values["reason"] for issue in caught.value.issues]

    def test_everything_that_is_wrong_is_told_at_once(self, tmp_path: Path) -> None:
        found = self.problems(
            tmp_path,
            """
sources:
  - {name: a, kind: folder, path: x, ready: maybe, processed: ../out}
  - {name: b, kind: fax}
  - {name: c, kind: database, url: "sqlite://", table: "v; drop table x", key: id}
  - {name: d, kind: database, url: "sqlite://", query: "delete from x", key: id}
  - {name: e, kind: database, url: "sqlite://", table: v}
  - {name: f, kind: http, url: "file:///etc/passwd"}
  - {name: g, kind: folder, path: x, every_seconds: 0}
  - {name: g, kind: folder, path: x, colour: red}
  - {name: h, kind: database, url: "oracle://u:${NO_SUCH}@h", table: v, key: id}
""",
        )
        text = "\n".join(found)
        for part in (
            "ready",
            "processed",
            "kind: 'fax'",
            "table",
            "query",
            "key",
            "http://",
            "every_seconds",
            "colour",
            "NO_SUCH",
        ):
            assert part in text, part

    @pytest.mark.parametrize("text", ["", "[]", "sources: 1", "sources: [", "\x00"])
    def test_no_such_file(self, tmp_path: Path, text: str) -> None:
        assert self.problems(tmp_path, text)

    def test_secrets_come_from_the_environment_and_are_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "sources.yaml"
        path.write_text(
            'sources: [{name: a, kind: database, url: "oracle://u:${PW}@h/x", table: v, key: id}]', "utf-8"
        )
        (source,) = load_sources(path, {"PW": "geheim"})
        assert "geheim" in source.url  # type: ignore[attr-defined]  # a Database
        assert "geheim" not in source.place
        assert "geheim" not in repr(source)
