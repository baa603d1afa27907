"""Frames of ASTM E1381 (LIS01-A2 §8): STX number text ETB|ETX checksum CR LF, without I/O.

Frame numbers run 1…7, 0, 1…; the checksum is the sum of the bytes after STX, ETB or ETX included, as two hexadecimal
digits. A text longer than one frame goes on in the next (ETB); its last frame ends with ETX. Bytes are framed before
they are decoded: no control byte occurs inside a character of GB 18030 or UTF-8.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from terminology.issues import MalformedMessage

STX, ETX, EOT, ENQ, ACK, NAK, ETB, LF, CR = 0x02, 0x03, 0x04, 0x05, 0x06, 0x15, 0x17, 0x0A, 0x0D
# §8.3.1.1: 240 characters of text a frame; later editions allow more, and devices send more.
TEXT_BYTES = 240
MOST_TEXT = 64_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame whose checksum holds. `is_last`: it ended with ETX."""

    number: int
    text: bytes
    is_last: bool


class BadFrame(ValueError):
    """A frame that must be sent again (NAK); the text says why."""


def checksum(body: bytes) -> bytes:
    """Return the two digits for the bytes from the frame number to ETB or ETX."""
    return b"%02X" % (sum(body) % 256)


def read_frame(raw: bytes) -> Frame:
    """Return the frame that `raw` (from STX to the checksum, CR and LF optional) is; raises BadFrame."""
    body = raw.rstrip(b"\r\n")
    if len(body) < 5 or body[0] != STX:
        raise BadFrame("no STX, number, ETX and checksum")
    inner, given = body[1:-2], body[-2:].upper()
    if inner[-1] not in (ETX, ETB):
        raise BadFrame("no ETX or ETB before the checksum")
    if checksum(inner) != given:
        raise BadFrame(f"checksum {given.decode('latin-1')!r}, expected {checksum(inner).decode()!r}")
    if not 0x30 <= inner[0] <= 0x37:
        raise BadFrame(f"frame number {chr(inner[0])!r} is not 0 … 7")
    return Frame(inner[0] - 0x30, inner[1:-1], inner[-1] == ETX)


def to_frames(text: bytes) -> Iterator[bytes]:
    """Yield the frames of a message, a record to a frame; records end with CR."""
    number = 0
    for record in text.splitlines(keepends=True):
        record = record.rstrip(b"\r\n") + b"\r"
        for start in range(0, len(record), TEXT_BYTES):
            part = record[start : start + TEXT_BYTES]
            is_last = start + TEXT_BYTES >= len(record)
            number = (number + 1) % 8
            body = b"%d" % number + part + bytes([ETX if is_last else ETB])
            yield bytes([STX]) + body + checksum(body) + b"\r\n"


def unframe(raw: bytes) -> bytes:
    """Return the text of a recorded transmission; bytes without frames are the text already.

    Raises MalformedMessage (HT-ASTM-02, 03): a checksum that is wrong, a frame that is missing.
    """
    if STX not in raw:
        return raw.strip(bytes((ENQ, EOT, ACK, NAK)))
    found = bytearray()
    expected: int | None = None
    at = raw.find(STX)
    count = 0
    while at >= 0:
        count += 1
        end = _end(raw, at)
        try:
            frame = read_frame(raw[at:end])
        except BadFrame as bad:
            raise MalformedMessage("HT-ASTM-02", source=f"frame {count}", reason=str(bad)) from None
        between = raw.find(ENQ, max(0, at - 3), at) >= 0
        if expected is None or between:
            expected = frame.number
        if frame.number == (expected - 1) % 8 and not between and found.endswith(frame.text):
            # Sent again because its ACK was lost (§8.3.4).
            at = raw.find(STX, end)
            continue
        if frame.number != expected:
            raise MalformedMessage(
                "HT-ASTM-03", source=f"frame {count}", number=frame.number, expected=expected
            )
        found += frame.text
        expected = (frame.number + 1) % 8
        at = raw.find(STX, end)
    return bytes(found)


def _end(raw: bytes, start: int) -> int:
    """Return where the frame that begins at `start` ends: two digits after ETX or ETB."""
    ends = [place for mark in (ETX, ETB) if (place := raw.find(mark, start)) >= 0]
    return min(ends) + 3 if ends else len(raw)
