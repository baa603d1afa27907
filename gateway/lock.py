"""One process writes in a data folder: a lock that the system releases when the process ends, however it ends."""

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from terminology.issues import BusinessRule, Unavailable

FILE = "hutong.lock"


class DataLock:
    """Held while open. The file tells others who holds it and where it listens."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+")
        except OSError as error:
            raise Unavailable("HT-CLI-16", path=folder, detail=error.strerror) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            owner = holder(folder) or {}
            told = owner.get("url") or f"pid {owner.get('pid', '?')}"
            raise BusinessRule("HT-CLI-12", path=folder, owner=told) from None
        self.tell({})

    def tell(self, facts: dict[str, Any]) -> None:
        """Write who we are beside the lock."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps({"pid": os.getpid(), **facts}))
        self._file.flush()

    def close(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.close()

    def __enter__(self) -> "DataLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder(folder: Path) -> dict[str, Any] | None:
    """Return what the process that holds the folder tells of itself; None when no process holds it."""
    path = folder / FILE
    try:
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                try:
                    return dict(json.loads(file.read() or "{}"))
                except ValueError:
                    return {}
            return None
    except OSError:
        return None
