"""R4 Subscriptions with channel rest-hook, over the same durable queues as every other delivery.

requested → handshake → active; unreachable or refusing → error, and active again when a probe succeeds; `end` passed → off.
Events are numbered and kept: `$events` gives them again. Other channels are refused: polling and `$events` give the
same data (docs/api/subscription.md).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from gateway.metrics import Counter
from gateway.outbound.addressees import names_of
from gateway.outbound.delivery import Delivery, Letter, Order, Verdict
from gateway.outbound.destination import Retrying
from gateway.outbound.gather import read_focus
from gateway.outbound.hook import Criterion, Hook, read_hook
from gateway.outbound.http import HookSender
from gateway.outbound.lane import Lane, Tell
from gateway.outbound.ledger import Ledger
from gateway.outbound.notification import KINDS, bundle_of, event_parts, status_parameters
from gateway.outbound.watched import CHANGED
from gateway.search.parse import parse
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from terminology.fhirjson import Json, decode_resource, encode
from terminology.issues import FhirError, InvalidResource, NotFound, VersionConflict

log = logging.getLogger("gateway.outbound")

LOOK_SECONDS = 1.0
ATTEMPTS = 5
MOST = 10_000
_LIVE = ("requested", "active", "error")


class Subscriptions:
    """`store` is the one beneath the watch: what is written here starts nothing. `base`: the FHIR base for links."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        base: Callable[[], str],
        now: Callable[[], datetime],
        tell: Tell,
        retry: Retrying,
        hosts: str = "*",
        outcomes: Counter | None = None,
    ) -> None:
        self._store, self._ledger = store, ledger
        self._base, self._now, self._tell, self._retry, self._hosts = base, now, tell, retry, hosts
        self._outcomes = outcomes
        self.hooks: dict[str, Hook] = {}
        self.lanes: dict[str, Lane] = {}
        self.wake: Callable[[], None] = lambda: None
        self._types: frozenset[str] = frozenset()
        self._sent: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up the subscriptions of an earlier run; those that wait for their handshake get it."""
        if await self._is_any():
            await self._resume()
        self._timer = asyncio.create_task(self._beat(), name="heartbeats")

    async def _is_any(self) -> bool:
        """Whether there ever was a subscription: most gateways have none, and need no search to know."""
        async for _ in self._store.history("Subscription"):
            return True
        return False

    async def _resume(self) -> None:
        cursor: str | None = None
        while len(self.hooks) < MOST:
            params = [("status", ",".join(_LIVE)), ("_count", "500")]
            query = parse("Subscription", params, strict=True, parameters=self._store.parameters)
            page = await self._store.search(replace(query, cursor=cursor))
            for version in page.matches:
                if version.body is not None:
                    await self._take_up(decode_resource(version.body))
            cursor = page.cursor
            if cursor is None:
                break

    async def close(self) -> None:
        running = [task for task in (self._timer, *self._tasks) if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))

    # What the watched store asks

    def topics(self, resource: Json) -> Sequence[str]:
        """Return the topic of every write when some subscription listens to resources of this type."""
        return (CHANGED,) if resource["resourceType"] in self._types else ()

    async def admit(self, change: Put) -> Put:
        """Return the Subscription that may be written: checked, and asking for its handshake. Raises InvalidResource."""
        resource = change.resource
        if resource.get("status") == "off":
            return change
        read_hook(resource, self._store.parameters, hosts=self._hosts)
        asked = {key: value for key, value in resource.items() if key != "error"} | {"status": "requested"}
        return replace(change, resource=asked)

    def written(self, commit: Commit) -> None:
        """Hear of a commit: wake the fan-out, take up or leave the subscriptions that it writes."""
        if commit.outbox:
            self.wake()
        for change in commit.changes:
            is_put = isinstance(change, Put)
            type = change.resource["resourceType"] if isinstance(change, Put) else change.type
            if type == "Subscription":
                id = change.resource["id"] if isinstance(change, Put) else change.id
                task = asyncio.create_task(self._changed(id, is_put=is_put))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    # Which events a subscription hears of

    async def matching(self, row: OutboxRow) -> Sequence[tuple[str, str]]:
        """Return (name, focus) of the active subscriptions that a row of the outbox concerns."""
        candidates = [
            hook
            for hook in self.hooks.values()
            if hook.status in ("active", "error")
            and (hook.topic == row.topic if hook.topic else row.topic == CHANGED)
        ]
        if not candidates:
            return ()
        focus = str(row.payload.get("focus", ""))
        version = await read_focus(self._store, focus)
        if version is None or version.body is None:
            return ()
        focus = f"{version.type}/{version.id}/_history/{version.version}"
        names: frozenset[str] | None = None
        found: list[tuple[str, str]] = []
        for hook in candidates:
            if names is None and any(one.receivers for one in hook.criteria):
                names = await names_of(self._store, row)
            if all([await self._holds(one, focus, names or frozenset()) for one in hook.criteria]):
                found.append((hook.name, focus))
        return found

    async def _holds(self, criterion: Criterion, focus: str, names: frozenset[str]) -> bool:
        if criterion.receivers and names.isdisjoint(criterion.receivers):
            return False
        if not criterion.type:
            return True
        type, id = focus.split("/")[:2]
        if type != criterion.type:
            return False
        if not criterion.params:
            return True
        params = [*criterion.params, ("_id", id), ("_count", "1")]
        try:
            query = parse(type, params, strict=True, parameters=self._store.parameters)
        except FhirError:
            return False
        return bool((await self._store.search(query)).matches)

    # The life of one subscription

    async def _changed(self, id: str, *, is_put: bool) -> None:
        try:
            version = await self._store.read("Subscription", id)
            if not is_put or version is None or version.body is None:
                await self._leave(id)
                return
            resource = decode_resource(version.body)
            if resource.get("status") not in _LIVE:
                await self._leave(id)
                return
            await self._take_up(resource)
        except Exception:
            # Nobody waits for this task; at the next start every subscription is taken up again.
            log.exception("a subscription is not taken up", extra={"subscription": id})

    async def _take_up(self, resource: Json) -> None:
        try:
            hook = read_hook(resource, self._store.parameters, hosts=self._hosts)
        except InvalidResource as error:
            await self._set_status(str(resource["id"]), "error", str(error))
            return
        old = self.lanes.pop(hook.name, None)
        if old is not None:
            await old.close()
        self.hooks[hook.id] = hook
        self._note_types()
        self.lanes[hook.name] = self._lane(hook)
        if hook.status == "requested":
            order = Order(hook.name, 0, "handshake", "", "", {"at": self._instant()})
            await self._ledger.take([order])
        self.lanes[hook.name].start()

    async def _leave(self, id: str) -> None:
        self.hooks.pop(id, None)
        self._note_types()
        name = f"Subscription/{id}"
        lane = self.lanes.pop(name, None)
        if lane is not None:
            await lane.close()
        await self._ledger.drop(name)

    def _note_types(self) -> None:
        self._types = frozenset(
            one.type for hook in self.hooks.values() if not hook.topic for one in hook.criteria if one.type
        )

    def _lane(self, hook: Hook) -> Lane:
        async def write(delivery: Delivery) -> Letter:
            return await self._write(self.hooks.get(hook.id, hook), delivery)

        async def noted(_: Delivery, verdict: Verdict) -> None:
            await self._noted(hook.id, verdict)

        return Lane(
            hook.name,
            ledger=self._ledger,
            senders=[HookSender(hook.endpoint, hook.headers, hook.timeout)],
            write=write,
            tell=self._tell,
            retry=self._retry,
            is_ordered=True,
            noted=noted,
            outcomes=self._outcomes,
        )

    async def _write(self, hook: Hook, delivery: Delivery) -> Letter:
        is_event = delivery.topic not in KINDS
        told = [delivery] if is_event else []
        standing = self._ledger.standing(hook.name)
        status = status_parameters(
            hook.name,
            kind="event-notification" if is_event else delivery.topic,
            status=hook.status,
            count=delivery.number if is_event else standing.number if standing is not None else 0,
            topic=hook.topic,
            events=[event_parts(one, hook.content) for one in told],
        )
        bundle = await bundle_of(
            self._store, status, told, content=hook.content, base=self._base(), now=self._now()
        )
        if hook.media == "application/fhir+xml":
            from conformance.formats.xml import to_xml

            return Letter(to_xml(bundle), hook.media, delivery.control_id, delivery.topic)
        return Letter(encode(bundle), hook.media, delivery.control_id, delivery.topic)

    async def _noted(self, id: str, verdict: Verdict) -> None:
        """The subscription's status follows what its endpoint says."""
        hook = self.hooks.get(id)
        if hook is None:
            return
        self._sent[hook.name] = self._ledger.now / 1000
        if verdict.outcome == "accepted" and hook.status != "active":
            await self._set_status(id, "active", "")
        elif verdict.outcome != "accepted" and hook.status != "error":
            await self._set_status(id, "error", f"{verdict.code} {verdict.reason}".strip())

    async def _set_status(self, id: str, status: str, error: str) -> None:
        """Write Subscription.status; a parallel write of the subscriber wins and is taken up anew."""
        hook = self.hooks.get(id)
        if hook is not None:
            self.hooks[id] = replace(hook, status=status)
        for _ in range(ATTEMPTS):
            version = await self._store.read("Subscription", id)
            if version is None or version.body is None:
                return
            resource = decode_resource(version.body)
            if resource.get("status") == "off" and status != "off":
                return
            changed = {key: value for key, value in resource.items() if key != "error"} | {"status": status}
            if error:
                changed["error"] = error[:500]
            try:
                await self._store.commit(Commit([Put(changed, expected=version.version)]))
            except VersionConflict:
                continue
            return

    async def _beat(self) -> None:
        """Send heartbeats that are due, and end what is over."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._ledger.now / 1000
            for hook in list(self.hooks.values()):
                try:
                    if hook.end is not None and hook.end.timestamp() <= now:
                        await self._set_status(hook.id, "off", "")
                        await self._leave(hook.id)
                    elif hook.heartbeat and hook.status == "active":
                        await self._heartbeat(hook, now)
                except Exception:
                    # One subscription must not stop the hearts of the others.
                    log.exception("heartbeat failed", extra={"subscription": hook.name})

    async def _heartbeat(self, hook: Hook, now: float) -> None:
        last = self._sent.setdefault(hook.name, now)
        lane = self.lanes.get(hook.name)
        if lane is None or now - last < hook.heartbeat or self._ledger.next_due(hook.name) is not None:
            return
        self._sent[hook.name] = now
        order = Order(hook.name, 0, "heartbeat", "", "", {"at": self._instant()})
        await self._ledger.take([order])
        lane.wake()

    def _instant(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    # $status and $events

    async def status(self, id: str) -> Json:
        """Return the status of a subscription as Parameters; raises NotFound."""
        version = await self._store.read("Subscription", id)
        if version is None or version.body is None:
            raise NotFound("HT-REST-01", type="Subscription", id=id)
        resource = decode_resource(version.body)
        standing = self._ledger.standing(f"Subscription/{id}")
        hook = self.hooks.get(id)
        return status_parameters(
            f"Subscription/{id}",
            kind="query-status",
            status=str(resource.get("status") or "requested"),
            count=standing.number if standing is not None else 0,
            topic=hook.topic if hook is not None else "",
            error=str(resource.get("error") or ""),
        )

    async def events(
        self, id: str, since: int, until: int, content: str | None, *, base: str, most: int
    ) -> Json:
        """Return the events with numbers since … until as a notification Bundle; raises NotFound."""
        status = await self.status(id)
        hook = self.hooks.get(id)
        chosen = content or (hook.content if hook is not None else "id-only")
        rows = self._ledger.numbered(f"Subscription/{id}", since, until, most)
        status["parameter"][[row["name"] for row in status["parameter"]].index("type")]["valueCode"] = (
            "query-event"
        )
        status["parameter"] += [
            {"name": "notification-event", "part": event_parts(row, chosen)}  # type: ignore[arg-type]  # one of three
            for row in rows
        ]
        return await bundle_of(self._store, status, rows, content=chosen, base=base, now=self._now())  # type: ignore[arg-type]  # one of three
