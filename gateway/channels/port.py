"""A listener beside HTTP and MLLP: the gateway starts it last and stops it first."""

from typing import Protocol

from terminology.issues import Unavailable


class Port(Protocol):
    async def start(self) -> None:
        """Listen or begin to look; raises Unavailable (HT-CLI-13) when the port is taken."""

    async def stop(self) -> None:
        """Take nothing more and let what has begun end."""


def port_taken(host: str, port: int, error: OSError, *, option: str) -> Unavailable:
    """Return the error of a door whose port another process has; `option` is the setting that names another one."""
    return Unavailable("HT-CLI-13", host=host, port=port, detail=error.strerror or str(error), option=option)
