"""The receiving side of ASTM E1381 (LIS01-A2 §8), without I/O: bytes and time in, answers and messages out.

ENQ opens a transfer, each frame is acknowledged (ACK) or asked for again (NAK), EOT ends it. The frame that ends a
message is acknowledged only when the message is kept (docs/design.md, decision 8): `Whole` asks for that.
"""

from dataclasses import dataclass

from mappings.astm.frames import ACK, ENQ, EOT, ETB, ETX, MOST_TEXT, NAK, STX, BadFrame, read_frame


@dataclass(frozen=True, slots=True)
class Say:
    """Send this byte."""

    byte: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A message is complete; send ACK when it is kept, NAK when it is not."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """EOT: the line is free. `rest`: records after the last whole message, b"" when all was taken."""

    rest: bytes


@dataclass(frozen=True, slots=True)
class Heard:
    """ACK, NAK or EOT while this side sends, or a byte that nobody expects."""

    byte: int


Event = Say | Whole | Ended | Heard


class Link:
    """One line. `limit`: bytes of one message. Feed bytes, get events in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.is_receiving = False
        self.frames = 0
        self._buffer = bytearray()
        self._text = bytearray()
        self._expected = 1
        self._last = b""

    def feed(self, data: bytes) -> list[Event]:
        self._buffer += data
        events: list[Event] = []
        while self._buffer:
            event = self._next()
            if event is None:
                break
            events.append(event)
            if isinstance(event, Whole):
                # What follows waits until the sender has heard the answer.
                break
        return events

    def kept(self, is_kept: bool) -> list[Event]:
        """Tell whether the message of `Whole` was kept; returns what to say and what came meanwhile."""
        if is_kept:
            self._advance()
            self._text.clear()
        else:
            # The sender repeats the last frame.
            del self._text[-len(self._last) :]
        return [Say(ACK if is_kept else NAK), *self.feed(b"")]

    def reset(self) -> int:
        """Forget an unfinished transfer (a silent sender); returns how many frames it had."""
        count, self.frames = self.frames, 0
        self.is_receiving = False
        self._buffer.clear()
        self._text.clear()
        return count

    def _next(self) -> Event | None:
        first = self._buffer[0]
        if first == ENQ:
            del self._buffer[:1]
            self._open()
            return Say(ACK)
        if not self.is_receiving:
            del self._buffer[:1]
            return Heard(first)
        if first == EOT:
            del self._buffer[:1]
            self.is_receiving = False
            rest = bytes(self._text)
            self._text.clear()
            return Ended(rest)
        if first != STX:
            return self._skip()
        return self._frame()

    def _open(self) -> None:
        self.is_receiving, self._expected, self.frames = True, 1, 0
        self._text.clear()
        self._last = b""

    def _skip(self) -> Event | None:
        """Noise between frames is passed over (§8.3.3: only the checksum speaks)."""
        at = next((place for place, byte in enumerate(self._buffer) if byte in (STX, EOT, ENQ)), -1)
        if at < 0:
            self._buffer.clear()
            return None
        del self._buffer[:at]
        return self._next() if self._buffer else None

    def _frame(self) -> Event | None:
        end = next((place for place, byte in enumerate(self._buffer) if byte in (ETX, ETB)), -1)
        if end < 0 or len(self._buffer) < end + 3:
            if len(self._buffer) > MOST_TEXT:
                self._buffer.clear()
                return Say(NAK)
            return None
        raw = bytes(self._buffer[: end + 3])
        del self._buffer[: end + 3]
        while self._buffer and self._buffer[0] in b"\r\n":
            del self._buffer[:1]
        try:
            frame = read_frame(raw)
        except BadFrame:
            return Say(NAK)
        if frame.number == (self._expected - 1) % 8 and frame.text == self._last:
            # Our ACK was lost and the frame came again (§8.3.4).
            return Say(ACK)
        if frame.number != self._expected or len(self._text) + len(frame.text) > self.limit:
            return Say(NAK)
        self._last = frame.text
        self._text += frame.text
        if frame.is_last and _ends_message(self._text):
            return Whole(bytes(self._text))
        self._advance()
        return Say(ACK)

    def _advance(self) -> None:
        self.frames += 1
        self._expected = (self._expected + 1) % 8


def _ends_message(text: bytes | bytearray) -> bool:
    """Whether the last record is the terminator (L)."""
    lines = bytes(text[-MOST_TEXT:]).rstrip(b"\r\n").replace(b"\n", b"\r").split(b"\r")
    return lines[-1][:1] == b"L" and not lines[-1][1:2].isalnum()
