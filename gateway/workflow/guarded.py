"""The store that knows the workflows: every commit is judged, completed and recorded before it is written.

It stands around the store, so that no path (REST, batch, transaction, messages, operations, console) goes past it. A
commit of types without a machine passes untouched.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from gateway.search.query import Query
from gateway.store.changes import key
from gateway.store.layer import Layer
from gateway.store.protocol import Commit, Delete, Put, SearchPage, Store, Version
from gateway.workflow import notify, provenance
from gateway.workflow.access import AUDITED, AccessLog, is_shown_to
from gateway.workflow.actor import GATEWAY, Actor, acting
from gateway.workflow.draft import Draft, Key, Memo, Move
from gateway.workflow.effects import effect
from gateway.workflow.judge import judge
from gateway.workflow.machine import Machine, machines, state_of
from gateway.workflow.needs import NEEDS, kind_of
from gateway.workflow.packs import PackShelf
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidResource, Issue, Unavailable, VersionConflict

Known = dict[Key, Version | None]

ATTEMPTS = 24
MOST_CHANGES = 64
"""Changes that the workflow may add to one commit; more means that two effects call each other."""


class StepFirst(Exception):
    """A Task must go further, each state in a commit of its own, before this commit can be made (effects raise it)."""

    def __init__(self, task: Json, *statuses: str, **elements: Any) -> None:
        super().__init__(f"Task/{task['id']} → {', '.join(statuses)}")
        self.task, self.statuses, self.elements = task, statuses, elements


class GuardedStore(Layer):
    """`clock` gives the time with its offset; `shelf` the rules with a date; `terminology` the catalogues they ask."""

    def __init__(
        self,
        store: Store,
        shelf: PackShelf,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        terminology: Any = None,
    ) -> None:
        super().__init__(store)
        self._terminology = terminology
        self.shelf, self._clock, self._new_id = shelf, clock, new_id
        self._memo = Memo()
        self._access = AccessLog(store, clock=clock, new_id=new_id)

    @cached_property
    def _machines(self) -> Mapping[str, Machine]:
        """Read with the first commit: a start does not pay for them."""
        return machines()

    @property
    def plain(self) -> Store:
        """The store beneath: what the gateway reads for itself nobody was shown."""
        return self._store

    # Reads: what a known organisation is shown is kept, so that a recall finds it.

    async def read(self, type: str, id: str) -> Version | None:
        version = await self._store.read(type, id)
        if version is not None and type in AUDITED:
            await self._access.note(acting(), [version])
        return version

    async def read_many(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        found = await self._store.read_many(keys)
        await self._access.note(acting(), found.values())
        return found

    async def vread(self, type: str, id: str, version: int) -> Version | None:
        found = await self._store.vread(type, id, version)
        if found is not None:
            await self._access.note(acting(), [found])
        return found

    async def search(self, query: Query) -> SearchPage:
        page = await self._store.search(query)
        await self._access.note(acting(), [*page.matches, *page.included])
        return page

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Version]:
        actor = acting()
        is_noted = is_shown_to(actor)
        async for version in self._store.history(type, id, since=since, until=until):
            if is_noted:
                await self._access.note(actor, [version])
            yield version

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        """Write the changes with what follows from them; raises as the store does, BusinessRule for what no machine allows."""
        if not commit.outbox and all(map(self._is_quiet, commit.changes)):
            written = await self._store.commit(commit)
            self._forget(commit)
            return written
        return await self._run(commit, acting(), {})

    async def _run(self, commit: Commit, actor: Actor, known: Known) -> Sequence[Version | None]:
        """Judge and write, again as long as others come between. `known`: versions that were read already; every write
        says which version it replaces, so one that is old is found out by the store."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._commit(commit, actor, known)
            except StepFirst as step:
                await self._step(step, actor, known)
            except VersionConflict:
                known.clear()
                await self._explain(commit)
                # The caller's versions stand: another write came between what the workflow read and wrote.
                await asyncio.sleep(min(0.1, 0.001 * 2**attempt) * (0.5 + secrets.randbelow(1000) / 1000))
        raise Unavailable("HT-MSG-21", reference="/".join(key(commit.changes[0])), attempts=ATTEMPTS)

    def _forget(self, commit: Commit) -> None:
        """A service that was written is asked for anew."""
        if any(key(change)[0] == "HealthcareService" for change in commit.changes):
            self._memo.forget()

    def _is_quiet(self, change: Put | Delete) -> bool:
        """Whether a change needs no look: a type without machine, or a new resource that nothing follows from."""
        if isinstance(change, Delete):
            return change.type not in self._machines
        machine = self._machines.get(change.resource["resourceType"])
        return machine is None or (change.expected == 0 and machine.is_quiet(change.resource))

    async def _commit(self, commit: Commit, actor: Actor, known: Known) -> Sequence[Version | None]:
        now = self._clock()
        draft = Draft(
            commit, self._store, actor=actor, now=now, new_id=self._new_id, packs=self.shelf.at(now.date()),
            terminology=self._terminology, memo=self._memo,
        )  # fmt: skip
        draft.befores = known
        await draft.read_before(
            place
            for place, change in draft.changes.items()
            if place[0] in self._machines and not (isinstance(change, Put) and change.expected == 0)
        )
        while draft.waiting:
            if len(draft.changes) > len(commit.changes) + MOST_CHANGES:
                raise Unavailable("HT-WF-31", count=len(draft.changes))
            place = draft.waiting.pop(0)
            try:
                await self._judge_one(draft, place)
            except (AttributeError, TypeError, KeyError, ValueError):
                # Where validation is switched off anything may stand in an element; it is told as what it is.
                _check_structure(commit)
                raise
        await notify.complete(draft)
        provenance.record(draft)
        written = await self._store.commit(draft.completed())
        self._forget(commit)
        for place in draft.changes:
            known.pop(place, None)
        return written[: len(commit.changes)]

    async def _judge_one(self, draft: Draft, place: Key) -> None:
        machine = self._machines.get(place[0])
        if machine is None:
            return
        change, actor = draft.changes[place], draft.authors[place]
        if isinstance(change, Put) and change.expected == 0:
            version = draft.befores.setdefault(place, None)
        else:
            version = await draft.before(*place)
        before = decode_resource(version.body) if version is not None and version.body is not None else None
        number = version.version if version is not None else 0
        if change.expected not in (None, 0, number):
            raise VersionConflict(
                "HT-STORE-01", type=place[0], id=place[1], current=number, expected=change.expected
            )
        after = dict(change.resource) if isinstance(change, Put) else None
        if before is None and after is None:
            return
        if isinstance(change, Put):
            # What is judged is what must still be there when it is written.
            assert after is not None
            draft.changes[place] = replace(change, resource=after, expected=number)
        else:
            draft.changes[place] = replace(change, expected=number)
        await self._move(draft, machine, actor, place, before, after)

    async def _move(
        self,
        draft: Draft,
        machine: Machine,
        actor: Actor,
        place: Key,
        before: Json | None,
        after: Json | None,
    ) -> None:
        reference = "/".join(place)
        kind = kind_of(place[0], before or after or {})
        was, now = state_of(before, machine), state_of(after, machine)
        move = Move(draft, machine, actor, reference, kind, before, after, was, now)
        draft.moves.append(move)
        if after is None:
            await _run(machine.on_delete, move)
            return
        if not actor.is_gateway or was != now:
            move.transition = judge(machine, kind, was, now, actor, reference=reference)
        issues = [
            issue
            for name in (move.transition.needs if move.transition is not None else ())
            if (issue := await NEEDS[name](move)) is not None
        ]
        if issues:
            raise BusinessRule(issues)
        await _run(machine.on_create if before is None else machine.on_change, move)
        if move.transition is not None:
            await _run(move.transition.effects, move)

    async def _step(self, step: StepFirst, actor: Actor, known: Known) -> None:
        """Take a Task further, state by state; a write that came first makes the whole commit look again."""
        task = {**step.task, **step.elements}
        number = int(task["meta"]["versionId"])
        gateway = replace(GATEWAY, request_id=actor.request_id)
        for status in step.statuses:
            change = Put({**task, "status": status}, expected=number)
            try:
                [version] = await self._run(Commit([change]), gateway, known)
            except VersionConflict:
                known.clear()
                return
            assert version is not None
            assert version.body is not None
            known["Task", task["id"]] = version
            task, number = decode_resource(version.body), version.version

    async def _explain(self, commit: Commit) -> None:
        """Raise the caller's own conflict: BusinessRule for a claim that somebody else won, else VersionConflict."""
        for change in commit.changes:
            if change.expected is None:
                continue
            type, id = key(change)
            current = await self._store.read(type, id)
            number = current.version if current is not None else 0
            is_there = current is not None and current.body is not None
            if change.expected == number or (change.expected == 0 and not is_there):
                continue
            if isinstance(change, Put) and type == "Task":
                lost = await lost_claim(self._store, change.resource, current)
                if lost is not None:
                    raise BusinessRule([lost])
            raise VersionConflict("HT-STORE-01", type=type, id=id, current=number, expected=change.expected)


async def lost_claim(store: Store, wanted: Json, current: Version | None) -> Issue | None:
    """Tell who was first when a claim comes too late."""
    if wanted.get("status") != "accepted" or current is None or current.body is None:
        return None
    return await winner_of(store, decode_resource(current.body))


async def winner_of(store: Store, task: Json) -> Issue | None:
    """Tell who has a Task: the department, never the person (workflows §1.3); None when nobody has it."""
    if task.get("status") not in ("accepted", "in-progress", "on-hold", "completed"):
        return None
    from gateway.workflow.department import department_of

    zh, en = await department_of(store, task)
    values = {"reference": f"Task/{task['id']}", "winner": en, "winner_zh": zh, "current": task["status"]}
    return Issue("HT-WF-05", values, expression="Task.status")


async def _run(names: Sequence[str], move: Move) -> None:
    for name in names:
        await effect(name)(move)


def _check_structure(commit: Commit) -> None:
    """Raise InvalidResource for what is no FHIR resource; structure only, where something could not be read."""
    from conformance.validation import validate

    issues = [
        issue
        for change in commit.changes
        if isinstance(change, Put)
        for issue in validate(change.resource, level="structure")
        if issue.severity in ("error", "fatal")
    ]
    if issues:
        raise InvalidResource(issues) from None
