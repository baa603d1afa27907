"""One delivery: something that one destination must hear of, and what became of it."""

from dataclasses import dataclass
from typing import Literal

from mappings.outbound.charset import writing_codec
from terminology.fhirjson import Json

# waiting: to be sent. failed: was tried, is tried again at `next_attempt`. delivered: the receiver has said so.
# parked: waits for a person. discarded: a person decided that it is not to be sent.
State = Literal["waiting", "failed", "delivered", "parked", "discarded"]
STATES: tuple[State, ...] = ("waiting", "failed", "delivered", "parked", "discarded")
OPEN: tuple[State, ...] = ("waiting", "failed")


@dataclass(frozen=True, slots=True)
class Order:
    """What the fan-out asks for: one delivery of outbox row `event` to `destination`.

    `key`: the order is kept among deliveries of one destination that share it; `focus`: what it is about, with its
    version when that is known; `event` 0: no outbox row stands behind it (a handshake, a heartbeat).
    """

    destination: str
    event: int
    topic: str
    key: str
    focus: str
    payload: Json


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the delivery log. Times in milliseconds since 1970.

    `number`: the count within its destination (the event number of a subscription); `control_id`: MSH-10 or the id that
    the receiver knows it by, the same at every attempt; `since`: from when the time to give up counts.
    """

    id: int
    destination: str
    number: int
    event: int
    topic: str
    key: str
    focus: str
    payload: Json
    control_id: str
    state: State
    attempts: int
    refusals: int
    created: int
    since: int
    next_attempt: int
    updated: int
    size: int
    media: str
    map: str
    detail: Json
    sent: bytes | None = None
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: bytes and how they are called. `media` says the charset too, unless it is JSON's own."""

    body: bytes
    media: str
    control_id: str
    topic: str = ""
    map: str = ""

    @property
    def codec(self) -> str:
        _, _, charset = self.media.partition("charset=")
        return writing_codec(charset.partition(";")[0].strip(' "')) or "utf-8"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended.

    accepted: the receiver has it. unreachable: nobody took it, or only for now; the whole destination waits.
    refused: the receiver looked at it and said no; others may go on. `code`: AA, CE, 503, … ; `reason` for people.
    """

    outcome: Literal["accepted", "unreachable", "refused"]
    code: str = ""
    reason: str = ""
    answer: bytes = b""
    retry_after: float | None = None
