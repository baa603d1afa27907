"""A store that recognition watches: what triggers a reminder is noticed, what corrects a report is completed.

Reminders are made beside the write: an order never waits for them longer than a moment, and not at all while others
are being made (a load, an emergency). What a stop left undone is found again at the next start; ids make it harmless.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING

from gateway.search.parse import parse
from gateway.store.changes import key
from gateway.store.layer import Layer
from gateway.store.protocol import Commit, Put, Store, Version
from gateway.store.pulse import START_SECONDS
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError

if TYPE_CHECKING:
    from gateway.rest.context import Context

BEGUN = frozenset({"arrived", "triaged", "in-progress"})
CORRECTED = frozenset({"amended", "corrected", "appended", "entered-in-error"})
WAIT_SECONDS = 0.3
MAX_WAITING = 10_000
YIELD = 4
"""How many times as long as a reminder took the next one waits."""
MAX_DECISIONS = 500
MAX_RESULTS = 200
AGAIN = timedelta(hours=1)
"""How far back a start looks for triggers that a stop may have left."""

log = logging.getLogger("gateway.recognition")


class RecognitionStore(Layer):
    """`store` with both hooks; `start` makes the reminders, until then triggers wait in a bounded queue."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._queue: asyncio.Queue[tuple[Json, asyncio.Event]] = asyncio.Queue(MAX_WAITING)
        self._asked = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._context: Context | None = None

    def start(self, context: "Context") -> None:
        """Begin to make reminders; `context` is the one that REST has."""
        self._context = context
        self._worker = asyncio.create_task(self._work(context))

    async def stop(self, *, seconds: float = 5.0) -> None:
        """Let what waits be made for `seconds`, then stop."""
        if self._worker is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            log.warning("reminders left for the next start", extra={"waiting": self._queue.qsize()})
        self._worker.cancel()
        await asyncio.wait([self._worker])

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        written = await self._store.commit(await self._completed(commit))
        written = written[: len(commit.changes)]
        triggers = [
            change.resource
            for change, version in zip(commit.changes, written, strict=True)
            if isinstance(change, Put) and version is not None and is_trigger(change.resource)
        ]
        if triggers and self._worker is not None:
            await self._offer(triggers)
        return written

    async def _offer(self, triggers: list[Json]) -> None:
        is_idle = self._queue.empty()
        ends = []
        for resource in triggers:
            done = asyncio.Event()
            try:
                self._queue.put_nowait((resource, done))
            except asyncio.QueueFull:
                log.warning(
                    "reminder left out",
                    extra={"resource": f"{resource['resourceType']}/{resource.get('id')}"},
                )
                return
            ends.append(done)
        self._asked.set()
        # One order of one doctor hears at once; a load of many is not slowed, and nobody in an emergency waits.
        if is_idle and len(ends) == 1 and not is_urgent(triggers[0]):
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    await ends[0].wait()
            except TimeoutError:
                pass

    async def _work(self, context: "Context") -> None:
        try:
            # The doors open first: the look back waits a moment, or until the first trigger.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), START_SECONDS)
            for resource in await self._left_over(context):
                await self._make(resource, context)
        except FhirError as error:
            log.warning("triggers of the last run were not looked for: %s", error)
        while True:
            resource, done = await self._queue.get()
            started = perf_counter()
            try:
                await self._make(resource, context)
            finally:
                done.set()
                self._queue.task_done()
            # Under a load of orders the reminders take at most a fifth of the time: orders and reports come first.
            await asyncio.sleep(YIELD * (perf_counter() - started))

    async def _make(self, resource: Json, context: "Context") -> None:
        from gateway.recognition.remind import remind

        try:
            await remind(resource, context)
        except Exception:
            # The outermost edge of a background part: one odd record must not end all reminders.
            log.exception(
                "no reminder", extra={"resource": f"{resource['resourceType']}/{resource.get('id')}"}
            )

    async def _left_over(self, context: "Context") -> list[Json]:
        since = (context.clock() - AGAIN).isoformat(timespec="seconds")
        found: list[Json] = []
        for kind, status in (("ServiceRequest", "active"), ("Encounter", ",".join(sorted(BEGUN)))):
            query = parse(
                kind,
                [("status", status), ("_lastUpdated", f"ge{since}"), ("_count", "1000")],
                strict=True,
                parameters=self._store.parameters,
                max_count=1000,
            )
            page = await self._store.search(query)
            found += [decode_resource(version.body) for version in page.matches if version.body]
        return found

    async def _completed(self, commit: Commit) -> Commit:
        """Return the commit with the decisions opened again that its corrections touch."""
        # Most commits end here: the status tells without looking anywhere.
        if not any(
            isinstance(change, Put)
            and change.resource.get("resourceType") in ("Observation", "DiagnosticReport")
            and change.resource.get("status") in CORRECTED
            for change in commit.changes
        ):
            return commit
        return await self._reopened(commit)

    async def _reopened(self, commit: Commit) -> Commit:
        from gateway.recognition.correction import concerned, is_correction, reopen, standing
        from gateway.store.stamp import is_same

        now = self._context.clock() if self._context is not None else datetime.now().astimezone()
        puts = {key(change): change for change in commit.changes if isinstance(change, Put)}
        added: dict[str, Json] = {}
        opened: set[str] = set()
        outbox = list(commit.outbox)
        # The report speaks for the results that are corrected with it: one question, one reminder.
        for change in sorted(
            puts.values(), key=lambda put: put.resource["resourceType"] != "DiagnosticReport"
        ):
            corrected = change.resource
            if not is_correction(corrected):
                continue
            names = concerned(corrected)[:MAX_RESULTS]
            current = await self._store.read_many([pair for name in names if (pair := _pair(name))])
            before = current.get(key(change))
            # A first version corrects nothing that anybody here used; one that says the same is none.
            if before is None or (before.body is not None and is_same(corrected, before.body)):
                continue
            versions = {
                f"{kind}/{id}": version.version + ((kind, id) in puts)
                for (kind, id), version in current.items()
            }
            tasks = [task for task in standing(await self._decisions(names)) if task["id"] not in opened]
            opened |= {task["id"] for task in tasks}
            found = reopen(corrected, before.version + 1, tasks, versions, at=now)
            added |= {row["id"]: row for row in found.resources}
            outbox += found.outbox
        known = await self._store.read_many([(row["resourceType"], row["id"]) for row in added.values()])
        extra = [
            Put(row, expected=0) for row in added.values() if (row["resourceType"], row["id"]) not in known
        ]
        return replace(commit, changes=[*commit.changes, *extra], outbox=outbox) if extra else commit

    async def _decisions(self, names: Sequence[str]) -> list[Json]:
        query = parse(
            "Task",
            [("code", "mutual-recognition"), ("focus", ",".join(names)), ("_count", str(MAX_DECISIONS))],
            strict=True,
            parameters=self._store.parameters,
            max_count=MAX_DECISIONS,
        )
        page = await self._store.search(query)
        return [decode_resource(version.body) for version in page.matches if version.body]


def is_trigger(resource: Json) -> bool:
    """Return whether a resource begins a visit or is an order in force."""
    kind, status = resource.get("resourceType"), resource.get("status")
    if kind == "Encounter":
        return status in BEGUN
    return kind == "ServiceRequest" and status == "active"


def is_urgent(resource: Json) -> bool:
    from conformance.recognition.rules.circumstance import is_emergency

    if resource["resourceType"] == "Encounter":
        return is_emergency(resource, None)
    return is_emergency(None, resource)


def _pair(reference: str) -> tuple[str, str] | None:
    kind, _, id = reference.partition("/")
    return (kind, id) if kind and id and "/" not in id else None
