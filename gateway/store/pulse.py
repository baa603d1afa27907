"""When a part that follows the store looks again: soon after something was written here, else only now and then."""

import asyncio
from collections.abc import Callable

START_SECONDS = 1.0
"""The doors open first: nobody waits for a background part to look around."""
REST_SECONDS = 5.0
"""What another process wrote, or what only the time changes, is seen after this."""


class Pulse:
    """`writes` counts the commits of this process (None: nobody counts, each beat is a look); `seconds`: between two beats."""

    def __init__(self, seconds: float, writes: Callable[[], int] | None) -> None:
        self._seconds, self._writes = seconds, writes
        self._seen = -1
        self._rested = 0.0

    async def start(self) -> None:
        await asyncio.sleep(max(self._seconds, START_SECONDS))
        self._note()

    async def next(self) -> None:
        """Return when it is time to look."""
        while True:
            await asyncio.sleep(self._seconds)
            self._rested += self._seconds
            if self._writes is None or self._writes() != self._seen or self._rested >= REST_SECONDS:
                self._note()
                return

    def again(self) -> None:
        """Look at the next beat: the last look did not do all."""
        self._seen = -1

    def _note(self) -> None:
        # Before the look: what is written meanwhile is for the next one.
        self._rested = 0.0
        if self._writes is not None:
            self._seen = self._writes()
