"""A message as a caller: for whom it speaks, and what its order control codes ask of the Tasks (workflows §1.7)."""

from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from gateway.store.changes import key
from gateway.store.protocol import Commit, Delete, Put, Store
from gateway.workflow.abort import abort_task
from gateway.workflow.actor import CLINICAL, EVERY_ROLE, Actor
from gateway.workflow.coordination import STATUS_REASON, coding, coordination_task, task_id
from gateway.workflow.draft import Draft, codes_of
from gateway.workflow.guarded import GuardedStore
from gateway.workflow.packs import Packs
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json
from terminology.issues import UnmappableMessage

CONTROL = "https://hutong.health/fhir/StructureDefinition/order-control"
REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
BEFORE_WORK = ("requested", "received", "accepted")


class Message(Protocol):
    """What is read of a journaled message."""

    @property
    def kind(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def event(self) -> str: ...

    @property
    def request_id(self) -> str: ...


class Senders:
    """Messages as callers of the guarded store."""

    def __init__(
        self, store: GuardedStore, *, clock: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self._store, self._clock, self._new_id = store, clock, new_id

    def actor(self, message: Message, result: Result) -> Actor:
        """Return the sending member, with the roles of its kind of system."""
        rules = self._packs().rules("senders")
        type = message.event.partition("^")[0]
        told = rules["events"].get(type) or rules["kinds"].get(message.kind)
        roles = frozenset(told.split()) & EVERY_ROLE if told else CLINICAL
        name = message.source.replace("|", " ").strip() or message.kind
        return Actor(_facility(result), roles, channel="message", name=name, request_id=message.request_id)

    async def controls(
        self, message: Message, result: Result, changes: MutableSequence[Put | Delete], store: Store
    ) -> None:
        """Add what the order control codes of a message ask of the Tasks of its orders.

        Raises UnmappableMessage (HT-WF-20) for a code without a rule.
        """
        orders = list(_controls(result))
        if not orders:
            return
        packs = self._packs()
        actor = self.actor(message, result)
        draft = Draft(
            Commit(changes), store, actor=actor, now=self._clock(), new_id=self._new_id, packs=packs
        )
        for entry, code in orders:
            action = _action(packs.rules("order-control"), message.source, code)
            if action == "error":
                raise UnmappableMessage("HT-WF-20", source="ORC-1", value=code[:20], order=entry.reference)
            if action != "none":
                for put in await _asked(draft, entry, code, action):
                    _merge(changes, put)

    def _packs(self) -> Packs:
        return self._store.shelf.at(self._clock().date())


def _facility(result: Result) -> str | None:
    return next((entry.reference for entry in result.entries if entry.rule.name == "facility"), None)


def _controls(result: Result) -> Iterator[tuple[Entry, str]]:
    for entry in result.entries:
        if entry.type == "ServiceRequest":
            for row in entry.resource.get("extension") or ():
                if row.get("url") == CONTROL and row.get("valueCode"):
                    yield entry, str(row["valueCode"])


def _action(rules: Mapping[str, Any], source: str, code: str) -> str:
    members = rules["members"]
    for member in (source, "*"):
        action = (members.get(member) or {}).get(code)
        if action is not None:
            return str(action)
    return str(rules.get("otherwise", "error"))


async def _asked(draft: Draft, entry: Entry, code: str, action: str) -> Sequence[Put]:
    task = await coordination_task(draft, entry.reference)
    reason = _reason(entry.resource, code)
    if action == "cancel":
        return await _cancel(draft, entry, task, reason)
    if task is None:
        return []
    if action == "reject" and task.get("status") in ("requested", "received"):
        return [_changed(task, status="rejected", statusReason=reason)]
    if action == "receive" and task.get("status") == "requested":
        return [_changed(task, status="received")]
    if action == "keep":
        wish = await draft.read(f"Task/{task_id('abort', task['id'])}")
        if wish is not None and wish.get("status") in ("requested", "received"):
            return [_changed(wish, status="rejected", statusReason=reason)]
    return []


async def _cancel(draft: Draft, entry: Entry, task: Json | None, reason: Json) -> Sequence[Put]:
    """ORC-1 CA is a wish: HL7's table keeps the request active until the filler agrees."""
    if task is None:
        order = await draft.read(entry.reference)
        if order is None or order.get("status") not in ("active", "on-hold"):
            return []
        return [_changed(order, status="revoked")]
    if task.get("status") in BEFORE_WORK:
        return [_changed(task, status="cancelled", statusReason=reason)]
    if task.get("status") not in ("in-progress", "on-hold"):
        return []
    if await draft.read(f"Task/{task_id('abort', task['id'])}") is not None:
        return []
    who = draft.actor.organization
    requester = {"reference": who} if who else {"display": draft.actor.name}
    wish = abort_task(draft, task, reason=reason, requester=requester)
    return [Put(wish, expected=0)]


def _merge(changes: MutableSequence[Put | Delete], put: Put) -> None:
    """Add a change; where the message writes the same resource already, one change says both."""
    for place, other in enumerate(changes):
        if key(other) == key(put) and isinstance(other, Put):
            changes[place] = replace(other, resource=put.resource)
            return
    changes.append(put)


def _changed(resource: Json, **elements: Any) -> Put:
    number = (resource.get("meta") or {}).get("versionId")
    return Put({**resource, **elements}, expected=int(number) if number else 0)


def _reason(order: Json, code: str) -> Json:
    for row in order.get("extension") or ():
        given = row.get("valueCodeableConcept")
        if row.get("url") == REASON and isinstance(given, dict) and (codes_of(given) or given.get("text")):
            return given
    return coding(STATUS_REASON, "order-control") | {"text": f"ORC-1 {code}"}
