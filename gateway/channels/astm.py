"""The port of laboratory devices: ASTM E1381 over TCP. Results in; what a device asks for (Q) out.

A device connects, or a serial server does for it. One line is one conversation: it sends, or it listens. After a
question the line turns around when the device has ended its transfer, and the answer is sent with the time limits of
the standard (§8.3.5): 15 seconds for a reply, six tries a frame; in a contention the device goes first.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from gateway.channels.astm_link import Ended, Event, Heard, Link, Say, Whole
from gateway.channels.port import port_taken
from gateway.metrics import Metrics
from mappings.astm.frames import ACK, ENQ, EOT, NAK, to_frames

log = logging.getLogger("gateway.channels.astm")

# §8.3.5.1: no frame for 30 seconds ends the transfer.
FRAME_SECONDS = 30.0
REPLY_SECONDS = 15.0
BUSY_SECONDS = 10.0
TRIES = 6
IDLE_SECONDS = 24 * 3600.0
CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message: `is_kept` decides ACK or NAK; `answer` goes back when the line is free."""

    is_kept: bool
    answer: bytes | None = None


class Take(Protocol):
    async def __call__(self, text: bytes, *, peer: str) -> Taken: ...


class AstmPort:
    """The listener. `take` keeps a message; `limit`: bytes of one message; `most`: open lines.

    `port` is where it listens once it was started (of interest when it was 0).
    """

    def __init__(self, host: str, port: int, take: Take, *, limit: int, most: int, metrics: Metrics) -> None:
        self.host, self.port = host, port
        self.take, self.limit, self.most, self.metrics = take, limit, most, metrics
        self.lines: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        try:
            self._server = await asyncio.start_server(self._accept, self.host, self.port, limit=CHUNK)
        except OSError as error:
            raise port_taken(self.host, self.port, error, option="astm-port") from None
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for line in self.lines:
            line.cancel()
        if self.lines:
            await asyncio.wait(self.lines)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self.lines) >= self.most:
            log.warning("ASTM connection refused: too many")
            writer.close()
            return
        self.lines.add(task)
        address = writer.get_extra_info("peername")
        peer = f"{address[0]}:{address[1]}" if address else "?"
        try:
            await Line(self, reader, writer, peer).run()
            self.metrics.connections.add("closed")
        except (ConnectionError, TimeoutError):
            self.metrics.connections.add("reset")
        except asyncio.CancelledError:
            # Only `stop` cancels; the server's own task handling must not see it as a failure.
            self.metrics.connections.add("stopped")
        finally:
            self.lines.discard(task)
            writer.close()


class Line:
    """One connection: receives until EOT, then sends what is due."""

    def __init__(
        self, port: AstmPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        self.port, self.reader, self.writer, self.peer = port, reader, writer, peer
        self.link = Link(port.limit)
        self.due: list[bytes] = []
        self._heard: list[int] = []

    async def run(self) -> None:
        while await self._receive(FRAME_SECONDS if self.link.is_receiving else IDLE_SECONDS):
            while self.due and not self.link.is_receiving:
                await self._send(self.due.pop(0))

    async def _receive(self, seconds: float) -> bool:
        """Take what comes next; False when the device hung up or stayed silent while idle."""
        try:
            async with asyncio.timeout(seconds):
                data = await self.reader.read(CHUNK)
        except TimeoutError:
            if not self.link.is_receiving:
                return False
            self._give_up(seconds)
            return True
        if not data:
            if self.link.is_receiving and self.link.frames:
                self._give_up(0.0)
            return False
        await self._handle(self.link.feed(data))
        return True

    async def _handle(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Say(byte):
                    await self._say(bytes([byte]))
                case Whole(text):
                    taken = await self.port.take(text, peer=self.peer)
                    if taken.answer is not None:
                        self.due.append(taken.answer)
                    await self._handle(self.link.kept(taken.is_kept))
                case Ended(rest):
                    if rest.strip():
                        # Records without a terminator: they are kept, and wait for a person.
                        await self.port.take(rest, peer=self.peer)
                case Heard(byte):
                    self._heard.append(byte)

    async def _say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def _give_up(self, seconds: float) -> None:
        count = self.link.reset()
        log.warning(
            "ASTM transfer not finished",
            extra={"peer": self.peer, "frames": count, "seconds": seconds, "codes": ["HT-ASTM-12"]},
        )

    async def _send(self, message: bytes) -> None:
        """Send one message; it is given up, with a word in the log, when the device doesn't take it."""
        if not await self._enquire():
            return
        for frame in to_frames(message):
            if not await self._frame(frame):
                log.warning("ASTM device did not take a frame", extra={"peer": self.peer})
                break
        await self._say(bytes([EOT]))

    async def _enquire(self) -> bool:
        for _ in range(TRIES):
            await self._say(bytes([ENQ]))
            reply = await self._reply(REPLY_SECONDS)
            if reply == ACK:
                return True
            if self.link.is_receiving:
                # Contention (§8.2.7.1): the device sends first; its transfer is taken, then it is our turn again.
                while self.link.is_receiving:
                    if not await self._receive(FRAME_SECONDS):
                        return False
            elif reply is None:
                await self._say(bytes([EOT]))
                return False
            else:
                await asyncio.sleep(BUSY_SECONDS if reply == NAK else 0.0)
        return False

    async def _frame(self, frame: bytes) -> bool:
        for _ in range(TRIES):
            await self._say(frame)
            reply = await self._reply(REPLY_SECONDS)
            # §8.3.3.2: EOT in answer to a frame takes it and asks to be heard.
            if reply in (ACK, EOT):
                return True
            if reply is None:
                return False
        return False

    async def _reply(self, seconds: float) -> int | None:
        """Return the next byte that the device says, None when it says nothing in time or begins to send."""
        self._heard.clear()
        try:
            async with asyncio.timeout(seconds):
                while not self._heard:
                    if not await self._receive(seconds + 1) or self.link.is_receiving:
                        return None
        except TimeoutError:
            return None
        return self._heard.pop(0)
