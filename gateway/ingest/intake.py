"""The one way in for every channel: look, keep, answer, and hand on to be processed.

The answer waits for the journal, not for the mapping: an accepted message is durable, and what becomes of it is told
by the application acknowledgement (enhanced mode), `hutong messages` and `/messages`.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.channels.mllp import Answer
from gateway.ingest.kind import Admission, Asking, Kind, Level, Origin, Verdict
from gateway.ingest.lanes import Lanes
from gateway.ingest.process import Processor
from gateway.journal import Checkpoint, Done, Entry, Incoming, Journal, Receipt, State
from gateway.journal.journal import conflict
from gateway.metrics import Metrics
from terminology.issues import FhirError, Issue, TooLarge, Unavailable

log = logging.getLogger("gateway.ingest")

WIDTH = 64
# Messages that wait in memory; what waits beyond them is read from the journal when its turn comes.
WAITING, WAITING_BYTES = 2_000, 64 * 1024 * 1024
LOOK_SECONDS = 0.5
ANSWER_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one message at the door. `id`: its number in the journal, None when it was not kept."""

    admission: Admission
    verdict: Verdict
    issues: tuple[Issue, ...] = ()
    receipt: Receipt | None = None
    error: FhirError | None = None


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    message: object


Ask = Callable[[bytes], Awaitable[Sequence[bytes] | None]]
"""The answers to a question in order, None when the bytes are none."""


class Intake:
    """Messages in, answers out; a background task processes what was kept.

    `questions`, by the name of a kind: what is answered at once and never kept (gateway/questions).
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        journal: Journal,
        processor: Processor,
        *,
        metrics: Metrics,
        limit: int,
        questions: Mapping[str, Ask] = MappingProxyType({}),
    ) -> None:
        self.questions = questions
        self.kinds, self.journal, self.processor = kinds, journal, processor
        self.metrics, self.limit = metrics, limit
        self.lanes = Lanes(WIDTH)
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._in_hand: set[int] = set()
        self._ends: dict[int, asyncio.Future[Done]] = {}
        self._has_work = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
        self._warm: asyncio.Future[Any] | None = None
        # Whether something open lies in the journal only; of it, what has a larger number than the last one handed
        # on is just being received and comes by itself.
        self._is_behind = True
        self._last = 0

    def start(self, warm: "asyncio.Future[Any] | None" = None) -> None:
        """Begin to process, first of all what an earlier run kept and did not finish.

        `warm`: what must be loaded before the first message is looked at; until then messages wait at the door.
        """
        self._warm = warm
        self._last = self.journal.last_id()
        self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """Finish what has begun; what waits stays in the journal."""
        self._is_closing = True
        self._has_work.set()
        if self._task is not None:
            await self._task
        await self.lanes.drained()

    async def drained(self) -> None:
        """Wait until nothing is left to process now (retries whose time has not come may remain)."""
        self._is_behind = True
        while self._waiting or self._in_hand or self._is_behind:
            self._has_work.set()
            await asyncio.sleep(0.005)
        await self.journal.settled()

    async def receive(self, raw: bytes, *, peer: str, kind: str = "hl7v2", channel: str = "mllp") -> Answer:
        """Answer one frame (a message or a batch) for a channel that speaks in acknowledgements."""
        started = time.perf_counter()
        speaker = self.kinds[kind]
        asked = await self.ask(raw, kind=kind, channel=channel)
        if asked is not None:
            return Answer(asked[0], _next(asked[1]) if len(asked) > 1 else None)
        try:
            taken = await self.take(raw, kind=kind, channel=channel, peer=peer)
        except FhirError as error:
            self.metrics.messages.add(channel, "reject")
            return Answer(speaker.refuse(raw, error))
        answer = self.respond(speaker, taken)
        self.metrics.receive_seconds.observe(time.perf_counter() - started, channel)
        return answer

    async def ask(self, raw: bytes, *, kind: str, channel: str) -> Sequence[bytes] | None:
        """Return the answers when `raw` is a question, None when it is a message to be kept."""
        if kind not in self.questions or len(raw) > self.limit:
            return None
        await self.warmed()
        answers = await self.questions[kind](raw)
        if answers is not None:
            self.metrics.messages.add(channel, "question")
        return answers

    def respond(self, kind: Kind, taken: Sequence[Taken]) -> Answer:
        """Return what the sender of these messages hears, now and after the processing."""
        answers, later = [], []
        for row in taken:
            answer, follow = self._answer(kind, row)
            if answer is not None:
                answers.append(answer)
            if follow is not None:
                later.append(follow)
        header = taken[0].admission.header
        now = kind.join(answers, header) if answers else None
        return Answer(now, _joined(kind, later, header) if later else None)

    async def take(
        self,
        raw: bytes,
        *,
        kind: str,
        channel: str,
        peer: str,
        request_id: str = "",
        source: str = "",
        map: str = "",
    ) -> Sequence[Taken]:
        """Keep every message of `raw` that can be kept, and say for each what was done. `source`, `map`: as in Origin.

        Raises TooLarge, MalformedMessage (no message, or not the whole batch) or Unavailable; then nothing was kept.
        """
        if len(raw) > self.limit:
            raise TooLarge("HT-MSG-05", limit=self.limit)
        await self.warmed()
        if self._is_closing:
            raise Unavailable("HT-MSG-42")
        request_id = request_id or secrets.token_hex(8)
        origin = Origin(channel, peer, request_id, int(time.time() * 1000), source, map)
        return await self.keep(self.kinds[kind].admit(raw, origin), origin)

    async def keep(
        self, admissions: Sequence[Admission], origin: Origin, *, checkpoint: Checkpoint | None = None
    ) -> Sequence[Taken]:
        """Keep what was looked at already. `checkpoint`: how far a source is read with it; both become durable together."""
        if self._is_closing:
            raise Unavailable("HT-MSG-42")
        keeping = [row.incoming for row in admissions if row.incoming is not None]
        receipts = iter(await self.journal.keep(keeping, checkpoint=checkpoint))
        taken = [_taken(row, next(receipts) if row.incoming is not None else None) for row in admissions]
        self._last = max([self._last, *(row.receipt.id for row in taken if row.receipt is not None)])
        for row in taken:
            self.metrics.messages.add(origin.channel, row.verdict)
            self._note(row, origin.channel, origin.peer, origin.request_id)
        return taken

    def hand_on(self, entry: Entry, message: object = None) -> None:
        """Queue a message that the journal has."""
        size = len(entry.raw or b"")
        if entry.id in self._in_hand:
            return
        if len(self._waiting) >= WAITING or self._waiting_bytes + size > WAITING_BYTES or self._is_behind:
            # Order matters more than speed: once something waits in the journal, what follows waits behind it.
            self._is_behind = True
        else:
            self._in_hand.add(entry.id)
            self._waiting_bytes += size
            self._waiting.append(_Waiting(entry, message))
        self._has_work.set()

    def end_of(self, id: int) -> "asyncio.Future[Done]":
        """Return a future of the end of the next attempt of a message that is under way."""
        future = self._ends.get(id)
        if future is None:
            future = self._ends[id] = asyncio.get_running_loop().create_future()
        return future

    async def replay(self, ids: Sequence[int]) -> None:
        """Process messages again from their raw bytes."""
        await self.journal.reopen(ids)
        self._last = max([self._last, *ids])
        self._is_behind = True
        self._has_work.set()

    @property
    def backlog(self) -> int:
        return len(self._waiting) + len(self._in_hand)

    def _note(self, row: Taken, channel: str, peer: str, request_id: str) -> None:
        incoming, receipt = row.admission.incoming, row.receipt
        log.info(
            "message received",
            extra={
                "request_id": request_id, "channel": channel, "peer": peer, "answer": row.verdict,
                "event_code": incoming.event if incoming else None, "message_id": receipt.id if receipt else None,
                "outcome": receipt.outcome if receipt else "refused",
                "codes": [issue.code for issue in row.issues],
            },
        )  # fmt: skip
        if (
            receipt is not None
            and receipt.outcome == "new"
            and receipt.state == "received"
            and incoming is not None
        ):
            self.hand_on(_entry(receipt.id, incoming), row.admission.message)

    def _answer(self, kind: Kind, row: Taken) -> tuple[bytes | None, Awaitable[bytes] | None]:
        header = row.admission.header
        level: Level = "original" if kind.wants(header, "original", row.verdict) else "accept"
        answer = None
        if kind.wants(header, level, row.verdict):
            answer = kind.answer(header, row.verdict, level=level, issues=row.issues, text=_said(row))
        wants_more = level == "accept" and row.receipt is not None and row.verdict == "accept"
        verdicts: tuple[Verdict, ...] = ("accept", "error", "reject")
        asked = any(kind.wants(header, "application", verdict) for verdict in verdicts)
        if not (wants_more and asked and row.receipt is not None):
            return answer, None
        # The future must be there before the processing can end.
        return answer, self._application(kind, header, row.receipt, self.end_of(row.receipt.id))

    async def _application(
        self, kind: Kind, header: object, receipt: Receipt, end: "asyncio.Future[Done]"
    ) -> bytes:
        """The application acknowledgement: what the processing came to. Empty when the sender doesn't want that one."""
        if receipt.outcome == "repeat":
            await self.journal.settled()
        entry = self.journal.entry(receipt.id) if receipt.outcome == "repeat" else None
        state: State
        if entry is not None and entry.state in ("stored", "parked"):
            self._ends.pop(receipt.id, None)
            state, detail = entry.state, entry.detail
        else:
            try:
                async with asyncio.timeout(ANSWER_WAIT_SECONDS):
                    done = await asyncio.shield(end)
            except TimeoutError:
                return b""
            state, detail = done.state, done.detail
        verdict: Verdict = "accept" if state == "stored" else "error" if state == "parked" else "reject"
        if not kind.wants(header, "application", verdict):
            return b""
        if verdict == "accept" and isinstance(kind, Asking):
            found = await kind.found(header)
            if found is not None:
                return found
        issues = [] if verdict == "accept" else [_issue(row) for row in detail.get("issues", ())]
        return kind.answer(header, verdict, level="application", issues=issues)

    async def warmed(self) -> None:
        """Wait until the first message can be looked at."""
        if self._warm is not None:
            await asyncio.wait([self._warm])
            self._warm = None

    async def _run(self) -> None:
        """Hand messages to the lanes, in order; look into the journal for what is not in memory."""
        await self.warmed()
        while not self._is_closing:
            if self._waiting:
                await self._start(self._waiting.popleft())
                continue
            if self._is_behind:
                await self._catch_up()
                continue
            self._has_work.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._has_work.wait()
            except TimeoutError:
                # Retries whose time has come, and messages that another process reopened.
                self._is_behind = True

    async def _catch_up(self) -> None:
        """Process what lies open in the journal, in the order of arrival, a page at a time."""
        self._is_behind = False
        after = 0
        while not self._is_closing:
            # What was noted but not yet written must not look open.
            await self.journal.settled()
            ids = self.journal.due(after=after, count=256)
            if not ids:
                return
            for id in ids:
                after = id
                if id > self._last or (self._waiting and id >= self._waiting[0].entry.id):
                    # From here on they are in memory or on their way there, and their turn is next.
                    return
                if id in self._in_hand:
                    continue
                entry = self.journal.entry(id, with_raw=True)
                if entry is not None and entry.state in ("received", "mapped", "failed"):
                    self._in_hand.add(id)
                    await self._start(_Waiting(entry, None), is_counted=False)

    async def _start(self, row: _Waiting, *, is_counted: bool = True) -> None:
        if is_counted:
            self._waiting_bytes -= len(row.entry.raw or b"")
        await self.lanes.run(row.entry.keys or (row.entry.source,), lambda: self._process(row))

    async def _process(self, row: _Waiting) -> None:
        id = row.entry.id
        done = await self.processor.process(row.entry, row.message)
        # Until its end is written the journal shows it open; it must not be taken up again.
        noted = self.journal.finish(done, is_urgent=id in self._ends)
        noted.add_done_callback(lambda noted: self._noted(done, noted))

    def _noted(self, done: Done, noted: "asyncio.Future[None]") -> None:
        self._in_hand.discard(done.id)
        error = noted.exception()
        if error is not None:
            log.error(
                "the end of a message could not be noted; it is processed again",
                exc_info=error,
                extra={"message_id": done.id},
            )
        waiting = self._ends.pop(done.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(done)


async def _next(answer: bytes) -> bytes:
    return answer


def _taken(row: Admission, receipt: Receipt | None) -> Taken:
    if row.error is not None:
        return Taken(row, row.verdict, row.error.issues, receipt, row.error)
    assert receipt is not None, "what has no error was kept"
    assert row.incoming is not None
    if receipt.outcome == "conflict":
        error = conflict(row.incoming)
        return Taken(row, "error", error.issues, receipt, error)
    return Taken(row, "accept", (), receipt)


def _said(row: Taken) -> str:
    if row.receipt is not None and row.receipt.outcome == "repeat":
        return f"repeat of message {row.receipt.id}"
    return f"message {row.receipt.id}" if row.receipt is not None else ""


def _entry(id: int, incoming: Incoming) -> Entry:
    return Entry(
        id, incoming.kind, incoming.channel, incoming.peer, incoming.source, incoming.control_id, incoming.event,
        incoming.keys, incoming.request_id, incoming.received, "received", 0, 0, len(incoming.raw), {}, incoming.raw,
    )  # fmt: skip


async def _joined(kind: Kind, later: Sequence[Awaitable[bytes]], header: object) -> bytes | None:
    answers = [answer for pending in later if (answer := await pending)]
    return kind.join(answers, header) if answers else None


def _issue(row: dict[str, object]) -> Issue:
    """An issue of the journal as one again; its sentence has its values already."""
    return Finished(str(row["code"]), {}, "error", None, str(row["source"]) if "source" in row else None, row)


@dataclass(frozen=True)
class Finished(Issue):
    """An issue whose sentences were worded when it happened."""

    row: dict[str, object] | None = None

    def text(self, language: str = "zh") -> str:
        return str((self.row or {}).get(language, ""))

    def fix(self, language: str = "zh") -> str:
        return str((self.row or {}).get(f"fix_{language}", ""))
