"""Records of devices that came before their order: when the order comes, they are processed again and find it.

Which message waits for which number stands in the journal, so that a restart in between forgets nothing.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.journal import Checkpoint, Journal
from gateway.store.protocol import Commit, Put
from terminology.fhirjson import decode, encode

if TYPE_CHECKING:
    from gateway.ingest.intake import Intake

log = logging.getLogger("gateway.ingest")

WAITING = "order:"
# More records under one number than this are a number that means nothing (0, 123).
MOST = 50


class LateOrders:
    """`intake` is given when it is there; until then orders that come are found by nobody's message."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.intake: Intake | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def wait(self, id: int, numbers: Sequence[str]) -> None:
        """Note that message `id` waits for the orders of these numbers."""
        for number in numbers:
            ids = self._waiting(number)
            if id not in ids and len(ids) < MOST:
                await self.journal.note(Checkpoint(WAITING + number, encode([*ids, id])))

    def arrived(self, commit: Commit) -> None:
        """Look whether something waits for an order that was written."""
        if self.intake is None:
            return
        for change in commit.changes:
            if not isinstance(change, Put) or change.resource.get("resourceType") != "ServiceRequest":
                continue
            rows = [*change.resource.get("identifier", ()), change.resource.get("requisition") or {}]
            for number in {
                str(row.get("value")) for row in rows if isinstance(row, dict) and row.get("value")
            }:
                ids = self._waiting(number)
                if ids:
                    task = asyncio.ensure_future(self._again(number, ids, self.intake))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what has begun."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _again(self, number: str, ids: list[int], intake: "Intake") -> None:
        # First the note: a message that finds no order after all notes itself again.
        await self.journal.note(Checkpoint(WAITING + number, encode([])))
        log.info("an order came after its record", extra={"messages": ids})
        await intake.replay(ids)

    def _waiting(self, number: str) -> list[int]:
        raw = self.journal.checkpoint(WAITING + number)
        return [int(id) for id in decode(raw)] if raw else []
