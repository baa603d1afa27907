"""The embedded store: one SQLite file, one writer thread with group commit, readers beside it.

Commits that wait at the same moment share one transaction and one fsync; each of them succeeds or fails alone.
Checkpoints run on a thread of their own, so that no commit waits for them (docs/storage.md).
"""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic, thread_time
from typing import Any, Literal, TypeVar

import apsw

from conformance.definitions import SearchParameter
from gateway.search.dialect import SQLITE
from gateway.search.extract import Options
from gateway.search.parameters import Parameters
from gateway.search.plan import Found, Page, Plan, Statement, Words
from gateway.search.posted import Posted
from gateway.search.query import Query
from gateway.search.values import Index
from gateway.store import stamp
from gateway.store.job import Job
from gateway.store.protocol import Commit, OutboxRow, Put, Reindex, SearchPage, Version
from gateway.store.schema import SQLITE_ONLY, TABLES, VERSION
from gateway.store.sqlite_writer import METHODS, Writer, fetch, full_body
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, TooCostly, Unavailable

T = TypeVar("T")

GROUP = 128
"""Commits that share a transaction at most."""

WALK_SECONDS = 0.003
"""Processor time that a search may take of the event loop; a longer one starts again on a thread of its own."""

STEPS = 10_000
"""Steps of the database's machine between two looks at the clock."""

NEVER = float("inf")
UNSET = -1.0
CHECKPOINT_SECONDS = 1.0
HISTORY_CHUNK = 200


_Job = Job[Callable[["Writer"], Any]]


class SqliteStore:
    """`synchronous`: "full" survives a power cut, "normal" a killed process. `seconds`: the limit of one search."""

    def __init__(
        self,
        path: Path,
        parameters: Parameters | None = None,
        *,
        synchronous: Literal["full", "normal"] = "full",
        retention_minutes: int = 60,
        seconds: float = 30.0,
        clock: Callable[[], int] = stamp.now,
    ) -> None:
        self.parameters = parameters or Parameters(Options())
        self.path = path
        self._seconds = seconds
        self._retention_minutes = retention_minutes
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        with connection:
            connection.execute(TABLES + SQLITE_ONLY)
        self._secret = self._settings(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous.upper()}")
        self._words = Words()
        self._words.learn(
            list(connection.execute("SELECT value, id FROM word WHERE length(value) < 200 LIMIT 200000"))
        )
        self._writer = Writer(connection, self.parameters, self._words, clock)
        self._writer.plan = self._plan
        self._posted = Posted(self.parameters)
        self._load_posted(connection)
        self._reader = self._connect()
        self._deadline = NEVER
        self._reader.set_progress_handler(self._is_late, STEPS)
        self._walkers = ThreadPoolExecutor(2, "search")
        self._walker = threading.local()
        self._connections: list[apsw.Connection] = [connection, self._reader]
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._checkpoint_thread = threading.Thread(
            target=self._checkpoint, name="store-checkpoint", daemon=True
        )
        self._thread.start()
        self._checkpoint_thread.start()

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), statementcachesize=1000)
        connection.set_busy_timeout(10_000)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA mmap_size = 1073741824")
        return connection

    def _settings(self, connection: apsw.Connection) -> bytes:
        """Return the secret of the page cursors; made when the file is new."""
        with connection:
            rows = dict(connection.execute("SELECT name, value FROM setting"))
            if int(rows.get("schema", VERSION)) > VERSION:
                raise Unavailable("HT-STORE-05", found=rows["schema"], known=VERSION)
            connection.execute("INSERT OR IGNORE INTO setting VALUES ('schema', ?)", (VERSION,))
            connection.execute(
                "INSERT OR IGNORE INTO setting VALUES ('secret', ?)", (secrets.token_bytes(32),)
            )
            [secret] = fetch(connection, "SELECT value FROM setting WHERE name = 'secret'")
        return bytes(secret[0])

    def _load_posted(self, connection: apsw.Connection) -> None:
        """Put the stored SearchParameter resources in force again; an unfinished reindex goes on where it stopped."""
        number = self._words.numbers.get("SearchParameter")
        if number is None:
            return
        unfinished = {url for (url,) in connection.execute("SELECT url FROM reindex WHERE done < upto")}
        rows = fetch(
            connection,
            "SELECT rid, t, id, version, updated, method, body FROM version WHERE t = ? AND until = ? AND method <> 3",
            (number, self._writer.forever),
        )
        for row in rows:
            body = full_body(connection, Found(*row))
            definition = self._posted.note(Put(decode_resource(body or b"{}")))
            if definition is not None and definition.url not in unfinished:
                self.parameters.add(definition, is_ready=True)

    # Writing

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        extract = self.parameters.extract
        indexes = [
            extract(change.resource) if isinstance(change, Put) else Index() for change in commit.changes
        ]
        written: Sequence[Version | None] = await self._submit(lambda writer: writer.apply(commit, indexes))
        for change in commit.changes:
            definition = self._posted.note(change)
            if definition is not None:
                await self._submit(partial(_start, definition))
        return written

    async def _submit(self, run: Callable[["Writer"], T]) -> T:
        if self._stopped.is_set():
            raise Unavailable("HT-STORE-03")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(run, future))
        return await future

    def _write(self) -> None:
        """The writer thread. While it waits it holds nothing of the last transaction, which may have been large."""
        while self._write_waiting():
            pass

    def _write_waiting(self) -> bool:
        """Put everything that waits into one transaction; whether there will be more."""
        job = self._queue.get()
        if job is None:
            return False
        batch = [job]
        ends = False
        while len(batch) < GROUP and not ends:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                ends = True
            else:
                batch.append(more)
        self._transact(batch)
        loops = {id(loop): loop for loop in (one.future.get_loop() for one in batch)}
        for key, loop in loops.items():
            mine = [one for one in batch if id(one.future.get_loop()) == key]
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, mine)
        return not ends

    def _transact(self, batch: Sequence[_Job]) -> None:
        """Run the jobs in one transaction; when the database itself fails, each is tried once more alone."""
        writer = self._writer
        try:
            writer.begin()
            for job in batch:
                job.result = job.error = None
                try:
                    job.result = job.run(writer)
                except (FhirError, writer.expected) as error:
                    # Decided before anything of it was written.
                    job.error = error
            writer.end()
        except Exception as error:  # the thread must go on; the caller gets the error
            writer.roll_back()
            if len(batch) > 1:
                for job in batch:
                    self._transact([job])
            elif isinstance(error, apsw.Error):
                batch[0].error = Unavailable("HT-STORE-02", detail=type(error).__name__)
                batch[0].error.__cause__ = error
            else:
                batch[0].error = error

    def _checkpoint(self) -> None:
        """Copy the log into the file while nobody waits, drop index rows that no snapshot sees any more."""
        connection = self._connect()
        connection.execute("PRAGMA synchronous = NORMAL")
        while not self._stopped.wait(CHECKPOINT_SECONDS):
            try:
                log, done = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                # When everything is copied the writer starts the log over by itself.
                if log > 20_000 and done < log:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            except apsw.BusyError:
                continue
        connection.close()

    async def purge(self, *, limit: int = 1_000) -> int:
        """Drop index rows of versions replaced before the retention time; return how many versions that were."""
        before = self._writer.clock() - self._retention_minutes * 60_000_000
        return await self._submit(lambda writer: writer.purge(before, limit))

    # Reading

    async def read(self, type: str, id: str) -> Version | None:
        return self._one("t = ? AND id = ? ORDER BY version DESC LIMIT 1", type, (id,))

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Version]:
        numbers = self._words.numbers
        known = dict.fromkeys((numbers[type], id) for type, id in keys if type in numbers)
        if not known:
            return {}
        # One statement is one read transaction: a writer beside us makes each of them look the pages up anew.
        rows = fetch(
            self._reader,
            f"SELECT rid, t, id, version, updated, method, body FROM version WHERE (t, id) IN "
            f"(VALUES {', '.join(['(?, ?)'] * len(known))}) AND until = ?",
            [value for key in known for value in key] + [self._writer.forever],
        )
        versions = [self._version(Found(*row)) for row in rows]
        return {(version.type, version.id): version for version in versions}

    async def vread(self, type: str, id: str, version: int) -> Version | None:
        if not 0 < version < 2**62:
            return None
        return self._one("t = ? AND id = ? AND version = ?", type, (id, version))

    def _one(self, where: str, type: str, values: tuple[Any, ...]) -> Version | None:
        number = self._words.numbers.get(type)
        if number is None:
            return None
        row = self._reader.execute(
            f"SELECT rid, t, id, version, updated, method, body FROM version WHERE {where}", (number, *values)
        ).fetchone()
        return self._version(Found(*row)) if row is not None else None

    def _version(self, row: Found) -> Version:
        body = full_body(self._reader, row) if row.body == b"" else row.body
        when = stamp.to_datetime(row.updated)
        return Version(self._words.types[row.t], row.id, row.version, when, METHODS[row.method], body)

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Version]:
        number = self._words.numbers.get(type) if type is not None else 0
        if number is None:
            return
        where = ["rid < ?"] + ["t = ?"] * (type is not None) + ["id = ?"] * (id is not None)
        values = [number] * (type is not None) + [id] * (id is not None)
        last = self._writer.forever
        if until is not None:
            # Instants grow with row numbers, so the later rows are passed over by number.
            row = self._reader.execute(
                "SELECT min(rid) FROM version WHERE updated >= ?", (stamp.to_micros(until),)
            ).fetchone()
            last = row[0] if row and row[0] is not None else last
        low = stamp.to_micros(since) if since is not None else -1
        order = "version" if id is not None else "rid"
        hint = "INDEXED BY version_type" if type is not None and id is None else ""
        while True:
            rows = fetch(
                self._reader,
                f"SELECT rid, t, id, version, updated, method, body FROM version {hint} "
                f"WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT {HISTORY_CHUNK}",
                (last, *values),
            )
            for raw in rows:
                found = Found(*raw)
                if found.updated < low:
                    return
                last = found.rid
                yield self._version(found)
            if len(rows) < HISTORY_CHUNK:
                return

    # Searching

    async def search(self, query: Query) -> SearchPage:
        steps = self._plan(query).run()
        rows: list[tuple[Any, ...]] | None = None
        try:
            statement = next(steps)
            while True:
                rows = self._try(statement)
                if rows is None:
                    loop = asyncio.get_running_loop()
                    rows = await loop.run_in_executor(self._walkers, self._walk, statement)
                statement = steps.send(rows)
        except StopIteration as end:
            return self._page(end.value)

    def _plan(self, query: Query) -> Plan:
        return Plan(
            query,
            dialect=SQLITE,
            words=self._words,
            parameters=self.parameters,
            secret=self._secret,
            floor=self._writer.floor,
            retention_minutes=self._retention_minutes,
        )

    def _try(self, statement: Statement) -> list[tuple[Any, ...]] | None:
        """Run a statement here and now; None when it reads so much that others would wait."""
        connection = self._reader
        if not statement.is_walk:
            return fetch(connection, statement.text, statement.values)
        self._deadline = UNSET
        try:
            return fetch(connection, statement.text, statement.values)
        except apsw.InterruptError:
            return None
        finally:
            self._deadline = NEVER

    def _is_late(self) -> bool:
        """Asked every `STEPS`; most statements end before, so the clock starts only here."""
        if self._deadline == UNSET:
            self._deadline = thread_time() + WALK_SECONDS
        return thread_time() > self._deadline

    def _walk(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run a long statement on a thread of its own, up to the time limit."""
        connection: apsw.Connection | None = getattr(self._walker, "connection", None)
        if connection is None:
            connection = self._walker.connection = self._connect()
            self._connections.append(connection)
        end = monotonic() + self._seconds
        connection.set_progress_handler(lambda: monotonic() > end or self._stopped.is_set(), 100_000)
        try:
            return fetch(connection, statement.text, statement.values)
        except apsw.InterruptError:
            raise TooCostly("HT-SEARCH-38", seconds=self._seconds) from None

    def _page(self, page: Page) -> SearchPage:
        return SearchPage(
            matches=[self._version(row) for row in page.matches],
            included=[self._version(row) for row in page.included],
            total=page.total,
            cursor=page.cursor,
            warnings=page.warnings,
        )

    # The rest of the protocol

    async def outbox(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, OutboxRow]]:
        rows = fetch(
            self._reader,
            "SELECT id, topic, key, payload FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [(row[0], OutboxRow(row[1], row[2], decode_resource(row[3]))) for row in rows]

    async def forget_outbox(self, upto: int) -> None:
        await self._submit(lambda writer: writer.run("DELETE FROM outbox WHERE id <= ?", (upto,)))

    async def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Json]]:
        rows = fetch(
            self._reader, "SELECT id, entry FROM audit WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        return [(row[0], decode_resource(row[1])) for row in rows]

    async def reindex(self, *, step: int = 500) -> Sequence[Reindex]:
        found = []
        for definition in self.parameters.waiting():
            state = await self._submit(partial(_reindex, definition, step))
            if state.is_finished:
                self.parameters.add(definition, is_ready=True)
            found.append(state)
        return found

    async def size(self) -> int:
        return sum(p.stat().st_size for p in (self.path, Path(f"{self.path}-wal")) if p.exists())

    async def explain(self, query: Query) -> list[str]:
        """Return the plan of every statement of a search, as SQLite tells it."""
        steps, found = self._plan(query).run(), []
        try:
            statement = next(steps)
            while True:
                plan = fetch(self._reader, f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
                found += [str(row[3]) for row in plan]
                statement = steps.send(fetch(self._reader, statement.text, statement.values))
        except StopIteration:
            return found

    async def close(self) -> None:
        """Write what waits, stop the threads, copy the log into the file."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self._queue.put(None)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.join)
        await loop.run_in_executor(None, self._checkpoint_thread.join)
        self._walkers.shutdown()
        for connection in reversed(self._connections):
            connection.close()


def _deliver(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.deliver()


def _start(definition: SearchParameter, writer: Writer) -> None:
    writer.start_reindex(definition.url, definition.code)


def _reindex(definition: SearchParameter, step: int, writer: Writer) -> Reindex:
    return writer.reindex(definition, step)
