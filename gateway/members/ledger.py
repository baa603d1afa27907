"""What was decided about members, line by line: who, when, what, why; each line covers the one before (SHA-256)."""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from terminology.fhirjson import Json

FIRST = "0" * 64


class Ledger:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, *, at: datetime, **facts: object) -> Json:
        """Append one line, durable before this returns; give it back."""
        row: Json = {"at": at.isoformat(timespec="seconds"), "event": event, **facts, "before": self._last()}
        line = json.dumps(row, ensure_ascii=False, sort_keys=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        return row

    def rows(self) -> Iterator[Json]:
        """Yield the lines, oldest first."""
        if not self.path.is_file():
            return
        for line in self.path.read_text("utf-8").splitlines():
            if line.strip():
                yield json.loads(line)

    def is_whole(self) -> bool:
        """Return whether no line was changed or taken out."""
        before = FIRST
        for line in self.path.read_text("utf-8").splitlines() if self.path.is_file() else ():
            try:
                if json.loads(line).get("before") != before:
                    return False
            except ValueError:
                return False
            before = sha256(line.encode()).hexdigest()
        return True

    def _last(self) -> str:
        lines = self.path.read_text("utf-8").splitlines() if self.path.is_file() else []
        return sha256(lines[-1].encode()).hexdigest() if lines else FIRST
