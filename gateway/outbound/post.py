"""The post: the parts of the way out together, and the destinations as their file says now.

outbox (store) → fan-out → delivery log → one lane for each destination and subscription → channel.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.metrics import Metrics
from gateway.outbound.delivery import Delivery, Letter, Verdict
from gateway.outbound.destination import Destination, Retrying
from gateway.outbound.destination_files import Destinations
from gateway.outbound.fanout import Fanout
from gateway.outbound.gather import gather, read_focus
from gateway.outbound.lane import Lane, NothingToSay, Sender
from gateway.outbound.ledger import Ledger
from gateway.outbound.subscriptions import Subscriptions
from gateway.outbound.watched import REGISTER, WatchedStore
from gateway.rest.context import new_id
from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.access import AUDITED, AccessLog
from gateway.workflow.actor import Actor
from mappings.language.active import ActiveMaps
from mappings.language.converters import Sender as Receiver
from mappings.outbound.compile import Envelope
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

log = logging.getLogger("gateway.outbound")

LOOK_SECONDS = 2.0
PURGE_SECONDS = 600.0
DAY_MS = 86_400_000
# MSH-15 and MSH-16 of each acknowledgement mode (table 0155); original mode leaves both empty.
_ACKS = {"application": ("", ""), "none": ("NE", "NE"), "accept": ("AL", "NE"), "both": ("AL", "AL")}


class Post:
    """`watched` is the store that writers use, `store` the one beneath it. `maps` are the active maps."""

    def __init__(
        self,
        store: Store,
        watched: WatchedStore,
        ledger: Ledger,
        destinations: Destinations,
        maps: Any,
        *,
        zone: ZoneInfo,
        base: Callable[[], str],
        metrics: Metrics,
        keep_days: float = 30.0,
        retry: Retrying | None = None,
        hosts: str = "*",
    ) -> None:
        self._store, self.ledger, self.destinations, self._maps = store, ledger, destinations, maps
        self._zone, self._metrics, self._keep_days = zone, metrics, keep_days
        self.lanes: dict[str, Lane] = {}
        self._receivers: dict[str, tuple[Destination, Receiver]] = {}
        self._rows: dict[str, Destination] = {}
        self._topics: frozenset[str] = frozenset()
        self.subscriptions = Subscriptions(
            store,
            ledger,
            base=base,
            now=self.now,
            tell=self.tell,
            retry=retry or Retrying(),
            hosts=hosts,
            outcomes=metrics.deliveries,
        )
        self.fanout = Fanout(
            store,
            ledger,
            destinations=lambda: self._rows,
            subscriptions=self.subscriptions.matching,
            told=self._told,
        )
        self.subscriptions.wake = self.fanout.wake
        self._watched = watched
        self._ready: asyncio.Future[Any] | None = None
        self._access = AccessLog(store, clock=self.now, new_id=new_id)
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ledger.now / 1000, self._zone)

    async def start(self, ready: "asyncio.Future[Any] | None" = None) -> None:
        """Take up what an earlier run left; nothing is written before the maps are `ready`."""
        self._ready = ready
        await self.refresh()
        await self.subscriptions.start()
        self._watched.watcher = self
        self.fanout.start()
        self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._purge())]

    async def close(self) -> None:
        """Stop; what is under way is sent again at the next start."""
        self._watched.watcher = None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.fanout.close()
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))
        await self.subscriptions.close()
        self.ledger.close()

    async def refresh(self) -> None:
        """Bring the lanes in line with the destinations' file; one that didn't change goes on undisturbed."""
        if not self.destinations.refresh():
            return
        for file, issues in self.destinations.problems.items():
            for issue in issues:
                log.error("a destination is wrong", extra={"file": file, "reason": issue.text("en")})
        rows = self.destinations.all()
        for name in [name for name, old in self._rows.items() if rows.get(name) != old]:
            await self.lanes.pop(name).close()
        known = {name: self._rows[name] for name in self.lanes}
        for name, row in rows.items():
            if known.get(name) != row:
                self.lanes[name] = self._lane(row)
                self.lanes[name].start()
        self._rows = rows
        self._topics = frozenset(topic for row in rows.values() for topic in row.topics)

    # What the watched store asks

    def topics(self, resource: Json) -> Sequence[str]:
        """Return the topics that a written resource adds to the outbox: what registers and subscriptions hear of."""
        topic = REGISTER.get(resource["resourceType"])
        found = self.subscriptions.topics(resource)
        if topic is None or topic not in self._topics:
            return found
        is_draft = resource.get("docStatus") == "preliminary" or resource.get("status") == "superseded"
        return found if topic == "document-final" and is_draft else (*found, topic)

    async def admit(self, change: Put) -> Put:
        return await self.subscriptions.admit(change)

    def written(self, commit: Commit) -> None:
        self.subscriptions.written(commit)

    def _lane(self, row: Destination) -> Lane:
        async def write(delivery: Delivery) -> Letter:
            return await self.write(row, delivery)

        async def noted(delivery: Delivery, verdict: Verdict) -> None:
            if verdict.outcome == "accepted":
                await self._shown(row, delivery)

        return Lane(
            row.name,
            ledger=self.ledger,
            senders=[open_sender(row) for _ in range(row.parallel)],
            write=write,
            tell=self.tell,
            retry=row.retry,
            is_ordered=row.is_ordered,
            is_paused=row.is_paused,
            noted=noted,
            outcomes=self._metrics.deliveries,
        )

    async def _shown(self, row: Destination, delivery: Delivery) -> None:
        """Keep who was shown a result, so that a recall reaches whom it was sent to as well as who fetched it."""
        version = await read_focus(self._store, delivery.focus)
        if version is None or version.type not in AUDITED:
            return
        told = (
            [*row.organizations, *delivery.payload.get("receivers", ())]
            if "*" in row.organizations
            else row.organizations
        )
        for reference in dict.fromkeys(told):
            if isinstance(reference, str) and reference.startswith("Organization/"):
                await self._access.note(Actor(organization=reference), [version])

    async def write(self, row: Destination, delivery: Delivery) -> Letter:
        """Return what a destination is sent: its map for the topic, run over the focus and what it refers to.

        Raises FhirError: a focus that is gone, a map that isn't there or can't write about it; NothingToSay when the map's
        own condition doesn't hold.
        """
        name = row.maps.get(delivery.topic)
        if name is None:
            raise NotFound("HT-OUT-12", destination=row.name, topic=delivery.topic)
        maps: ActiveMaps = self._maps
        if self._ready is not None:
            await asyncio.shield(self._ready)
        map = maps.outbound(name)
        focus = await gather(self._store, delivery.focus, referrers=map.source.referrers)
        if not map.wants(focus, maps.translator):
            raise NothingToSay(name)
        receiver = self._receiver(row)
        envelope = Envelope(
            id=delivery.control_id,
            now=datetime.fromtimestamp(self.ledger.now / 1000, ZoneInfo(receiver.zone)),
            topic=delivery.topic,
            reason=_reason(delivery),
            sender=row.sender,
            receiver=row.receiver,
            charset=row.charset,
            processing=row.processing,
            acknowledge=_ACKS[row.ack],
            parameters=row.parameters,
        )
        written = map.write(focus, envelope, maps.translator, sender=receiver)
        is_plain = "json" in written.media_type and written.charset.upper() == "UTF-8"
        media = written.media_type if is_plain else f"{written.media_type}; charset={written.charset}"
        return Letter(
            written.body, media, delivery.control_id, delivery.topic, f"{written.mapping}|{written.version}"
        )

    def _receiver(self, row: Destination) -> Receiver:
        """Return the same receiver as long as its destination stands: what a map builds for one lives as long as it does."""
        held = self._receivers.get(row.name)
        if held is None or held[0] != row:
            receiver = Receiver(name=row.name, zone=row.zone or str(self._zone), systems=row.systems)
            held = self._receivers[row.name] = (row, receiver)
        return held[1]

    def destination(self, name: str) -> Destination:
        """Return a destination; raises NotFound (HT-OUT-13)."""
        row = self._rows.get(name)
        if row is None:
            raise NotFound("HT-OUT-13", name=name[:80], known=", ".join(sorted(self._rows)) or "-")
        return row

    async def tell(self, name: str, state: str, reason: str) -> None:
        """Say once that a destination stopped or began to answer, or that a delivery waits for a person."""
        if state == "parked":
            self._metrics.deliveries.add(name, "parked")
            log.warning("a delivery waits for a person", extra={"destination": name, "reason": reason})
            return
        self._metrics.destination_changes.add(name, state)
        level = logging.WARNING if state == "down" else logging.INFO
        text = "a destination does not answer" if state == "down" else "a destination answers again"
        log.log(level, text, extra={"destination": name, "reason": reason})

    def wake(self, names: set[str] | None = None) -> None:
        """Try at once what is due, also where a receiver was down."""
        for name, lane in {**self.lanes, **self.subscriptions.lanes}.items():
            if names is None or name in names:
                lane.wake(at_once=True)

    def _told(self, name: str) -> None:
        lane = self.lanes.get(name) or self.subscriptions.lanes.get(name)
        if lane is not None:
            lane.wake()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.refresh()
            except (OSError, InvalidInput):
                log.exception("the destinations could not be read")

    async def _purge(self) -> None:
        """Forget what was delivered long ago, a little at a time."""
        while True:
            count = await self.ledger.purge(self.ledger.now - int(self._keep_days * DAY_MS))
            await asyncio.sleep(0.05 if count else PURGE_SECONDS)


def open_sender(row: Destination) -> Sender:
    """Return the channel of a destination; nothing is connected yet."""
    if row.channel == "mllp":
        from gateway.outbound.mllp import MllpSender

        return MllpSender(row)
    if row.channel == "folder":
        from gateway.outbound.folder import FolderSender

        return FolderSender(row)
    from gateway.outbound.http import HttpSender, SoapSender

    return SoapSender(row) if row.channel == "soap" else HttpSender(row)


def _reason(delivery: Delivery) -> str:
    reason = delivery.payload.get("reason")
    return str(reason) if reason else ""
