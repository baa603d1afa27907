"""A listener beside HTTP and MLLP: the gateway starts it last and stops it first."""

from typing import Protocol


class Port(Protocol):
    async def start(self) -> None:
        """Listen or begin to look; raises Unavailable (HT-CLI-13) when the port is taken."""

    async def stop(self) -> None:
        """Take nothing more and let what has begun end."""
