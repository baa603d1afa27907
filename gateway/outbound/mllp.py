"""The MLLP sender: one frame out, its acknowledgement in, on a connection that stays open.

Enhanced mode (HL7 v2.4 §2.9.3): with `ack: accept` the accept acknowledgement (CA) is the end, with `both` the
application acknowledgement that follows it on the same connection.
"""

import asyncio
import ssl

from gateway.channels.frames import Frame, Framer
from gateway.outbound.answer import ANSWER_LIMIT, read_ack
from gateway.outbound.delivery import Letter, Verdict
from gateway.outbound.destination import Destination, Tls

# How many acknowledgements of other messages may come before ours (a receiver that answered late).
_STRAYS = 20


class MllpSender:
    """One connection to one receiver; not for two messages at a time."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        host, _, port = destination.address.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._tls = client_context(destination.tls) if destination.tls is not None else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._framer = Framer(ANSWER_LIMIT)
        self._frames: list[bytes] = []

    async def send(self, letter: Letter) -> Verdict:
        """Send one message and return what the receiver says; a connection that broke is opened once more."""
        for attempt in (1, 2):
            was_open = self._writer is not None
            try:
                async with asyncio.timeout(self._destination.timeout):
                    await self._open()
                    return await self._exchange(letter)
            except TimeoutError:
                await self.close()
                seconds = f"{self._destination.timeout:g}"
                return Verdict("unreachable", "timeout", f"no answer within {seconds} s")
            except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
                await self.close()
                # An idle connection that the receiver had closed is no failure; the same bytes go out again.
                if attempt == 1 and was_open:
                    continue
                return Verdict("unreachable", "connection", str(error)[:300] or type(error).__name__)
        raise AssertionError("unreachable")

    async def _open(self) -> None:
        if self._writer is not None and not self._writer.is_closing():
            return
        self._framer, self._frames = Framer(ANSWER_LIMIT), []
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._tls, server_hostname=self._host if self._tls else None
        )

    async def _exchange(self, letter: Letter) -> Verdict:
        assert self._writer is not None
        self._writer.write(b"\x0b" + letter.body + b"\x1c\r")
        await self._writer.drain()
        ack = self._destination.ack
        if ack == "none":
            return Verdict("accepted", "sent")
        first = await self._answer(letter.control_id)
        if ack != "both" or first.outcome != "accepted" or first.code != "CA":
            return first
        return await self._answer(letter.control_id)

    async def _answer(self, control_id: str) -> Verdict:
        for _ in range(_STRAYS):
            found = read_ack(await self._frame(), control_id)
            if found is not None:
                return found
        return Verdict("unreachable", "order", "the receiver acknowledges other messages only")

    async def _frame(self) -> bytes:
        assert self._reader is not None
        while not self._frames:
            data = await self._reader.read(65_536)
            if not data:
                raise ConnectionResetError("the receiver closed the connection without an acknowledgement")
            self._frames += [event.raw for event in self._framer.feed(data) if isinstance(event, Frame)]
        return self._frames.pop(0)

    async def close(self) -> None:
        writer, self._writer, self._reader = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            async with asyncio.timeout(1.0):
                await writer.wait_closed()
        except (OSError, ssl.SSLError, TimeoutError):
            # It is closed either way.
            return


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return the client side of TLS 1.2 or later: the receiver's certificate is checked, ours is shown when there is one."""
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None and tls.key is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context
