"""What happens inside a transaction of the PostgreSQL store.

Everything is decided in memory against the current versions; the rows of the whole group go out as one statement.
"""

from collections.abc import Callable, Sequence
from typing import Any

from conformance.definitions import SearchParameter
from gateway.search.parameters import Parameters
from gateway.search.plan import Found, Plan, Words
from gateway.search.query import Query
from gateway.search.sql import DELETED, FOREVER
from gateway.search.values import Index
from gateway.store import stamp
from gateway.store.changes import Current, Step, decide, key
from gateway.store.protocol import Commit, Delete, GuardFailed, Put, Reindex, Version
from gateway.store.rows import Rows, suffixes
from gateway.store.sqlite_writer import LARGE, METHODS, NUMBERS
from terminology.fhirjson import decode_resource, encode

__all__ = ["COLUMNS", "METHODS", "Writer"]

COLUMNS = "rid, t, id, version, updated, method, body"

# Column types of each table, in the order of its rows; the flush binds one array a column.
TYPES = {
    "word": ("int", "text"),
    "version": ("bigint", "int", "text", "int", "bigint", "bigint", "int", "bytea"),
    "large": ("bigint", "bytea"),
    "retired": ("bigint", "bigint", "bigint"),
    "token": ("bigint", "int", "text", "int", "int", "int"),
    "display": ("int", "int", "text", "int"),
    "string": ("bigint", "int", "text", "text", "int"),
    "suffix": ("int", "text", "bigint"),
    "date": ("bigint", "int", "bigint", "bigint", "int", "int"),
    "quantity": (
        "bigint",
        "int",
        "float8",
        "float8",
        "int",
        "int",
        "int",
        "int",
        "float8",
        "float8",
        "int",
        "int",
    ),
    "narrative": ("bigint", "text"),
    "content": ("bigint", "text"),
    "outbox": ("text", "text", "bytea"),
    "audit": ("bytea",),
}
NAMED = {"outbox": "outbox (topic, key, payload)", "audit": "audit (entry)"}
FULLTEXT = ("narrative", "content")
POSITIONS = 16_000
"""Word positions that a tsvector can hold."""


class Writer:
    """One transaction: `begin`, any number of `apply`, `end`."""

    def __init__(
        self,
        connection: Any,
        parameters: Parameters,
        words: Words,
        clock: Callable[[], int],
        plan: Callable[[Query], Plan],
    ) -> None:
        self._connection = connection
        self._parameters = parameters
        self._words = words
        self._clock = clock
        self._plan = plan
        self._instant = stamp.Clock(parameters.options.offset_minutes)
        self._current: dict[tuple[str, str], Current | None] = {}
        self.new_words: dict[str, int] = {}
        self.floor = 0
        self._clear()

    def _clear(self) -> None:
        self._rows = Rows()
        self._tables: dict[str, list[tuple[Any, ...]]] = {}
        self._versions: dict[int, list[Any]] = {}
        self._replaced: list[tuple[int, int]] = []
        self._displays: set[tuple[Any, ...]] = set()

    async def begin(self) -> None:
        # The lock on this row makes commits follow each other: row numbers grow in the order of commits.
        row = await self._connection.fetchrow(
            "UPDATE clock SET updated = CASE WHEN updated < $1 THEN $1 ELSE updated END WHERE name = 'main' "
            "RETURNING rid, updated, word",
            self._clock(),
        )
        self._rid, self._last, self._next_word = row

    async def end(self) -> None:
        await self._flush()
        await self._connection.execute(
            "UPDATE clock SET rid = $1, word = $2 WHERE name = 'main'", self._rid, self._next_word
        )

    # Commits

    async def apply(self, commit: Commit, indexes: Sequence[Index]) -> list[Version | None]:
        """Decide and write one commit; raises before anything of it is written."""
        for guard in commit.guards:
            await self._flush()
            if await self._ids(guard.query) != guard.ids:
                raise GuardFailed
        await self._know_words(commit, indexes)
        for change in commit.changes:
            await self._look_up(*key(change), isinstance(change, Put) and change.unless_same)
        steps = decide(commit.changes, self._current)
        text = self._instant.text(self._last)
        written: list[Version | None] = []
        for change, step, index in zip(commit.changes, steps, indexes, strict=True):
            if step.keeps is not None:
                written.append(await self._kept(step, step.keeps))
            else:
                written.append(self._write(change, step, index, text))
        for row in commit.outbox:
            self._tables.setdefault("outbox", []).append((row.topic, row.key, encode(row.payload)))
        for entry in commit.audit:
            self._tables.setdefault("audit", []).append((encode(entry),))
        return written

    async def _ids(self, query: Query) -> frozenset[str]:
        from gateway.store.postgres import run

        self._words.learn(list(self.new_words.items()))
        page = await run(self._plan(query), self._connection)
        return frozenset(row.id for row in page.matches)

    async def _know_words(self, commit: Commit, indexes: Sequence[Index]) -> None:
        """Ask once for all words of a commit that this process has not met."""
        known = self._words.numbers
        wanted = {key(change)[0] for change in commit.changes}
        for index in indexes:
            for token in index.tokens:
                wanted.update((token.path, token.system, token.display))
            wanted.update(string.path for string in index.strings)
            wanted.update(date.path for date in index.dates)
            for amount in index.quantities:
                wanted.update((amount.path, amount.system, amount.code, amount.unit, amount.base))
        missing = [
            _clean(word) for word in wanted if word and word not in known and word not in self.new_words
        ]
        if missing:
            rows = await self._connection.fetch(
                "SELECT value, id FROM word WHERE value = ANY($1::text[])", missing
            )
            self._words.learn(rows)

    def _word(self, value: str) -> int:
        value = _clean(value)
        number = self._words.numbers.get(value) or self.new_words.get(value)
        if number is None:
            self._next_word += 1
            number = self._next_word
            self.new_words[value] = number
            self._tables.setdefault("word", []).append((number, value))
        return number

    async def _look_up(self, type: str, id: str, with_body: bool) -> None:
        found = self._current.get((type, id))
        if found is not None and (found.body is not None or not with_body):
            return
        if found is not None:
            await self._flush()
        number = self._words.numbers.get(type)
        row = None
        if number is not None:
            row = await self._connection.fetchrow(
                f"SELECT {COLUMNS} FROM version WHERE t = $1 AND id = $2 ORDER BY version DESC LIMIT 1",
                number,
                id,
            )
        if row is None:
            self._current[type, id] = None
            return
        full = Found(*row)
        body = await self._body(full) if with_body else None
        self._current[type, id] = Current(full.rid, full.version, full.method == DELETED, body)

    async def _body(self, row: Found) -> bytes | None:
        if row.body != b"":
            return row.body
        body: bytes | None = await self._connection.fetchval("SELECT body FROM large WHERE rid = $1", row.rid)
        return body

    async def _kept(self, step: Step, current: Current) -> Version:
        await self._flush()
        row = await self._connection.fetchrow(
            "SELECT updated, method FROM version WHERE rid = $1", current.row
        )
        return Version(
            step.type, step.id, current.version, stamp.to_datetime(row[0]), METHODS[row[1]], current.body
        )

    def _write(self, change: Put | Delete, step: Step, index: Index, instant: str) -> Version | None:
        if step.version == 0:
            return None
        self._rid += 1
        rid = self._rid
        body: bytes | None = None
        if isinstance(change, Put):
            body = stamp.stamped(change.resource, step.version, instant)
            self._rows.add(rid, index, self._word, self._displays)
        stored = body
        if body is not None and len(body) >= LARGE:
            self._tables.setdefault("large", []).append((rid, body))
            stored = b""
        number = self._word(step.type)
        method = NUMBERS[step.method]
        self._versions[rid] = [rid, number, step.id, step.version, self._last, FOREVER, method, stored]
        if step.replaces in self._versions:
            # Both versions go out in one statement, which could not see the first of them.
            self._versions[step.replaces][5] = rid
        elif step.replaces:
            self._replaced.append((rid, step.replaces))
        if step.replaces:
            self._tables.setdefault("retired", []).append((step.replaces, rid, self._last))
        self._current[step.type, step.id] = Current(rid, step.version, body is None, body)
        return Version(step.type, step.id, step.version, stamp.to_datetime(self._last), step.method, body)

    async def _flush(self) -> None:
        """Write what has been decided so far as one statement: one `unnest` a table."""
        tables = dict(self._tables)
        if self._versions:
            tables["version"] = [tuple(row) for row in self._versions.values()]
        for name in ("token", "display", "string", "suffix", "date", "quantity", *FULLTEXT):
            rows = getattr(self._rows, name)
            if rows:
                tables[name] = [(rid, vector(words)) for rid, words in rows] if name in FULLTEXT else rows
        parts: list[str] = []
        values: list[Any] = []
        for name, rows in tables.items():
            marks = []
            for number, kind in enumerate(TYPES[name]):
                column = [row[number] for row in rows]
                values.append([_clean(text) for text in column] if kind == "text" else column)
                marks.append(f"${len(values)}::{kind}[]")
            columns = "rid, words::tsvector" if name in FULLTEXT else "*"
            names = " AS u(rid, words)" if name in FULLTEXT else ""
            parts.append(
                f"w{len(parts)} AS (INSERT INTO {NAMED.get(name, name)} SELECT {columns} "
                f"FROM unnest({', '.join(marks)}){names} ON CONFLICT DO NOTHING)"
            )
        if self._replaced:
            values += [[new for new, _ in self._replaced], [old for _, old in self._replaced]]
            parts.append(
                f"w{len(parts)} AS (UPDATE version SET until = u.new FROM unnest(${len(values) - 1}::bigint[], "
                f"${len(values)}::bigint[]) AS u(new, old) WHERE version.rid = u.old)"
            )
        if parts:
            await self._connection.execute(f"WITH {', '.join(parts)} SELECT 1", *values)
        self._clear()

    # Housekeeping

    async def purge(self, before: int, limit: int) -> int:
        """Drop the index rows of versions that were replaced before an instant."""
        await self._flush()
        rows = await self._connection.fetch(
            "SELECT rid, until FROM retired WHERE at < $1 ORDER BY rid LIMIT $2", before, limit
        )
        numbers = [row[0] for row in rows]
        if not numbers:
            return 0
        strings = await self._connection.fetch(
            "SELECT rid, p, value FROM string WHERE rid = ANY($1::bigint[])", numbers
        )
        pieces = [row for rid, p, value in strings for row in suffixes(p, value, rid)]
        if pieces:
            await self._connection.execute(
                "DELETE FROM suffix s USING unnest($1::int[], $2::text[], $3::bigint[]) AS u(p, value, rid) "
                "WHERE s.p = u.p AND s.value = u.value AND s.rid = u.rid",
                *(list(column) for column in zip(*pieces, strict=True)),
            )
        for table in ("token", "string", "date", "quantity", "narrative", "content", "retired"):
            await self._connection.execute(f"DELETE FROM {table} WHERE rid = ANY($1::bigint[])", numbers)
        self.floor = max(row[1] for row in rows)
        await self._connection.execute(
            "INSERT INTO setting VALUES ('floor', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            str(self.floor).encode(),
        )
        return len(numbers)

    async def start_reindex(self, url: str, code: str) -> None:
        await self._flush()
        await self._progress(url, code, 0, self._rid)

    async def _progress(self, url: str, code: str, done: int, upto: int) -> None:
        await self._connection.execute(
            "INSERT INTO reindex VALUES ($1, $2, 0, $3, $4) "
            "ON CONFLICT (url) DO UPDATE SET done = excluded.done, upto = excluded.upto",
            url,
            code,
            done,
            upto,
        )

    async def reindex(self, definition: SearchParameter, step: int) -> Reindex:
        """Index the next resources for a posted parameter; the place is kept in the database."""
        await self._flush()
        row = await self._connection.fetchrow("SELECT done, upto FROM reindex WHERE url = $1", definition.url)
        done, upto = row if row is not None else (0, self._rid)
        anywhere = "Resource" in definition.base or "DomainResource" in definition.base
        bases = [self._words.numbers.get(base, -1) for base in definition.base]
        kinds = "TRUE" if anywhere else f"t IN ({', '.join(map(str, bases))})"
        rows = await self._connection.fetch(
            f"SELECT {COLUMNS} FROM version WHERE rid > $1 AND rid <= $2 AND {kinds} AND method <> {DELETED} "
            f"ORDER BY rid LIMIT {step}",
            done,
            upto,
        )
        for raw in rows:
            found = Found(*raw)
            resource = decode_resource(await self._body(found) or b"{}")
            parameter = self._parameters.get(resource["resourceType"], definition.code)
            paths = self._parameters.paths_of(parameter) if parameter is not None else frozenset()
            index = self._parameters.extract(resource).only(paths)
            await self._know_words(Commit(()), [index])
            self._rows.add(found.rid, index, self._word, self._displays)
        done = rows[-1][0] if len(rows) == step else upto
        await self._flush()
        await self._progress(definition.url, definition.code, done, upto)
        return Reindex(definition.url, definition.code, done, upto)


def vector(words: str) -> str:
    """Return words as a tsvector literal with their positions; ours are letters and digits, so nothing needs quoting."""
    return " ".join(f"'{word}':{min(at, POSITIONS)}" for at, word in enumerate(words.split(), 1))


def _clean(text: str) -> str:
    """PostgreSQL texts cannot hold U+0000."""
    return text.replace("\x00", "") if text else text
