"""A commit while it is being completed: the caller's changes, and what the workflow adds to them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from gateway.store.changes import key
from gateway.store.protocol import Commit, Delete, OutboxRow, Put, Store, Version
from gateway.workflow.actor import GATEWAY, Actor
from gateway.workflow.machine import Machine, Transition
from terminology.fhirjson import Json, decode_resource

if TYPE_CHECKING:
    from gateway.workflow.packs import Packs

Key = tuple[str, str]


MEMO_SECONDS = 2.0


class Memo:
    """The services that centres registered, by category, for a moment: every order asks for them."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[float, list[Json]]] = {}

    def get(self, category: str) -> list[Json] | None:
        found = self._held.get(category)
        return found[1] if found is not None and monotonic() - found[0] < MEMO_SECONDS else None

    def keep(self, category: str, services: list[Json]) -> None:
        self._held[category] = (monotonic(), services)

    def forget(self) -> None:
        self._held.clear()


class Draft:
    """`actor` is the caller. `packs` are the rules in force now, `terminology` answers for the county's catalogues (None:
    there are none), `memo` keeps what every order asks for."""

    def __init__(
        self,
        commit: Commit,
        store: Store,
        *,
        actor: Actor,
        now: datetime,
        new_id: Callable[[], str],
        packs: "Packs",
        terminology: Any = None,
        memo: Memo | None = None,
    ) -> None:
        self.terminology, self.memo = terminology, memo or Memo()
        self.commit, self.store, self.actor, self.now, self.new_id, self.packs = (
            commit, store, actor, now, new_id, packs,
        )  # fmt: skip
        self.changes: dict[Key, Put | Delete] = {}
        self.authors: dict[Key, Actor] = {}
        self.befores: dict[Key, Version | None] = {}
        self.outbox: list[OutboxRow] = list(commit.outbox)
        self.audit: list[Json] = list(commit.audit)
        self.waiting: list[Key] = []
        self.moves: list[Move] = []
        for change in commit.changes:
            self._take(change, actor)

    def _take(self, change: Put | Delete, actor: Actor) -> None:
        place = key(change)
        self.changes[place] = change
        self.authors[place] = actor
        if place not in self.waiting:
            self.waiting.append(place)

    async def read_before(self, places: Iterable[Key]) -> None:
        """Bring the current versions of resources, in one question."""
        asked = [place for place in dict.fromkeys(places) if place not in self.befores]
        if not asked:
            return
        found = await self.store.read_many(asked)
        for place in asked:
            self.befores[place] = found.get(place)

    async def before(self, type: str, id: str) -> Version | None:
        """Return the current version, as it was when this draft first looked."""
        await self.read_before([(type, id)])
        return self.befores[type, id]

    async def read(self, reference: str) -> Json | None:
        """Return a resource as this commit will leave it; None when it isn't there or the reference isn't local."""
        place = local(reference)
        if place is None:
            return None
        pending = self.changes.get(place)
        if isinstance(pending, Put):
            return pending.resource
        if isinstance(pending, Delete):
            return None
        version = await self.before(*place)
        return decode_resource(version.body) if version is not None and version.body is not None else None

    async def put(self, resource: Json, actor: Actor = GATEWAY) -> None:
        """Write a resource with this commit; it is judged as `actor`'s change, and may have effects of its own."""
        place = (resource["resourceType"], resource["id"])
        version = await self.before(*place)
        pending = self.changes.get(place)
        if isinstance(pending, Put):
            self.changes[place] = replace(pending, resource=resource)
            return
        self._take(Put(resource, expected=version.version if version is not None else 0), actor)

    def create(self, resource: Json, actor: Actor = GATEWAY) -> None:
        """Write a resource under an id that is fresh: nothing needs to be read."""
        place = (resource["resourceType"], resource["id"])
        self.befores[place] = None
        self._take(Put(resource, expected=0, method="POST"), actor)

    def tell(
        self, topic: str, focus: str, receivers: Iterable[str], *, order: str = "", reason: str = ""
    ) -> None:
        """Put a row into the outbox. `focus`: a reference; the version that this commit writes is added to it."""
        payload: Json = {
            "focus": self.versioned(focus),
            "receivers": list(dict.fromkeys(row for row in receivers if row)),
            "at": self.now.isoformat(timespec="milliseconds"),
        }
        if reason:
            payload["reason"] = reason
        self.outbox.append(OutboxRow(topic, order or focus, payload))

    def versioned(self, reference: str) -> str:
        """Return "Task/1/_history/3" with the version that this commit writes, else the current one."""
        place = local(reference)
        if place is None:
            return reference
        version = self.befores.get(place)
        number = version.version if version is not None else 0
        number += place in self.changes
        return f"{reference}/_history/{number}" if number else reference

    def completed(self) -> Commit:
        return Commit(list(self.changes.values()), self.commit.guards, self.outbox, self.audit)


@dataclass(slots=True)
class Move:
    """One change of one resource under a machine. `after` (None: deleted) is what will be written; effects may fill it in.

    `kind`: which groups of roles count (for a Task its code). `was`, `now`: the states.
    """

    draft: Draft
    machine: Machine
    actor: Actor
    reference: str
    kind: str
    before: Json | None
    after: Json | None
    was: str | None
    now: str | None
    transition: Transition | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def is_new(self) -> bool:
        return self.before is None

    @property
    def current(self) -> Json:
        """The resource as it will be, or as it was when it is deleted."""
        return self.after if self.after is not None else (self.before or {})


def local(reference: str) -> Key | None:
    """Return (type, id) of a local reference, with or without a version; None for any other."""
    parts = reference.split("/")
    if len(parts) == 4 and parts[2] == "_history":
        parts = parts[:2]
    if len(parts) != 2 or not all(parts) or parts[0].startswith(("#", "urn:")) or ":" in parts[0]:
        return None
    return parts[0], parts[1]


def reference_of(element: object) -> str:
    """Return the text of a Reference, without a version; "" when there is none."""
    text = element.get("reference") if isinstance(element, Mapping) else None
    return text.partition("/_history/")[0] if isinstance(text, str) else ""


def codes_of(element: object, system: str | None = None) -> list[str]:
    """Return the codes of a CodeableConcept, or of several, that belong to `system` (None: to any)."""
    concepts = element if isinstance(element, list) else [element]
    return [
        str(coding["code"])
        for concept in concepts
        if isinstance(concept, Mapping)
        for coding in concept.get("coding") or ()
        if isinstance(coding, Mapping)
        and coding.get("code")
        and (system is None or coding.get("system") == system)
    ]
