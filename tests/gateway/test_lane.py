"""One lane with a clock of its own: a day without receiver, three days without, receivers of any mood."""

import asyncio
import itertools
import random
from collections import defaultdict
from pathlib import Path

import pytest

from gateway.outbound.delivery import Delivery, Letter, Order, Verdict
from gateway.outbound.destination import Retrying
from gateway.outbound.lane import Lane
from gateway.outbound.ledger import Ledger
from gateway.outbound.reader import Filter

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


class Receiver:
    """`mood` decides about each attempt; `effects`: what he has in the end, duplicates known by their control id."""

    def __init__(self, mood: "random.Random | str") -> None:
        self.mood = mood
        self.effects: dict[str, str] = {}
        self.attempts = 0

    async def send(self, letter: Letter) -> Verdict:
        self.attempts += 1
        await asyncio.sleep(0)
        choice = (
            self.mood
            if isinstance(self.mood, str)
            else self.mood.choices(["up", "down", "refuse", "lost-answer"], [6, 2, 1, 1])[0]
        )
        if choice in ("up", "lost-answer"):
            self.effects.setdefault(letter.control_id, letter.body.decode())
        return {
            "up": Verdict("accepted", "AA"),
            "refuse": Verdict("refused", "AE", "no"),
        }.get(choice, Verdict("unreachable", "connection", choice))

    async def close(self) -> None:
        """Nothing is open."""


def lane_of(ledger: Ledger, receivers: list[Receiver], told: list[tuple[str, str]], **more: object) -> Lane:
    async def write(delivery: Delivery) -> Letter:
        return Letter(f"{delivery.key}/{delivery.focus}".encode(), "text/plain", delivery.control_id)

    async def tell(name: str, state: str, _: str) -> None:
        told.append((name, state))

    retry = Retrying(first=2.0, longest=600.0, hours=72.0, refusals=3)
    return Lane("his", ledger=ledger, senders=list(receivers), write=write, tell=tell, retry=retry, **more)  # type: ignore[arg-type]


def orders(count: int, keys: int = 3) -> list[Order]:
    return [Order("his", n + 1, "report-final", f"k{n % keys}", str(n), {}) for n in range(count)]


async def work(lane: Lane, clock: Clock, hours: float) -> None:
    """Turn the lane through so many hours of its clock."""
    end = clock.seconds + hours * HOUR
    while clock.seconds < end:
        if not await lane._turn():
            clock.seconds += 60


def by_key(receiver: Receiver) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for body in receiver.effects.values():
        key, _, number = body.partition("/")
        found[key].append(int(number))
    return found


async def states(ledger: Ledger) -> list[str]:
    return [row.state for row in reversed(await ledger.deliveries(Filter(), count=500))]


def test_a_day_without_receiver_loses_nothing_and_alerts_once(tmp_path: Path) -> None:
    async def go() -> None:
        clock, told, receiver = Clock(), [], Receiver("down")
        ledger = Ledger(tmp_path, clock=clock)
        lane = lane_of(ledger, [receiver], told, is_ordered=True)
        await ledger.take(orders(30))
        await work(lane, clock, 24)
        # Every ten minutes at most: one message asks, the others wait behind it.
        assert receiver.attempts < 24 * 6 + 15
        assert await states(ledger) == ["failed", *["waiting"] * 29]
        receiver.mood = "up"
        await work(lane, clock, 0.5)
        assert await states(ledger) == ["delivered"] * 30
        assert [int(body.partition("/")[2]) for body in receiver.effects.values()] == list(range(30))
        assert told == [("his", "down"), ("his", "up")]
        ledger.close()

    asyncio.run(go())


def test_after_72_hours_a_message_is_parked_and_one_replay_sends_it(tmp_path: Path) -> None:
    async def go() -> None:
        clock, told, receiver = Clock(), [], Receiver("down")
        ledger = Ledger(tmp_path, clock=clock)
        lane = lane_of(ledger, [receiver], told)
        [id] = await ledger.take(orders(1))
        await work(lane, clock, 71)
        assert await states(ledger) == ["failed"]
        await work(lane, clock, 2)
        assert await states(ledger) == ["parked"]
        assert told == [("his", "down"), ("his", "parked")]
        receiver.mood = "up"
        assert await ledger.resend([id]) == 1
        await work(lane, clock, 1)
        assert await states(ledger) == ["delivered"]
        ledger.close()

    asyncio.run(go())


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_receiver_does_nothing_is_lost_doubled_or_out_of_order(
    tmp_path: Path, seed: int
) -> None:
    async def go() -> None:
        chance, clock, told = random.Random(seed), Clock(), []
        receiver = Receiver(chance)
        ledger = Ledger(tmp_path, clock=clock)
        lane = lane_of(ledger, [receiver, receiver, receiver], told)
        await ledger.take(orders(40, keys=5))
        await work(lane, clock, 12)
        # A restart in the middle: what the log knows is all that the next lane has.
        lane = lane_of(ledger, [receiver, receiver], told)
        await ledger.take([Order("his", 100 + n, "t", f"k{n % 5}", str(100 + n), {}) for n in range(10)])
        await work(lane, clock, 48)
        found = await states(ledger)
        assert set(found) <= {"delivered", "parked"}
        assert found.count("delivered") <= len(receiver.effects)
        assert len(set(receiver.effects.values())) == len(receiver.effects)
        for numbers in by_key(receiver).values():
            assert numbers == sorted(numbers)
        # One alert for each change: down and up take turns.
        changes = [state for _, state in told if state != "parked"]
        assert all(one != other for one, other in itertools.pairwise(changes))
        assert sum(state == "parked" for _, state in told) == found.count("parked")
        ledger.close()

    asyncio.run(go())


def test_the_same_row_of_the_outbox_is_kept_once(tmp_path: Path) -> None:
    async def go() -> None:
        ledger = Ledger(tmp_path)
        assert len(await ledger.take(orders(5))) == 5
        assert await ledger.take(orders(5)) == []
        # The rows of another store count from 1 again, and are others.
        other = [Order("his", 1, "report-final", "k0", "other", {})]
        assert len(await ledger.take(other)) == 1
        standing = ledger.standing("his")
        assert standing is not None
        assert (standing.number, standing.open) == (6, 6)
        ledger.close()

    asyncio.run(go())


def test_what_was_delivered_long_ago_is_forgotten(tmp_path: Path) -> None:
    async def go() -> None:
        clock = Clock()
        ledger = Ledger(tmp_path, clock=clock)
        lane = lane_of(ledger, [Receiver("up")], [])
        await ledger.take(orders(3))
        await work(lane, clock, 0.1)
        assert await ledger.purge(ledger.now - 1000 * 3600) == 0
        clock.seconds += 31 * 24 * HOUR
        assert await ledger.purge(ledger.now - 30 * 24 * 3_600_000) == 3
        assert await states(ledger) == []
        ledger.close()

    asyncio.run(go())
