"""The journal: keep, find, finish, replay.

Every message is here before its sender hears "accepted" (docs/design.md, decision 8). Identical content of the same
source under the same control id is known again, also after a restart.
"""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from gateway.journal.detail import issue_row
from gateway.journal.entry import Checkpoint, Done, Entry, Incoming, Receipt, State
from gateway.journal.listing import COLUMNS, Filter, Page, entries, to_entry
from gateway.journal.schema import connect
from gateway.journal.writer import Writer
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Unavailable

FILE = "journal.sqlite"
HOUR_MS = 3_600_000
CONFLICT = "HT-MSG-06"

# Content under a control id whose other content is younger than this is a conflict, not a new message.
SAME = "select id, state from message where source = ? and control_id = ? and hash = ? order by id limit 1"
OTHER = "select max(received) from message where source = ? and control_id = ? and hash <> ?"
INSERT = """insert into message
  (received, kind, channel, peer, source, control_id, event, keys, hash, request_id, size, state, detail)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
COUNT_CODE = """insert into unmapped values (?, ?, ?, ?, ?, 1, ?, ?)
  on conflict do update set count = count + 1, last_message = excluded.last_message, display = excluded.display"""
FINISH = (
    """update message set state = ?, detail = ?, attempts = attempts + 1, next_attempt = ? where id = ?"""
)
CHECKPOINT = "select value from checkpoint where source = ?"
NOTE = "insert or replace into checkpoint values (?, ?, ?)"
REOPEN = "update message set state = 'received', attempts = 0, next_attempt = 0 where id = ?"


class Journal:
    """The journal of one data folder. Only one process writes at a time (gateway/lock.py); others may read."""

    def __init__(
        self,
        folder: Path,
        *,
        control_id_reuse_hours: float = 24.0,
        min_free_mib: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.reuse_ms = int(control_id_reuse_hours * HOUR_MS)
        self.min_free = min_free_mib * 1024 * 1024
        self._writer = Writer(connect(folder / FILE, writing=True))
        self._reader = Reader(folder)

    async def keep(
        self, messages: Sequence[Incoming], *, checkpoint: Checkpoint | None = None
    ) -> Sequence[Receipt]:
        """Make messages durable, all or none, and say for each what was done. Raises Unavailable when the disk is full.

        `checkpoint` becomes durable with them: a source that is killed goes on behind what was kept, no earlier, no later.
        """
        try:
            return await self._writer.submit(lambda connection: self._keep(connection, messages, checkpoint))
        except (apsw.FullError, apsw.IOError) as error:
            raise Unavailable("HT-MSG-41", detail=str(error)) from error

    async def note(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable that comes with no message."""
        await self._writer.submit(lambda connection: _note(connection, checkpoint))

    def checkpoint(self, source: str) -> bytes | None:
        """Return how far a source was read, None when it never was."""
        return self._reader.checkpoint(source)

    def finish(self, done: Done, *, is_urgent: bool = False) -> "asyncio.Future[None]":
        """Note how an attempt ended, soon; a crash before that only makes the message be processed again."""
        return self._writer.submit(lambda connection: _finish(connection, done), is_urgent=is_urgent)

    async def settled(self) -> None:
        """Wait until everything noted so far is on the disk."""
        await self._writer.submit(lambda _: None)

    async def reopen(self, ids: Sequence[int]) -> None:
        """Put messages back to `received`, to be processed again."""
        await self._writer.submit(lambda connection: connection.executemany(REOPEN, [(id,) for id in ids]))

    def entry(self, id: int, *, with_raw: bool = False) -> Entry | None:
        return self._reader.entry(id, with_raw=with_raw)

    async def entries(self, wanted: Filter, *, before: int | None = None, count: int = 50) -> Page:
        return await asyncio.to_thread(self._reader.entries, wanted, before=before, count=count)

    async def unmapped(self, *, domain: str | None = None, count: int = 100, offset: int = 0) -> list[Json]:
        return await asyncio.to_thread(self._reader.unmapped, domain=domain, count=count, offset=offset)

    def due(self, *, after: int, count: int) -> list[int]:
        """Return ids of open messages whose time has come, in the order of arrival, after id `after`."""
        return self._reader.due(after=after, count=count)

    def last_id(self) -> int:
        """Return the number of the newest message, 0 when there is none."""
        return self._reader.last_id()

    def counts(self) -> dict[str, int]:
        return self._reader.counts()

    def count(self, state: State) -> int:
        return self._reader.counts().get(state, 0)

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def _keep(
        self, connection: apsw.Connection, messages: Sequence[Incoming], checkpoint: Checkpoint | None
    ) -> list[Receipt]:
        if self.min_free:
            disk = os.statvfs(self.folder)
            if disk.f_bavail * disk.f_frsize < self.min_free:
                raise Unavailable("HT-MSG-41", detail=f"< {self.min_free // (1024 * 1024)} MiB")
        receipts = [self._keep_one(connection, message) for message in messages]
        if checkpoint is not None:
            _note(connection, checkpoint)
        return receipts

    def _keep_one(self, connection: apsw.Connection, message: Incoming) -> Receipt:
        same = connection.execute(SAME, (message.source, message.control_id, message.hash)).fetchone()
        if same is not None:
            return self._known_again(connection, message, *same)
        problem, outcome = message.problem, "new"
        if message.control_id and problem is None:
            identity = (message.source, message.control_id, message.hash)
            other = connection.execute(OTHER, identity).get
            if other is not None and message.received - other < self.reuse_ms:
                problem, outcome = issue_row(conflict(message).issues[0]), "conflict"
        state = "parked" if problem is not None else "received"
        detail = msgspec.json.encode({"issues": [problem]} if problem else {}).decode()
        row = (
            message.received, message.kind, message.channel, message.peer, message.source, message.control_id,
            message.event, "\n".join(message.keys), message.hash, message.request_id, len(message.raw), state, detail,
        )  # fmt: skip
        connection.execute(INSERT, row)
        id = connection.last_insert_rowid()
        connection.execute("insert into raw values (?, ?)", (id, message.raw))
        return Receipt(id, outcome, state)  # type: ignore[arg-type]  # both are literals above

    def _known_again(self, connection: apsw.Connection, message: Incoming, id: int, state: Any) -> Receipt:
        """The same content again. One that was refused for what is no longer wrong gets its chance."""
        if state == "parked" and message.problem is None:
            detail: str = connection.execute("select detail from message where id = ?", (id,)).get
            codes = [row.get("code") for row in msgspec.json.decode(detail).get("issues", ())]
            if codes == [CONFLICT]:
                return Receipt(id, "conflict", "parked")
            connection.execute(REOPEN, (id,))
            return Receipt(id, "new", "received")
        return Receipt(id, "repeat", state)


class Reader:
    """Reading only; may run in any thread and beside the process that writes."""

    def __init__(self, folder: Path) -> None:
        self._connection = connect(folder / FILE, writing=False)
        self._lock = threading.Lock()

    def entry(self, id: int, *, with_raw: bool = False) -> Entry | None:
        with self._lock:
            row = self._connection.execute(f"select {COLUMNS} from message where id = ?", (id,)).fetchone()  # noqa: S608
            if row is None:
                return None
            raw = None
            if with_raw:
                raw = self._connection.execute("select bytes from raw where id = ?", (id,)).get
            return to_entry(row, raw)

    def entries(self, wanted: Filter, *, before: int | None = None, count: int = 50) -> Page:
        with self._lock:
            return entries(self._connection, wanted, before=before, count=count)

    def unmapped(self, *, domain: str | None = None, count: int = 100, offset: int = 0) -> list[Json]:
        """Return the mapping work list: the codes that most messages wait for first."""
        names = ("domain", "system", "code", "source", "display", "count", "first_message", "last_message")
        where = "where domain = ?" if domain else ""
        statement = f"select {', '.join(names)} from unmapped {where} order by count desc, domain, code limit ? offset ?"  # noqa: S608
        with self._lock:
            rows = self._connection.execute(statement, [*([domain] if domain else []), count, offset])
            return [dict(zip(names, row, strict=True)) for row in rows]

    def due(self, *, after: int, count: int) -> list[int]:
        statement = """select id from message where state in ('received', 'mapped', 'failed')
          and next_attempt <= ? and id > ? order by id limit ?"""
        with self._lock:
            now = int(time.time() * 1000)
            return [id for (id,) in self._connection.execute(statement, (now, after, count))]

    def checkpoint(self, source: str) -> bytes | None:
        """Return how far a source was read, None when it never was."""
        with self._lock:
            try:
                found: bytes | None = self._connection.execute(CHECKPOINT, (source,)).get
            except apsw.SQLError:
                # A journal of before there were sources; the gateway adds the table when it starts.
                return None
            return found

    def last_id(self) -> int:
        with self._lock:
            return int(self._connection.execute("select coalesce(max(id), 0) from message").get)

    def counts(self) -> dict[str, int]:
        """Return how many messages are in each state that is not the end."""
        with self._lock:
            rows = self._connection.execute(
                "select state, count(*) from message where state <> 'stored' group by state"
            )
            return {str(state): int(number) for state, number in rows}

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def conflict(message: Incoming) -> BusinessRule:
    """What the sender hears when another content has the same control id."""
    return BusinessRule(CONFLICT, source="MSH-10", sender=message.source, control_id=message.control_id)


def _note(connection: apsw.Connection, checkpoint: Checkpoint) -> None:
    connection.execute(NOTE, (checkpoint.source, checkpoint.value, int(time.time() * 1000)))


def _finish(connection: apsw.Connection, done: Done) -> None:
    connection.execute(
        FINISH, (done.state, msgspec.json.encode(done.detail).decode(), done.next_attempt, done.id)
    )
    if done.unmapped:
        row = connection.execute("select source, counted from message where id = ?", (done.id,)).fetchone()
        if row is not None and not row[1]:
            _count(connection, done, row[0])


def _count(connection: apsw.Connection, done: Done, source: str) -> None:
    """A message counts once, however often it is replayed."""
    for code in dict.fromkeys(done.unmapped):
        row = (code.domain, code.system, code.code, source, code.display, done.id, done.id)
        connection.execute(COUNT_CODE, row)
    connection.execute("update message set counted = 1 where id = ?", (done.id,))
