"""Parts that follow the store: they look when something was written, and what they did is not shown again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from unittest import IsolatedAsyncioTestCase
from unittest.mock import patch

from gateway.search import Parameters
from gateway.store import pulse
from gateway.store.follower import Follower
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Commit, Put, Version
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

    async def test_what_becomes_visible_late_is_found_by_the_next_whole_look(self) -> None:
        rows: list[Version] = []

        class Store:
            """Commits of another process: one with an earlier instant may be seen after a later one."""

            async def history(self, type: str, *, since: datetime) -> AsyncIterator[Version]:
                for row in rows:
                    if row.last_updated >= since:
                        yield row

        def version(id: str, second: float) -> Version:
            moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=second)
            return Version("Observation", id, 1, moment, "PUT", b"{}")

        folder = Path(self.enterContext(TemporaryDirectory()))
        now = self.enterContext(patch("gateway.store.follower.monotonic", return_value=100.0))
        follower = Follower(cast(Any, Store()), folder / "where.json")

        async def shown() -> list[str]:
            found = [row.id for row in await follower.changed(("Observation",))]
            follower.remember()
            return found

        rows.append(version("first", 0))
        assert await shown() == ["first"]
        rows.append(version("late", -3))
        rows.append(version("next", 0))
        assert await shown() == ["next"]
        assert await shown() == []
        now.return_value = 105.0
        assert await shown() == ["late"]
        assert await shown() == []
