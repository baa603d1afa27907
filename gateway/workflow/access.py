"""Which organisation has seen which version of a result: an AuditEvent the first time, nothing after that.

It is written before the answer leaves, so that a recall misses nobody who read; what the local operator reads is not kept.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from gateway.search.parse import parse
from gateway.store.protocol import Commit, Put, Store, Version
from gateway.workflow.actor import Actor
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json, decode_resource

AUDITED = frozenset({"DiagnosticReport", "Observation", "ImagingStudy"})
REMEMBERED = 200_000
"""Readings that need not be written again; beyond that the oldest are forgotten and may be written twice."""
READERS = 1_000
VERSION = "version"


class AccessLog:
    """One log of a server. `clock` gives the time with its offset."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._store, self._clock, self._new_id = store, clock, new_id
        self._known: OrderedDict[tuple[str, str, str, int], None] = OrderedDict()

    async def note(self, actor: Actor, versions: Iterable[Version]) -> None:
        """Keep that an organisation is about to be shown these versions."""
        if not is_shown_to(actor):
            return
        assert actor.organization is not None
        fresh = [
            version
            for version in versions
            if version.type in AUDITED
            and version.body is not None
            and (actor.organization, version.type, version.id, version.version) not in self._known
        ]
        if not fresh:
            return
        await self._store.commit(Commit([Put(self._event(actor, fresh), expected=0, method="POST")]))
        for version in fresh:
            self._known[actor.organization, version.type, version.id, version.version] = None
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _event(self, actor: Actor, versions: Sequence[Version]) -> Json:
        assert actor.organization is not None
        agents: list[Json] = [
            {"who": {"reference": actor.organization}, "requestor": actor.practitioner is None}
        ]
        if actor.practitioner is not None:
            agents.append({"who": {"reference": actor.practitioner}, "requestor": True})
        return {
            "resourceType": "AuditEvent",
            "id": self._new_id(),
            "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
            "action": "R",
            "recorded": self._clock().isoformat(timespec="milliseconds"),
            "outcome": "0",
            "agent": agents,
            "source": {"observer": {"display": "hutong"}},
            "entity": [
                {
                    "what": {"reference": f"{version.type}/{version.id}"},
                    "detail": [{"type": VERSION, "valueString": str(version.version)}],
                }
                for version in versions
            ],
        }


def is_shown_to(actor: Actor) -> bool:
    """Whether what is read is shown to an organisation: the gateway and the local operator show nobody anything."""
    return actor.organization is not None and actor.channel == "rest"


async def readers_of(store: Store, reference: str) -> list[str]:
    """Return the organisations that were shown a resource, each once, in the order of first reading."""
    params = [("entity", reference), ("_count", str(READERS)), ("_sort", "date")]
    page = await store.search(
        parse("AuditEvent", params, strict=True, parameters=store.parameters, max_count=READERS)
    )
    found: dict[str, None] = {}
    for version in page.matches:
        event = decode_resource(version.body or b"{}")
        if event.get("action") != "R":
            continue
        for agent in event.get("agent") or ():
            who = reference_of(agent.get("who"))
            if who.startswith("Organization/"):
                found[who] = None
    return list(found)
