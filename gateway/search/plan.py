"""How a page is found: which index drives, what is probed, when to stop. Statements go out, rows come back.

Three ways, chosen by counting candidates up to a bound (never by the database's statistics):
- a condition with few candidates drives: all of them are probed and sorted here;
- otherwise rows are walked in the order of the answer (by the sort index, a token's rows or the type, newest first)
  and probed until the page is full, so a page costs the same in a small and in a large database;
- a total is counted only when it was asked for or comes for free.

The plan is a generator, so that one text serves a synchronous and an asynchronous database.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Any, NamedTuple

from gateway.search import cursor as cursors
from gateway.search import include as including
from gateway.search.dialect import Dialect
from gateway.search.parameters import Parameters
from gateway.search.query import (
    All,
    Chain,
    Condition,
    Date,
    Has,
    Include,
    Quantity,
    Query,
    Sort,
    Text,
    Token,
    Updated,
)
from gateway.search.sql import VALUE_CONDITIONS, Sql, rank
from terminology.issues import InvalidInput, Issue

FEW = 1_000
"""Candidates that are fetched, probed and sorted as a set."""

FEW_ENOUGH = 200
"""Candidates below which no other condition is asked for fewer, and up to which the total comes for free."""

UNDRIVEN = 99
"""Rank of a condition that no index lists candidates for."""

RANGES = (Date, Quantity, Updated)

CHUNK = 64
"""Candidates probed at once where the page may be full after the first of them."""

SHORT = 64
"""Rows that are fetched by bound numbers; a longer list is written into the statement."""

ESTIMATE = 10_000
"""`_total=estimate` counts up to here."""


class Statement(NamedTuple):
    """`is_walk`: it may read many rows, so it should not hold up others."""

    text: str
    values: Sequence[Any]
    is_walk: bool = False


Rows = list[tuple[Any, ...]]
Steps = Generator[Statement, Rows, Any]


class Found(NamedTuple):
    """One version as stored: row number, type number, id, version, updated, method, body."""

    rid: int
    t: int
    id: str
    version: int
    updated: int
    method: int
    body: bytes | None


# What tells two rows of one resource with the same value apart.
TIES = {
    "token": ("p", "s", "d", "n"),
    "string": ("p", "exact", "n"),
    "date": ("p", "high", "n"),
    "quantity": ("p", "n", "high", "s", "code", "unit"),
}


@dataclass(slots=True)
class Page:
    """What `Plan.run` returns."""

    matches: list[Found]
    included: list[Found]
    total: int | None
    cursor: str | None
    warnings: list[Issue]


class Words:
    """The dictionary of the index tables (paths, types, systems, units, displays): word → number, as far as known."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.types: dict[int, str] = {}

    def learn(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for value, number in rows:
            self.numbers[value] = number
            if value.isalpha():
                self.types[number] = value


class Plan:
    """One search over one database. `floor`: snapshots below it have lost index rows."""

    def __init__(
        self,
        query: Query,
        *,
        dialect: Dialect,
        words: Words,
        parameters: Parameters,
        secret: bytes,
        floor: int = 0,
        retention_minutes: int = 60,
    ) -> None:
        self.query = query
        self.dialect = dialect
        self.words = words
        self.parameters = parameters
        self.secret = secret
        self.floor = floor
        self.retention_minutes = retention_minutes
        self.where = tuple(_flat(query.where))
        self.snapshot = 0
        self._missing: set[str] = set()
        self._absent: set[str] = set()

    def sql(self) -> Sql:
        return Sql(self.dialect, self._word, self.snapshot)

    def _word(self, value: str) -> int | None:
        number = self.words.numbers.get(value)
        if number is None and value not in self._absent:
            self._missing.add(value)
        return number

    def _learn(self) -> Steps:
        """Look up the words that were asked for in vain; returns whether there were any."""
        if not self._missing:
            return False
        wanted, self._missing = sorted(self._missing), set()
        sql = self.sql()
        self.words.learn(
            (yield Statement(*sql.finish(f"SELECT value, id FROM word WHERE {sql.text_in('value', wanted)}")))
        )
        self._absent |= {value for value in wanted if value not in self.words.numbers}
        return True

    def run(self) -> Generator[Statement, Rows, Page]:
        """Return the page; raises InvalidInput for a cursor that is not ours or too old."""
        query = self.query
        at = cursors.decode(query.cursor, query, self.secret) if query.cursor else None
        if at is not None:
            if at.snapshot < self.floor:
                raise InvalidInput("HT-SEARCH-36", minutes=self.retention_minutes)
            self.snapshot = at.snapshot
        else:
            self.snapshot = (yield Statement("SELECT coalesce(max(rid), 0) FROM version", ()))[0][0]
        ranked = sorted((c for c in self.where if rank(c) < UNDRIVEN), key=rank)
        few = yield from self._few(ranked)
        total = at.total if at is not None else None
        if query.count == 0:
            total = yield from self._count(few[1] if few is not None else None)
            return Page([], [], total, None, [])
        if few is not None:
            size, condition = few
            if size == 0:
                # Without candidates there is no match, and nothing left to ask.
                rows = []
                total = 0 if query.total != "none" else total
            elif size > FEW_ENOUGH and not query.sort and query.total in (None, "none"):
                rows = yield from self._fetch_newest(condition, at)
                if at is None and len(rows) <= query.count and query.total is None:
                    total = len(rows)
            else:
                rows = yield from self._fetch_set(condition)
                if query.total != "none":
                    total = len(rows)
                rows = rows if at is None else [row for row in rows if _after(query.sort, row, at.after)]
                rows = rows[: query.count + 1]
        else:
            rows = yield from self._walk(ranked, at)
            if query.total == "accurate" and total is None:
                total = yield from self._count(None)
            elif query.total == "estimate" and total is None:
                total = yield from self._count(None, ESTIMATE)
            elif query.total != "none" and at is None and len(rows) <= query.count:
                total = len(rows)
        cursor = None
        if len(rows) > query.count:
            rows = rows[: query.count]
            cursor = cursors.encode(cursors.Cursor(self.snapshot, rows[-1], total=total), query, self.secret)
        matches = yield from self._bodies([row[-1] for row in rows])
        included, warnings = yield from self._include(matches)
        return Page(matches, included, total, cursor, warnings)

    # Choosing

    def _compiled(self, build: Callable[[], tuple[str, list[Any]] | None]) -> Steps:
        """Return what `build` makes, once all words that it asks for have been looked up."""
        found = build()
        while self._missing:
            yield from self._learn()
            found = build()
        return found

    def _send(self, build: Callable[[], tuple[str, list[Any]]]) -> Steps:
        """Return the rows of the statement that `build` makes."""
        text, values = yield from self._compiled(build)
        return (yield Statement(text, values, True))

    def _few(self, ranked: Sequence[Condition]) -> Steps:
        """Return the number of candidates and the condition with few of them, None when there is none."""
        best: tuple[int, Condition] | None = None
        for condition in ranked:
            # A range over everybody seldom lists fewer than what names a patient or a code.
            if best is not None and isinstance(condition, RANGES):
                continue
            if isinstance(condition, Chain | Has) and not (yield from self._is_few_inside(condition)):
                continue
            # Whether it is fewer than the best so far needs no longer count than that.
            bound = best[0] if best is not None else FEW
            size = yield from self._size(condition, self.query.types, bound)
            if size is not None and size < bound:
                best = (size, condition)
            if best is not None and best[0] < FEW_ENOUGH:
                break
        return best

    def _is_few_inside(self, condition: Chain | Has) -> Steps:
        """Return whether few resources at the far end come into question; else following them all is dear."""
        types = condition.types if isinstance(condition, Chain) else (condition.type,)
        size = yield from self._size(condition.item, types, FEW)
        return size is not None and size < FEW

    def _size(self, condition: Condition, types: Sequence[str], bound: int) -> Steps:
        """Return the number of candidates up to a bound, None when the condition lists none."""

        def build() -> tuple[str, list[Any]] | None:
            sql = self.sql()
            driver = sql.driver(condition, types)
            if driver is None:
                return None
            limit = sql.bind(bound)
            return sql.finish(f"SELECT count(*) FROM (SELECT 1 FROM ({driver.select}) c0 LIMIT {limit}) c1")

        found = yield from self._compiled(build)
        if found is None:
            return None
        text, values = found
        return (yield Statement(text, values, True))[0][0]

    # A set

    def _fetch_set(self, condition: Condition) -> Steps:
        """Return (keys…, rid) of all matches among few candidates, in order."""
        rows = yield from self._send(partial(self.set_statement, condition))
        return _sorted(self.query.sort, rows)

    def set_statement(self, condition: Condition) -> tuple[str, list[Any]]:
        sql = self.sql()
        driver = sql.driver(condition, self.query.types)
        assert driver is not None
        keys = "".join(f"{self._key(key, 'v', sql)}, " for key in self.query.sort)
        rest = [c for c in self.where if c is not condition or not driver.is_exact]
        # One type: everything about visibility stands in the index by type, the bodies are left alone.
        hint = self.dialect.by_type if len(self.query.types) == 1 else ""
        text = (
            f"SELECT {keys}v.rid FROM (SELECT DISTINCT rid FROM ({driver.select}) c0) d "
            f"{self.dialect.join} version v {hint} ON v.rid = d.rid WHERE {self._conditions(rest, sql, 'v', 'd')}"
        )
        return sql.finish(text)

    def _fetch_newest(self, condition: Condition, at: cursors.Cursor | None) -> Steps:
        """Return the first (rid,) among candidates, newest first; stop when the page is full."""
        sql = self.sql()
        driver = sql.driver(condition, self.query.types)
        assert driver is not None
        if driver.ordered is not None:
            rows = yield from self._send(
                partial(self.number_statement, [condition], at, self.query.count + 1)
            )
            return rows
        text = f"SELECT DISTINCT rid FROM ({driver.select}) c0"
        last = at.after[-1] if at is not None else self.snapshot + 1
        numbers = [row[0] for row in (yield Statement(*sql.finish(text), True)) if row[0] < last]
        numbers.sort(reverse=True)
        rest = [c for c in self.where if c is not condition or not driver.is_exact]
        hint = self.dialect.by_type if len(self.query.types) == 1 else ""

        def probe(chunk: Sequence[int]) -> tuple[str, list[Any]]:
            sql = self.sql()
            where = f"{sql.is_in('v.rid', chunk)} AND {self._conditions(rest, sql, 'v')}"
            return sql.finish(f"SELECT v.rid FROM version v {hint} WHERE {where}")

        found: Rows = []
        for start in range(0, len(numbers), CHUNK):
            found += sorted(
                (yield from self._send(partial(probe, numbers[start : start + CHUNK]))), reverse=True
            )
            if len(found) > self.query.count:
                break
        return found[: self.query.count + 1]

    def _conditions(
        self, conditions: Sequence[Condition], sql: Sql, v: str, candidate: str | None = None
    ) -> str:
        """Visible, of the searched types, and all conditions.

        `candidate`: a row source before `v` that knows the row number; what is decided by that alone is decided
        there, so that the version is looked up only for what is left.
        """
        parts = [sql.visible(v)]
        if self.query.types:
            parts.append(sql.types(v, self.query.types))
        for condition in conditions:
            row = candidate if candidate and isinstance(condition, VALUE_CONDITIONS) else v
            parts.append(sql.predicate(condition, row))
        return " AND ".join(parts)

    def _key(self, key: Sort, v: str, sql: Sql) -> str:
        """What a resource is sorted by, as a scalar over its version row."""
        if key.kind in ("id", "updated"):
            # Row numbers grow with the time of the commit and never tie.
            return f"{v}.{'id' if key.kind == 'id' else 'rid'}"
        k = sql.alias("k")
        edge = "max" if key.descending else "min"
        paths = _valued(key, k, sql)
        return f"(SELECT {edge}({k}.{_column(key)}) FROM {key.kind} {k} WHERE {k}.rid = {v}.rid AND {paths})"

    # Walks

    def _walk(self, ranked: Sequence[Condition], at: cursors.Cursor | None) -> Steps:
        """Return count + 1 rows (keys…, rid) from the cursor on, in order."""
        limit = self.query.count + 1
        first = self.query.sort[0] if self.query.sort else None
        if first is None or first.kind == "updated":
            rows = yield from self._send(partial(self.number_statement, ranked, at, limit))
            return rows
        rows = []
        after = at.after if at is not None else None
        if first.kind == "id" or after is None or after[0] is not None:
            rows = yield from self._send(partial(self.sorted_statement, after, limit))
            after = None
        if first.kind != "id" and len(rows) < limit:
            rows = rows + (yield from self._send(partial(self.valueless_statement, after, limit - len(rows))))
        return rows

    def number_statement(
        self, ranked: Sequence[Condition], at: cursors.Cursor | None, limit: int
    ) -> tuple[str, list[Any]]:
        """Walk by row number: the rows of one token, or of the searched types."""
        sql = self.sql()
        descending = not self.query.sort or self.query.sort[0].descending
        direction = "DESC" if descending else "ASC"
        keys = "".join(f"{self._key(key, 'v', sql)}, " for key in self.query.sort)
        passed = ""
        if at is not None:
            passed = f" AND {{}} {'<' if descending else '>'} {sql.bind(at.after[-1])}"
        for ordered in ranked:
            driver = sql.driver(ordered, self.query.types) if isinstance(ordered, Token | Text) else None
            if driver is None or driver.ordered is None:
                continue
            table, row, condition = driver.ordered
            hint = self.dialect.by_type if len(self.query.types) == 1 else ""
            rest = [c for c in self.where if c is not ordered]
            candidate = row.removesuffix(".rid") if row.endswith(".rid") else None
            where = self._conditions(rest, sql, "v", candidate)
            text = (
                f"SELECT DISTINCT {keys}{row} FROM {table} {self.dialect.join} version v {hint} ON v.rid = {row} "
                f"WHERE {condition}{passed.format(row)} AND {where} ORDER BY {row} {direction} LIMIT {limit}"
            )
            return sql.finish(text)
        where = " AND ".join([sql.visible("v"), *(sql.predicate(condition, "v") for condition in self.where)])
        parts = self._over_types(f"{keys}v.rid AS rid", where + passed.format("v.rid"), sql)
        return sql.finish(f"{parts} ORDER BY {len(self.query.sort) + 1} {direction} LIMIT {limit}")

    def _over_types(self, columns: str, where: str, sql: Sql) -> str:
        """SELECT over all resources of the searched types, by row number."""
        if not self.query.types:
            return f"SELECT {columns} FROM version v WHERE {where}"
        parts = [
            f"SELECT {columns} FROM version v {self.dialect.by_type} WHERE v.t = {number} AND {where}"
            for number in sql.words(self.query.types)
        ]
        return " UNION ALL ".join(parts) or f"SELECT {columns} FROM version v WHERE FALSE AND {where}"

    def sorted_statement(self, after: tuple[Any, ...] | None, limit: int) -> tuple[str, list[Any]]:
        """Walk the index of the first sort key; a resource stands at its smallest value (largest when descending)."""
        sql = self.sql()
        first, *others = self.query.sort
        direction = "DESC" if first.descending else "ASC"
        if first.kind == "id":
            value = "v.id"
            source = "version v"
            conditions = []
        else:
            column = _column(first)
            value = f"k.{column}"
            source = f"{first.kind} k {self.dialect.join} version v ON v.rid = k.rid"
            beyond = "<" if not first.descending else ">"
            valued = _valued(first, "k", sql)
            # Of equal values the first row stands for the resource.
            m, k = (", ".join(f"{row}.{name}" for name in TIES[first.kind]) for row in "mk")
            smaller = (
                f"{first.kind} m WHERE m.rid = k.rid AND {_valued(first, 'm', sql)} AND "
                f"(m.{column} {beyond} k.{column} OR (m.{column} = k.{column} AND ({m}) < ({k})))"
            )
            conditions = [valued, f"NOT {sql.exists(smaller)}"]
        keys = [value, *(self._key(key, "v", sql) for key in others)]
        if after is not None:
            edge = sql.bind(after[0])
            conditions.insert(1, f"{value} {'<=' if first.descending else '>='} {edge}")
            conditions.append(self._beyond(keys, after, sql))
        where = " AND ".join([*conditions, self._conditions(self.where, sql, "v")])
        text = (
            f"SELECT {', '.join(keys)}, v.rid FROM {source} WHERE {where} "
            f"ORDER BY 1 {direction}, {_ordinals(others)}{len(keys) + 1} {direction} LIMIT {limit}"
        )
        return sql.finish(text)

    def valueless_statement(self, after: tuple[Any, ...] | None, limit: int) -> tuple[str, list[Any]]:
        """The resources without a value of the first sort key; they come last."""
        sql = self.sql()
        first, *others = self.query.sort
        direction = "DESC" if first.descending else "ASC"
        k = sql.alias("k")
        has = f"{first.kind} {k} WHERE {k}.rid = v.rid AND {_valued(first, k, sql)}"
        keys = [self._key(key, "v", sql) for key in others]
        conditions = [f"NOT {sql.exists(has)}", sql.visible("v")]
        conditions += [sql.predicate(condition, "v") for condition in self.where]
        if after is not None:
            conditions.append(self._beyond(["NULL", *keys], after, sql))
        shown = "".join(f", {expression}" for expression in keys)
        parts = self._over_types(f"NULL{shown}, v.rid", " AND ".join(conditions), sql)
        text = f"{parts} ORDER BY {_ordinals(others)}{len(keys) + 2} {direction} LIMIT {limit}"
        return sql.finish(text)

    def _beyond(self, keys: Sequence[str], after: tuple[Any, ...], sql: Sql) -> str:
        """Rows that come after the cursor's, key by key, the row number last."""
        alternatives = []
        same: list[str] = []
        for key, expression, value in zip(self.query.sort, keys, after, strict=False):
            if expression == "NULL":
                continue
            if value is None:
                same.append(f"{expression} IS NULL")
                continue
            bound = sql.bind(value)
            sign = "<" if key.descending else ">"
            alternatives.append(
                " AND ".join([*same, f"({expression} {sign} {bound} OR {expression} IS NULL)"])
            )
            same.append(f"{expression} = {bound}")
        sign = "<" if self.query.sort[0].descending else ">"
        alternatives.append(" AND ".join([*same, f"v.rid {sign} {sql.bind(after[-1])}"]))
        return "(" + " OR ".join(f"({part})" for part in alternatives) + ")"

    # Totals, bodies, includes

    def _count(self, few: Condition | None, limit: int | None = None) -> Steps:
        if few is not None:
            rows = yield from self._fetch_set(few)
            return len(rows)
        return (yield from self._send(partial(self.count_statement, limit)))[0][0]

    def count_statement(self, limit: int | None) -> tuple[str, list[Any]]:
        sql = self.sql()
        where = " AND ".join([sql.visible("v"), *(sql.predicate(condition, "v") for condition in self.where)])
        inner = self._over_types("1", where, sql)
        best = min(self.where, key=rank, default=None)
        driver = sql.driver(best, self.query.types) if best is not None else None
        if driver is not None:
            rest = [c for c in self.where if c is not best or not driver.is_exact]
            inner = (
                f"SELECT 1 FROM (SELECT DISTINCT rid FROM ({driver.select}) c0) d {self.dialect.join} version v "
                f"ON v.rid = d.rid WHERE {self._conditions(rest, sql, 'v')}"
            )
        bound = f" LIMIT {limit}" if limit is not None else ""
        return sql.finish(f"SELECT count(*) FROM ({inner}{bound}) c1")

    def _bodies(self, numbers: Sequence[int]) -> Steps:
        """Return the versions of these rows, in this order."""
        if not numbers:
            return []
        # The same text for pages of the same size, so that the database has it compiled.
        is_short = len(numbers) <= SHORT
        marks = (
            [f"{self.dialect.mark}{n + 1}" for n in range(len(numbers))] if is_short else map(str, numbers)
        )
        rows = yield Statement(
            f"SELECT rid, t, id, version, updated, method, body FROM version WHERE rid IN ({', '.join(marks)})",
            numbers if is_short else (),
        )
        by_number = {row[0]: Found(*row) for row in rows}
        # A very large body stands in a row of its own (docs/storage.md).
        large = [row.rid for row in by_number.values() if row.body == b""]
        if large:
            bodies = yield Statement(
                f"SELECT rid, body FROM large WHERE rid IN ({', '.join(map(str, large))})", ()
            )
            for rid, body in bodies:
                by_number[rid] = by_number[rid]._replace(body=body)
        return [by_number[number] for number in numbers if number in by_number]

    def _include(self, page: list[Found]) -> Steps:
        includes = self.query.includes
        seen = {row.rid for row in page}
        included: list[Found] = []
        fresh = page
        for turn in range(including.MAX_ROUNDS if includes and page else 0):
            new: dict[int, None] = {}
            for one in (one for one in includes if turn == 0 or one.iterates):
                for rid in (yield from self._linked(one, fresh)):
                    if rid not in seen:
                        new[rid] = None
            if not new:
                break
            seen |= new.keys()
            fresh = yield from self._bodies(list(new)[: including.MAX_INCLUDED + 1])
            included += fresh
            if len(included) > including.MAX_INCLUDED:
                warning = Issue("HT-SEARCH-37", {"most": including.MAX_INCLUDED}, "warning")
                return included[: including.MAX_INCLUDED], [warning]
        return included, []

    def _linked(self, one: Include, rows: Sequence[Found]) -> Steps:
        """Return the row numbers of what `rows` refer to, or of what refers to them."""
        by_type: dict[str, list[Found]] = {}
        for row in rows:
            by_type.setdefault(self.words.types[row.t], []).append(row)
        paths = sorted(including.paths(one, by_type, self.parameters))
        for path in paths:
            self._word(path)
        self._word(one.source or "")
        self._word(one.target or "")
        yield from self._learn()
        found: list[int] = []
        for kind, group in by_type.items():
            filtered = one.target if one.is_reverse else one.source
            if filtered not in (None, kind):
                continue
            sql = self.sql()
            k_paths = sql.is_in("k.p", sql.words(paths))
            if one.is_reverse:
                codes = sql.text_in("k.code", [row.id for row in group])
                where = [k_paths, codes, f"k.s = {group[0].t}"]
                join, hint = "x.rid = k.rid", ""
                if one.source is not None:
                    where.append(sql.types("x", (one.source,)))
            else:
                where = [sql.is_in("k.rid", [row.rid for row in group]), k_paths]
                join, hint = "x.t = k.s AND x.id = k.code", self.dialect.by_id
                if one.target is not None:
                    where.append(sql.is_in("k.s", sql.words((one.target,))))
            text = (
                f"SELECT DISTINCT x.rid FROM token k {self.dialect.join} version x {hint} ON {join} "
                f"WHERE {' AND '.join(where)} AND {sql.visible('x')} ORDER BY 1 LIMIT {including.MAX_INCLUDED + 1}"
            )
            found += [row[0] for row in (yield Statement(*sql.finish(text), True))]
        return found


def _flat(conditions: Sequence[Condition]) -> Generator[Condition, None, None]:
    for condition in conditions:
        if isinstance(condition, All):
            yield from _flat(condition.items)
        else:
            yield condition


def _ordinals(keys: Sequence[Sort]) -> str:
    """ORDER BY terms of the second and later sort keys, by their place in the SELECT."""
    ways = (
        f"{number} {'DESC' if key.descending else 'ASC'} NULLS LAST, " for number, key in enumerate(keys, 2)
    )
    return "".join(ways)


def _valued(key: Sort, k: str, sql: Sql) -> str:
    """The index rows `k` that a resource is sorted by; a concept with a text only has no code."""
    paths = sql.is_in(f"{k}.p", sql.words(key.paths))
    return f"{paths} AND {k}.code <> ''" if key.kind == "token" else paths


def _column(key: Sort) -> str:
    return {"token": "code", "string": "value"}.get(key.kind, "low")


def _sorted(keys: Sequence[Sort], rows: Rows) -> Rows:
    descending = not keys or keys[0].descending
    rows.sort(key=lambda row: row[-1], reverse=descending)
    if keys:
        rows.sort(key=cmp_to_key(partial(_compare, keys)))
    return rows


def _compare(keys: Sequence[Sort], left: tuple[Any, ...], right: tuple[Any, ...]) -> int:
    """Order two rows of keys; None comes last, whatever the direction."""
    for key, a, b in zip(keys, left, right, strict=False):
        if a == b:
            continue
        if a is None or b is None:
            return 1 if a is None else -1
        return (1 if a > b else -1) * (-1 if key.descending else 1)
    return 0


def _after(keys: Sequence[Sort], row: tuple[Any, ...], last: tuple[Any, ...]) -> bool:
    order = _compare(keys, row, last)
    if order:
        return order > 0
    descending = not keys or keys[0].descending
    return bool(row[-1] < last[-1]) if descending else bool(row[-1] > last[-1])
