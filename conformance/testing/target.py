"""The system under test: how to reach it, which roles it claims, what it attests.

Each way of reaching it is a port; a test whose port is missing is not evaluated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from conformance.testing.client import Client
from conformance.testing.doorway import Counterpart, Door


class Outbox(Protocol):
    """What the member sends: a listener that waits for it, or sample files."""

    def take(self, event: str, *, answer: str, prompt: str) -> bytes:
        """Return the next message of `event` ("ADT^A01") and answer it with `answer` (AA, AE, AR, none).

        Raises Unreachable when none comes.
        """


class Line(Protocol):
    """The member's receiver of HL7 v2."""

    def exchange(self, raw: bytes, *, pieces: int = 1, is_framed: bool = True, pause: float = 0.0) -> bytes:
        """Send one message, in pieces so many seconds apart, and return the answer's body; raises Unreachable when none comes."""


class Port(Protocol):
    """A part of a target that holds a connection or a door open."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """`variables` are put into tests as `${name}`; `evidence`: requirement or attest id → file or note.

    `fhir`, `http`: the member's services; `outbox`: its messages; `line`: its receiver; `documents`: a folder of its
    files; `door`: where it calls; `counterpart`: the centre in a sandbox, which answers there.
    """

    name: str
    roles: tuple[str, ...]
    fhir: Client | None = None
    outbox: Outbox | None = None
    line: Line | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    http: Client | None = None
    door: Door | None = None
    counterpart: Counterpart | None = None
    documents: Path | None = None

    def close(self) -> None:
        """Close what was opened for it."""
        for port in self.ports:
            port.close()
