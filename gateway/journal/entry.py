"""What goes into the journal and what comes out."""

from dataclasses import dataclass, field
from typing import Literal

from terminology.fhirjson import Json

# received: durable, to be processed. mapped: read and mapped, the store was out of reach; tried again.
# failed: something unexpected; tried again, a bounded number of times. parked: waits for a person.
State = Literal["received", "mapped", "stored", "failed", "parked"]
STATES: tuple[State, ...] = ("received", "mapped", "stored", "failed", "parked")
OPEN: tuple[State, ...] = ("received", "mapped", "failed")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came in.

    `source`: who sent it ("LIS|H1", MSH-3 and MSH-4); `hash`: of the content without its sending time;
    `keys`: the order is kept among messages that share one; `received`: milliseconds since 1970;
    `problem`: why it cannot be processed as it is; then it is kept, parked, for a person.
    """

    kind: str
    channel: str
    peer: str
    source: str
    control_id: str
    event: str
    keys: tuple[str, ...]
    hash: bytes
    request_id: str
    received: int
    raw: bytes
    problem: Json | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a source was read. `value`: JSON of the source's own making."""

    source: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the journal did with a message.

    new: kept under `id`. repeat: the same content was kept before under `id`, nothing was done.
    conflict: another content has the same control id; kept under `id`, parked.
    """

    id: int
    outcome: Literal["new", "repeat", "conflict"]
    state: State = "received"


@dataclass(frozen=True, slots=True)
class Code:
    """A local code that no table translates, for the mapping work list."""

    domain: str
    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of one attempt. `detail`: resources, map, charset, issues, unread fields as `messages show` prints them.

    `next_attempt`: milliseconds since 1970, for a state that is tried again.
    """

    id: int
    state: State
    detail: Json
    unmapped: tuple[Code, ...] = ()
    next_attempt: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the journal; `raw` only where it was asked for."""

    id: int
    kind: str
    channel: str
    peer: str
    source: str
    control_id: str
    event: str
    keys: tuple[str, ...]
    request_id: str
    received: int
    state: State
    attempts: int
    next_attempt: int
    size: int
    detail: Json = field(default_factory=dict)
    raw: bytes | None = None
