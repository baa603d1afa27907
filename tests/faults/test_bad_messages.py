"""Every bad input of the door gets a clear answer, and nothing of it is stored half."""

import asyncio
import base64
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.journal import Filter
from gateway.settings import Settings
from terminology.fhirjson import decode_resource
from tests.gateway.running import Sender, err, hl7, msa, run, running
from tests.gateway.trial_maps import hashed

GBK_NAME = "张^三丰".encode("gbk")


async def resources(gateway: Gateway) -> int:
    await gateway.intake.drained()
    return len([version async for version in gateway.store.history()])


async def kept(gateway: Gateway) -> list[str]:
    return [entry.state for entry in (await gateway.journal.entries(Filter())).entries]


@pytest.mark.parametrize(
    ("raw", "answer", "code", "states"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "AR", "HT-V2-01", [], id="not HL7"),
        pytest.param(b"PID|1||P1", "AR", "HT-V2-01", [], id="no MSH"),
        pytest.param(b"", "AR", "HT-V2-01", [], id="empty"),
        pytest.param(b"MSH|^~", "AE", "HT-MSG-01", ["parked"], id="truncated in MSH-2"),
        pytest.param(hl7()[:50], "AE", "HT-MSG-01", ["parked"], id="truncated in MSH"),
        pytest.param(hl7(event="ZZZ^Z99"), "AR", "HT-MSG-03", ["parked"], id="unknown event"),
        pytest.param(hl7(event=""), "AE", "HT-MSG-02", ["parked"], id="no MSH-9"),
        pytest.param(hl7(control_id=""), "AE", "HT-MSG-01", ["parked"], id="no MSH-10"),
        pytest.param(hl7(pid=False), "AE", "HT-MSG-04", ["parked"], id="no PID"),
        pytest.param(hl7() + hl7(control_id="M2")[:40] + b"\rBTS|5", "AR", "HT-MSG-09", [], id="batch that was cut"),
        pytest.param(hl7(charset="UNICODE UTF-8") + b"NTE|1||\xff\xff\xff\x80", "AE", "HT-V2-10", ["parked"], id="no charset fits"),
        pytest.param(b"MSH|aaaa|LIS|H1" + b"x" * 100, "AR", "HT-V2-05", [], id="delimiters that are none"),
    ],
)  # fmt: skip
def test_refused_with_a_code(tmp_path: Path, raw: bytes, answer: str, code: str, states: list[str]) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            text = await sender.ask(raw)
            assert msa(text)[1] == answer
            first = err(text)[0]
            assert first[5].startswith(code or "HT-")
            assert first[8]
            assert await resources(gateway) == 0
            assert await kept(gateway) == states
            # The connection and the gateway go on.
            assert msa(await sender.ask(hl7(control_id="NEXT")))[1:3] == ["AA", "NEXT"]
            await sender.close()

    run(body())


def test_a_wrong_charset_declaration_is_read_right_and_told(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            raw = (
                hl7(charset="UNICODE UTF-8")
                .replace("张^三丰".encode(), GBK_NAME)
                .replace("项目".encode(), b"")
                .replace("血常规".encode(), b"")
            )
            sender = await Sender.connect(gateway.mllp_port)
            assert msa(await sender.ask(raw, "gb18030"))[1] == "AA"
            assert await resources(gateway) == 3
            entry = gateway.journal.entry(1)
            assert entry is not None
            assert (entry.detail["charset"], entry.detail["charset_guessed"]) == ("gb18030", True)
            version = await gateway.store.read("Patient", hashed("H1", "patient", "P0001"))
            assert version is not None
            assert decode_resource(version.body or b"")["name"] == [{"text": "张三丰"}]
            await sender.close()

    run(body())


def test_a_document_of_2_megabytes_is_taken(tmp_path: Path) -> None:
    async def body() -> None:
        maps = active_maps(Settings())
        async with running(tmp_path, maps=maps) as gateway:
            document = base64.b64encode(b"%PDF" * 500_000).decode()
            obx = f"OBX|1|ED|PDF^报告^L||^application^pdf^Base64^{document}||||||F"
            sender = await Sender.connect(gateway.mllp_port)
            assert msa(await sender.ask(hl7(obx=(), extra=(obx,))))[1] == "AA"
            await gateway.intake.drained()
            assert await kept(gateway) == ["stored"]
            bodies = [version.body or b"" async for version in gateway.store.history()]
            assert sum(document.encode() in body for body in bodies) == 1
            await sender.close()

    run(body())


def test_a_text_of_2_megabytes_is_kept_for_a_person(tmp_path: Path) -> None:
    """A FHIR string holds 1 MB at most (datatypes.html#string)."""

    async def body() -> None:
        async with running(tmp_path) as gateway:
            raw = hl7(obx=(("TEXT", "A" * 2_000_000, "F"),))
            sender = await Sender.connect(gateway.mllp_port)
            assert msa(await sender.ask(raw))[1] == "AA"
            assert await resources(gateway) == 0
            entry = gateway.journal.entry(1, with_raw=True)
            assert entry is not None
            assert (entry.state, entry.raw) == ("parked", raw)
            assert entry.detail["issues"][0]["expression"] == "Observation.value.ofType(string)"
            await sender.close()

    run(body())


def test_a_frame_of_64_megabytes_is_refused_without_keeping_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, message_max_bytes=1024 * 1024) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            sender.writer.write(b"\x0b" + hl7(control_id="BIG"))
            block = b"NTE|1||" + b"x" * (1024 * 1024) + b"\r"
            for _ in range(64):
                sender.writer.write(block)
                await sender.writer.drain()
            sender.writer.write(b"\x1c\r")
            answer = await sender.answer()
            assert msa(answer)[1:3] == ["AR", "BIG"]
            assert err(answer)[0][5].startswith("HT-MSG-05")
            assert await kept(gateway) == []
            assert msa(await sender.ask(hl7(control_id="NEXT")))[1:3] == ["AA", "NEXT"]
            await sender.close()

    run(body())


def test_the_same_id_with_other_content(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            assert msa(await sender.ask(hl7()))[1] == "AA"
            answer = await sender.ask(hl7(name="李^四"))
            assert msa(answer)[1] == "AE"
            assert err(answer)[0][2] == "MSH^1^10"
            assert err(answer)[0][3].startswith("205^")
            assert await kept(gateway) == ["parked", "stored"]
            # And again: still a conflict, not kept twice.
            assert msa(await sender.ask(hl7(name="李^四")))[1] == "AE"
            assert await kept(gateway) == ["parked", "stored"]
            await sender.close()

    run(body())


def test_unframed_bytes(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            sender.writer.write(hl7(control_id="RAW"))
            answer = await sender.answer()
            assert msa(answer)[1:3] == ["AR", "RAW"]
            assert err(answer)[0][5].startswith("HT-MSG-08")
            await sender.close()

    run(body())


def test_a_sender_that_leaves_in_the_middle(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            sender.writer.write(b"\x0b" + hl7()[:60])
            await sender.writer.drain()
            await sender.close()
            await asyncio.sleep(0.1)
            assert await kept(gateway) == []
            assert gateway.metrics.connections.values == {("cut",): 1.0}

    run(body())


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file grow beyond `size`: what a full disk does to the journal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestFullDisk:
    def test_refused_and_taken_when_there_is_room_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                sender = await Sender.connect(gateway.mllp_port)
                big = "x" * 30_000
                assert msa(await sender.ask(hl7(control_id="first")))[1] == "AA"
                await gateway.intake.drained()
                with file_size_limit((tmp_path / "journal.sqlite-wal").stat().st_size + 100_000):
                    answers = [
                        await sender.ask(hl7(control_id=f"C{number}", obx=(("A", big, "F"),)))
                        for number in range(8)
                    ]
                codes = [msa(answer)[1] for answer in answers]
                assert codes[0] == "AA"
                assert codes[-1] == "AR"
                assert err(answers[-1])[0][5].startswith("HT-MSG-41")
                # What was accepted is there, what was refused is not; its sender tries again.
                await gateway.intake.drained()
                assert await kept(gateway) == ["stored"] * (1 + codes.count("AA"))
                assert msa(await sender.ask(hl7(control_id="C7", obx=(("A", big, "F"),))))[1] == "AA"
                await sender.close()

        run(body())

    def test_refused_before_the_disk_is_full(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path, min_free_mib=10**9) as gateway:
                sender = await Sender.connect(gateway.mllp_port)
                answer = await sender.ask(hl7())
                assert msa(answer)[1:3] == ["AR", "M1"]
                assert err(answer)[0][5].startswith("HT-MSG-41")
                await sender.close()

        run(body())
