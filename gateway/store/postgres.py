"""The store on PostgreSQL, for several gateway processes at once; the same tables and searches as SQLite.

Commits that wait together become one transaction with one `unnest` statement. The row `clock` is locked first, so
commits of all processes follow each other, row numbers grow in commit order and a guard sees everything before it
(docs/storage.md). Plain statements only, except the full-text index.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import asyncpg

from conformance.definitions import SearchParameter
from gateway.search.dialect import POSTGRES
from gateway.search.parameters import Parameters
from gateway.search.plan import Found, Page, Plan, Statement, Words
from gateway.search.posted import Posted
from gateway.search.query import Query
from gateway.search.sql import DELETED, FOREVER
from gateway.search.values import Index
from gateway.store import stamp
from gateway.store.job import Job
from gateway.store.postgres_writer import COLUMNS, METHODS, Writer
from gateway.store.protocol import Commit, GuardFailed, OutboxRow, Put, Reindex, SearchPage, Version
from gateway.store.schema import VERSION, postgres_tables
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, TooCostly, Unavailable

T = TypeVar("T")

GROUP = 128
RETRIES = 8
HISTORY_CHUNK = 200

# The plans are written out (gateway/search/plan.py): follow the index, join in the order given. Without statistics
# the planner would rather hash a million rows.
SETTINGS = {
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_material": "off",
    "enable_memoize": "off",
    "join_collapse_limit": "1",
    "from_collapse_limit": "1",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "application_name": "hutong",
}


_Job = Job[Callable[[Writer], Awaitable[Any]]]


class PostgresStore:
    """Open with `PostgresStore.open`."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        writing: "asyncpg.Pool[asyncpg.Record]",
        parameters: Parameters,
        *,
        clock: Callable[[], int],
        retention_minutes: int,
        seconds: float,
        dropped: str,
    ) -> None:
        self.parameters = parameters
        self._pool = pool
        self._writing = writing
        self._clock = clock
        self._retention_minutes = retention_minutes
        self._seconds = seconds
        self._dropped = dropped
        self._words = Words()
        self._posted = Posted(parameters)
        self._secret = b""
        self._floor = 0
        self._jobs: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._instant = stamp.Clock(parameters.options.offset_minutes)

    @classmethod
    async def open(
        cls,
        dsn: str,
        parameters: Parameters | None = None,
        *,
        schema: str = "public",
        fresh: bool = False,
        readers: int = 8,
        retention_minutes: int = 60,
        seconds: float = 30.0,
        clock: Callable[[], int] = stamp.now,
    ) -> "PostgresStore":
        """Connect, make the tables where they are missing. `fresh`: in a schema of its own, dropped at close.

        Raises Unavailable when the server cannot be reached.
        """
        if fresh:
            schema = f"hutong_{secrets.token_hex(6)}"
        settings = {**SETTINGS, "search_path": schema, "statement_timeout": str(int(seconds * 1000))}
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=readers, server_settings=settings, statement_cache_size=1000
            )
            writing = await asyncpg.create_pool(
                dsn, min_size=1, max_size=1, server_settings=settings, statement_cache_size=200
            )
        except (OSError, asyncpg.PostgresError) as error:
            raise Unavailable("HT-STORE-03") from error
        store = cls(
            pool,
            writing,
            parameters or Parameters(),
            clock=clock,
            retention_minutes=retention_minutes,
            seconds=seconds,
            dropped=schema if fresh else "",
        )
        await store._prepare(schema)
        store._worker = asyncio.create_task(store._write())
        return store

    async def _prepare(self, schema: str) -> None:
        async with self._writing.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(4857)")
            await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            await connection.execute(postgres_tables())
            insert = "INSERT INTO setting VALUES ($1, $2) ON CONFLICT DO NOTHING"
            await connection.execute(insert, "schema", str(VERSION).encode())
            await connection.execute(insert, "secret", secrets.token_bytes(32))
            rows = {
                row[0]: bytes(row[1]) for row in await connection.fetch("SELECT name, value FROM setting")
            }
            if int(rows["schema"]) > VERSION:
                raise Unavailable("HT-STORE-05", found=int(rows["schema"]), known=VERSION)
            self._secret = rows["secret"]
            self._floor = int(rows.get("floor", b"0"))
            words = await connection.fetch(
                "SELECT value, id FROM word WHERE length(value) < 200 LIMIT 200000"
            )
            self._words.learn([tuple(row) for row in words])
            await self._load_posted(connection)

    async def _load_posted(self, connection: Any) -> None:
        number = self._words.numbers.get("SearchParameter")
        if number is None:
            return
        unfinished = {row[0] for row in await connection.fetch("SELECT url FROM reindex WHERE done < upto")}
        rows = await connection.fetch(
            f"SELECT {COLUMNS} FROM version WHERE t = $1 AND until = $2 AND method <> {DELETED}",
            number,
            FOREVER,
        )
        for row in rows:
            version = await self._version(connection, Found(*row))
            definition = self._posted.note(Put(decode_resource(version.body or b"{}")))
            if definition is not None and definition.url not in unfinished:
                self.parameters.add(definition, is_ready=True)

    async def close(self) -> None:
        """Write what waits, let go of the server."""
        if self._worker is None:
            return
        await self._submit(_nothing)
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker
        self._worker = None
        if self._dropped:
            async with self._pool.acquire() as connection:
                await connection.execute(f'DROP SCHEMA "{self._dropped}" CASCADE')
        await self._pool.close()
        await self._writing.close()

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

    async def _submit(self, run: Callable[[Writer], Awaitable[T]]) -> T:
        if self._worker is None:
            raise Unavailable("HT-STORE-03")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(run, future))
        self._wake.set()
        return await future

    async def _write(self) -> None:
        """The writer task: everything that waits goes into one transaction."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                await self._write_waiting()

    async def _write_waiting(self) -> None:
        """Put what waits into one transaction. Nothing of it, it may be large, is held when the task waits again."""
        batch = [self._jobs[number] for number in range(min(GROUP, len(self._jobs)))]
        await self._transact(batch)
        for job in batch:
            self._jobs.popleft()
            job.deliver()

    async def _transact(self, batch: Sequence[_Job]) -> None:
        """Run the jobs in one transaction, again when the database asks for it; at last each one alone."""
        error: BaseException | None = None
        for attempt in range(RETRIES):
            try:
                await self._try(batch)
                return
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as caught:
                error = caught
                await asyncio.sleep(0.002 * 2**attempt)
            except Exception as caught:  # the task must go on; the caller gets the error
                error = caught
                break
        if len(batch) > 1:
            for job in batch:
                await self._transact([job])
            return
        if isinstance(error, asyncpg.PostgresError | OSError | asyncpg.InterfaceError):
            is_full = isinstance(error, asyncpg.InsufficientResourcesError)
            wrapped = (
                Unavailable("HT-STORE-02", detail=type(error).__name__)
                if is_full
                else Unavailable("HT-STORE-03")
            )
            wrapped.__cause__ = error
            error = wrapped
        batch[0].error = error

    async def _try(self, batch: Sequence[_Job]) -> None:
        async with self._writing.acquire() as connection, connection.transaction():
            writer = Writer(connection, self.parameters, self._words, self._clock, self._plan)
            await writer.begin()
            for job in batch:
                job.result = job.error = None
                try:
                    job.result = await job.run(writer)
                except (FhirError, GuardFailed) as error:
                    # Decided before anything of it was written.
                    job.error = error
            await writer.end()
        self._words.learn(list(writer.new_words.items()))
        self._floor = max(self._floor, writer.floor)

    async def purge(self, *, limit: int = 1_000) -> int:
        """Drop index rows of versions replaced before the retention time; return how many versions that were."""
        before = self._clock() - self._retention_minutes * 60_000_000
        return await self._submit(lambda writer: writer.purge(before, limit))

    # Reading

    async def read(self, type: str, id: str) -> Version | None:
        return await self._one("t = $1 AND id = $2 ORDER BY version DESC LIMIT 1", type, id)

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Version]:
        async with self._pool.acquire() as connection:
            known = {
                (number, id)
                for type, id in set(keys)
                if (number := await self._number(connection, type)) is not None
            }
            rows = await connection.fetch(
                f"SELECT {COLUMNS} FROM version WHERE until = $3 AND (t, id) IN "
                "(SELECT * FROM unnest($1::int[], $2::text[]))",
                [number for number, _ in known],
                [id for _, id in known],
                FOREVER,
            )
            versions = [await self._version(connection, Found(*row)) for row in rows]
        return {(version.type, version.id): version for version in versions}

    async def vread(self, type: str, id: str, version: int) -> Version | None:
        if not 0 < version < 2**31:
            return None
        return await self._one("t = $1 AND id = $2 AND version = $3", type, id, version)

    async def _one(self, where: str, type: str, *values: Any) -> Version | None:
        async with self._pool.acquire() as connection:
            number = await self._number(connection, type)
            if number is None:
                return None
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM version WHERE {where}", number, *values)
            return await self._version(connection, Found(*row)) if row is not None else None

    async def _number(self, connection: Any, word: str) -> int | None:
        """Return the number of a word; another process may have made it since we looked."""
        number = self._words.numbers.get(word)
        if number is None:
            self._words.learn(await connection.fetch("SELECT value, id FROM word WHERE value = $1", word))
            number = self._words.numbers.get(word)
        return number

    async def _version(self, connection: Any, row: Found) -> Version:
        body = row.body
        if body == b"":
            body = await connection.fetchval("SELECT body FROM large WHERE rid = $1", row.rid)
        if row.t not in self._words.types:
            self._words.learn(await connection.fetch("SELECT value, id FROM word WHERE id = $1", row.t))
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
        low = stamp.to_micros(since) if since is not None else -1
        last = FOREVER
        values: list[Any] = []
        where = ["rid < $1"]
        async with self._pool.acquire() as connection:
            if type is not None:
                number = await self._number(connection, type)
                if number is None:
                    return
                values.append(number)
                where.append("t = $2")
            if id is not None:
                values.append(id)
                where.append(f"id = ${len(values) + 1}")
            if until is not None:
                found = await connection.fetchval(
                    "SELECT min(rid) FROM version WHERE updated >= $1", stamp.to_micros(until)
                )
                last = found if found is not None else last
        order = "version" if id is not None else "rid"
        text = f"SELECT {COLUMNS} FROM version WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT {HISTORY_CHUNK}"
        while True:
            # The connection goes back between the chunks: a slow reader of history holds nothing.
            async with self._pool.acquire() as connection:
                rows = [Found(*row) for row in await connection.fetch(text, last, *values)]
                versions = [await self._version(connection, row) for row in rows]
            for row, version in zip(rows, versions, strict=True):
                if row.updated < low:
                    return
                last = row.rid
                yield version
            if len(rows) < HISTORY_CHUNK:
                return

    # Searching

    async def search(self, query: Query) -> SearchPage:
        async with self._pool.acquire() as connection:
            try:
                page: Page = await run(self._plan(query), connection)
            except asyncpg.QueryCanceledError:
                raise TooCostly("HT-SEARCH-38", seconds=self._seconds) from None
            matches = [await self._version(connection, row) for row in page.matches]
            included = [await self._version(connection, row) for row in page.included]
        return SearchPage(matches, included, page.total, page.cursor, None, page.warnings)

    def _plan(self, query: Query) -> Plan:
        return Plan(
            query,
            dialect=POSTGRES,
            words=self._words,
            parameters=self.parameters,
            secret=self._secret,
            floor=self._floor,
            retention_minutes=self._retention_minutes,
        )

    # The rest of the protocol

    async def outbox(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, OutboxRow]]:
        rows = await self._pool.fetch(
            "SELECT id, topic, key, payload FROM outbox WHERE id > $1 ORDER BY id LIMIT $2", after, limit
        )
        return [(row[0], OutboxRow(row[1], row[2], decode_resource(row[3]))) for row in rows]

    async def forget_outbox(self, upto: int) -> None:
        await self._pool.execute("DELETE FROM outbox WHERE id <= $1", upto)

    async def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, Json]]:
        rows = await self._pool.fetch(
            "SELECT id, entry FROM audit WHERE id > $1 ORDER BY id LIMIT $2", after, limit
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
        return int(
            await self._pool.fetchval(
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
                "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
            )
        )


async def run(plan: Plan, connection: Any) -> Page:
    """Send the statements of a plan, one after the other."""
    steps = plan.run()
    try:
        statement: Statement = next(steps)
        while True:
            rows = await connection.fetch(statement.text, *statement.values)
            statement = steps.send([tuple(row) for row in rows])
    except StopIteration as end:
        page: Page = end.value
        return page


async def _nothing(_writer: Writer) -> None:
    """Comes back when everything before it has been written."""


async def _start(definition: SearchParameter, writer: Writer) -> None:
    await writer.start_reindex(definition.url, definition.code)


async def _reindex(definition: SearchParameter, step: int, writer: Writer) -> Reindex:
    return await writer.reindex(definition, step)
