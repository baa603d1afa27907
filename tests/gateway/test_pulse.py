"""Parts that follow the store: they look when something was written, and what they did is not shown again."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import IsolatedAsyncioTestCase

from gateway.search import Parameters
from gateway.store import pulse
from gateway.store.follower import Follower
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Commit, Put
from gateway.store.pulse import Pulse


async def is_due(beat: Pulse) -> bool:
    try:
        await asyncio.wait_for(beat.next(), 0.1)
    except TimeoutError:
        return False
    return True


class PulseTests(IsolatedAsyncioTestCase):
    async def test_looks_after_a_write_and_rests_without_one(self) -> None:
        writes = 0
        beat = Pulse(0.01, lambda: writes)
        assert await is_due(beat), "the first beat looks"
        assert not await is_due(beat)
        writes += 1
        assert await is_due(beat)
        assert not await is_due(beat)

    async def test_looks_again_when_the_last_look_did_not_do_all(self) -> None:
        beat = Pulse(0.01, lambda: 7)
        assert await is_due(beat)
        beat.again()
        assert await is_due(beat)
        assert not await is_due(beat)

    async def test_looks_now_and_then_for_what_other_processes_write(self) -> None:
        beat = Pulse(pulse.REST_SECONDS / 100, lambda: 7)
        started = asyncio.get_running_loop().time()
        await beat.next()
        await beat.next()
        assert asyncio.get_running_loop().time() - started >= pulse.REST_SECONDS * 0.9

    async def test_what_was_done_is_not_shown_again(self) -> None:
        folder = self.enterContext(TemporaryDirectory())
        store = MemoryStore(Parameters())
        follower = Follower(store, Path(folder) / "where.json")

        async def write(id: str) -> None:
            await store.commit(Commit([Put({"resourceType": "Observation", "id": id, "status": "final"})]))

        async def shown() -> list[tuple[str, int]]:
            return [(row.id, row.version) for row in await follower.changed(("Observation",))]

        await write("a")
        assert await shown() == [("a", 1)]
        follower.again()
        assert await shown() == [("a", 1)], "what could not be done is shown once more"
        follower.remember()
        assert await shown() == []
        await write("b")
        await write("a")
        assert sorted(await shown()) == [("a", 2), ("b", 1)]
        follower.remember()
        assert await shown() == []
        after_a_stop = Follower(store, Path(folder) / "where.json")
        assert {row.id for row in await after_a_stop.changed(("Observation",))} == {"a", "b"}
