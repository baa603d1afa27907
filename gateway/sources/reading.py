"""What one look at a source came to, and what a reader is given to hand rows and files on."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ingest.intake import Intake, Taken
from gateway.ingest.kind import Origin
from gateway.ingest.table import Table
from gateway.journal import Checkpoint, Journal
from gateway.journal.detail import issue_row
from mappings.rows import Rows
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, Issue

CHANNEL = "source"
MOST_OPEN = 20_000


@dataclass(slots=True)
class Look:
    """Counts of one look: messages taken, known already, refused (kept, parked); `files` moved; `issues` of the source."""

    taken: int = 0
    repeated: int = 0
    refused: int = 0
    files: int = 0
    failed_files: int = 0
    issues: list[Issue] = field(default_factory=list)

    def count(self, rows: Sequence[Taken]) -> None:
        for row in rows:
            if row.receipt is not None and row.receipt.outcome == "repeat":
                self.repeated += 1
            elif row.verdict == "accept":
                self.taken += 1
            else:
                self.refused += 1


class Reader(Protocol):
    """One look at a source: everything that is new is handed on; raises FhirError when the source can't be read."""

    async def look(self) -> Look: ...


@dataclass(frozen=True, slots=True)
class Door:
    """How a reader hands on: the intake for messages, `table` for rows, the journal for how far it got."""

    intake: Intake
    journal: Journal
    table: Table

    def position(self, source: str) -> Json:
        """Return the last checkpoint of a source, {} at the beginning."""
        raw = self.journal.checkpoint(source)
        return decode(raw) if raw else {}

    async def take_sheet(
        self, sheet: Rows, source: str, *, map: str, name: str = "", position: Json | None = None
    ) -> Sequence[Taken]:
        """Hand on rows as one batch. `position`: how far the source is read with them, durable together with them."""
        checkpoint = Checkpoint(source, encode(position)) if position is not None else None
        await self.intake.warmed()
        peer = f"{source}/{name}" if name else source
        origin = Origin(CHANNEL, peer, secrets.token_hex(8), int(time.time() * 1000), source, map)
        admissions = self.table.admit_sheet(sheet, origin) if sheet.rows else ()
        return await self.intake.keep(admissions, origin, checkpoint=checkpoint)

    async def take_file(self, raw: bytes, source: str, *, kind: str, map: str, name: str) -> Sequence[Taken]:
        return await self.intake.take(
            raw, kind=kind, channel=CHANNEL, peer=f"{source}/{name}", source=source, map=map
        )

    async def breathe(self) -> None:
        """Wait while more is kept than can be processed soon: the source can hold it longer than the disk."""
        while self.journal.count("received") > MOST_OPEN:  # noqa: ASYNC110 (the journal is a file: it signals nothing)
            await asyncio.sleep(0.2)
        await asyncio.sleep(0)


def reasons(error: FhirError) -> list[Json]:
    return [issue_row(issue) for issue in error.issues]
