"""Following what was written: a part that acts on changes beside the writes, and goes on after a stop where it was.

The store's history is asked again and again from where the last look ended. Looks overlap, because commits of one
moment become visible one after the other; what was done is not shown again. After a stop, or when a look did not do
all (`again`), a version is seen twice: whoever follows must not mind.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from gateway.store.protocol import Store, Version

OVERLAP = timedelta(seconds=5)
NEAR = timedelta(milliseconds=500)
"""Between two whole looks only what is newer than the newest seen, and a little more, is read again."""
WHOLE_SECONDS = 5.0
FIRST = timedelta(hours=1)
"""How far back the very first look goes."""


class Follower:
    """`file` keeps where it was, and `more` that its owner wants kept. `is_once`: what was done is not shown again."""

    def __init__(self, store: Store, file: Path, *, is_once: bool = True) -> None:
        self.store, self.file, self._is_once = store, file, is_once
        known = self._read()
        try:
            self._since = datetime.fromisoformat(known["since"])
        except (KeyError, TypeError, ValueError):
            # The store stamps with the machine's time, whatever the clock of this gateway says.
            self._since = datetime.now(UTC) - FIRST
        self._next = self._since
        self._newest = self._since
        self._whole_at = -WHOLE_SECONDS
        self.more: dict[str, Any] = known.get("more") or {}
        self._done: dict[tuple[str, str, int], datetime] = {}
        self._shown: dict[tuple[str, str, int], datetime] = {}
        self._written = ""

    async def changed(self, types: Sequence[str]) -> list[Version]:
        """Return the current versions of what was written since the last look, the oldest first; a deleted one is left out.

        Until `remember` was called, the same is returned again.
        """
        is_whole = not self._is_once or bool(self._shown) or monotonic() - self._whole_at >= WHOLE_SECONDS
        since = self._since if is_whole else max(self._since, self._newest - NEAR)
        self._shown.clear()
        newest = since
        found: dict[tuple[str, str], Version] = {}
        for type in types:
            async for version in self.store.history(type, since=since):
                newest = max(newest, version.last_updated)
                place = (version.type, version.id, version.version)
                if place in self._done:
                    continue
                self._shown[place] = version.last_updated
                found.setdefault((version.type, version.id), version)
        # What becomes visible late is found by a whole look: only that one moves the mark.
        self._next = max(self._since, newest - OVERLAP) if is_whole else self._since
        self._newest = max(self._newest, newest)
        if is_whole:
            self._whole_at = monotonic()
        rows = (row for row in found.values() if row.body is not None)
        return sorted(rows, key=lambda row: row.last_updated)

    def remember(self) -> None:
        """Go on from here, also after a stop; what was seen before must be done by now."""
        self._since = self._next
        if self._is_once:
            self._done.update(self._shown)
        self._shown.clear()
        self._done = {place: moment for place, moment in self._done.items() if moment >= self._since}
        text = json.dumps({"since": self._since.isoformat(), "more": self.more})
        if text == self._written:
            return
        new = self.file.with_suffix(".new")
        new.write_text(text, "utf-8")
        new.replace(self.file)
        self._written = text

    def again(self) -> None:
        """Show once more what this look showed: something of it could not be done."""
        self._shown.clear()
        self._next = self._since
        self._whole_at = -WHOLE_SECONDS

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
