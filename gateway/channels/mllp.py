"""The MLLP listener: frames in, acknowledgements out, in the order of the messages.

Answers wait for the journal, so a sender that does not wait for them pipelines its messages into one group commit.
"""

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from gateway.channels.frames import Cut, Event, Frame, Framer, Stray, TooLong
from gateway.metrics import Metrics
from terminology.issues import FhirError, MalformedMessage, TooLarge

log = logging.getLogger("gateway.channels.mllp")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sender may do."""

    bytes: int
    pending: int
    connections: int
    idle_seconds: float
    frame_seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """`now` is sent in turn (None: the sender wants none); `later` ends as the application acknowledgement, if any."""

    now: bytes | None
    later: "Awaitable[bytes | None] | None" = None


class Receive(Protocol):
    """What the listener asks of the intake."""

    async def __call__(self, raw: bytes, *, peer: str) -> Answer: ...


Refuse = Callable[[bytes, FhirError], bytes | None]


class Mllp:
    """The listener and its open connections.

    `receive` answers a whole message; `refuse` words the answer to bytes that are none (too long, cut, unframed).
    """

    def __init__(self, receive: Receive, refuse: Refuse, *, limits: Limits, metrics: Metrics) -> None:
        self.receive, self.refuse, self.limits, self.metrics = receive, refuse, limits, metrics
        self.connections: set[Connection] = set()
        self._is_empty = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port (of interest when it was 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, ssl=tls, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, *, seconds: float = 10.0) -> None:
        """Take no more bytes, send the answers that are due, then hang up."""
        if self._server is not None:
            self._server.close()
        if not self.connections:
            return
        self._is_empty.clear()
        for connection in list(self.connections):
            connection.finish()
        try:
            async with asyncio.timeout(seconds):
                await self._is_empty.wait()
        except TimeoutError:
            log.warning(
                "MLLP senders did not take their answers", extra={"connections": len(self.connections)}
            )
        for connection in list(self.connections):
            connection.abort("stopped")

    def left(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._is_empty.set()


class Connection(asyncio.Protocol):
    """One sender."""

    def __init__(self, listener: Mllp) -> None:
        self.listener = listener
        self.framer = Framer(listener.limits.bytes)
        self.peer = ""
        self._transport: asyncio.Transport
        self._answers: deque[asyncio.Task[Answer] | bytes | None] = deque()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last = self._frame_began = time.monotonic()
        self._is_finishing = self._is_paused = self._is_full = False
        self._end = "closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer(transport)
        if len(self.listener.connections) >= self.listener.limits.connections:
            log.warning("MLLP connection refused: too many", extra={"peer": self.peer})
            self.abort("too-many")
            return
        self.listener.connections.add(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._last = time.monotonic()
        was_inside = self.framer.is_inside
        events = self.framer.feed(data)
        if self.framer.is_inside and (events or not was_inside):
            self._frame_began = self._last
        for event in events:
            self._take(event)
        self._flush()
        self._balance()

    def eof_received(self) -> bool:
        if self.framer.is_inside:
            log.warning("MLLP sender left in the middle of a frame", extra={"peer": self.peer})
            self._end = "cut"
        self.finish()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.framer.is_inside and self._end == "closed":
            self._end = "cut"
        if self._timer is not None:
            self._timer.cancel()
        self.listener.left(self)
        self.listener.metrics.connections.add(
            "reset" if exc is not None and self._end == "closed" else self._end
        )

    def pause_writing(self) -> None:
        self._is_full = True
        self._balance()

    def resume_writing(self) -> None:
        self._is_full = False
        self._flush()
        self._balance()

    def finish(self) -> None:
        """Send what is due, then hang up."""
        self._is_finishing = True
        self._balance()
        self._flush()

    def abort(self, end: str) -> None:
        self._end = end
        self._transport.abort()

    def _take(self, event: Event) -> None:
        listener = self.listener
        match event:
            case Frame(raw):
                task = asyncio.ensure_future(listener.receive(raw, peer=self.peer))
                task.add_done_callback(self._answered)
                self._answers.append(task)
            case TooLong(head):
                self._answers.append(
                    listener.refuse(head, TooLarge("HT-MSG-05", limit=listener.limits.bytes))
                )
            case Cut(head):
                self._answers.append(listener.refuse(head, self._unfinished()))
            case Stray(head):
                self._answers.append(listener.refuse(head, MalformedMessage("HT-MSG-08")))

    def _answered(self, _: "asyncio.Task[Answer]") -> None:
        self._flush()
        self._balance()

    def _flush(self) -> None:
        """Send the answers whose turn it is."""
        answers = self._answers
        while answers and not self._transport.is_closing():
            first = answers[0]
            if isinstance(first, asyncio.Task):
                if not first.done():
                    break
                answers.popleft()
                if first.exception() is not None:
                    # The intake answers everything that a sender can do; this is ours.
                    log.error(
                        "message without an answer", exc_info=first.exception(), extra={"peer": self.peer}
                    )
                    self.abort("failed")
                    return
                answer = first.result()
                self._send(answer.now)
                if answer.later is not None:
                    self._send_later(answer.later)
            else:
                answers.popleft()
                self._send(first)
        if self._is_finishing and not answers and not self._tasks and not self._transport.is_closing():
            self._transport.close()

    def _send(self, message: bytes | None) -> None:
        if message is not None:
            self._transport.write(b"\x0b" + message + b"\x1c\r")

    def _send_later(self, pending: Awaitable[bytes | None]) -> None:
        task = asyncio.ensure_future(pending)
        self._tasks.add(task)

        def done(finished: "asyncio.Future[bytes | None]") -> None:
            self._tasks.discard(finished)
            if not finished.cancelled() and finished.exception() is None and not self._transport.is_closing():
                self._send(finished.result())
            self._flush()

        task.add_done_callback(done)

    def _balance(self) -> None:
        """Read only as fast as answers leave: the sender's TCP window does the rest."""
        if self._transport.is_closing():
            return
        should_pause = (
            self._is_finishing or self._is_full or len(self._answers) >= self.listener.limits.pending
        )
        if should_pause and not self._is_paused:
            self._transport.pause_reading()
        elif self._is_paused and not should_pause:
            self._transport.resume_reading()
        self._is_paused = should_pause

    def _watch(self) -> None:
        """Hang up on a silent sender, and on one whose frame never ends."""
        limits, now = self.listener.limits, time.monotonic()
        if self._transport.is_closing():
            return
        waiting = bool(self._answers or self._tasks)
        if self.framer.is_inside and not self._is_paused and now - self._frame_began >= limits.frame_seconds:
            self._end = "frame-timeout"
            self._answers.append(self.listener.refuse(self.framer.head(), self._unfinished()))
            self.finish()
        elif not waiting and not self.framer.is_inside and now - self._last >= limits.idle_seconds:
            self._end = "idle"
            self.finish()
        pause = min(limits.frame_seconds, limits.idle_seconds, 5.0) / 2
        self._timer = asyncio.get_running_loop().call_later(pause, self._watch)

    def _unfinished(self) -> FhirError:
        return MalformedMessage("HT-MSG-07", seconds=self.listener.limits.frame_seconds)


def tls_context(cert: Path, key: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the server side of TLS 1.2 or later; with `client_ca` every sender must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _peer(transport: asyncio.BaseTransport) -> str:
    """The sender's address, with the name of its certificate when it showed one."""
    address = transport.get_extra_info("peername")
    place = f"{address[0]}:{address[1]}" if address else "?"
    subject = (transport.get_extra_info("peercert") or {}).get("subject", ())
    names = [value for row in subject for key, value in row if key == "commonName"]
    return f"{names[0]}@{place}" if names else place
