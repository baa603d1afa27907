"""From a condition to SQL: a predicate on a row, and where possible a driver that lists candidate rows by an index.

Tables (gateway/store/schema.py): `version` with one row a version, and narrow index tables keyed by its row number.
A predicate is a point look-up by row number; a driver is a range of an index. The planner (gateway/search/plan.py)
chooses which condition drives, so the database's own planner has nothing to guess.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from conformance.definitions import resource_types
from gateway.search.date import DAY
from gateway.search.dialect import Dialect
from gateway.search.match import EARTH_KM
from gateway.search.query import (
    All,
    AnyOf,
    Below,
    Chain,
    Condition,
    Date,
    Display,
    Has,
    Id,
    Kind,
    Near,
    Not,
    Present,
    Quantity,
    String,
    Text,
    Together,
    Token,
    Updated,
)

FOREVER = 2**47
"""`until` of what is current; six bytes in SQLite."""
DELETED = 3
SUFFIX = 16
"""Characters of a suffix row; longer needles are verified on the value itself."""
LAST = "\U0010ffff"
"""Above every character: prefix ranges end here."""

VALUE_CONDITIONS = (Token, Display, Below, String, Date, Quantity)


@dataclass(frozen=True, slots=True)
class Driver:
    """SELECT of candidate row numbers. `rank`: how selective such a thing usually is, 0 best.

    `is_exact`: it lists no resource that the condition doesn't hold for. `ordered`: (table, row number, condition) whose rows come by row number,
    so that a page can stop early.
    """

    select: str
    rank: int
    is_exact: bool = False
    ordered: tuple[str, str, str] | None = None


def rank(condition: Condition) -> int:
    """How selective such a condition usually is, 0 best, 99 when it has no driver; the same as its driver's rank."""
    if isinstance(condition, Token):
        if any(code is None for _, code in condition.pairs):
            return 8
        return 1 if any((system or "")[:1].isupper() for system, _ in condition.pairs) else 2
    if isinstance(condition, Id):
        return 0
    if isinstance(condition, String):
        return {"contains": 4, "suffix": 99}.get(condition.mode, 3)
    if isinstance(condition, Date):
        return {"eq": 4, "ap": 4, "ne": 99}.get(condition.op, 5)
    if isinstance(condition, Quantity):
        return 99 if condition.op == "ne" else 5
    if isinstance(condition, Chain | Has):
        return rank(condition.item) + 2
    if isinstance(condition, All | Together):
        return min((rank(item) for item in condition.items), default=99)
    if isinstance(condition, AnyOf):
        return max((rank(item) for item in condition.items), default=-1) + 1
    if isinstance(condition, Updated):
        return 99 if condition.op == "ne" else 5
    if isinstance(condition, Present):
        return 9
    return 99 if isinstance(condition, Not | Kind) else 4


NOWHERE = Driver("SELECT 0 AS rid WHERE FALSE", 0, True)
"""No resource has a value there."""


class Sql:
    """One statement in the making. `word` gives the number of a dictionary word, None when no row uses it."""

    def __init__(self, dialect: Dialect, word: Callable[[str], int | None], snapshot: int) -> None:
        self.dialect = dialect
        self.values: list[Any] = []
        self._word = word
        self._aliases = count(1)
        self._snapshot = snapshot
        self._snapshot_mark = ""

    def bind(self, value: Any) -> str:
        self.values.append(value)
        return f"{self.dialect.mark}{len(self.values)}"

    def finish(self, text: str) -> tuple[str, list[Any]]:
        """Return the statement with its values; values of drivers that were weighed and not taken fall away."""
        used: dict[str, int] = {}
        mark = self.dialect.mark

        def number(found: re.Match[str]) -> str:
            return f"{mark}{used.setdefault(found[1], len(used) + 1)}"

        text = self.dialect.marks.sub(number, text)
        return text, [self.values[int(place) - 1] for place in used]

    def alias(self, letter: str) -> str:
        return f"{letter}{next(self._aliases)}"

    def visible(self, v: str) -> str:
        """What is there in the snapshot."""
        if not self._snapshot_mark:
            self._snapshot_mark = self.bind(self._snapshot)
        s = self._snapshot_mark
        return f"{v}.rid <= {s} AND {v}.until > {s} AND {v}.method <> {DELETED}"

    def words(self, values: Sequence[str]) -> list[int]:
        return [number for number in map(self._word, values) if number is not None]

    def is_in(self, column: str, numbers: Sequence[int]) -> str:
        """`column` is one of our own numbers; no bind, they are few and the statement is cached by its text."""
        if len(numbers) == 1:
            return f"{column} = {numbers[0]}"
        return f"{column} IN ({', '.join(map(str, numbers))})" if numbers else "FALSE"

    def text_in(self, column: str, values: Sequence[str]) -> str:
        if len(values) == 1:
            return f"{column} = {self.bind(values[0])}"
        if len(values) <= 8:
            return f"{column} IN ({', '.join(self.bind(value) for value in values)})"
        bound: Any = json.dumps(values) if self.dialect.arrays_are_json else list(values)
        return f"{column} {self.dialect.text_list.format(value=self.bind(bound))}"

    def exists(self, body: str) -> str:
        return f"EXISTS (SELECT 1 FROM {body}{self.dialect.fence})"

    def types(self, v: str, types: Sequence[str]) -> str:
        return self.is_in(f"{v}.t", self.words(types))

    # Predicates

    def predicate(self, condition: Condition, v: str) -> str:
        """Return a boolean expression over the version row `v`."""
        if isinstance(condition, All):
            return (
                "(" + " AND ".join(self.predicate(i, v) for i in condition.items) + ")"
                if condition.items
                else "TRUE"
            )
        if isinstance(condition, AnyOf):
            return (
                "(" + " OR ".join(self.predicate(i, v) for i in condition.items) + ")"
                if condition.items
                else "FALSE"
            )
        if isinstance(condition, Not):
            return f"NOT ({self.predicate(condition.item, v)})"
        if isinstance(condition, Id):
            return self.text_in(f"{v}.id", condition.ids)
        if isinstance(condition, Kind):
            return self.types(v, condition.types)
        if isinstance(condition, Updated):
            return self._interval(
                condition.op, condition.low, condition.high, f"{v}.updated", f"({v}.updated + 1000)"
            )
        if isinstance(condition, Present):
            k = self.alias("k")
            paths = self.is_in(f"{k}.p", self.words(condition.paths))
            return self.exists(f"{condition.kind} {k} WHERE {k}.rid = {v}.rid AND {paths}")
        if isinstance(condition, Together):
            parts = []
            for item in condition.items:
                k = self.alias("k")
                table, where = self.value(item, k)
                parts.append(f"SELECT {k}.n FROM {table} {k} WHERE {k}.rid = {v}.rid AND {where}")
            return f"EXISTS ({' INTERSECT '.join(parts)})"
        if isinstance(condition, Chain):
            return self._chain(condition, v)
        if isinstance(condition, Has):
            return self._has(condition, v)
        if isinstance(condition, Near):
            return self._near(condition, v)
        if isinstance(condition, Text):
            query = self.bind(self._fulltext(condition))
            return self.dialect.fulltext.format(table=condition.field, row=f"{v}.rid", query=query)
        k = self.alias("k")
        table, where = self.value(condition, k)
        return self.exists(f"{table} {k} WHERE {k}.rid = {v}.rid AND {where}")

    def _chain(self, condition: Chain, v: str) -> str:
        k, x = self.alias("k"), self.alias("v")
        paths = self.is_in(f"{k}.p", self.words(condition.paths))
        return self.exists(
            f"token {k} {self.dialect.join} version {x} {self.dialect.by_id}"
            f"{self.on(f'{x}.t = {k}.s AND {x}.id = {k}.code')} "
            f"WHERE {k}.rid = {v}.rid AND {paths} AND {self.types(x, condition.types)} AND {self.visible(x)} "
            f"AND {self.predicate(condition.item, x)}"
        )

    def _has(self, condition: Has, v: str) -> str:
        k, x = self.alias("k"), self.alias("v")
        paths = self.is_in(f"{k}.p", self.words(condition.paths))
        return self.exists(
            f"token {k} {self.dialect.join} version {x} {self.dialect.by_type}{self.on(f'{x}.rid = {k}.rid')} "
            f"WHERE {paths} AND {k}.code = {v}.id AND {k}.s = {v}.t AND {self.types(x, (condition.type,))} "
            f"AND {self.visible(x)} AND {self.predicate(condition.item, x)}"
        )

    def on(self, condition: str) -> str:
        return f" ON {condition}"

    def _near(self, condition: Near, v: str) -> str:
        a, o = self.alias("k"), self.alias("k")
        lats = self.is_in(f"{a}.p", self.words([f"{path}.latitude" for path in condition.paths]))
        longs = self.is_in(f"{o}.p", self.words([f"{path}.longitude" for path in condition.paths]))
        lat, lon = self.bind(condition.latitude), self.bind(condition.longitude)
        haversine = (
            f"power(sin(radians({a}.low - {lat}) / 2), 2) "
            f"+ cos(radians({lat})) * cos(radians({a}.low)) * power(sin(radians({o}.low - {lon}) / 2), 2)"
        )
        least = "min" if self.dialect.arrays_are_json else "least"
        distance = f"{2 * EARTH_KM} * asin({least}(1.0, sqrt({haversine})))"
        return self.exists(
            f"quantity {a} {self.dialect.join} quantity {o}{self.on(f'{o}.rid = {a}.rid AND {o}.n = {a}.n')} "
            f"WHERE {a}.rid = {v}.rid AND {lats} AND {longs} AND {distance} <= {self.bind(condition.km)}"
        )

    def _fulltext(self, condition: Text) -> str:
        if self.dialect.arrays_are_json:
            return " AND ".join('"' + " ".join(phrase) + '"' for phrase in condition.phrases)
        return " & ".join(
            "(" + " <-> ".join(f"'{word}'" for word in phrase) + ")" for phrase in condition.phrases
        )

    # Conditions on values

    def value(self, condition: Condition, k: str) -> tuple[str, str]:
        """Return the index table and the expression over its row `k` for a condition on values."""
        if isinstance(condition, AnyOf):
            rows = [self.value(item, k) for item in condition.items]
            return (
                (rows[0][0], "(" + " OR ".join(where for _, where in rows) + ")")
                if rows
                else ("token", "FALSE")
            )
        assert isinstance(condition, VALUE_CONDITIONS)
        numbers = self.words(condition.paths)
        if not numbers:
            return _table(condition), "FALSE"
        paths = self.is_in(f"{k}.p", numbers)
        where = self._value(condition, k)
        return _table(condition), where if where == "FALSE" else f"{paths} AND {where}"

    def _value(self, condition: Condition, k: str) -> str:
        if isinstance(condition, Token):
            return self._token(condition, k)
        if isinstance(condition, Display):
            low, high = self.bind(condition.text), self.bind(condition.text + LAST)
            return f"{k}.d IN (SELECT id FROM word WHERE value >= {low} AND value < {high})"
        if isinstance(condition, Below):
            low, high = self.bind(condition.uri + "/"), self.bind(condition.uri + "/" + LAST)
            return f"({k}.code = {self.bind(condition.uri)} OR ({k}.code >= {low} AND {k}.code < {high}))"
        if isinstance(condition, String):
            return self._string(condition, k)
        if isinstance(condition, Date):
            return self._interval(condition.op, condition.low, condition.high, f"{k}.low", f"{k}.high")
        assert isinstance(condition, Quantity)
        return self._quantity(condition, k)

    def _token(self, condition: Token, k: str) -> str:
        by_system: dict[str | None, list[str]] = {}
        wholes: list[str] = []
        for system, code in condition.pairs:
            if code is None:
                wholes.append(self._system(system, k))
            else:
                by_system.setdefault(system, []).append(code)
        parts = list(wholes)
        for system, codes in by_system.items():
            known = self._system(system, k)
            if known == "FALSE":
                continue
            text = self.text_in(f"{k}.code", codes)
            parts.append(text if known == "TRUE" else f"{text} AND {known}")
        if not parts:
            return "FALSE"
        return parts[0] if len(parts) == 1 else "(" + " OR ".join(f"({part})" for part in parts) + ")"

    def _system(self, system: str | None, k: str) -> str:
        if system is None:
            return "TRUE"
        if system == "":
            return f"{k}.s = 0"
        number = self._word(system)
        return "FALSE" if number is None else f"{k}.s = {number}"

    def _string(self, condition: String, k: str) -> str:
        value = condition.value
        if condition.mode == "exact":
            from terminology.hanzi import fold

            # The folded value finds the row by the index; the written one decides.
            text = self.bind(value)
            return (
                f"{k}.value = {self.bind(fold(value))} "
                f"AND CASE WHEN {k}.exact = '' THEN {k}.value ELSE {k}.exact END = {text}"
            )
        if condition.mode == "prefix":
            return f"{k}.value >= {self.bind(value)} AND {k}.value < {self.bind(value + LAST)}"
        if condition.mode == "contains":
            return self.dialect.position.format(text=f"{k}.value", piece=self.bind(value)) + " > 0"
        if condition.mode == "suffix":
            return f"substr({k}.value, length({k}.value) - {len(value) - 1}) = {self.bind(value)}"
        return f"{k}.value = {self.bind(value)}"

    def _interval(self, op: str, low: int, high: int, a: str, b: str) -> str:
        """search.html#prefix over [a, b); every form leads with the bound that the index on `a` can use."""
        inside = f"({a} >= {self.bind(low)} AND {b} <= {self.bind(high)})"
        if op == "eq":
            return inside
        if op == "ne":
            return f"NOT {inside}"
        if op == "gt":
            return f"{b} > {self.bind(high)}"
        if op == "lt":
            return f"{a} < {self.bind(low)}"
        if op == "ge":
            return f"({b} > {self.bind(high)} OR {inside})"
        if op == "le":
            return f"({a} < {self.bind(low)} OR {inside})"
        if op == "sa":
            return f"{a} >= {self.bind(high)}"
        if op == "eb":
            return f"{b} <= {self.bind(low)}"
        return f"({a} < {self.bind(high)} AND {b} > {self.bind(low)})"

    def _quantity(self, condition: Quantity, k: str) -> str:
        if condition.unit is None:
            return self._number(condition, f"{k}.low", f"{k}.high")
        system, code = condition.unit
        if system == "ucum":
            base = self._word(code)
            if base is None:
                return "FALSE"
            return f"{k}.base = {base} AND {self._number(condition, f'{k}.base_low', f'{k}.base_high')}"
        parts = [self._number(condition, f"{k}.low", f"{k}.high")]
        if system:
            parts.insert(0, self._system(system, k))
        if code:
            numbers = self.words([code])
            by_code, by_unit = self.is_in(f"{k}.code", numbers), self.is_in(f"{k}.unit", numbers)
            parts.insert(0, by_code if system else f"({by_code} OR {by_unit})")
        return " AND ".join(parts)

    def _number(self, condition: Quantity, a: str, b: str) -> str:
        op = condition.op
        if op in ("eq", "ne"):
            # The upper bound stands on both ends, so that the index on the lower end has a range.
            low, high = self.bind(condition.low), self.bind(condition.high)
            inside = f"({a} >= {low} AND {a} < {high} AND {b} < {high})"
            return inside if op == "eq" else f"NOT {inside}"
        if op == "ap":
            return f"({a} <= {self.bind(condition.high)} AND {b} >= {self.bind(condition.low)})"
        column = b if op in ("gt", "ge", "eb") else a
        sign = {"gt": ">", "ge": ">=", "eb": "<", "lt": "<", "le": "<=", "sa": ">"}[op]
        return f"{column} {sign} {self.bind(condition.low)}"

    # Drivers

    def driver(self, condition: Condition, types: Sequence[str]) -> Driver | None:
        """Return the candidates of a condition by an index, None when only a walk can find them.

        `types`: what the candidates are wanted for, none for all; others may be among them.
        """
        if isinstance(condition, All | Together):
            return self._best(condition.items, types)
        if isinstance(condition, AnyOf):
            drivers = [self.driver(item, types) for item in condition.items]
            if not drivers:
                return NOWHERE
            if any(driver is None for driver in drivers):
                return None
            kept = [driver for driver in drivers if driver is not None]
            return Driver(" UNION ALL ".join(f"{d.select}" for d in kept), max(d.rank for d in kept) + 1)
        if isinstance(condition, Id):
            # (type, id, version) is the key, so the types are part of the look-up.
            kinds = self.types("x", types or tuple(sorted(resource_types())))
            ids = self.text_in("x.id", condition.ids)
            return Driver(f"SELECT x.rid FROM version x WHERE {kinds} AND {ids}", 0, is_exact=True)
        if isinstance(condition, Updated):
            return self._updated_driver(condition)
        if isinstance(condition, Present):
            paths = self.is_in("k.p", self.words(condition.paths))
            return Driver(f"SELECT k.rid FROM {condition.kind} k WHERE {paths}", 9)
        if isinstance(condition, Chain):
            return self._chain_driver(condition)
        if isinstance(condition, Has):
            return self._has_driver(condition)
        if isinstance(condition, Near):
            return self._near_driver(condition)
        if isinstance(condition, Text):
            query = self.bind(self._fulltext(condition))
            select = self.dialect.fulltext_rows.format(table=condition.field, query=query)
            if not self.dialect.arrays_are_json:
                return Driver(select, 4, True)
            # FTS5 lists its rows by number.
            table = condition.field
            return Driver(select, 4, True, (table, f"{table}.rowid", f"{table} MATCH {query}"))
        if isinstance(condition, VALUE_CONDITIONS):
            return self._value_driver(condition)
        return None

    def _best(self, items: Sequence[Condition], types: Sequence[str]) -> Driver | None:
        found = [driver for item in items if (driver := self.driver(item, types)) is not None]
        if not found:
            return None
        best = min(found, key=lambda driver: driver.rank)
        return best if len(items) == 1 else replace(best, is_exact=False, ordered=None)

    def _updated_driver(self, condition: Updated) -> Driver | None:
        op, low, high = condition.op, condition.low, condition.high
        if op in ("gt", "sa"):
            where = f"x.updated > {self.bind(high - 1001)}"
        elif op == "ge":
            where = f"x.updated >= {self.bind(low)}"
        elif op in ("lt", "eb"):
            where = f"x.updated < {self.bind(low)}"
        elif op == "le":
            where = f"x.updated < {self.bind(high)}"
        elif op in ("eq", "ap"):
            where = f"x.updated >= {self.bind(low - 1000)} AND x.updated < {self.bind(high)}"
        else:
            return None
        return Driver(f"SELECT x.rid FROM version x WHERE {where}", 5)

    def _chain_driver(self, condition: Chain) -> Driver | None:
        inner = self.driver(condition.item, condition.types)
        if inner is None:
            return None
        x, k = self.alias("v"), self.alias("k")
        paths = self.is_in(f"{k}.p", self.words(condition.paths))
        return Driver(
            f"SELECT {k}.rid FROM (SELECT DISTINCT rid FROM ({inner.select}) d0) {x}d {self.dialect.join} version {x}"
            f"{self.on(f'{x}.rid = {x}d.rid')} {self.dialect.join} token {k}"
            f"{self.on(f'{paths} AND {k}.code = {x}.id AND {k}.s = {x}.t')} "
            f"WHERE {self.types(x, condition.types)} AND {self.visible(x)} AND {self.predicate(condition.item, x)}",
            inner.rank + 2,
            True,
        )

    def _has_driver(self, condition: Has) -> Driver | None:
        inner = self.driver(condition.item, (condition.type,))
        if inner is None:
            return None
        x, k, y = self.alias("v"), self.alias("k"), self.alias("v")
        paths = self.is_in(f"{k}.p", self.words(condition.paths))
        return Driver(
            f"SELECT {y}.rid FROM (SELECT DISTINCT rid FROM ({inner.select}) d0) {x}d "
            f"{self.dialect.join} version {x} {self.dialect.by_type}"
            f"{self.on(f'{x}.rid = {x}d.rid')} {self.dialect.join} token {k}{self.on(f'{k}.rid = {x}.rid AND {paths}')} "
            f"{self.dialect.join} version {y} {self.dialect.by_id}{self.on(f'{y}.t = {k}.s AND {y}.id = {k}.code')} "
            f"WHERE {self.types(x, (condition.type,))} AND {self.visible(x)} AND {self.predicate(condition.item, x)}",
            inner.rank + 2,
            True,
        )

    def _near_driver(self, condition: Near) -> Driver:
        degrees = condition.km / 110.574 + 0.01
        paths = self.is_in("k.p", self.words([f"{path}.latitude" for path in condition.paths]))
        low, high = self.bind(condition.latitude - degrees), self.bind(condition.latitude + degrees)
        return Driver(f"SELECT k.rid FROM quantity k WHERE {paths} AND k.low >= {low} AND k.low <= {high}", 4)

    def _value_driver(self, condition: Token | Display | Below | String | Date | Quantity) -> Driver | None:
        k = "k"
        numbers = self.words(condition.paths)
        if not numbers:
            return NOWHERE
        if isinstance(condition, Token):
            where = self.value(condition, k)[1]
            if where == "FALSE":
                return NOWHERE
            is_single = len(numbers) == 1 and len(condition.pairs) == 1 and condition.pairs[0][1] is not None
            if any(code is None for _, code in condition.pairs):
                return Driver(f"SELECT k.rid FROM token k WHERE {where}", 8)
            is_reference = any((system or "")[:1].isupper() for system, _ in condition.pairs)
            rank = 1 if is_reference else 2
            return Driver(
                f"SELECT k.rid FROM token k WHERE {where}",
                rank,
                True,
                ("token k", "k.rid", where) if is_single else None,
            )
        if isinstance(condition, Below):
            numbers = self.words(condition.paths)
            low, high = self.bind(condition.uri), self.bind(condition.uri + "/" + LAST)
            paths = self.is_in("k.p", numbers)
            return Driver(
                f"SELECT k.rid FROM token k WHERE {paths} AND k.code >= {low} AND k.code < {high}", 4
            )
        if isinstance(condition, Display):
            low, high = self.bind(condition.text), self.bind(condition.text + LAST)
            paths = self.is_in("y.p", self.words(condition.paths))
            return Driver(
                f"SELECT k.rid FROM word w {self.dialect.join} display y{self.on('y.d = w.id')} {self.dialect.join} token k"
                f"{self.on('k.p = y.p AND k.code = y.code AND k.s = y.s AND k.d = y.d')} "
                f"WHERE w.value >= {low} AND w.value < {high} AND {paths}",
                4,
            )
        if isinstance(condition, String) and condition.mode == "contains":
            return self._contains_driver(condition)
        if isinstance(condition, String) and condition.mode == "suffix":
            return None
        if isinstance(condition, Date):
            return self._date_driver(condition)
        table, where = self.value(condition, k)
        if where == "FALSE":
            return NOWHERE
        if isinstance(condition, Quantity) and condition.op in ("gt", "ge", "eb", "ne"):
            return self._quantity_driver(condition)
        return Driver(
            f"SELECT k.rid FROM {table} k WHERE {where}", 3 if table == "string" else 5, is_exact=True
        )

    def _contains_driver(self, condition: String) -> Driver:
        """Suffix rows that begin with the piece; values too long for suffix rows are candidates always."""
        piece = condition.value[:SUFFIX]
        paths = self.is_in("k.p", self.words(condition.paths))
        low, high = self.bind(piece), self.bind(piece + LAST)
        return Driver(
            f"SELECT k.rid FROM suffix k WHERE {paths} AND k.value >= {low} AND k.value < {high} "
            f"UNION ALL SELECT k.rid FROM suffix k WHERE {paths} AND k.value = ''",
            4,
        )

    def _date_driver(self, condition: Date) -> Driver | None:
        """Ranges of the index on the lower bound; intervals longer than a day have an index on the upper one too."""
        paths = self.is_in("k.p", self.words(condition.paths))
        op, low, high = condition.op, condition.low, condition.high
        select = f"SELECT k.rid FROM date k WHERE {paths} AND "
        wide = f" UNION ALL {select} k.wide = 1 AND k.high > "
        if op == "eq":
            end = self.bind(high)
            return Driver(
                f"{select} k.low >= {self.bind(low)} AND k.low < {end} AND k.high <= {end}", 4, True
            )
        if op == "sa":
            return Driver(f"{select} k.low >= {self.bind(high)}", 5, True)
        if op == "lt" or op == "eb":
            return Driver(f"{select} k.low < {self.bind(low)}", 5)
        if op == "le":
            return Driver(f"{select} k.low < {self.bind(high)}", 5)
        if op == "gt":
            return Driver(f"{select} k.low > {self.bind(high - DAY)}{wide}{self.bind(high)}", 5)
        if op == "ge":
            edge = min(low, high - DAY)
            return Driver(f"{select} k.low >= {self.bind(edge)}{wide}{self.bind(high)}", 5)
        if op == "ap":
            narrow = f"{select} k.low > {self.bind(low - DAY)} AND k.low < {self.bind(high)}"
            return Driver(f"{narrow}{wide}{self.bind(low)}", 4)
        return None

    def _quantity_driver(self, condition: Quantity) -> Driver | None:
        """Comparisons with the upper bound: a plain number has both bounds alike, an interval is in an index of its own."""
        if condition.op == "ne":
            return None
        table, where = self.value(condition, "k")
        column = "base_low" if condition.unit is not None and condition.unit[0] == "ucum" else "low"
        bound = self.bind(condition.high if condition.op != "eb" else condition.low)
        if condition.op == "eb":
            return Driver(f"SELECT k.rid FROM {table} k WHERE {where} AND k.{column} < {bound}", 5)
        sign = ">" if condition.op == "gt" else ">="
        return Driver(
            f"SELECT k.rid FROM {table} k WHERE {where} AND k.{column} {sign} {bound} "
            f"UNION ALL SELECT k.rid FROM {table} k {self.dialect.wide} WHERE {where} AND k.wide = 1",
            5,
        )


def _table(condition: Condition) -> str:
    if isinstance(condition, String):
        return "string"
    if isinstance(condition, Date):
        return "date"
    return "quantity" if isinstance(condition, Quantity) else "token"
