"""`/messages`: send a message of any kind, and see what became of every message.

POST /messages/{kind} · GET /messages · GET /messages/{id} · GET /messages/{id}/raw · POST /messages/{id}/replay ·
GET /messages/unmapped. A thin ASGI application, like the FHIR routes (docs/design.md, decision 9).
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from gateway.channels.parameters import NUMBER, instant, whole_number
from gateway.channels.part import FHIR_JSON, Part, Receive, Reply, json_reply, read_body
from gateway.gate import Gate
from gateway.ingest.intake import Intake, Taken
from gateway.journal import Entry, Filter, Journal, State
from gateway.journal.entry import STATES
from gateway.rest.outcomes import STATUS, outcome
from gateway.rest.request import Request
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, InvalidInput, NotAllowed, NotFound

WAIT_SECONDS = 30.0


class Messages(Part):
    """The ASGI application of `/messages`; `prefix` is where it is mounted."""

    def __init__(
        self, intake: Intake, journal: Journal, *, prefix: str = "/messages", gate: Gate | None = None
    ) -> None:
        super().__init__(prefix)
        self.intake, self.journal, self.gate = intake, journal, gate

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:
        parts = request.path.split("/") if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        match parts:
            case [] if is_reading:
                return await self._list(request)
            case ["unmapped"] if is_reading:
                return await self._unmapped(request)
            case [id] if NUMBER.fullmatch(id) and is_reading:
                return json_reply(shown(self._entry(id)))
            case [id, "raw"] if NUMBER.fullmatch(id) and is_reading:
                entry = self._entry(id)
                return 200, entry.raw or b"", {"Content-Type": self.intake.kinds[entry.kind].media_type}
            case [id, "replay"] if NUMBER.fullmatch(id) and request.method == "POST":
                return await self._replay(self._entry(id))
            case ["replay"] if request.method == "POST":
                return await self._replay_all(request)
            case [kind] if request.method == "POST" and not NUMBER.fullmatch(kind):
                return await self._take(
                    kind, await read_body(request, receive, self.intake.limit), request, peer
                )
        allowed = (
            "POST" if parts and parts[-1] == "replay" else "GET, HEAD" if not parts else "GET, HEAD, POST"
        )
        raise NotAllowed("HT-MSG-14", method=request.method, path=request.path[:80], allowed=allowed)

    async def _take(self, kind: str, raw: bytes, request: Request, peer: str) -> Reply:
        """The acknowledgement is the body; its verdict is the status. `?wait=stored` answers when it is processed."""
        if kind not in self.intake.kinds:
            known = ", ".join(self.intake.kinds)
            first = next(iter(self.intake.kinds))
            raise NotFound("HT-MSG-11", kind=kind[:40], known=known, known_first=first)
        if not raw:
            raise InvalidInput("HT-MSG-13")
        if self.gate is not None and kind != "hl7v2":
            # HL7 v2 names its sender itself, and its kind asks the gate for each message.
            self.gate.check(request.headers.get(self.gate.header, ""), kind)
        speaker = self.intake.kinds[kind]
        wants_fhir = "fhir+json" in request.headers.get("accept", "")
        asked = await self.intake.ask(raw, kind=kind, channel="http")
        if asked is not None:
            return 200, b"".join(asked), {"Content-Type": speaker.media_type}
        try:
            taken = await self.intake.take(
                raw, kind=kind, channel="http", peer=peer, request_id=request.request_id
            )
        except FhirError as error:
            self.intake.metrics.messages.add("http", "reject")
            answer = None if wants_fhir else speaker.refuse(raw[:4096], error)
            if answer is None:
                raise
            return STATUS[type(error)], answer, {"Content-Type": speaker.media_type}
        ends = [self.intake.end_of(id) for row in taken if (id := _under_way(row)) is not None]
        answer_now = self.intake.respond(speaker, taken)
        if request.param("wait") == "stored" and ends:
            await asyncio.wait(ends, timeout=WAIT_SECONDS)
        status = max(STATUS[type(row.error)] if row.error else 200 for row in taken)
        kept = [row.receipt.id for row in taken if row.receipt is not None]
        headers = {"Content-Type": speaker.media_type}
        if kept:
            headers["Location"] = f"{self.prefix}/{kept[0]}"
            headers["X-Message-Id"] = ", ".join(str(id) for id in kept[:100])
        if wants_fhir and status != 200:
            issues = [issue for row in taken for issue in row.issues]
            return status, encode(outcome(issues, request)), {**headers, "Content-Type": FHIR_JSON}
        body = answer_now.now
        if body is None and answer_now.later is not None:
            # Enhanced mode without accept acknowledgement: the application one is the answer.
            body = await answer_now.later
            status = max(status, self._end(kept[0])) if kept else status
        elif answer_now.later is not None:
            cast(Any, answer_now.later).close()
        return (status, body, headers) if body else (202 if status == 200 else status, b"", headers)

    async def _list(self, request: Request) -> Reply:
        wanted, before, count = read_filter(request)
        page = await self.journal.entries(wanted, before=before, count=count)
        answer: Json = {"messages": [shown(entry) for entry in page.entries]}
        if page.next is not None:
            kept = [(name, value) for name, value in request.params if name != "before"]
            query = "&".join(
                f"{_quote(name)}={_quote(value)}" for name, value in [*kept, ("before", str(page.next))]
            )
            answer["next"] = f"{self.prefix}?{query}"
        return json_reply(answer)

    async def _unmapped(self, request: Request) -> Reply:
        count = whole_number(request, "count", 100)
        rows = await self.journal.unmapped(
            domain=request.param("domain"), count=min(count, 1000), offset=whole_number(request, "offset", 0)
        )
        return json_reply({"unmapped": rows})

    async def _replay(self, entry: Entry) -> Reply:
        end = self.intake.end_of(entry.id)
        await self.intake.replay([entry.id])
        await asyncio.wait([end], timeout=WAIT_SECONDS)
        if end.done():
            done = end.result()
            return json_reply(shown(replace(entry, state=done.state, detail=done.detail, raw=None)))
        return json_reply(shown(replace(entry, state="received", detail={}, raw=None)), status=202)

    async def _replay_all(self, request: Request) -> Reply:
        """Everything that the filter finds, oldest first, so that the order is kept; at most 10,000 at once."""
        wanted, before, _ = read_filter(request)
        ids: list[int] = []
        while len(ids) < 10_000:
            page = await self.journal.entries(wanted, before=before, count=500)
            ids += [entry.id for entry in page.entries]
            before = page.next
            if before is None:
                break
        await self.intake.replay(sorted(ids))
        return json_reply({"replayed": len(ids), "complete": before is None}, status=202)

    def _end(self, id: int) -> int:
        """Return the status of a message that was taken and then could not be processed."""
        entry = self.journal.entry(id)
        return 422 if entry is not None and entry.state == "parked" else 200

    def _entry(self, id: str) -> Entry:
        entry = self.journal.entry(int(id), with_raw=True)
        if entry is None:
            raise NotFound("HT-MSG-10", id=id)
        return entry


def shown(entry: Entry) -> Json:
    """Return a message as lists and `show` give it: everything but its bytes."""
    row: Json = {
        "id": entry.id,
        "state": entry.state,
        "received": datetime.fromtimestamp(entry.received / 1000)
        .astimezone()
        .isoformat(timespec="milliseconds"),
        "kind": entry.kind,
        "event": entry.event,
        "source": entry.source,
        "control_id": entry.control_id,
        "channel": entry.channel,
        "peer": entry.peer,
        "request_id": entry.request_id,
        "size": entry.size,
        "attempts": entry.attempts,
        **entry.detail,
    }
    if entry.next_attempt:
        row["next_attempt"] = (
            datetime.fromtimestamp(entry.next_attempt / 1000).astimezone().isoformat(timespec="seconds")
        )
    return row


def read_filter(request: Request) -> tuple[Filter, int | None, int]:
    """Return the filter, the id to go on before, and the page size of a list request; raises InvalidInput."""
    state = request.param("state")
    if state is not None and state not in (*STATES, "trouble"):
        expected = " | ".join((*STATES, "trouble"))
        raise InvalidInput("HT-MSG-12", name="state", value=state[:40], expected=expected)
    instants = {name: instant(request, name) for name in ("since", "until")}
    wanted = Filter(
        state=_state(state),
        trouble=state == "trouble",
        source=request.param("source"),
        event=request.param("event"),
        control_id=request.param("control_id"),
        request_id=request.param("request_id"),
        key=request.param("patient"),
        since=instants["since"],
        until=instants["until"],
    )
    before = whole_number(request, "before", 0) or None
    return wanted, before, whole_number(request, "count", 50)


def _state(text: str | None) -> State | None:
    return next((state for state in STATES if state == text), None)


def _quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _under_way(row: Taken) -> int | None:
    receipt = row.receipt
    is_new = receipt is not None and receipt.outcome == "new" and receipt.state == "received"
    return receipt.id if receipt is not None and is_new else None
