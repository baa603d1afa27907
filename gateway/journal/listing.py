"""Pages of the journal, newest first, by keyset: the thousandth page costs what the first one costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from gateway.journal.entry import Entry, State

COLUMNS = (
    "id, kind, channel, peer, source, control_id, event, keys, request_id, received, state, attempts, "
    "next_attempt, size, detail"
)
PAGE = 50
LARGEST_PAGE = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages. `trouble` means everything that is not stored; `since` and `until` in milliseconds since 1970."""

    state: State | None = None
    trouble: bool = False
    source: str | None = None
    event: str | None = None
    control_id: str | None = None
    request_id: str | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries without their bytes; `next` is the id to go on before, None at the end."""

    entries: Sequence[Entry]
    next: int | None


def entries(connection: apsw.Connection, wanted: Filter, *, before: int | None, count: int) -> Page:
    """Return one page of the messages that `wanted` describes."""
    count = max(1, min(count, LARGEST_PAGE))
    conditions, values = _conditions(wanted)
    if before is not None:
        conditions.append("id < ?")
        values.append(before)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    statement = f"select {COLUMNS} from message {where} order by id desc limit ?"  # noqa: S608 (own words only)
    rows = [to_entry(row) for row in connection.execute(statement, [*values, count + 1])]
    return Page(rows[:count], rows[count - 1].id if len(rows) > count else None)


def to_entry(row: Sequence[Any], raw: bytes | None = None) -> Entry:
    """One row of COLUMNS as an Entry."""
    id, kind, channel, peer, source, control_id, event = row[:7]
    keys, request_id, received, state, attempts, next_attempt, size, detail = row[7:]
    return Entry(
        id,
        kind,
        channel,
        peer,
        source,
        control_id,
        event,
        tuple(keys.split("\n")) if keys else (),
        request_id,
        received,
        state,
        attempts,
        next_attempt,
        size,
        msgspec.json.decode(detail),
        raw,
    )


def _conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for name in ("state", "source", "event", "control_id", "request_id"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    if wanted.trouble or wanted.state not in (None, "stored"):
        # The partial index holds exactly these.
        conditions.append("state <> 'stored'")
    if wanted.key is not None:
        conditions.append("instr(char(10) || keys || char(10), char(10) || ? || char(10)) > 0")
        values.append(wanted.key)
    for name, operator in (("since", ">="), ("until", "<")):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"received {operator} ?")
            values.append(value)
    return conditions, values
