"""The delivery log: what was asked for, in order and once; what became of it; what comes next for a destination.

Every change is durable before its future is done. Nothing here knows how a message is written or sent.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree

import apsw
import msgspec

from gateway.journal.writer import Writer
from gateway.outbound.delivery import Delivery, Letter, Order, State
from gateway.outbound.reader import IS_OPEN, Filter, Reader, Standing
from gateway.outbound.schema import FILE, connect
from terminology.fhirjson import Json


class Ledger:
    """The delivery log of one data folder. One process writes (gateway/lock.py); others may read.

    `is_temporary`: the folder goes when the log is closed.
    """

    def __init__(
        self, folder: Path, *, clock: Callable[[], float] = time.time, is_temporary: bool = False
    ) -> None:
        self._clock = clock
        self._temporary = folder if is_temporary else None
        folder.mkdir(parents=True, exist_ok=True)
        connection = connect(folder / FILE, writing=True)
        self.mark = str(connection.execute("select value from fact where name = 'mark'").get)
        self._writer = Writer(connection)
        self._reader = Reader(folder)

    @property
    def now(self) -> int:
        return int(self._clock() * 1000)

    # Writing

    async def take(self, orders: Sequence[Order]) -> list[int]:
        """Keep deliveries, all or none; return the ids of the new ones.

        An order that is kept already (same destination and event) is not kept twice.
        """
        now = self.now

        def job(connection: apsw.Connection) -> list[int]:
            return [id for order in orders if (id := self._take_one(connection, order, now)) is not None]

        return await self._writer.submit(job)

    def _take_one(self, connection: apsw.Connection, order: Order, now: int) -> int | None:
        payload = msgspec.json.encode(order.payload).decode()
        # Another store counts its rows from 1 again: the number alone doesn't tell that a row is known.
        digest = blake2b(
            f"{order.topic}|{order.key}|{order.focus}|{payload}".encode(), digest_size=8
        ).hexdigest()
        known = connection.execute(
            "select 1 from delivery where destination = ? and event = ? and digest = ? and event > 0",
            (order.destination, order.event, digest),
        ).fetchone()
        if known is not None:
            return None
        number = 0
        if order.event:
            connection.execute(
                "insert into destination (name, since, number) values (?, ?, 1)"
                " on conflict (name) do update set number = number + 1",
                (order.destination, now),
            )
            number = connection.execute(
                "select number from destination where name = ?", (order.destination,)
            ).get
        connection.execute(
            "insert into delivery (destination, number, event, digest, topic, key, focus, payload, control_id, created, since,"
            " updated) values (?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?)",
            (
                order.destination,
                number,
                order.event,
                digest,
                order.topic,
                order.key,
                order.focus,
                payload,
                now,
                now,
                now,
            ),
        )
        id: int = connection.last_insert_rowid()
        connection.execute("update delivery set control_id = ? where id = ?", (f"HT{self.mark}-{id}", id))
        return id

    async def written(self, id: int, letter: Letter) -> None:
        """Keep the bytes of a delivery before they are sent: every attempt sends the same."""

        def job(connection: apsw.Connection) -> None:
            connection.execute("insert or replace into body (id, sent) values (?, ?)", (id, letter.body))
            connection.execute(
                "update delivery set size = ?, media = ?, map = ? where id = ?",
                (len(letter.body), letter.media, letter.map, id),
            )

        await self._writer.submit(job)

    async def ended(
        self,
        id: int,
        state: State,
        detail: Json,
        *,
        answer: bytes = b"",
        next_attempt: int = 0,
        is_attempt: bool = True,
        is_refusal: bool = False,
    ) -> None:
        """Note how an attempt ended. A delivery that a person parked or discarded meanwhile stays that, unless delivered."""
        now = self.now

        def job(connection: apsw.Connection) -> None:
            guard = "" if state == "delivered" else f" and {IS_OPEN}"
            connection.execute(
                "update delivery set state = ?, attempts = attempts + ?, refusals = refusals + ?, next_attempt = ?,"
                f" updated = ?, detail = ? where id = ?{guard}",
                (
                    state,
                    int(is_attempt),
                    int(is_refusal),
                    next_attempt,
                    now,
                    msgspec.json.encode(detail).decode(),
                    id,
                ),
            )
            if answer:
                connection.execute(
                    "insert into body (id, answer) values (?, ?) on conflict (id) do update set answer = excluded.answer",
                    (id, answer),
                )

        await self._writer.submit(job)

    async def stand(
        self, name: str, state: str, *, reason: str = "", failures: int = 0, next_attempt: int = 0
    ) -> bool:
        """Note that a destination answers or doesn't; return whether that is a change."""
        now = self.now

        def job(connection: apsw.Connection) -> bool:
            row = connection.execute("select state from destination where name = ?", (name,)).fetchone()
            changed = (row[0] if row is not None else "up") != state
            connection.execute(
                "insert into destination (name, state, since, reason, failures, next_attempt) values (?, ?, ?, ?, ?, ?)"
                " on conflict (name) do update set state = excluded.state, reason = excluded.reason,"
                " failures = excluded.failures, next_attempt = excluded.next_attempt,"
                " since = case when state = excluded.state then since else excluded.since end",
                (name, state, now, reason[:500], failures, next_attempt),
            )
            return changed

        return await self._writer.submit(job)

    async def resend(self, ids: Sequence[int], *, is_written_anew: bool = False) -> int:
        """Put deliveries back in line at their old place; return how many. `is_written_anew`: the map writes them again.

        What the receiver had refused is written anew in any case: its map or code table was the cause.
        """
        now = self.now

        def job(connection: apsw.Connection) -> int:
            count = 0
            for id in ids:
                anew = "1" if is_written_anew else "refusals > 0 and state <> 'delivered'"
                connection.execute(
                    f"update body set sent = null, answer = null where id in (select id from delivery where id = ? and ({anew}))",
                    (id,),
                )
                connection.execute(
                    "update delivery set state = 'waiting', attempts = 0, refusals = 0, next_attempt = 0, since = ?,"
                    " updated = ? where id = ?",
                    (now, now, id),
                )
                count += connection.changes()
            return count

        return await self._writer.submit(job)

    async def set_aside(self, ids: Sequence[int], state: State, detail: Json) -> int:
        """Park or discard deliveries that are open or parked; return how many."""
        now = self.now
        text = msgspec.json.encode(detail).decode()

        def job(connection: apsw.Connection) -> int:
            count = 0
            for id in ids:
                connection.execute(
                    "update delivery set state = ?, updated = ?, detail = ? where id = ?"
                    " and state in ('waiting', 'failed', 'parked')",
                    (state, now, text, id),
                )
                count += connection.changes()
            return count

        return await self._writer.submit(job)

    async def purge(self, before: int, *, limit: int = 1_000) -> int:
        """Forget what was delivered or discarded before an instant; return how many that were."""

        def job(connection: apsw.Connection) -> int:
            rows = connection.execute(
                "select id from delivery where state in ('delivered', 'discarded') and updated < ? limit ?",
                (before, limit),
            )
            ids = [(id,) for (id,) in rows]
            connection.executemany("delete from body where id = ?", ids)
            connection.executemany("delete from delivery where id = ?", ids)
            return len(ids)

        return await self._writer.submit(job, is_urgent=False)

    async def drop(self, destination: str) -> None:
        """Discard what is open for a destination that is no more (a deleted subscription)."""
        now = self.now

        def job(connection: apsw.Connection) -> None:
            connection.execute(
                f"update delivery set state = 'discarded', updated = ? where destination = ? and {IS_OPEN}",
                (now, destination),
            )

        await self._writer.submit(job)

    # Reading

    def heads(self, destination: str, *, by_key: bool, count: int) -> list[Delivery]:
        """Return what is to be sent now: the oldest open delivery, or the oldest of each key, as far as due."""
        return self._reader.heads(destination, by_key=by_key, now=self.now, count=count)

    def next_due(self, destination: str) -> int | None:
        """Return the earliest instant at which an open delivery is due, None when none is open."""
        return self._reader.next_due(destination)

    def delivery(self, id: int, *, with_bodies: bool = False) -> Delivery | None:
        return self._reader.delivery(id, with_bodies=with_bodies)

    async def deliveries(
        self, wanted: Filter, *, before: int | None = None, count: int = 50
    ) -> list[Delivery]:
        return await asyncio.to_thread(self._reader.deliveries, wanted, before=before, count=count)

    def numbered(self, destination: str, since: int, until: int, count: int) -> list[Delivery]:
        """Return the events of a destination with numbers since … until, in order."""
        return self._reader.numbered(destination, since, until, count)

    def has_focus(self, destination: str, focus: str) -> bool:
        """Tell whether a destination was asked to hear of this version of a resource already."""
        return self._reader.has_focus(destination, focus)

    def standings(self) -> dict[str, Standing]:
        return self._reader.standings()

    def standing(self, name: str) -> Standing | None:
        return self._reader.standings(name).get(name)

    def counts(self) -> dict[str, int]:
        """Return how many deliveries are in each state that is not the end."""
        return self._reader.counts()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
        if self._temporary is not None:
            rmtree(self._temporary, ignore_errors=True)
