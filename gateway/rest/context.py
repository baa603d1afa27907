"""What interactions are given besides the request; `gateway/app.py` builds it once."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway.store.protocol import Store

if TYPE_CHECKING:
    from conformance.chronic import Diseases
    from conformance.recognition.pack import PackLibrary
    from gateway.operations.registry import Operations
    from gateway.rest.request import Request
    from gateway.rest.respond_async import Jobs
    from gateway.search.codes import Codes
    from gateway.search.parameters import Parameters
    from gateway.workflow.desk import Desk

# Modifiers that ask the terminology.
CODE_MODIFIERS = (":in", ":not-in", ":above", ":below")

Level = Literal["off", "structure", "full"]

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger may send; more is answered with 413 or 400 (docs/api/limits.md)."""

    body_bytes: int = 64 * 1024 * 1024
    url_bytes: int = 16 * 1024
    depth: int = 64
    entries: int = 5_000
    page: int = 1_000
    default_page: int = 50
    matches: int = 1_000
    seconds: float = 60.0
    inline_attachment_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Validation:
    """How a resource is checked before it is written: one level, with exceptions by resource type."""

    default: Level = "structure"
    types: dict[str, Level] = field(default_factory=dict)

    def level(self, resource_type: str) -> Level:
        return self.types.get(resource_type, self.default)

    @property
    def has_full(self) -> bool:
        """Whether any type is checked with all rules and profiles."""
        return "full" in (self.default, *self.types.values())


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Context:
    """Store, operations, limits, clock and id source.

    `terminology` is the catalogue service that terminology operations and `:in` searches ask. `maps` are
    the active maps that $convert asks, `subscriptions` what $status and $events ask. `workflow` is there when
    states are enforced. `docs` stands before the "/docs/…" links of outcomes.
    """

    store: Store
    operations: "Operations"
    jobs: "Jobs"
    limits: Limits = Limits()
    validation: Validation = Validation()
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    new_id: Callable[[], str] = field(default=lambda: new_id())
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    docs: str = ""
    terminology: Any = None
    packs: "PackLibrary | None" = None
    maps: Any = None
    subscriptions: Any = None
    care_packs: Path | None = None
    health_card_key: Path | None = None
    patient_header: str = "x-hutong-patient"
    workflow: "Desk | None" = None
    commit_retries: int = 64

    def patient_of(self, request: "Request") -> str | None:
        """Return the id of the patient who calls himself, None for everybody else; "" for a header that names nobody."""
        value = request.headers.get(self.patient_header)
        return value.strip().removeprefix("Patient/") if value is not None else None

    @property
    def diseases(self) -> "Diseases":
        """The packs of chronic diseases, the county's folder `care_packs` over the shipped ones."""
        from conformance.chronic import load_diseases

        return load_diseases(self.care_packs)

    @property
    def codes(self) -> "Codes":
        """Value sets and hierarchies for `:in`, `:not-in`, `:above` and `:below`."""
        from gateway.operations.terminology import library_of
        from gateway.search.codes import Codes

        return Codes(library_of(self))

    async def know_codes(self, params: Sequence[tuple[str, str]]) -> None:
        """Bring the terminology up to date when a search asks for a value set or a hierarchy."""
        if any(name.endswith(CODE_MODIFIERS) or name == "_filter" for name, _ in params):
            from gateway.operations.terminology import library_of

            await library_of(self).current()

    @property
    def parameters(self) -> "Parameters":
        """The search parameters in force."""
        return self.store.parameters


def new_id() -> str:
    """Return an id that sorts by time and is unguessable: 9 characters of milliseconds, 13 of chance (67 bits)."""
    number = int(time.time() * 1000)
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = ALPHABET[rest] + digits
    chance = secrets.randbits(67)
    tail = ""
    for _ in range(13):
        chance, rest = divmod(chance, 36)
        tail += ALPHABET[rest]
    return digits.rjust(9, "0") + tail


async def pause(attempt: int) -> None:
    """Wait a moment before a conditional write decides again, longer each time, with jitter."""
    await asyncio.sleep(min(0.05, 0.001 * (attempt + 1)) * (0.5 + secrets.randbelow(1000) / 1000))
