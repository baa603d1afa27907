"""A part that follows the store in the background: it looks at each beat of its pulse and outlives what a look stumbles over."""

import asyncio
import logging
from abc import ABC, abstractmethod

from gateway.store.pulse import Pulse
from terminology.issues import FhirError


class Watch(ABC):
    """A Port: `start` begins to look, `stop` ends it. `name`: what waits or stumbled, for `log`."""

    def __init__(self, pulse: Pulse, *, name: str, log: logging.Logger) -> None:
        self._pulse, self._name, self._log = pulse, name, log
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def look(self) -> object:
        """Do what follows from what was written since the last look."""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        await self._pulse.start()
        while True:
            try:
                await self.look()
            except FhirError as error:
                self._log.warning("%s waits: %s", self._name, error)
                self._pulse.again()
            except Exception:
                # The outermost edge of a background part.
                self._log.exception("%s stumbled", self._name)
                self._pulse.again()
            await self._pulse.next()
