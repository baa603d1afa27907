"""A small HTTP/1.1 load client: N connections, each one request after the other, for some seconds.

Keep-alive, raw asyncio protocols, answers read by Content-Length: about 40 µs of CPU a request, so that the server
and not the client is measured.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True)
class Figures:
    """`rate` answers a second, latencies in milliseconds, `errors` answers outside of 2xx."""

    rate: float
    p50: float
    p95: float
    p99: float
    errors: int


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) >= end + 4 + length:
            status = int(self.buffer[9:12])
            self.last = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            if self.answer is not None and not self.answer.done():
                self.answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError("closed"))

    async def send(self, request: bytes) -> int:
        self.answer = asyncio.get_running_loop().create_future()
        assert self.transport is not None
        self.transport.write(request)
        return await self.answer


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/fhir+json\r\n"
    if body:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


async def load(port: int, connections: int, seconds: float, make: Callable[[int], bytes]) -> Figures:
    """Send what `make(number)` gives over `connections` connections for `seconds`."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    errors = 0
    number = 0
    end = time.perf_counter() + seconds

    async def run() -> None:
        nonlocal errors, number
        _, protocol = await loop.create_connection(_Connection, "127.0.0.1", port)
        while time.perf_counter() < end:
            number += 1
            data = make(number)
            start = time.perf_counter()
            status = await protocol.send(data)
            times.append(time.perf_counter() - start)
            errors += not 200 <= status < 300
        assert protocol.transport is not None
        protocol.transport.close()

    start = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(connections)))
    elapsed = time.perf_counter() - start
    times.sort()
    return Figures(
        len(times) / elapsed,
        times[len(times) // 2] * 1000,
        times[len(times) * 95 // 100] * 1000,
        times[min(len(times) - 1, len(times) * 99 // 100)] * 1000,
        errors,
    )
