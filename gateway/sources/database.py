"""Rows of a database view, step by step: behind the last key or time that the journal has, in order, each once.

The position is durable in the same transaction as the rows (Journal.keep), so that a gateway that is killed goes on
exactly behind the last row it kept. By time alone, rows of the last instant are read again and recognised by their
content. SQLAlchemy speaks to Oracle, SQL Server, MySQL, PostgreSQL, DM and others; it works in a thread.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gateway.sources.reading import Door, Look
from gateway.sources.source import Database
from mappings.rows import Rows
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine, Select

# A look hands on this many portions, then other sources have their turn.
MOST_PORTIONS = 200
# How far the portion may grow when more rows than it holds share one instant.
MOST_AT_ONE_INSTANT = 100_000
SECONDS = 60


class DatabaseReader:
    def __init__(self, source: Database, door: Door) -> None:
        self.source, self.door = source, door
        self._engine: Engine | None = None

    async def look(self) -> Look:
        """Hand on everything behind the position; raises Unavailable (HT-TAB-12, HT-TAB-13) or InvalidInput (HT-TAB-14)."""
        found = Look()
        source = self.source
        position = self.door.position(source.name)
        size = source.batch
        is_first = True
        for _ in range(MOST_PORTIONS):
            rows = await asyncio.to_thread(self._read, position, size, is_first=is_first)
            is_first = False
            following = self._behind(rows, position)
            sheet = Rows([shown(row) for row in rows], _columns(rows))
            if not rows:
                break
            taken = await self.door.take_sheet(sheet, source.name, map=source.map, position=following)
            found.count(taken)
            await self.door.breathe()
            if len(rows) < size:
                break
            if following == position and not source.key:
                # More rows of one instant than a portion holds.
                if size >= MOST_AT_ONE_INSTANT:
                    raise Unavailable(
                        "HT-TAB-12", name=source.name, reason=f"more than {size} rows of one {source.time}"
                    )
                size = min(size * 4, MOST_AT_ONE_INSTANT)
            position = following
        return found

    async def close(self) -> None:
        if self._engine is not None:
            await asyncio.to_thread(self._engine.dispose)

    # In a thread

    def _read(self, position: Json, size: int, *, is_first: bool) -> list[dict[str, Any]]:
        engine = self._open()
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with engine.connect() as connection:
                result = connection.execute(self._statement(position, size, is_first=is_first))
                return [dict(row) for row in result.mappings()]
        except (SQLAlchemyError, OSError, ValueError) as error:
            reason = str(getattr(error, "orig", None) or error)
            raise Unavailable(
                "HT-TAB-12", name=self.source.name, reason=" ".join(reason.split())[:300]
            ) from None

    def _open(self) -> "Engine":
        if self._engine is None:
            try:
                from sqlalchemy import create_engine
                from sqlalchemy.exc import ArgumentError, NoSuchModuleError

                self._engine = create_engine(self.source.url, pool_size=1, max_overflow=0, pool_pre_ping=True)
            except ModuleNotFoundError as error:
                raise Unavailable("HT-TAB-13", missing=error.name or "sqlalchemy") from None
            except (ArgumentError, NoSuchModuleError) as error:
                raise Unavailable("HT-TAB-12", name=self.source.name, reason=str(error)[:200]) from None
        return self._engine

    def _statement(self, position: Json, size: int, *, is_first: bool) -> "Select[Any]":
        from sqlalchemy import and_, column, literal_column, or_, select, table, text

        source = self.source
        if source.table:
            schema, _, name = source.table.rpartition(".")
            origin: Any = table(name, schema=schema or None)
        else:
            origin = text(f"({source.query.rstrip(' ;')}) hutong_source")
        statement: Any = select(literal_column("*")).select_from(origin)
        key: Any = column(source.key) if source.key else None
        moment: Any = column(source.time) if source.time else None
        reached_key, reached_time = restored(position.get("key")), restored(position.get("time"))
        if moment is not None and reached_time is not None:
            if is_first and source.overlap_seconds and isinstance(reached_time, datetime):
                statement = statement.where(
                    moment >= reached_time - timedelta(seconds=source.overlap_seconds)
                )
            elif key is not None and reached_key is not None:
                statement = statement.where(
                    or_(moment > reached_time, and_(moment == reached_time, key > reached_key))
                )
            else:
                statement = statement.where(moment >= reached_time)
        elif key is not None and reached_key is not None:
            statement = statement.where(key > reached_key)
        order = [part for part in (moment, key) if part is not None]
        return statement.order_by(*order).limit(size)  # type: ignore[no-any-return]  # a Select

    def _behind(self, rows: Sequence[Mapping[str, Any]], position: Json) -> Json:
        """Return the position behind the last row, never before the one that was reached."""
        if not rows:
            return position
        source, last = self.source, rows[-1]
        found: Json = {}
        for part, name in (("time", source.time), ("key", source.key)):
            if not name:
                continue
            value = _of(last, name)
            if value is None:
                raise InvalidInput("HT-TAB-14", name=source.name, number=len(rows), column=name)
            found[part] = kept(value)
        reached = restored(position.get("time"))
        if source.time and reached is not None and restored(found["time"]) < reached:
            return position
        return found


def _of(row: Mapping[str, Any], name: str) -> Any:
    """SQL names know no case."""
    if name in row:
        return row[name]
    return next((value for key, value in row.items() if str(key).lower() == name.lower()), None)


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(str(name) for name in rows[0]) if rows else ()


def shown(row: Mapping[str, Any]) -> Json:
    """Return a row as texts and numbers, as a sheet would hold it; NULL left out."""
    found: Json = {}
    for name, value in row.items():
        text = _shown(value)
        if text not in (None, ""):
            found[str(name)] = text
    return found


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds" if not value.microsecond else "microseconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    return str(value)


def kept(value: Any) -> list[str]:
    """Return a key or time as JSON that gives the same value back."""
    if isinstance(value, bool):
        return ["int", str(int(value))]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, (Decimal, float)):
        return ["decimal", str(value)]
    if isinstance(value, datetime):
        return ["datetime", value.isoformat()]
    if isinstance(value, date):
        return ["date", value.isoformat()]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()]
    return ["text", str(value)]


def restored(pair: Any) -> Any:
    if not pair:
        return None
    kind, text = pair
    match kind:
        case "int":
            return int(text)
        case "decimal":
            return Decimal(text)
        case "datetime":
            return datetime.fromisoformat(text)
        case "date":
            return date.fromisoformat(text)
        case "bytes":
            return bytes.fromhex(text)
    return text
