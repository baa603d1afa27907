"""From the outbox to the delivery log: which destinations and subscriptions a row concerns.

A row is forgotten in the store only when all its deliveries are on the disk; after a crash between the two it is read
again, and what is kept already is not kept twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.outbound.addressees import names_of
from gateway.outbound.delivery import Order
from gateway.outbound.destination import Destination
from gateway.outbound.gather import read_focus
from gateway.outbound.lane import WRONG_DATA
from gateway.outbound.ledger import Ledger
from gateway.outbound.watched import WRITTEN
from gateway.store.protocol import OutboxRow, Store
from terminology.issues import FhirError

log = logging.getLogger("gateway.outbound")

ROWS = 100
LOOK_SECONDS = 1.0
STORE_SECONDS = 2.0

# Where rows stay whose receivers could not be found out.
NOBODY = "unaddressed"

Matching = Callable[[OutboxRow], Awaitable[Sequence[tuple[str, str]]]]
"""Names of the subscriptions that a row concerns, each with the focus that it is told."""


class Fanout:
    """`destinations` and `subscriptions` say who wants a row; `told` wakes the lanes of those that got one."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        destinations: Callable[[], Mapping[str, Destination]],
        subscriptions: Matching,
        told: Callable[[str], None],
    ) -> None:
        self._store, self._ledger = store, ledger
        self._destinations, self._subscriptions, self._told = destinations, subscriptions, told
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox")

    def wake(self) -> None:
        self._wake.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                if await self.turn():
                    continue
            except FhirError as error:
                log.error("the outbox waits", extra={"reason": str(error)})
                await asyncio.sleep(STORE_SECONDS)
                continue
            except Exception:
                # The outermost edge: the rows are still in the outbox and are read again.
                log.exception("the outbox waits")
                await asyncio.sleep(STORE_SECONDS)
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def turn(self) -> int:
        """Take the next rows; return how many there were."""
        rows = await self._store.outbox(limit=ROWS)
        if not rows:
            return 0
        orders: list[Order] = []
        seen: set[tuple[str, str]] = set()
        for number, row in rows:
            try:
                made = await self._orders(number, row)
            except WRONG_DATA:
                # Kept where a person sees it; the rows behind it go on.
                log.exception(
                    "nobody can be told of an outbox row", extra={"row": number, "topic": row.topic}
                )
                made = [
                    Order(NOBODY, number, row.topic, row.key, str(row.payload.get("focus", "")), row.payload)
                ]
            if row.topic in WRITTEN:
                # A write that changed nothing, or two that came together, tell the same version.
                made = [one for one in made if (one.destination, one.focus) not in seen]
                seen |= {(one.destination, one.focus) for one in made}
            orders += made
        last = rows[-1][0]
        await self._ledger.take(orders)
        await self._store.forget_outbox(last)
        for name in dict.fromkeys(order.destination for order in orders):
            self._told(name)
        return len(rows)

    async def _orders(self, number: int, row: OutboxRow) -> list[Order]:
        wanting = [one for one in self._destinations().values() if row.topic in one.topics]
        names: frozenset[str] = frozenset()
        if any("*" not in one.organizations for one in wanting):
            names = await names_of(self._store, row)
        chosen = [
            one.name for one in wanting if "*" in one.organizations or not names.isdisjoint(one.organizations)
        ]
        focus = str(row.payload.get("focus", ""))
        if row.topic in WRITTEN and await read_focus(self._store, focus, is_exact=True) is None:
            # A write that changed nothing made no version.
            return []
        told = [(name, focus) for name in chosen] + list(await self._subscriptions(row))
        if row.topic in WRITTEN:
            told = [one for one in told if not self._ledger.has_focus(*one)]
        return [Order(name, number, row.topic, row.key, about, row.payload) for name, about in told]
