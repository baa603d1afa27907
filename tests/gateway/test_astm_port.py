"""Laboratory devices on their own port: frames, acknowledgements, results by sample number, questions (LIS01/02-A2)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway, build
from gateway.channels.astm import AstmPort
from gateway.settings import Settings
from gateway.store.protocol import Commit, Put
from mappings.astm import AstmMessage, parse
from mappings.astm.frames import ACK, ENQ, EOT, NAK, STX, to_frames, unframe
from terminology.fhirjson import Json, decode_resource

RESULT = (
    "H|\\^&|||XN-550^00-11^12345||||||||E1394-97|20260315083100\rP|1|||{patient}|{name}\r"
    "O|1|{sample}||^^^WBC|R\rR|1|^^^WBC|{value}|10*9/L|3.5-9.5|H||F||||20260315083000\rL|1|N\r"
)
QUESTION = "H|\\^&|||XN-550\rQ|1|^{sample}||ALL||||||||O\rL|1|N\r"


def result(*, sample: str = "S0001", value: str = "12.50", patient: str = "", name: str = "") -> bytes:
    return RESULT.format(sample=sample, value=value, patient=patient, name=name).encode("gb18030")


class Device:
    """An analyser's side of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> int:
        """Send, and return the one byte that comes back."""
        self.writer.write(data)
        await self.writer.drain()
        return (await asyncio.wait_for(self.reader.readexactly(1), 10))[0]

    async def send(self, text: bytes) -> list[int]:
        """Send a whole message and return every answer."""
        answers = [await self.say(bytes([ENQ]))]
        answers += [await self.say(frame) for frame in to_frames(text)]
        self.writer.write(bytes([EOT]))
        await self.writer.drain()
        return answers

    async def listen(self) -> AstmMessage:
        """Take what the other side sends, acknowledging each frame."""
        assert (await asyncio.wait_for(self.reader.readexactly(1), 10))[0] == ENQ
        self.writer.write(bytes([ACK]))
        raw = b""
        while True:
            first = (await asyncio.wait_for(self.reader.readexactly(1), 10))[0]
            if first == EOT:
                (message,) = parse(raw)
                return message
            assert first == STX
            raw += bytes([first]) + await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 10)
            self.writer.write(bytes([ACK]))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Gateway, Device]]:
    settings = Settings(data=folder, store="memory", mllp=False, astm=True, astm_port=0, min_free_mib=0)
    gateway = await build(settings)
    await gateway.start()
    (port,) = [port for port in gateway.ports if isinstance(port, AstmPort)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port)
    try:
        yield gateway, Device(reader, writer)
    finally:
        writer.close()
        await gateway.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def order(
    gateway: Gateway, *, sample: str = "S0001", patient: str = "p1", name: str = "张三丰"
) -> None:
    """What the HIS ordered: a patient, an order, a specimen with its bar code."""
    rows: list[Json] = [
        {"resourceType": "Patient", "id": patient, "name": [{"text": name}], "gender": "male",
         "birthDate": "1985-01-01", "identifier": [{"system": "urn:id:H1", "value": f"no-{patient}"}]},
        {"resourceType": "ServiceRequest", "id": f"r-{patient}", "status": "active", "intent": "order",
         "priority": "stat", "subject": {"reference": f"Patient/{patient}"}, "authoredOn": "2026-03-15T08:00:00+08:00",
         "code": {"text": "血常规", "coding": [{"system": "http://loinc.org", "code": "58410-2"}, {"code": "XCG"}]}},
        {"resourceType": "Specimen", "id": f"s-{patient}", "subject": {"reference": f"Patient/{patient}"},
         "accessionIdentifier": {"system": "urn:id:H1", "value": sample},
         "request": [{"reference": f"ServiceRequest/r-{patient}"}]},
    ]  # fmt: skip
    await gateway.store.commit(Commit([Put(row) for row in rows]))


async def stored(gateway: Gateway, type: str) -> list[Json]:
    await gateway.intake.drained()
    return [decode_resource(row.body) async for row in gateway.store.history(type) if row.body is not None]


class TestResults:
    def test_a_result_finds_patient_order_and_specimen_by_its_sample_number(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                assert set(await device.send(result())) == {ACK}
                (found,) = await stored(gateway, "Observation")
                assert found["subject"] == {"reference": "Patient/p1"}
                assert found["basedOn"] == [{"reference": "ServiceRequest/r-p1"}]
                assert found["specimen"] == {"reference": "Specimen/s-p1"}
                assert str(found["valueQuantity"]["value"]) == "12.50"
                (report,) = await stored(gateway, "DiagnosticReport")
                assert report["result"] == [{"reference": f"Observation/{found['id']}"}]
                assert len(await stored(gateway, "Patient")) == 1
                assert len(await stored(gateway, "Specimen")) == 1

        run(body())

    def test_without_an_order_it_waits_and_a_replay_stores_it(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                assert set(await device.send(result())) == {ACK}
                await gateway.intake.drained()
                entry = gateway.journal.entry(1, with_raw=True)
                assert entry is not None
                assert (entry.state, entry.detail["issues"][0]["code"]) == ("parked", "HT-ASTM-10")
                await order(gateway)
                await gateway.intake.replay([1])
                (found,) = await stored(gateway, "Observation")
                assert found["subject"] == {"reference": "Patient/p1"}

        run(body())

    def test_a_number_of_two_patients_is_nobodys_result(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                await order(gateway, patient="p2", name="李四")
                await device.send(result())
                await gateway.intake.drained()
                entry = gateway.journal.entry(1)
                assert entry is not None
                assert (entry.state, entry.detail["issues"][0]["code"]) == ("parked", "HT-ASTM-11")
                assert await stored(gateway, "Observation") == []

        run(body())

    def test_another_name_on_the_device_is_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                await device.send(result(patient="P9", name="李四"))
                await gateway.intake.drained()
                entry = gateway.journal.entry(1)
                assert entry is not None
                assert entry.state == "stored"
                assert "HT-ASTM-13" in [row["code"] for row in entry.detail["issues"]]
                assert [row["id"] for row in await stored(gateway, "Patient")] == ["p1"]

        run(body())

    def test_the_same_transmission_twice_is_stored_once(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                await device.send(result())
                await device.send(result())
                assert len(await stored(gateway, "Observation")) == 1
                assert gateway.journal.last_id() == 1

        run(body())


class TestLine:
    """LIS01-A2 §8.3"""

    def test_a_wrong_checksum_is_asked_for_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                assert await device.say(bytes([ENQ])) == ACK
                frames = list(to_frames(result()))
                assert await device.say(frames[0][:-4] + b"00\r\n") == NAK
                assert [await device.say(frame) for frame in frames] == [ACK] * len(frames)
                assert len(await stored(gateway, "Observation")) == 1

        run(body())

    def test_a_frame_in_pieces_and_a_frame_sent_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                await device.say(bytes([ENQ]))
                frames = list(to_frames(result()))
                device.writer.write(frames[0][:5])
                await asyncio.sleep(0.05)
                assert await device.say(frames[0][5:]) == ACK
                assert await device.say(frames[0]) == ACK
                assert [await device.say(frame) for frame in frames[1:]] == [ACK] * (len(frames) - 1)
                assert len(await stored(gateway, "Observation")) == 1

        run(body())

    def test_records_without_an_end_are_kept_and_wait(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await device.send(result().replace(b"L|1|N\r", b""))
                for _ in range(100):
                    if gateway.journal.last_id():
                        break
                    await asyncio.sleep(0.02)
                await gateway.journal.settled()
                entry = gateway.journal.entry(1, with_raw=True)
                assert entry is not None
                assert (entry.state, entry.detail["issues"][0]["code"]) == ("parked", "HT-ASTM-07")
                assert entry.raw is not None
                assert b"12.50" in entry.raw

        run(body())

    @pytest.mark.parametrize("noise", [b"\x00\xff\x10", b"GET / HTTP/1.1\r\n\r\n", b"\x02\x02\x03"])
    def test_noise_harms_nothing(self, tmp_path: Path, noise: bytes) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                device.writer.write(noise)
                assert ACK in await device.send(result())
                assert len(await stored(gateway, "Observation")) == 1

        run(body())


class TestQuestions:
    """LIS02-A2 §11"""

    def test_a_device_asks_and_hears_its_orders(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                assert set(await device.send(QUESTION.format(sample="S0001").encode())) == {ACK}
                answer = await device.listen()
                person, asked, end = (answer.segment(name) for name in "POL")
                assert person is not None
                assert asked is not None
                assert end is not None
                codec = "gb18030"
                assert [person.get(n, codec=codec) for n in (3, 6, 8, 9)] == [
                    "no-p1",
                    "张三丰",
                    "19850101",
                    "M",
                ]
                assert (asked.get(3), asked.get(5, 4), asked.get(6), asked.get(12)) == (
                    "S0001",
                    "XCG",
                    "S",
                    "N",
                )
                assert end.get(3) == "F"

        run(body())

    def test_nothing_to_measure_is_said(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (_, device):
                await device.send(QUESTION.format(sample="unknown").encode())
                answer = await device.listen()
                assert [record.name for record in answer.segments] == ["H", "L"]
                end = answer.segment("L")
                assert end is not None
                assert end.get(3) == "I"

        run(body())

    def test_question_and_answer_on_one_line_and_then_results(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, device):
                await order(gateway)
                await device.send(QUESTION.format(sample="S0001").encode())
                await device.listen()
                assert set(await device.send(result())) == {ACK}
                assert len(await stored(gateway, "Observation")) == 1

        run(body())


class TestMessages:
    """POST /messages/astm"""

    def test_refusals_are_worded_in_records(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, _):
                answer = await gateway.intake.receive(b"nothing", peer="test", kind="astm", channel="http")
                assert answer.now is not None
                (message,) = parse(answer.now)
                comment, end = message.segment("C"), message.segment("L")
                assert comment is not None
                assert end is not None
                assert comment.line.startswith("C|1|L|HT-ASTM-01 这不是 ASTM 消息")
                assert end.get(3) == "R"
                assert gateway.journal.count("parked") == 1

        run(body())

    def test_framed_bytes_are_taken_as_they_are(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as (gateway, _):
                await order(gateway)
                raw = bytes([ENQ]) + b"".join(to_frames(result())) + bytes([EOT])
                answer = await gateway.intake.receive(raw, peer="test", kind="astm", channel="http")
                assert answer.now is not None
                assert answer.now.endswith(b"L|1|N\r")
                assert len(await stored(gateway, "Observation")) == 1
                entry = gateway.journal.entry(1, with_raw=True)
                assert entry is not None
                assert entry.raw == raw
                assert unframe(raw) == result()

        run(body())
