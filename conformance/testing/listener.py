"""Where a member sends its messages while it is tested: an MLLP listener that answers as the test says, and files."""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from conformance.testing.client import Unreachable
from conformance.testing.hl7 import read_fields
from conformance.testing.wire import SECONDS, send_frames
from terminology.issues import FhirError

MAX_BYTES = 8 * 1024 * 1024
ODDLY = ("late", "split")
LATE_SECONDS, SPLIT_SECONDS = 1.0, 0.2
_FRAME = re.compile(rb"\x0b(.*?)\x1c\r", re.DOTALL)


class Files:
    """Sample files as what the member would send; each is taken once an event, then again from the first."""

    def __init__(self, folder: Path) -> None:
        self.messages: list[bytes] = []
        for path in sorted(folder.rglob("*.hl7"))[:2000]:
            if path.stat().st_size <= MAX_BYTES:
                self.messages.append(path.read_bytes())

    def take(self, event: str, *, answer: str, prompt: str) -> bytes:
        """Return the sample of `event`. Files hear no negative answer: such a test needs the member itself."""
        if answer != "AA":
            raise Unreachable(f"{prompt}：样例文件听不到应答 / sample files hear no answer")
        for raw in self.messages:
            if _event(raw) == event:
                return raw
        raise Unreachable(f"没有 {event} 的样例文件 / no sample file of {event}")


class Listener:
    """One connection at a time, read in a thread; what came waits in a queue until a test takes it."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        seconds: float,
        tell: Callable[[str], None] | None = None,
        acknowledge: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self.seconds, self.tell, self._acknowledge = seconds, tell, acknowledge
        self._server = socket.create_server((host, port))
        self._server.settimeout(0.2)
        self.port = int(self._server.getsockname()[1])
        self._came: queue.Queue[tuple[bytes, socket.socket]] = queue.Queue(maxsize=1000)
        self._is_open = True
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        self._thread.join(timeout=2)
        self._server.close()

    def take(self, event: str, *, answer: str, prompt: str) -> bytes:
        if self.tell is not None:
            self.tell(prompt)
        ends = time.monotonic() + self.seconds
        while time.monotonic() < ends:
            try:
                raw, line = self._came.get(timeout=max(0.01, ends - time.monotonic()))
            except queue.Empty:
                break
            is_wanted = _event(raw) == event
            if not (is_wanted and answer == "none"):
                how = answer if is_wanted else "AA"
                code = "AA" if how in ODDLY else how
                # Where the test wants no fault, the centre itself says what it thinks of the message.
                said = self._acknowledge(raw) if code == "AA" and self._acknowledge is not None else b""
                _reply(line, raw, code, said, how=how)
            if is_wanted:
                return raw
        raise Unreachable(f"no {event} within {self.seconds:g} s")

    def _accept(self) -> None:
        while self._is_open:
            try:
                line, _ = self._server.accept()
            except OSError:
                continue
            threading.Thread(target=self._read, args=(line,), daemon=True).start()

    def _read(self, line: socket.socket) -> None:
        held = b""
        line.settimeout(0.5)
        with line:
            while self._is_open:
                try:
                    piece = line.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                held += piece
                if not piece or len(held) > MAX_BYTES:
                    return
                while found := _FRAME.search(held):
                    held = held[found.end() :]
                    self._came.put((found[1], line))


class MllpLine:
    """The member's receiver at host and port."""

    def __init__(self, host: str, port: int, *, seconds: float = SECONDS) -> None:
        self.host, self.port, self.seconds = host, port, seconds

    def exchange(self, raw: bytes, *, pieces: int = 1, is_framed: bool = True, pause: float = 0.0) -> bytes:
        framed = b"\x0b" + raw + b"\x1c\r" if is_framed else raw
        return send_frames(self.host, self.port, framed, seconds=self.seconds, pieces=pieces, pause=pause)


def acknowledge(raw: bytes, code: str) -> bytes:
    """Return the acknowledgement of a message with `code` in MSA-1 (HL7 v2.5.1 §2.9)."""
    fields = read_fields(raw)

    def first(path: str) -> str:
        return next(iter(fields.values(path)), "")

    event = first("MSH-9.2")
    return (
        f"MSH|^~\\&|HUTONG|CENTRE|{first('MSH-3')}|{first('MSH-4')}|{time.strftime('%Y%m%d%H%M%S')}||ACK^{event}|"
        f"A{time.time_ns()}|P|2.4\rMSA|{code}|{first('MSH-10')}\r"
    ).encode()


def _reply(line: socket.socket, raw: bytes, code: str, said: bytes = b"", *, how: str = "") -> None:
    """Answer; `late` after a second, `split` in three writes: right answers that a careless reader misses."""
    try:
        frame = b"\x0b" + (said or acknowledge(raw, code)) + b"\x1c\r"
        if how == "late":
            time.sleep(LATE_SECONDS)
        third = max(1, len(frame) // 3) if how == "split" else len(frame)
        for start in range(0, len(frame), third):
            line.sendall(frame[start : start + third])
            if how == "split":
                time.sleep(SPLIT_SECONDS)
    except (OSError, FhirError):
        return


def _event(raw: bytes) -> str:
    try:
        fields = read_fields(raw)
    except FhirError:
        return ""
    code, event = fields.values("MSH-9.1"), fields.values("MSH-9.2")
    return f"{code[0] if code else ''}^{event[0] if event else ''}"
