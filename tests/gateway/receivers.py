"""Systems that take messages: an MLLP listener and an HTTP server on real sockets, which remember what they got."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from mappings.hl7v2 import parse


class Receiver:
    """`taken`: every message; `effects`: control id → message, what a receiver that knows duplicates has in the end."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.effects: dict[str, bytes] = {}
        self.port = 0
        self.arrived = asyncio.Event()

    async def wait(self, count: int, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while len(self.taken) < count:
                self.arrived.clear()
                await self.arrived.wait()

    def note(self, control_id: str, body: bytes) -> None:
        self.taken.append(body)
        self.effects.setdefault(control_id, body)
        self.arrived.set()


Reply = Callable[[str, bytes], bytes | list[bytes] | None]


def ack(code: str, control_id: str, text: str = "") -> bytes:
    return f"MSH|^~\\&|HIS|H1|HUTONG||20260315||ACK|A{control_id}|P|2.4\rMSA|{code}|{control_id}|{text}\r".encode()


@asynccontextmanager
async def mllp_receiver(
    reply: Reply | None = None, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """`reply`: (control id, message) → the frames to answer with; None hangs up without an answer. AA when left out."""
    receiver = Receiver()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                frame = await reader.readuntil(b"\x1c\r")
                body = frame[1:-2]
                control_id = parse(body).control_id or ""
                receiver.note(control_id, body)
                answer = reply(control_id, body) if reply else ack("AA", control_id)
                if answer is None:
                    break
                for part in answer if isinstance(answer, list) else [answer]:
                    writer.write(b"\x0b" + part + b"\x1c\r")
                await writer.drain()
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls, limit=2**24)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in list(writers):
            writer.close()
        await asyncio.sleep(0)
        await server.wait_closed()


@asynccontextmanager
async def http_receiver(
    reply: Callable[[dict[str, str], bytes], tuple[int, bytes] | tuple[int, bytes, dict[str, str]]]
    | None = None,
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Receiver]:
    """`reply`: (headers, body) → status and body (and headers); 200 without body when left out."""
    receiver = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                headers[":method"], headers[":path"] = first.split(" ")[:2]
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                receiver.headers.append(headers)
                receiver.note(headers.get("x-delivery-id", ""), body)
                status, content, *more = reply(headers, body) if reply else (200, b"")
                fields: dict[str, Any] = more[0] if more else {}
                told = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{told}\r\n".encode() + content
                )
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls, limit=2**24)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
