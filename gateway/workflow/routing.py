"""Where an order goes: by the centre that it names, by the pack `routing`, by the services that centres registered.

Rows are tried in order; among the centres of a row those that are open come first, then the one with the least open work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.search.parse import parse
from gateway.workflow.coordination import CATEGORY, OPEN, organization_of, placer_of
from gateway.workflow.draft import Draft, codes_of, reference_of
from terminology.fhirjson import Json, decode_resource

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MOST_SERVICES = 20


@dataclass(frozen=True, slots=True)
class Route:
    """`owner` None: nobody was found, and `note` says why. Else `note` tells what a person should know of the choice."""

    owner: str | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    owner: str
    is_open: bool


async def route_for(draft: Draft, order: Json, category: str | None, wanted: Sequence[str]) -> Route:
    """Return the centre of an order; `wanted` are the performers that it names."""
    for reference in wanted:
        owner = await organization_of(draft, reference)
        if owner is not None:
            return Route(owner)
    if category is None:
        return Route(None, "申请类别未知,未找到承接中心 unknown category of order: no centre found")
    placer = await placer_of(draft, order)
    codes = frozenset(codes_of(order.get("code")))
    closed: str | None = None
    for row in draft.packs.rules("routing") or ():
        if not _fits(row, category, codes, placer, order):
            continue
        candidates = [Candidate(owner, is_open(row.get("hours"), draft.now)) for owner in _owners(row)]
        ready = [one.owner for one in candidates if one.is_open]
        if ready:
            return Route(await _least_loaded(draft, ready))
        if row.get("closed", "queue") == "queue" and candidates:
            closed = closed or candidates[0].owner
    services = await _services(draft, category, codes)
    ready = [one.owner for one in services if one.is_open]
    if ready:
        return Route(await _least_loaded(draft, ready))
    closed = closed or (services[0].owner if services else None)
    if closed is not None:
        return Route(
            closed, "中心当前不在工作时间,已排队 the centre is closed now: the order waits for it to open"
        )
    return Route(None, f"没有承接“{category}”申请的中心 no centre takes orders of category {category}")


def is_open(hours: Mapping[str, str] | None, now: datetime) -> bool:
    """Whether hours ({"mon-fri": "08:00-12:00 14:00-17:30"}) hold now; no hours: always open."""
    if not hours:
        return True
    minute = now.strftime("%H:%M")
    for days, spans in hours.items():
        first, _, last = days.partition("-")
        low, high = DAYS.index(first), DAYS.index(last or first)
        if low <= now.weekday() <= high:
            for span in spans.split():
                start, _, end = span.partition("-")
                if start <= minute < end:
                    return True
    return False


def _fits(
    row: Mapping[str, Any], category: str, codes: frozenset[str], placer: str | None, order: Json
) -> bool:
    if row.get("category", category) != category:
        return False
    if "items" in row and not codes & {str(code) for code in row["items"]}:
        return False
    if "placers" in row and placer not in row["placers"]:
        return False
    return "priorities" not in row or (order.get("priority") or "routine") in row["priorities"]


def _owners(row: Mapping[str, Any]) -> list[str]:
    to = row.get("to") or ()
    return [str(owner) for owner in ([to] if isinstance(to, str) else to)]


async def _services(draft: Draft, category: str, codes: frozenset[str]) -> list[Candidate]:
    """Return the centres whose HealthcareService takes orders of a category, those that name the item first."""
    named: list[Candidate] = []
    others: list[Candidate] = []
    for service in await _registered(draft, category):
        owner = reference_of(service.get("providedBy"))
        items = frozenset(codes_of(service.get("type")))
        if not owner.startswith("Organization/") or (items and not items & codes):
            continue
        (named if items else others).append(Candidate(owner, service_is_open(service, draft.now)))
    return named or others


async def _registered(draft: Draft, category: str) -> list[Json]:
    """Return the services of a category; known for a moment, and anew after any of them was written here."""
    known = draft.memo.get(category)
    if known is not None:
        return known
    params = [
        ("service-category", f"{CATEGORY}|{category}"),
        ("active", "true"),
        ("_count", str(MOST_SERVICES)),
    ]
    page = await draft.store.search(
        parse("HealthcareService", params, strict=True, parameters=draft.store.parameters)
    )
    found = [decode_resource(version.body or b"{}") for version in page.matches]
    draft.memo.keep(category, found)
    return found


def service_is_open(service: Json, now: datetime) -> bool:
    """Whether a HealthcareService takes work now (availableTime, notAvailable; none: always)."""
    for row in service.get("notAvailable") or ():
        during = row.get("during") or {}
        day = now.date().isoformat()
        if str(during.get("start", ""))[:10] <= day <= (str(during.get("end", ""))[:10] or "9999"):
            return False
    times = service.get("availableTime")
    if not times:
        return True
    clock, day = now.strftime("%H:%M:%S"), DAYS[now.weekday()]
    return any(
        day in (row.get("daysOfWeek") or DAYS)
        and (
            row.get("allDay")
            or row.get("availableStartTime", "00:00") <= clock < row.get("availableEndTime", "24")
        )
        for row in times
    )


async def _least_loaded(draft: Draft, owners: Sequence[str]) -> str:
    """Return the centre with the fewest open Tasks, the first of equals."""
    if len(owners) == 1:
        return owners[0]
    loads = [await _load(draft, owner) for owner in owners]
    return owners[loads.index(min(loads))]


async def _load(draft: Draft, owner: str) -> int:
    params = [("owner", owner), ("status", ",".join(sorted(OPEN))), ("_count", "0"), ("_total", "accurate")]
    page = await draft.store.search(parse("Task", params, strict=True, parameters=draft.store.parameters))
    return page.total or 0
