"""One destination at work: what is due is written, sent, and its end noted, in order (docs/operations/deliveries.md).

At least once: a delivery is delivered when the receiver has said so and the log has it on the disk; a crash between
the two sends the same bytes under the same control id again, which the receiver knows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.journal.detail import issue_row
from gateway.metrics import Counter
from gateway.outbound.delivery import Delivery, Letter, Verdict
from gateway.outbound.destination import Retrying
from gateway.outbound.ledger import Ledger
from terminology.fhirjson import Json
from terminology.issues import FhirError, Issue

log = logging.getLogger("gateway.outbound")

# A lane looks again at least so often, so that a change of the clock or a lost wake-up is harmless.
LOOK_SECONDS = 30.0
# What a store that is out of reach costs: the lane waits, nothing is parked.
STORE_SECONDS = 2.0
CLOSE_SECONDS = 5.0
# What code does with data that it didn't expect; a store out of reach raises others.
WRONG_DATA = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    AssertionError,
)


class NothingToSay(Exception):
    """The map of a delivery has nothing to write about its focus; the delivery is over."""


class Sender(Protocol):
    """A channel to one receiver."""

    async def send(self, letter: Letter) -> Verdict: ...
    async def close(self) -> None: ...


Write = Callable[[Delivery], Awaitable[Letter]]
Tell = Callable[[str, str, str], Awaitable[None]]
"""(destination, up | down | parked, reason): once for each change of state."""
Noted = Callable[[Delivery, Verdict], Awaitable[None]]


class Lane:
    """`write` makes the bytes at the first attempt; `senders`: one for each message that may be under way at once."""

    def __init__(
        self,
        name: str,
        *,
        ledger: Ledger,
        senders: list[Sender],
        write: Write,
        tell: Tell,
        retry: Retrying,
        is_ordered: bool = False,
        is_paused: bool = False,
        noted: Noted | None = None,
        outcomes: Counter | None = None,
    ) -> None:
        self.name, self.ledger, self.senders = name, ledger, senders
        self.retry, self.is_ordered = retry, is_ordered
        self._write, self._tell, self._noted = write, tell, noted
        self._wake = asyncio.Event()
        standing = ledger.standing(name)
        self.is_down = standing is not None and standing.state == "down"
        self._failures = standing.failures if standing is not None else 0
        self._holds_until = standing.next_attempt if standing is not None and self.is_down else 0
        self.is_paused = is_paused
        self._outcomes = outcomes or Counter("", "", ("destination", "outcome"))
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"outbound {self.name}")

    def wake(self, *, at_once: bool = False) -> None:
        """Look for work now; `at_once`: also when the destination is down (a person asked)."""
        if at_once:
            self._holds_until = 0
        self._wake.set()

    async def close(self) -> None:
        """Let what is under way end, so that it needn't be sent again; a receiver that takes too long is left."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])
        for sender in self.senders:
            await sender.close()

    async def _run(self) -> None:
        while not self._is_closing:
            self._wake.clear()
            try:
                did_something = not self.is_paused and await self._turn()
            except FhirError as error:
                log.error("deliveries wait", extra={"destination": self.name, "reason": str(error)})
                await asyncio.sleep(STORE_SECONDS)
                continue
            except Exception:
                # The outermost edge of a lane: whatever it was, the queue is on the disk and is tried again.
                log.exception("deliveries wait", extra={"destination": self.name})
                await asyncio.sleep(STORE_SECONDS)
                continue
            if did_something or self._is_closing:
                continue
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        """Return the seconds until something may be due."""
        due = self.ledger.next_due(self.name)
        if due is None or self.is_paused:
            return LOOK_SECONDS
        return max(0.005, min(LOOK_SECONDS, (max(due, self._holds_until) - self.ledger.now) / 1000))

    async def _turn(self) -> bool:
        """Send what is due; return whether anything was."""
        if self._holds_until > self.ledger.now:
            return False
        # A receiver that doesn't answer is asked with one message, the oldest, until it does.
        count = 1 if self.is_down else len(self.senders)
        heads = self.ledger.heads(self.name, by_key=not self.is_ordered, count=count)
        if not heads:
            return False
        pairs = zip(heads, self.senders, strict=False)
        results = await asyncio.gather(
            *(self._one(delivery, sender) for delivery, sender in pairs), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return True

    async def _one(self, delivery: Delivery, sender: Sender) -> None:
        letter = await self._letter(delivery)
        if letter is None:
            return
        verdict = await sender.send(letter)
        if verdict.outcome == "accepted":
            detail = _detail(verdict)
            await self.ledger.ended(delivery.id, "delivered", detail, answer=verdict.answer)
            await self._answered()
        elif verdict.outcome == "refused":
            await self._refused(delivery, verdict)
            await self._answered()
        else:
            await self._unreachable(delivery, verdict)
        self._outcomes.add(self.name, "delivered" if verdict.outcome == "accepted" else verdict.outcome)
        if self._noted is not None:
            await self._noted(delivery, verdict)

    async def _letter(self, delivery: Delivery) -> Letter | None:
        """Return what is sent: the bytes of an earlier attempt, or what the map writes now; None when it can't be written."""
        known = self.ledger.delivery(delivery.id, with_bodies=True)
        if known is not None and known.sent is not None:
            return Letter(known.sent, known.media, known.control_id, known.topic, known.map)
        try:
            letter = await self._write(delivery)
        except NothingToSay as nothing:
            await self.ledger.ended(
                delivery.id, "discarded", {"reason": f"{nothing}: when"}, is_attempt=False
            )
            return None
        except WRONG_DATA as error:
            # A map or resource that nobody foresaw must not hold up the others.
            log.exception(
                "a message cannot be written", extra={"destination": self.name, "delivery": delivery.id}
            )
            issue = issue_row(Issue("HT-OUT-19", {"detail": f"{type(error).__name__} {error}"[:200]}))
            await self.ledger.ended(delivery.id, "parked", {"issues": [issue]}, is_attempt=False)
            await self._tell(self.name, "parked", f"delivery {delivery.id}: {type(error).__name__}")
            return None
        except FhirError as error:
            if any(issue.type in ("transient", "timeout", "exception") for issue in error.issues):
                raise
            detail: Json = {"issues": [issue_row(issue) for issue in error.issues[:20]]}
            await self.ledger.ended(delivery.id, "parked", detail, is_attempt=False)
            await self._tell(self.name, "parked", f"delivery {delivery.id}: {error}"[:300])
            return None
        await self.ledger.written(delivery.id, letter)
        return letter

    async def _refused(self, delivery: Delivery, verdict: Verdict) -> None:
        detail = _detail(verdict)
        if delivery.refusals + 1 >= self.retry.refusals:
            await self.ledger.ended(delivery.id, "parked", detail, answer=verdict.answer, is_refusal=True)
            await self._tell(self.name, "parked", f"delivery {delivery.id}: {verdict.code} {verdict.reason}")
            return
        again = self.ledger.now + int(self.retry.pause(delivery.refusals + 1) * 1000)
        await self.ledger.ended(
            delivery.id, "failed", detail, answer=verdict.answer, next_attempt=again, is_refusal=True
        )

    async def _unreachable(self, delivery: Delivery, verdict: Verdict) -> None:
        self._failures += 1
        pause = verdict.retry_after if verdict.retry_after is not None else self.retry.pause(self._failures)
        now = self.ledger.now
        self._holds_until = now + int(pause * 1000)
        if now - delivery.since >= self.retry.hours * 3_600_000:
            await self.ledger.ended(delivery.id, "parked", _detail(verdict), answer=verdict.answer)
            await self._tell(self.name, "parked", f"delivery {delivery.id}: {self.retry.hours:g} h are over")
        else:
            await self.ledger.ended(
                delivery.id, "failed", _detail(verdict), answer=verdict.answer, next_attempt=self._holds_until
            )
        reason = f"{verdict.code} {verdict.reason}".strip()
        changed = await self.ledger.stand(
            self.name, "down", reason=reason, failures=self._failures, next_attempt=self._holds_until
        )
        self.is_down = True
        if changed:
            await self._tell(self.name, "down", reason)

    async def _answered(self) -> None:
        if not self.is_down and not self._failures:
            return
        self.is_down, self._failures, self._holds_until = False, 0, 0
        if await self.ledger.stand(self.name, "up"):
            await self._tell(self.name, "up", "")


def _detail(verdict: Verdict) -> Json:
    detail: Json = {"answer": verdict.code}
    if verdict.reason:
        detail["reason"] = verdict.reason
    return detail
