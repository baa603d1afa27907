"""What happens inside a transaction of the SQLite store; only the writer thread calls it."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, cast

import apsw

from conformance.definitions import SearchParameter
from gateway.search.parameters import Parameters
from gateway.search.plan import Found, Plan, Words
from gateway.search.query import Query
from gateway.search.sql import DELETED, FOREVER
from gateway.search.values import Index
from gateway.store import stamp
from gateway.store.changes import Current, Step, decide, key
from gateway.store.protocol import Commit, Delete, GuardFailed, Method, Put, Reindex, Version
from gateway.store.rows import INSERTS, Row, Rows, suffixes
from terminology.fhirjson import decode_resource, encode

METHODS: dict[int, Method] = {1: "POST", 2: "PUT", DELETED: "DELETE"}
NUMBERS: dict[str, int] = {name: number for number, name in METHODS.items()}

LARGE = 256 * 1024
"""Bytes from which a body stands outside the version row."""

BLOCK = 32
"""Rows of one INSERT, keys of one look-up."""

KNOWN_DISPLAYS = 100_000


class Writer:
    """One transaction at a time: `begin`, any number of `apply` and the like, `end` or `roll_back`."""

    expected = GuardFailed
    forever = FOREVER
    plan: Callable[[Query], Plan]

    def __init__(
        self, connection: apsw.Connection, parameters: Parameters, words: Words, clock: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._parameters = parameters
        self._words = words
        self.clock = clock
        self._instant = stamp.Clock(parameters.options.offset_minutes)
        self._displays: set[tuple[Any, ...]] = set()
        self._restart()
        self.floor = int(self._scalar("SELECT value FROM setting WHERE name = 'floor'") or 0)

    def _scalar(self, text: str, values: Sequence[Any] = ()) -> Any:
        row = self._connection.execute(text, values).fetchone()
        return row[0] if row is not None else None

    def _restart(self) -> None:
        """Read from the database what a rolled back transaction may have left wrong in memory."""
        rows = fetch(self._connection, "SELECT rid, updated FROM version ORDER BY rid DESC LIMIT 1")
        self._rid: int = rows[0][0] if rows else 0
        self._last: int = rows[0][1] if rows else 0
        self._next_word = int(self._scalar("SELECT coalesce(max(id), 0) FROM word"))
        self._clear()

    def _clear(self) -> None:
        self._rows = Rows()
        self._versions: list[Row] = []
        self._large: list[tuple[Any, ...]] = []
        self._replaced: list[tuple[int, int]] = []
        self._current: dict[tuple[str, str], Current] = {}
        self._new_words: dict[str, int] = {}
        self._new_displays: list[tuple[Any, ...]] = []

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._last = max(self._last, self.clock())

    def end(self) -> None:
        self._flush()
        self._connection.execute("COMMIT")
        # Readers learn new words only now: before, no row with them was visible.
        self._words.learn(list(self._new_words.items()))
        self._clear()
        if len(self._displays) > KNOWN_DISPLAYS:
            self._displays.clear()

    def roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._displays.clear()
        self._restart()

    def run(self, text: str, values: Sequence[Any]) -> None:
        self._connection.execute(text, values)

    # Commits

    def apply(self, commit: Commit, indexes: Sequence[Index]) -> list[Version | None]:
        """Decide and write one commit; raises before anything of it is written."""
        if commit.guards:
            self._flush()
            for guard in commit.guards:
                if self._ids(guard.query) != guard.ids:
                    raise GuardFailed
        current = self._look_up_all(commit.changes)
        steps = decide(commit.changes, current)
        text = self._instant.text(self._last)
        written = [
            self._write(change, step, index, text)
            for change, step, index in zip(commit.changes, steps, indexes, strict=True)
        ]
        for row in commit.outbox:
            self.run(
                "INSERT INTO outbox (topic, key, payload) VALUES (?,?,?)",
                (row.topic, row.key, encode(row.payload)),
            )
        for entry in commit.audit:
            self.run("INSERT INTO audit (entry) VALUES (?)", (encode(entry),))
        return written

    def _ids(self, query: Query) -> frozenset[str]:
        """Return what a guard's search finds now, in this transaction."""
        # New words of this transaction are not yet the readers'; the guard needs them.
        self._words.learn(list(self._new_words.items()))
        steps = self.plan(query).run()
        try:
            statement = next(steps)
            while True:
                statement = steps.send(fetch(self._connection, statement.text, statement.values))
        except StopIteration as end:
            return frozenset(row.id for row in end.value.matches)

    def _look_up_all(self, changes: Sequence[Put | Delete]) -> dict[tuple[str, str], Current | None]:
        """Return what each change finds; those that need no body are asked for together."""
        found: dict[tuple[str, str], Current | None] = {}
        asked: list[tuple[int, str]] = []
        types: dict[int, str] = {}
        for change in changes:
            type, id = key(change)
            needs_body = isinstance(change, Put) and change.unless_same
            if len(changes) == 1 or needs_body or (type, id) in self._current:
                found[type, id] = self._look_up(type, id, needs_body)
            else:
                found[type, id] = None
                number = self._word(type)
                types[number] = type
                asked.append((number, id))
        for start in range(0, len(asked), BLOCK):
            keys = asked[start : start + BLOCK]
            rows = fetch(
                self._connection,
                "SELECT rid, t, id, version, method FROM version WHERE (t, id) IN "
                f"(VALUES {', '.join(['(?,?)'] * len(keys))}) AND until = ?",
                [*chain.from_iterable(keys), FOREVER],
            )
            for rid, t, id, version, method in rows:
                found[types[t], id] = Current(rid, version, method == DELETED)
        return found

    def _look_up(self, type: str, id: str, with_body: bool) -> Current | None:
        found = self._current.get((type, id))
        if found is not None and (found.body is not None or not with_body):
            return found
        if found is not None:
            self._flush()
        row = self._connection.execute(
            "SELECT rid, t, id, version, updated, method, body FROM version WHERE t = ? AND id = ? "
            "ORDER BY version DESC LIMIT 1",
            (self._word(type), id),
        ).fetchone()
        if row is None:
            return None
        full = Found(*row)
        body = full_body(self._connection, full) if with_body else None
        return Current(full.rid, full.version, full.method == DELETED, body)

    def _write(self, change: Put | Delete, step: Step, index: Index, instant: str) -> Version | None:
        if step.keeps is not None:
            [row] = fetch(
                self._connection, "SELECT updated, method FROM version WHERE rid = ?", (step.keeps.row,)
            )
            when = stamp.to_datetime(row[0])
            return Version(step.type, step.id, step.keeps.version, when, METHODS[row[1]], step.keeps.body)
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
            self._large.append((rid, body))
            stored = b""
        row_values = (rid, self._word(step.type), step.id, step.version, self._last, FOREVER)
        self._versions.append((*row_values, NUMBERS[step.method], stored))
        if step.replaces:
            self._replaced.append((rid, step.replaces))
        self._current[step.type, step.id] = Current(rid, step.version, body is None, body)
        return Version(step.type, step.id, step.version, stamp.to_datetime(self._last), step.method, body)

    def _word(self, value: str) -> int:
        number = self._words.numbers.get(value) or self._new_words.get(value)
        if number is None:
            number = cast("int | None", self._scalar("SELECT id FROM word WHERE value = ?", (value,)))
            if number is None:
                self._next_word += 1
                number = self._next_word
                self.run("INSERT INTO word VALUES (?,?)", (number, value))
            self._new_words[value] = number
        return number

    def _flush(self) -> None:
        """Write what has been decided so far; later commits of the group see it in the database."""
        many = self._connection.executemany
        if self._versions:
            self._insert("INSERT INTO version VALUES (?,?,?,?,?,?,?,?)", self._versions)
            self._versions = []
        if self._large:
            many("INSERT INTO large VALUES (?,?)", self._large)
            self._large = []
        if self._replaced:
            many("UPDATE version SET until = ? WHERE rid = ?", self._replaced)
            retired = [(old, new, self._last) for new, old in self._replaced]
            many("INSERT OR IGNORE INTO retired VALUES (?,?,?)", retired)
            self._replaced = []
        rows, self._rows = self._rows, Rows()
        for table, statement in INSERTS.items():
            values = getattr(rows, table)
            if values:
                self._insert(statement, values)

    def _insert(self, statement: str, rows: list[Row]) -> None:
        """Insert in blocks: a third cheaper than row by row, and the event loop is interrupted once a block."""
        whole = len(rows) // BLOCK * BLOCK
        if whole:
            head, _, values = statement.partition("VALUES ")
            blocks = (tuple(chain.from_iterable(rows[n : n + BLOCK])) for n in range(0, whole, BLOCK))
            self._connection.executemany(f"{head}VALUES {', '.join([values] * BLOCK)}", blocks)
        if whole < len(rows):
            self._connection.executemany(statement, rows[whole:])

    # Housekeeping

    def purge(self, before: int, limit: int) -> int:
        """Drop the index rows of versions that were replaced before an instant."""
        self._flush()
        rows = fetch(
            self._connection,
            "SELECT rid, until FROM retired WHERE at < ? ORDER BY rid LIMIT ?",
            (before, limit),
        )
        for rid, _ in rows:
            for p, value in fetch(self._connection, "SELECT p, value FROM string WHERE rid = ?", (rid,)):
                for row in suffixes(p, value, rid):
                    self.run("DELETE FROM suffix WHERE p = ? AND value = ? AND rid = ?", row)
            for table in ("token", "string", "date", "quantity"):
                self.run(f"DELETE FROM {table} WHERE rid = ?", (rid,))
            for table in ("narrative", "content"):
                self.run(f"DELETE FROM {table} WHERE rowid = ?", (rid,))
            self.run("DELETE FROM retired WHERE rid = ?", (rid,))
        if rows:
            self.floor = max(self.floor, *(until for _, until in rows))
            self.run("INSERT OR REPLACE INTO setting VALUES ('floor', ?)", (self.floor,))
        return len(rows)

    def start_reindex(self, url: str, code: str) -> None:
        self._flush()
        self.run("INSERT OR REPLACE INTO reindex VALUES (?,?,0,0,?)", (url, code, self._rid))

    def reindex(self, definition: SearchParameter, step: int) -> Reindex:
        """Index the next resources for a posted parameter; the place is kept in the database."""
        self._flush()
        row = self._connection.execute(
            "SELECT done, upto FROM reindex WHERE url = ?", (definition.url,)
        ).fetchone()
        done, upto = row if row is not None else (0, self._rid)
        bases = [self._words.numbers[base] for base in definition.base if base in self._words.numbers]
        anywhere = "Resource" in definition.base or "DomainResource" in definition.base
        kinds = "" if anywhere else f" AND t IN ({', '.join(map(str, bases)) or 'NULL'})"
        rows = fetch(
            self._connection,
            "SELECT rid, t, id, version, updated, method, body FROM version "
            f"WHERE rid > ? AND rid <= ?{kinds} AND method <> {DELETED} ORDER BY rid LIMIT ?",
            (done, upto, step),
        )
        for raw in rows:
            found = Found(*raw)
            resource = decode_resource(full_body(self._connection, found) or b"{}")
            parameter = self._parameters.get(resource["resourceType"], definition.code)
            paths = self._parameters.paths_of(parameter) if parameter is not None else frozenset()
            self._rows.add(
                found.rid, self._parameters.extract(resource).only(paths), self._word, self._displays
            )
        done = rows[-1][0] if len(rows) == step else upto
        self._flush()
        self.run(
            "INSERT OR REPLACE INTO reindex VALUES (?,?,0,?,?)", (definition.url, definition.code, done, upto)
        )
        return Reindex(definition.url, definition.code, done, upto)


def fetch(connection: apsw.Connection, text: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return all rows of a statement, as tuples."""
    return connection.execute(text, values).fetchall()


def full_body(connection: apsw.Connection, row: Found) -> bytes | None:
    """Return the body, from its own row when it is large."""
    if row.body != b"":
        return row.body
    found = connection.execute("SELECT body FROM large WHERE rid = ?", (row.rid,)).fetchone()
    return bytes(found[0]) if found is not None else None
