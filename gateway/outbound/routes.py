"""`/deliveries`: what was sent to whom, what waits, and what a person can do about it.

GET /deliveries · GET /deliveries/{id} · GET /deliveries/{id}/raw · GET /deliveries/{id}/answer ·
POST /deliveries/{id}/replay|park|unpark|discard · POST /deliveries/replay ·
GET /deliveries/destinations · GET /deliveries/destinations/{name} · POST /deliveries/destinations/{name}/test|replay
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote

from gateway.channels.parameters import NUMBER, instant, whole_number
from gateway.channels.part import Part, Receive, Reply, json_reply
from gateway.outbound.delivery import STATES, Delivery, State
from gateway.outbound.post import Post
from gateway.outbound.reader import LARGEST_PAGE, Filter, Standing
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotAllowed, NotFound

MOST_REPLAYED = 10_000


class Deliveries(Part):
    """The ASGI application of `/deliveries`; `prefix` is where it is mounted."""

    def __init__(self, post: Post, *, prefix: str = "/deliveries") -> None:
        super().__init__(prefix)
        self.post, self.ledger = post, post.ledger

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # of every part
        parts = [unquote(part) for part in request.path.split("/")] if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        match parts:
            case [] if is_reading:
                return await self._list(request)
            case ["destinations"] if is_reading:
                return json_reply({"destinations": self._destinations()})
            case ["destinations", name] if is_reading:
                return json_reply(self._destination(name))
            case ["destinations", name, "test"] if request.method == "POST":
                from gateway.outbound.probe import probe

                return json_reply({"name": name, **await probe(self.post.destination(name))})
            case ["destinations", name, "replay"] if request.method == "POST":
                return await self._replay_all(request, destination=name)
            case ["replay"] if request.method == "POST":
                return await self._replay_all(request)
            case [id] if NUMBER.fullmatch(id) and is_reading:
                return json_reply(shown(self._delivery(id)))
            case [id, ("raw" | "answer") as which] if NUMBER.fullmatch(id) and is_reading:
                return self._bytes(self._delivery(id), which)
            case [id, ("replay" | "unpark") as act] if NUMBER.fullmatch(id) and request.method == "POST":
                return await self._replay(
                    self._delivery(id), is_anew=_flag(request, "render") and act == "replay"
                )
            case [id, ("park" | "discard") as act] if NUMBER.fullmatch(id) and request.method == "POST":
                return await self._set_aside(
                    self._delivery(id), "parked" if act == "park" else "discarded", request
                )
        allowed = "POST" if len(parts) > 1 or parts == ["replay"] else "GET, HEAD"
        raise NotAllowed("HT-OUT-14", method=request.method, path=request.path[:80], allowed=allowed)

    async def _list(self, request: Request) -> Reply:
        wanted, before, count = read_filter(request)
        rows = await self.ledger.deliveries(wanted, before=before, count=count + 1)
        answer: Json = {"deliveries": [shown(row) for row in rows[:count]]}
        if len(rows) > count:
            kept = [(name, value) for name, value in request.params if name != "before"]
            pairs = [*kept, ("before", str(rows[count - 1].id))]
            query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
            answer["next"] = f"{self.prefix}?{query}"
        return json_reply(answer)

    async def _replay(self, delivery: Delivery, *, is_anew: bool) -> Reply:
        await self.ledger.resend([delivery.id], is_written_anew=is_anew)
        self.post.wake({delivery.destination})
        return json_reply(shown(self._delivery(str(delivery.id))), status=202)

    async def _replay_all(self, request: Request, *, destination: str | None = None) -> Reply:
        """Everything that the filter finds, oldest first; at most 10,000 at once. `dry_run=true` only counts."""
        wanted, before, _ = read_filter(request, destination=destination)
        if wanted == Filter():
            raise InvalidInput("HT-OUT-15")
        ids: list[int] = []
        while len(ids) < MOST_REPLAYED:
            rows = await self.ledger.deliveries(wanted, before=before, count=LARGEST_PAGE)
            ids += [row.id for row in rows]
            before = rows[-1].id if len(rows) == LARGEST_PAGE else None
            if before is None:
                break
        if not _flag(request, "dry_run"):
            await self.ledger.resend(sorted(ids), is_written_anew=_flag(request, "render"))
            self.post.wake()
        return json_reply({"replayed": len(ids), "complete": before is None}, status=202)

    async def _set_aside(self, delivery: Delivery, state: State, request: Request) -> Reply:
        reason = request.param("reason") or ""
        detail = {**delivery.detail, "set_aside": reason[:300] or True}
        if not await self.ledger.set_aside([delivery.id], state, detail):
            raise InvalidInput("HT-OUT-16", id=delivery.id, state=delivery.state)
        self.post.wake({delivery.destination})
        return json_reply(shown(self._delivery(str(delivery.id))))

    def _delivery(self, id: str) -> Delivery:
        found = self.ledger.delivery(int(id), with_bodies=True)
        if found is None:
            raise NotFound("HT-OUT-10", id=id)
        return found

    def _bytes(self, delivery: Delivery, which: str) -> Reply:
        body = delivery.sent if which == "raw" else delivery.answer
        if body is None:
            raise NotFound("HT-OUT-17", id=delivery.id)
        media = delivery.media if which == "raw" else "application/octet-stream"
        return 200, body, {"Content-Type": media or "application/octet-stream"}

    def _destinations(self) -> list[Json]:
        standings = self.ledger.standings()
        names = dict.fromkeys([*self.post.destinations.all(), *self.post.subscriptions.lanes, *standings])
        return [self._shown(name, standings.get(name)) for name in names]

    def _destination(self, name: str) -> Json:
        standing = self.ledger.standing(name)
        if standing is None and name not in self.post.lanes and name not in self.post.subscriptions.lanes:
            self.post.destination(name)
        return self._shown(name, standing)

    def _shown(self, name: str, standing: Standing | None) -> Json:
        row = self.post.destinations.all().get(name)
        made: Json = {"name": name, "state": "up", "open": 0, "parked": 0, "events": 0}
        if standing is not None:
            made |= {
                "state": standing.state,
                "since": _time(standing.since),
                "open": standing.open,
                "parked": standing.parked,
                "events": standing.number,
            }
            if standing.state == "down":
                made |= {
                    "reason": standing.reason,
                    "failures": standing.failures,
                    "next_attempt": _time(standing.next_attempt),
                }
        if row is not None:
            made |= {
                "channel": row.channel,
                "address": row.address,
                "organizations": list(row.organizations),
                "maps": dict(row.maps),
                "charset": row.charset,
                "paused": row.is_paused,
            }
        elif name in self.post.subscriptions.lanes:
            made["channel"] = "rest-hook"
        else:
            made["state"] = "gone"
        return made


def shown(delivery: Delivery) -> Json:
    """Return a delivery as lists and `show` give it: everything but its bytes."""
    row: Json = {
        "id": delivery.id,
        "state": delivery.state,
        "destination": delivery.destination,
        "number": delivery.number,
        "topic": delivery.topic,
        "key": delivery.key,
        "focus": delivery.focus,
        "control_id": delivery.control_id,
        "created": _time(delivery.created),
        "updated": _time(delivery.updated),
        "attempts": delivery.attempts,
        "size": delivery.size,
        **delivery.detail,
    }
    if delivery.map:
        row["map"] = delivery.map
    if delivery.media:
        row["media"] = delivery.media
    if delivery.state in ("waiting", "failed") and delivery.next_attempt:
        row["next_attempt"] = _time(delivery.next_attempt)
    return row


def read_filter(request: Request, *, destination: str | None = None) -> tuple[Filter, int | None, int]:
    """Return the filter, the id to go on before, and the page size of a list request; raises InvalidInput."""
    state = request.param("state")
    if state is not None and state not in (*STATES, "trouble"):
        raise InvalidInput(
            "HT-MSG-12", name="state", value=state[:40], expected=" | ".join((*STATES, "trouble"))
        )
    wanted = Filter(
        state=next((one for one in STATES if one == state), None),
        trouble=state == "trouble",
        destination=destination or request.param("destination"),
        topic=request.param("topic"),
        key=request.param("key"),
        control_id=request.param("control_id"),
        focus=request.param("focus"),
        since=instant(request, "since"),
        until=instant(request, "until"),
    )
    return (
        wanted,
        whole_number(request, "before", 0) or None,
        max(1, min(whole_number(request, "count", 50), LARGEST_PAGE)),
    )


def _flag(request: Request, name: str) -> bool:
    return request.param(name) == "true"


def _time(milliseconds: int) -> Any:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec="milliseconds")
