"""One message from the journal to the store: map, match, plan, commit, note what became of it."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.ingest.kind import Kind
from gateway.ingest.lookup import Lookup
from gateway.ingest.order import ordered, unlinked_numbers
from gateway.ingest.patient import matched
from gateway.ingest.plan import Key, Plan, message_source, plan
from gateway.ingest.provenance import provenance, provenance_id
from gateway.journal import Code, Done, Entry
from gateway.journal.detail import issue_row
from gateway.metrics import Metrics
from gateway.store.protocol import Commit, GuardFailed, Put, Store, Version
from gateway.workflow.actor import acting_as
from mappings.language.result import Result
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidResource, Issue, Unavailable, VersionConflict

if TYPE_CHECKING:
    from gateway.ingest.late_order import LateOrders
    from gateway.workflow.sender import Senders

log = logging.getLogger("gateway.ingest")

Check = Callable[[Json], Sequence[Issue]]
Complete = Callable[[Result, Store], Awaitable[Result]]

COMMIT_ATTEMPTS = 12
LONGEST_WAIT_SECONDS = 60.0
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how soon a failed message is tried again."""

    attempts: int
    seconds: float

    def wait(self, attempt: int) -> float:
        return float(min(LONGEST_WAIT_SECONDS, self.seconds * 2 ** min(attempt, 16)))


class Processor:
    """Turns journaled messages into resources. `kinds` by name; `check` gives the errors of a resource, `senders` says for
    whom a message acts; None = off.

    `complete`, by the name of a kind: fills in what its senders don't know and the store does.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        store: Store,
        *,
        metrics: Metrics,
        retry: Retry,
        zone: ZoneInfo,
        check: Check | None = None,
        complete: Mapping[str, Complete] = MappingProxyType({}),
        senders: "Senders | None" = None,
        late: "LateOrders | None" = None,
    ) -> None:
        self.senders, self.late = senders, late
        self.kinds, self.store, self.lookup = kinds, store, Lookup(store)
        self.metrics, self.retry, self.zone, self.check = metrics, retry, zone, check
        self.complete = complete

    async def process(self, entry: Entry, message: object = None) -> Done:
        """Process one message and return how it ended; never raises for what a message or the store can do.

        `message`: the parsed message when the caller has it already.
        """
        started = time.perf_counter()
        result: Result | None = None
        try:
            kind = self.kinds[entry.kind]
            result = kind.map(message if message is not None else kind.parse(entry.raw or b""))
            if entry.kind in self.complete:
                result = await self.complete[entry.kind](result, self.store)
            made, written = await self.commit(entry, result)
            if self.late is not None and made.issues:
                await self.late.wait(entry.id, unlinked_numbers(made.issues))
            done = Done(entry.id, "stored", _detail(result, made, written), _codes(result))
            for version in written:
                self.metrics.resources.add(version.type)
        except Exception as error:
            done = self._failed(entry, error, result)
        self.metrics.processed.add(done.state)
        self.metrics.process_seconds.observe(time.perf_counter() - started)
        log.info(
            "message processed",
            extra={
                "message_id": entry.id, "request_id": entry.request_id, "event_code": entry.event, "state": done.state,
                "resources": len(done.detail.get("resources", ())),
                "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            },
        )  # fmt: skip
        return done

    async def commit(self, entry: Entry, result: Result) -> tuple[Plan, list[Version]]:
        """Write what a mapping says with its Provenance; raises FhirError for what may not be written."""
        for attempt in range(COMMIT_ATTEMPTS):
            try:
                return await self._commit_once(entry, result)
            except (VersionConflict, GuardFailed):
                # Another write came in between: what it wrote must be read before we decide again.
                await asyncio.sleep(min(0.2, 0.002 * 2**attempt) * (0.5 + secrets.randbelow(1000) / 1000))
        first = result.entries[0].reference if result.entries else "-"
        raise Unavailable("HT-MSG-21", reference=first, attempts=COMMIT_ATTEMPTS)

    async def _commit_once(self, entry: Entry, result: Result) -> tuple[Plan, list[Version]]:
        witness = ("Provenance", provenance_id(entry))
        stored = await self.lookup.versions([witness, *((row.type, row.id) for row in result.entries)])
        found, guards = await matched(result, stored, self.lookup)
        found, unlinked = await ordered(found, stored, self.lookup)
        made = plan(found, stored, source=message_source(entry))
        made.issues += unlinked
        if self.senders is not None:
            await self.senders.controls(entry, found, made.changes, self.store)
        if made.targets:
            change = self._provenance(entry, found, made, stored.get(witness))
            if change is not None:
                made.changes.append(change)
        if not made.changes:
            return made, []
        if self.check is not None:
            refuse_invalid(made, self.check)
        with acting_as(self.senders.actor(entry, found)) if self.senders is not None else nullcontext():
            versions = await self.store.commit(Commit(made.changes, guards))
        return made, [version for version in versions if version is not None]

    def _provenance(self, entry: Entry, result: Result, made: Plan, known: Version | None) -> Put | None:
        """A replay under the same map says nothing new, also when other messages came in between."""
        if known is not None and known.body is not None:
            stamp = f'"{result.mapping}|{result.version}"'.encode()
            if stamp in known.body and not made.changes:
                return None
        resource = provenance(entry, result, made.targets, zone=self.zone)
        return Put(resource, expected=known.version if known is not None else 0)

    def _failed(self, entry: Entry, error: Exception, result: Result | None) -> Done:
        """A wrong message waits for a person; everything else is tried again, so often that it can't be chance."""
        if isinstance(error, Unavailable):
            issues, state = error.issues, "mapped" if result is not None else "received"
        elif isinstance(error, FhirError):
            issues, state = error.issues, "parked"
        else:
            log.error(
                "processing failed",
                exc_info=error,
                extra={"request_id": entry.request_id, "message_id": entry.id},
            )
            issues, state = (Issue("HT-MSG-20", {"id": entry.request_id}, "fatal"),), "failed"
            if entry.attempts >= self.retry.attempts:
                state = "parked"
        wait = 0.0 if state == "parked" else self.retry.wait(entry.attempts)
        detail: Json = {"issues": [issue_row(issue) for issue in issues]}
        if result is not None:
            detail["map"] = f"{result.mapping}|{result.version}"
        at = int((time.time() + wait) * 1000) if wait else 0
        return Done(entry.id, state, detail, next_attempt=at)  # type: ignore[arg-type]  # a State word


def refuse_invalid(made: Plan, check: Check) -> None:
    """Raise InvalidResource with every error of what would be written: a store never holds what FHIR forbids."""
    issues = [
        replace(issue, expression=issue.expression or change.resource["resourceType"])
        for change in made.changes
        if isinstance(change, Put)
        for issue in check(change.resource)
    ]
    if issues:
        raise InvalidResource(issues)


def _detail(result: Result, made: Plan, written: Sequence[Version]) -> Json:
    """What `messages show` prints: resources as they stand, and everything that was not understood."""
    numbers = {(version.type, version.id): version.version for version in written}
    coverage = result.coverage
    detail: Json = {
        "resources": [_versioned(reference, numbers) for reference in made.targets],
        "written": [f"{type}/{id}/_history/{number}" for (type, id), number in numbers.items()],
        "map": f"{result.mapping}|{result.version}",
        "charset": result.codec,
        "charset_declared": result.declared,
        "charset_guessed": result.is_guessed,
        "fields_read": coverage.read,
    }
    issues = [issue_row(issue) for issue in (*result.issues, *made.issues)][:MOST_LISTED]
    unread = [{"field": row.field, "times": row.times} for row in coverage.unread][:MOST_LISTED]
    unmapped = [row._asdict() for row in result.unmapped][:MOST_LISTED]
    kept = list(coverage.kept)[:MOST_LISTED]
    more = {"issues": issues, "unread": unread, "unmapped": unmapped, "kept_segments": kept}
    return detail | {name: rows for name, rows in more.items() if rows}


def _versioned(reference: str, numbers: Mapping[Key, int]) -> str:
    type, _, id = reference.partition("/")
    number = numbers.get((type, id))
    return f"{reference}/_history/{number}" if number else reference


def _codes(result: Result) -> tuple[Code, ...]:
    return tuple(
        Code(row.domain, row.system or "", row.code or "", row.display or "") for row in result.unmapped
    )
