"""A drop folder (shared disk, SFTP account): whole files are taken, kept in the journal, and moved out of the way.

A file is never deleted and never taken half: it is read when its rule says that it is whole, moved to `processed` after
the journal has it, and to `failed` with the reasons beside it when it cannot be taken. What was taken and not yet moved
when the power went is recognised by its content.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

from gateway.journal.detail import issue_row
from gateway.sources.reading import Door, Look, reasons
from gateway.sources.source import Folder
from terminology.fhirjson import Json, encode_pretty
from terminology.issues import FhirError, Issue, TooLarge, Unavailable

UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
MARKER = ".ok"
REASONS = ".reasons.json"
# A look takes this many files; the next one goes on with the others.
MOST_FILES = 1_000
ROWS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class _Seen:
    size: int
    modified: int
    since: float


class FolderReader:
    """`limit`: largest file in bytes; `clock`: monotonic seconds."""

    def __init__(
        self, source: Folder, door: Door, *, limit: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.source, self.door, self.limit, self.clock = source, door, limit, clock
        self._seen: dict[Path, _Seen] = {}

    async def look(self) -> Look:
        """Take every whole file, oldest first; raises Unavailable (HT-TAB-12) when the folder can't be read or written."""
        found = Look()
        try:
            paths = await asyncio.to_thread(self._whole)
            for path in paths:
                await self._take(path, found)
        except OSError as error:
            raise Unavailable(
                "HT-TAB-12", name=self.source.name, reason=error.strerror or str(error)
            ) from None
        return found

    # Which files are whole

    def _whole(self) -> list[Path]:
        source = self.source
        now = self.clock()
        seen: dict[Path, _Seen] = {}
        whole: list[tuple[int, Path]] = []
        for entry in os.scandir(source.path):
            name = entry.name
            if (
                name.startswith(".")
                or name.lower().endswith((*UNFINISHED, MARKER))
                or not entry.is_file(follow_symlinks=False)
            ):
                continue
            if not fnmatchcase(name, source.pattern):
                continue
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            path = source.path / name
            known = self._seen.get(path)
            same = known is not None and (known.size, known.modified) == (stat.st_size, stat.st_mtime_ns)
            seen[path] = known if same and known is not None else _Seen(stat.st_size, stat.st_mtime_ns, now)
            if self._is_whole(path, seen[path], now):
                whole.append((stat.st_mtime_ns, path))
        self._seen = seen
        return [path for _, path in sorted(whole)[:MOST_FILES]]

    def _is_whole(self, path: Path, seen: _Seen, now: float) -> bool:
        if self.source.ready == "marker":
            return self._marker(path) is not None
        if self.source.ready == "rename":
            return True
        # A copy over the network grows; an empty file is one that was just made.
        return seen.size > 0 and now - seen.since >= self.source.stable_seconds

    def _marker(self, path: Path) -> Path | None:
        """NAME.csv.ok, or NAME.ok."""
        for marker in (path.with_name(path.name + MARKER), path.with_suffix(MARKER)):
            if marker.is_file():
                return marker
        return None

    # Taking one

    async def _take(self, path: Path, found: Look) -> None:
        try:
            raw = await asyncio.to_thread(self._read, path)
        except FileNotFoundError:
            return
        except FhirError as error:
            await self._fail(path, error.issues, [*reasons(error)], found)
            return
        try:
            refused = await self._hand_on(raw, path.name, found)
        except Unavailable:
            # Nothing is wrong with the file: it stays, and the next look takes it.
            raise
        except FhirError as error:
            await self._fail(path, error.issues, reasons(error), found)
            return
        if refused:
            # The rows or messages are kept and parked; the file tells which.
            await asyncio.to_thread(self._move, path, self.source.failed, refused)
            found.failed_files += 1
        else:
            await asyncio.to_thread(self._move, path, self.source.processed, None)
        found.files += 1

    def _read(self, path: Path) -> bytes:
        size = path.stat().st_size
        if size > self.limit:
            raise TooLarge("HT-TAB-15", file=path.name, size=size, limit=self.limit)
        return path.read_bytes()

    async def _hand_on(self, raw: bytes, name: str, found: Look) -> list[Json]:
        """Hand on a file; return the reasons of what was refused in it."""
        source = self.source
        kind = source.adapter or self._kind_of(raw)
        if kind == "table":
            return await self._hand_on_rows(raw, name, found)
        taken = await self.door.take_file(raw, source.name, kind=kind, map=source.map, name=name)
        found.count(taken)
        return [issue_row(issue) for row in taken if row.error is not None for issue in row.issues]

    def _kind_of(self, raw: bytes) -> str:
        from mappings.convert import guess_kind

        kind = guess_kind(raw)
        return kind if kind in self.door.intake.kinds else "table"

    async def _hand_on_rows(self, raw: bytes, name: str, found: Look) -> list[Json]:
        """A sheet may have a million rows: they are handed on in portions, with what the whole sheet told."""
        from mappings.rows import read_sheets

        source = self.source
        sheets = await asyncio.to_thread(read_sheets, raw)
        refused: list[Json] = []
        for sheet in sheets:
            for start in range(0, len(sheet.rows), ROWS_AT_ONCE):
                part = sheet.part(start, start + ROWS_AT_ONCE)
                taken = await self.door.take_sheet(part, source.name, map=source.map, name=name)
                found.count(taken)
                for number, row in enumerate(taken, start + 1):
                    if row.error is not None:
                        place = {"sheet": sheet.name, "row": number} if sheet.name else {"row": number}
                        refused += [{**place, **issue_row(issue)} for issue in row.issues]
                await self.door.breathe()
            found.issues += sheet.issues
        return refused

    async def _fail(self, path: Path, issues: tuple[Issue, ...], told: list[Json], found: Look) -> None:
        await asyncio.to_thread(self._move, path, self.source.failed, told)
        found.issues += issues
        found.files += 1
        found.failed_files += 1

    def _move(self, path: Path, folder: str, told: list[Json] | None) -> None:
        """Rename within the file system: whole or not at all. Two files of one name are both kept."""
        target = self.source.path / folder
        target.mkdir(parents=True, exist_ok=True)
        place = target / path.name
        if place.exists():
            mark = sha256(path.read_bytes()).hexdigest()[:12]
            place = target / f"{path.stem}.{mark}{path.suffix}"
            number = 1
            while place.exists():
                place = target / f"{path.stem}.{mark}.{number}{path.suffix}"
                number += 1
        if told is not None:
            # The reasons first: a file in `failed` never stands there unexplained.
            place.with_name(place.name + REASONS).write_bytes(
                encode_pretty({"file": path.name, "reasons": told[:1000]})
            )
        marker = self._marker(path) if self.source.ready == "marker" else None
        os.replace(path, place)
        if marker is not None:
            marker.unlink(missing_ok=True)
