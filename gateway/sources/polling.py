"""All sources of a gateway, each looked at in its rhythm; a port that is started last and stopped first."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from gateway.journal import Checkpoint
from gateway.metrics import Metrics
from gateway.sources.reading import Door, Look, Reader, reasons
from gateway.sources.source import Database, Folder, Interface, Source
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, Issue, NotFound

log = logging.getLogger("gateway.sources")

# A source that fails is tried again after its own rhythm, doubled each time up to this.
LONGEST_WAIT_SECONDS = 300.0
STOP_SECONDS = 10.0
# Where the end of the last look is noted, beside the position.
STATE = "state:"


class Polling:
    """`sources` by name; `limit`: the largest file in bytes."""

    def __init__(self, sources: Sequence[Source], door: Door, *, metrics: Metrics, limit: int) -> None:
        self.door = door
        self.sources: Mapping[str, Source] = {source.name: source for source in sources}
        self.readers = {source.name: reader_of(source, door, limit=limit) for source in sources}
        self.looks = metrics.counter(
            "hutong_source_looks_total", "Looks at sources by end.", ("source", "end")
        )
        self.messages = metrics.counter(
            "hutong_source_messages_total",
            "Messages and rows of sources by what became of them.",
            ("source", "outcome"),
        )
        self.files = metrics.counter(
            "hutong_source_files_total", "Files of drop folders by end.", ("source", "end")
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._locks = {name: asyncio.Lock() for name in self.sources}
        self._is_stopping = asyncio.Event()

    async def start(self) -> None:
        for name in self.sources:
            self._tasks.append(asyncio.create_task(self._keep_looking(name)))

    async def rest(self) -> None:
        """Look only when told to."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def stop(self) -> None:
        """End after the look that is under way; what is not handed on stays where it is."""
        self._is_stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        await self.rest()
        for reader in self.readers.values():
            close = getattr(reader, "close", None)
            if close is not None:
                await close()

    async def look(self, name: str) -> Json:
        """Look at one source now and return what it came to; raises NotFound (HT-TAB-11)."""
        if name not in self.sources:
            raise NotFound("HT-TAB-11", name=name[:80], known=", ".join(self.sources) or "-")
        async with self._locks[name]:
            return await self._look(name)

    def shown(self) -> list[Json]:
        """Return every source with its position and the end of its last look."""
        return [describe(source, self.door.journal.checkpoint) for source in self.sources.values()]

    def settling_seconds(self, name: str) -> float:
        """Return how long a file must lie unchanged before it is taken, 0 where that is no rule."""
        source = self.sources[name]
        return source.stable_seconds if isinstance(source, Folder) and source.ready == "stable" else 0.0

    async def _keep_looking(self, name: str) -> None:
        wait = self.sources[name].every_seconds
        while not self._is_stopping.is_set():
            state = await self.look(name)
            every = self.sources[name].every_seconds
            wait = (
                every
                if state["end"] != "failed"
                else min(max(wait * 2, every), max(LONGEST_WAIT_SECONDS, every))
            )
            try:
                async with asyncio.timeout(wait):
                    await self._is_stopping.wait()
            except TimeoutError:
                continue

    async def _look(self, name: str) -> Json:
        started = time.perf_counter()
        issues: Sequence[Issue] = ()
        found = Look()
        end = "ok"
        try:
            found = await self.readers[name].look()
            issues = found.issues
        except FhirError as error:
            end, issues = "failed", error.issues
            log.warning(
                "source could not be read", extra={"source": name, "codes": [issue.code for issue in issues]}
            )
        except Exception:
            log.exception("source could not be read", extra={"source": name})
            end, issues = "failed", (Issue("HT-TAB-12", {"name": name, "reason": "unexpected, see the log"}),)
        self.looks.add(name, end)
        for outcome, count in (
            ("taken", found.taken),
            ("repeated", found.repeated),
            ("refused", found.refused),
        ):
            if count:
                self.messages.add(name, outcome, by=count)
        if found.files:
            self.files.add(name, "processed", by=found.files - found.failed_files)
            self.files.add(name, "failed", by=found.failed_files)
        state: Json = {
            "end": end,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "milliseconds": round((time.perf_counter() - started) * 1000),
            "taken": found.taken,
            "repeated": found.repeated,
            "refused": found.refused,
            "files": found.files,
            "failed_files": found.failed_files,
            "issues": reasons(FhirError(issues))[:20] if issues else [],
        }
        if end == "failed" or found.taken or found.refused or found.files:
            await self.door.journal.note(Checkpoint(f"{STATE}{name}", encode(state)))
        return state


def reader_of(source: Source, door: Door, *, limit: int) -> Reader:
    """Return the reader of a source; what it needs is imported when it first reads."""
    if isinstance(source, Folder):
        from gateway.sources.folder import FolderReader

        return FolderReader(source, door, limit=limit)
    if isinstance(source, Database):
        from gateway.sources.database import DatabaseReader

        return DatabaseReader(source, door)
    assert isinstance(source, Interface)
    from gateway.sources.interface import InterfaceReader

    return InterfaceReader(source, door)


def describe(source: Source, checkpoint: Callable[[str], bytes | None]) -> Json:
    """Return a source as lists show it: no secrets, its position, the end of its last look."""
    last, position = checkpoint(f"{STATE}{source.name}"), checkpoint(source.name)
    return {
        "name": source.name,
        "kind": source.kind,
        "place": source.place,
        "adapter": source.adapter or "auto",
        "map": source.map,
        "every_seconds": source.every_seconds,
        "position": decode(position) if position else {},
        "last": decode(last) if last else None,
    }
