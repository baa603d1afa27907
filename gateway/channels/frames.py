"""MLLP frames out of a stream of bytes, without I/O.

HL7 v2 "Transport Specification: MLLP", release 1: 0x0B message 0x1C 0x0D. 0x1C occurs in no message (it is no part of
a GB 18030 or UTF-8 character), so a frame whose sender forgets the 0x0D after it is whole all the same.
"""

from dataclasses import dataclass

START, END, RETURN = 0x0B, 0x1C, 0x0D
NOISE = b"\r\n \t\x00"
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole message."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class TooLong:
    """The beginning of a frame over the limit; the rest of it is skipped."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """The beginning of a frame that never ended because the next one began."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Stray:
    """Bytes outside any frame, told once until a frame begins."""

    head: bytes


Event = Frame | TooLong | Cut | Stray


class Framer:
    """Feed bytes, get events. Holds at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.is_inside = False
        self._is_skipping = False
        self._has_told_stray = False
        self._buffer = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> list[Event]:
        self._buffer += data
        events: list[Event] = []
        while self._buffer:
            go_on = self._inside(events) if self.is_inside else self._outside(events)
            if not go_on:
                break
        return events

    def head(self) -> bytes:
        """The beginning of the frame that is being received."""
        return bytes(self._buffer[:HEAD])

    def _outside(self, events: list[Event]) -> bool:
        buffer = self._buffer
        start = buffer.find(START)
        before = bytes(buffer[: start if start >= 0 else len(buffer)]).strip(NOISE)
        if before and not self._has_told_stray:
            self._has_told_stray = True
            events.append(Stray(before[:HEAD]))
        if start < 0:
            buffer.clear()
            return False
        del buffer[: start + 1]
        self.is_inside, self._is_skipping, self._has_told_stray, self._seen = True, False, False, 0
        return True

    def _inside(self, events: list[Event]) -> bool:
        buffer = self._buffer
        end = buffer.find(END, self._seen)
        while end >= 0 and end + 1 < len(buffer) and buffer[end + 1] not in (RETURN, START):
            end = buffer.find(END, end + 1)
        if end < 0:
            if len(buffer) > self.limit:
                if not self._is_skipping:
                    events.append(TooLong(bytes(buffer[:HEAD])))
                self._is_skipping = True
                buffer.clear()
            self._seen = len(buffer)
            return False
        content = bytes(buffer[:end])
        del buffer[: end + 1]
        self.is_inside, self._seen = False, 0
        if self._is_skipping:
            return True
        if len(content) > self.limit:
            events.append(TooLong(content[:HEAD]))
            return True
        again = content.rfind(b"\x0bMSH")
        if again > 0:
            events.append(Cut(content[:HEAD]))
            content = content[again + 1 :]
        events.append(Frame(content))
        return True
