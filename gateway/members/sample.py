"""The production data of a member that quality is measured on: what its newest messages became, or what is stored."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from conformance.testing.quality import KEY_FIELDS, Quality, Sample, measure, references_in
from gateway.journal import Filter, Journal
from gateway.search.parse import parse
from gateway.store.protocol import Store
from terminology.fhirjson import decode_resource

MOST_MESSAGES = 2_000
MOST_SEEN = 100_000
"""Of all members, among which those of a quiet one are looked for."""
MOST_RESOURCES = 5_000
STEP = 500
LOCAL = "urn:hutong:"
"""Systems that only a member knows begin so; what is coded in them alone is not mapped."""


async def quality_of(store: Store, journal: Journal | None, *, member: str | None, days: int) -> Quality:
    """Return the quality of a member's messages (MSH-4) of the last `days`; without a member of all that is stored."""
    since = int((time.time() - days * 86_400) * 1000)
    samples = (
        await _of_member(store, journal, member, since)
        if member is not None and journal is not None
        else await _of_store(store, since)
    )
    known = await _existing(store, samples)
    return measure(
        samples,
        exists=known.__contains__,
        is_mapped=lambda system: bool(system) and not system.startswith(LOCAL),
    )


async def _of_member(store: Store, journal: Journal, member: str, since: int) -> list[Sample]:
    wanted: dict[tuple[str, str], datetime] = {}
    before: int | None = None
    seen = own = 0
    while own < MOST_MESSAGES and seen < MOST_SEEN and len(wanted) < MOST_RESOURCES:
        page = await journal.entries(Filter(since=since), before=before, count=STEP)
        for entry in page.entries:
            seen += 1
            if entry.source.rpartition("|")[2] != member:
                continue
            own += 1
            for reference in entry.detail.get("resources", ()):
                kind, _, id = str(reference).partition("/_history/")[0].partition("/")
                wanted.setdefault((kind, id), datetime.fromtimestamp(entry.received / 1000, UTC))
        before = page.next
        if before is None:
            break
    keys = [key for key in wanted if key[0] in KEY_FIELDS][:MOST_RESOURCES]
    samples = []
    for start in range(0, len(keys), STEP):
        versions = await store.read_many(keys[start : start + STEP])
        samples += [
            Sample(decode_resource(version.body), wanted[key])
            for key, version in versions.items()
            if version.body
        ]
    return samples


async def _of_store(store: Store, since: int) -> list[Sample]:
    moment = datetime.fromtimestamp(since / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    samples: list[Sample] = []
    for kind in KEY_FIELDS:
        query = parse(
            kind,
            [("_lastUpdated", f"ge{moment}"), ("_sort", "-_lastUpdated"), ("_count", str(STEP))],
            strict=True,
            parameters=store.parameters,
            max_count=STEP,
        )
        page = await store.search(query)
        samples += [Sample(decode_resource(row.body), row.last_updated) for row in page.matches if row.body]
    return samples


async def _existing(store: Store, samples: Sequence[Sample]) -> set[str]:
    named = {reference for row in samples for _, reference in references_in(row.resource, "")}
    keys = [_key(reference) for reference in sorted(named)]
    found: set[str] = set()
    for start in range(0, len(keys), STEP):
        versions = await store.read_many(keys[start : start + STEP])
        found |= {f"{kind}/{id}" for (kind, id), version in versions.items() if version.body}
    return found


def _key(reference: str) -> tuple[str, str]:
    kind, _, id = reference.partition("/")
    return kind, id
