"""Gateways over temporary data folders, and messages to send them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from gateway.app import Gateway, build
from gateway.ingest.hl7v2 import Maps
from gateway.settings import Settings
from tests.gateway.trial_maps import TrialMaps


def hl7(
    *,
    control_id: str = "M1",
    event: str = "ORU^R01",
    sent: str = "20260315083012",
    patient: str = "P0001",
    name: str = "张^三丰",
    card: str = "",
    obx: tuple[tuple[str, str, str], ...] = (("WBC", "12.5", "F"),),
    extra: tuple[str, ...] = (),
    source: str = "LIS|H1",
    charset: str = "UNICODE UTF-8",
    tail: str = "",
    pid: bool = True,
) -> bytes:
    """A message as an analyser sends it; `tail` follows MSH-12."""
    header = f"MSH|^~\\&|{source}|GW|XYLYGT|{sent}||{event}|{control_id}|P|2.4{tail or '||||||' + charset}"
    lines = [header]
    if pid:
        lines.append(f"PID|1||{patient}^^^H1^MR||{name}||19850101|M|||||||||||{card}")
    if event.startswith("ORU"):
        lines.append("OBR|1|REQ1|LAB1|XCG^血常规|||20260315081500")
        lines += [
            f"OBX|{number}|NM|{code}^项目^L||{value}|g/L|||||{status}"
            for number, (code, value, status) in enumerate(obx, 1)
        ]
    lines += extra
    codec = "gb18030" if "GB" in charset.upper() else "utf-8"
    return "\r".join(lines).encode(codec) + b"\r"


@asynccontextmanager
async def running(folder: Path, *, maps: Maps | None = None, **chosen: Any) -> AsyncIterator[Gateway]:
    """A gateway that receives and processes; its store is in memory unless `store` says otherwise."""
    values = {"data": folder, "store": "memory", "mllp_port": 0, "min_free_mib": 0, **chosen}
    gateway = await build(Settings(**values), maps=maps or TrialMaps())
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


class Sender:
    """An MLLP sender: `send` writes frames, `answer` reads one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int | None, **tls: Any) -> "Sender":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**26, **tls))

    async def send(self, *messages: bytes) -> None:
        self.writer.write(b"".join(b"\x0b" + message + b"\x1c\r" for message in messages))
        await self.writer.drain()

    async def answer(self, codec: str = "utf-8") -> str:
        """The next acknowledgement, without its frame."""
        frame = await asyncio.wait_for(self.reader.readuntil(b"\x1c\r"), 20)
        assert frame[:1] == b"\x0b"
        return frame[1:-2].decode(codec)

    async def ask(self, message: bytes, codec: str = "utf-8") -> str:
        await self.send(message)
        return await self.answer(codec)

    async def hung_up(self) -> bytes:
        """What still came before the other side closed."""
        try:
            return await asyncio.wait_for(self.reader.read(), 20)
        finally:
            await self.close()

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, asyncio.IncompleteReadError):
            await self.writer.wait_closed()


def msa(answer: str) -> list[str]:
    """The fields of MSA."""
    return next(line.split("|") for line in answer.split("\r") if line.startswith("MSA"))


def err(answer: str) -> list[list[str]]:
    """The fields of every ERR."""
    return [line.split("|") for line in answer.split("\r") if line.startswith("ERR")]
