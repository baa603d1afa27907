"""Order among messages that share a patient, freedom among all others."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence


class Lanes:
    """Runs jobs at most `width` at a time; jobs that share a key run one after the other, in the order they came."""

    def __init__(self, width: int) -> None:
        self._slots = asyncio.Semaphore(width)
        self._tails: dict[Hashable, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, keys: Sequence[Hashable], job: Callable[[], Awaitable[None]]) -> None:
        """Start the job as soon as a slot is free; returns before it ends. A predecessor always has its slot already."""
        await self._slots.acquire()
        before = [tail for key in keys if (tail := self._tails.get(key)) is not None]
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for key in keys:
            self._tails[key] = end
        task = asyncio.ensure_future(self._one(keys, before, end, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drained(self) -> None:
        """Wait until every started job has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(
        self,
        keys: Sequence[Hashable],
        before: Sequence[asyncio.Future[None]],
        end: asyncio.Future[None],
        job: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            for tail in before:
                await tail
            await job()
        finally:
            end.set_result(None)
            for key in keys:
                if self._tails.get(key) is end:
                    del self._tails[key]
            self._slots.release()
