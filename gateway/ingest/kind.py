"""A kind of message: how its bytes are admitted, mapped and answered. HL7 v2 is one; a table of rows is another."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, Protocol, runtime_checkable

from gateway.journal import Incoming
from gateway.journal.detail import issue_row
from mappings.language.result import Result
from terminology.issues import FhirError, Issue

Verdict = Literal["accept", "error", "reject"]
Level = Literal["original", "accept", "application"]


def hash_of(content: bytes) -> bytes:
    """Return what the journal tells one content from another by."""
    return blake2b(content, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where bytes came from. `received`: milliseconds since 1970.

    `source`, `map`: what a configured source calls itself, and the map that it names; "" = the bytes decide.
    """

    channel: str
    peer: str
    request_id: str
    received: int
    source: str = ""
    map: str = ""

    def incoming(
        self,
        kind: str,
        raw: bytes,
        *,
        source: str,
        control_id: str = "",
        event: str = "",
        keys: tuple[str, ...] = (),
        hash: bytes | None = None,
        error: FhirError | None = None,
    ) -> Incoming:
        """Return `raw` as the journal keeps it. `hash`: of what makes it the same message, where that is not every byte;
        `error`: why it is parked."""
        return Incoming(
            kind=kind,
            channel=self.channel,
            peer=self.peer,
            source=source,
            control_id=control_id,
            event=event,
            keys=keys,
            hash=hash_of(raw) if hash is None else hash,
            request_id=self.request_id,
            received=self.received,
            raw=raw,
            problem=issue_row(error.issues[0]) if error is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """What the first look at one message says.

    `incoming` None: it cannot be kept (it is no message at all). `error`: why it will not be processed; a kept one is
    parked. `verdict` belongs to the error. `message` is the kind's parsed message, `header` what an answer needs.
    """

    header: Any
    incoming: Incoming | None
    message: Any = None
    error: FhirError | None = None
    verdict: Verdict = "accept"


class Kind(Protocol):
    """One row of `build_kinds` (gateway/assembly/messages.py); the name is the one in `POST /messages/{kind}`."""

    name: str
    media_type: str

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        """Return the messages of `raw`; raises MalformedMessage when a batch is not whole."""

    def parse(self, raw: bytes) -> Any:
        """Return the parsed message of journaled bytes."""

    def map(self, message: Any) -> Result:
        """Return the resources; raises FhirError when the message lacks what its map needs."""

    def wants(self, header: Any, level: Level, verdict: Verdict) -> bool: ...

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes: ...

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        """Return the answers to a batch as one body."""

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        """Return the answer to bytes that are not a message (None: the sender wants none)."""


@runtime_checkable
class Asking(Protocol):
    """A kind whose messages may be questions: their answer is what the store knows."""

    async def found(self, header: Any) -> bytes | None:
        """Return the answer to a question, None when the message is none."""
