"""Reading the delivery log: pages, what comes next, where destinations stand."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gateway.outbound.delivery import OPEN, Delivery, State
from gateway.outbound.schema import FILE, connect

COLUMNS = (
    "id, destination, number, event, topic, key, focus, payload, control_id, state, attempts, refusals, created, since,"
    " next_attempt, updated, size, media, map, detail"
)
LARGEST_PAGE = 500
# How many of the oldest open deliveries are looked at to find the first of each key.
WINDOW = 2_000
IS_OPEN = "state in ('waiting', 'failed')"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries. `trouble`: all that is neither delivered nor discarded; times in milliseconds since 1970."""

    state: State | None = None
    trouble: bool = False
    destination: str | None = None
    topic: str | None = None
    key: str | None = None
    control_id: str | None = None
    focus: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a destination. `state`: up or down since `since`; `open`, `parked`: how many deliveries."""

    name: str
    state: str
    since: int
    reason: str
    number: int
    failures: int
    next_attempt: int
    open: int = 0
    parked: int = 0


class Reader:
    """Reading only; may run in any thread and beside the process that writes."""

    def __init__(self, folder: Path) -> None:
        self._connection = connect(folder / FILE, writing=False)
        self._lock = threading.Lock()

    def heads(self, destination: str, *, by_key: bool, now: int, count: int) -> list[Delivery]:
        """Return what is to be sent now: the oldest open delivery, or the oldest of each key, as far as due."""
        if not by_key:
            rows = self._rows(f"where destination = ? and {IS_OPEN} order by id limit 1", (destination,))
            return [row for row in rows if row.next_attempt <= now]
        with self._lock:
            oldest = list(
                self._connection.execute(
                    f"select id, key, next_attempt from delivery where destination = ? and {IS_OPEN} order by id limit ?",
                    (destination, WINDOW),
                )
            )
        first: dict[str, tuple[int, int]] = {}
        for id, key, due in oldest:
            first.setdefault(key, (id, due))
        ids = [id for id, due in first.values() if due <= now][:count]
        if not ids and len(oldest) == WINDOW:
            # All the oldest wait for their time; behind them another key may be due.
            where = f"id in (select min(id) from delivery where destination = ? and {IS_OPEN} group by key)"
            return self._rows(
                f"where {where} and next_attempt <= ? order by id limit ?", (destination, now, count)
            )
        return self._rows(f"where id in ({', '.join('?' * len(ids))}) order by id", ids) if ids else []

    def next_due(self, destination: str) -> int | None:
        with self._lock:
            found: int | None = self._connection.execute(
                f"select min(next_attempt) from delivery where destination = ? and {IS_OPEN}",
                (destination,),
            ).get
            return found

    def delivery(self, id: int, *, with_bodies: bool = False) -> Delivery | None:
        rows = self._rows("where id = ?", (id,), with_bodies=with_bodies)
        return rows[0] if rows else None

    def deliveries(self, wanted: Filter, *, before: int | None = None, count: int = 50) -> list[Delivery]:
        """Return one page, newest first."""
        conditions, values = _conditions(wanted)
        if before is not None:
            conditions.append("id < ?")
            values.append(before)
        where = f"where {' and '.join(conditions)}" if conditions else ""
        return self._rows(
            f"{where} order by id desc limit ?", (*values, max(1, min(count, LARGEST_PAGE + 1)))
        )

    def numbered(self, destination: str, since: int, until: int, count: int) -> list[Delivery]:
        return self._rows(
            "where destination = ? and number between ? and ? and number > 0 order by number limit ?",
            (destination, since, until, count),
        )

    def has_focus(self, destination: str, focus: str) -> bool:
        with self._lock:
            return (
                self._connection.execute(
                    "select 1 from delivery where destination = ? and focus = ? limit 1", (destination, focus)
                ).fetchone()
                is not None
            )

    def standings(self, name: str | None = None) -> dict[str, Standing]:
        where, values = ("where destination = ?", (name,)) if name else ("", ())
        statement = f"""select destination, sum({IS_OPEN}), sum(state = 'parked') from delivery
          {where} {"and" if name else "where"} state in ('waiting', 'failed', 'parked') group by destination"""
        only, chosen = ("where name = ?", (name,)) if name else ("", ())
        with self._lock:
            counts = {
                row[0]: (int(row[1]), int(row[2])) for row in self._connection.execute(statement, values)
            }
            rows = list(
                self._connection.execute(
                    f"select name, state, since, reason, number, failures, next_attempt from destination {only}",
                    chosen,
                )
            )
        return {str(row[0]): Standing(*(*row, *counts.get(row[0], (0, 0)))) for row in rows}

    def counts(self) -> dict[str, int]:
        with self._lock:
            rows = self._connection.execute(
                "select state, count(*) from delivery where state in ('waiting', 'failed', 'parked') group by state"
            )
            return {str(state): int(number) for state, number in rows}

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, tail: str, values: Sequence[Any], *, with_bodies: bool = False) -> list[Delivery]:
        with self._lock:
            rows = list(self._connection.execute(f"select {COLUMNS} from delivery {tail}", values))
            bodies: dict[int, tuple[bytes | None, bytes | None]] = {}
            if with_bodies:
                for row in rows:
                    found = self._connection.execute(
                        "select sent, answer from body where id = ?", (row[0],)
                    ).fetchone()
                    bodies[row[0]] = found or (None, None)
        return [_to_delivery(row, *bodies.get(row[0], (None, None))) for row in rows]


def _to_delivery(row: Sequence[Any], sent: bytes | None, answer: bytes | None) -> Delivery:
    values = list(row)
    values[7] = msgspec.json.decode(values[7])
    values[19] = msgspec.json.decode(values[19])
    return Delivery(*(*values, sent, answer))


def _conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for name in ("state", "destination", "topic", "key", "control_id"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    if wanted.trouble or wanted.state in (*OPEN, "parked"):
        # The partial index holds exactly these.
        conditions.append("state in ('waiting', 'failed', 'parked')")
    if wanted.focus is not None:
        conditions.append("(focus = ? or focus like ? || '/_history/%')")
        values += [wanted.focus, wanted.focus]
    for name, operator in (("since", ">="), ("until", "<")):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"created {operator} ?")
            values.append(value)
    return conditions, values
