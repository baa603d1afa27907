"""What was decided about members, line by line: who, when, what, why; each line covers the one before (SHA-256)."""

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from terminology.fhirjson import Json

FIRST = "0" * 64
STEP = 4_096


class Ledger:
    """An append-only file of JSON lines; the gateway and the command line may write at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, *, at: datetime, **facts: object) -> Json:
        """Append one line, durable before this returns; give it back."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            last = _last(file)
            before = sha256(last).hexdigest() if last else FIRST
            row: Json = {"at": at.isoformat(timespec="seconds"), "event": event, **facts, "before": before}
            file.write(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def rows(self) -> Iterator[Json]:
        """Yield the lines, oldest first."""
        for line in self._lines():
            yield json.loads(line)

    def is_whole(self) -> bool:
        """Return whether no line was changed or taken out."""
        before = FIRST
        for line in self._lines():
            try:
                if json.loads(line).get("before") != before:
                    return False
            except ValueError:
                return False
            before = sha256(line).hexdigest()
        return True

    def _lines(self) -> list[bytes]:
        """Return the lines that were written to their end; what a power cut left behind them was never given back."""
        whole = self.path.read_bytes() if self.path.is_file() else b""
        return whole.split(b"\n")[:-1]


def _last(file: BinaryIO) -> bytes:
    """Return the last line, b"" without one; an unfinished one behind it is taken away."""
    size = file.seek(0, os.SEEK_END)
    length = STEP
    while True:
        start = max(0, size - length)
        file.seek(start)
        *lines, unfinished = file.read(size - start).split(b"\n")
        if len(lines) >= 2 or start == 0:
            break
        length *= 4
    if unfinished:
        file.truncate(size - len(unfinished))
    return lines[-1] if lines else b""
