"""Task/$worklist: what is to be done, the most urgent first (workflows W1–W5)."""

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.task_version import enforced
from gateway.rest.context import Context
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from gateway.store.protocol import Version
from gateway.workflow.actor import acting
from gateway.workflow.coordination import CATEGORY
from gateway.workflow.draft import local, reference_of
from gateway.workflow.phases import PHASE
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput

PRIORITIES = ("stat", "asap", "urgent", "routine")
"""The order of the list; a task without a priority is routine (https://hl7.org/fhir/R4/valueset-request-priority.html)."""
OPEN = "requested,received,accepted,in-progress,on-hold"
DEFAULT, MOST = 50, 200


async def worklist(request: Request, context: Context) -> Response:
    """Return a page as searchset: tasks in order, what they are about (`focus`) beside them, a link to the next page."""
    desk = enforced(context)
    inputs = read_inputs(request, context)
    count = min(int(inputs.one("count", DEFAULT) or DEFAULT), MOST)
    first, cursor = _place(inputs.one("cursor"))
    wanted = [value for value in PRIORITIES if value in _all(inputs, "priority")] or list(PRIORITIES)
    filters = list(_filters(inputs, desk.clock().isoformat(timespec="seconds")))
    found: list[Version] = []
    following: str | None = None
    for number, priority in enumerate(wanted):
        if number < first:
            continue
        page = await context.store.search(
            _query(filters, priority, count - len(found), cursor if number == first else None, context)
        )
        found += page.matches
        if page.cursor is not None:
            following = f"{number}.{page.cursor}"
            break
        if len(found) >= count:
            following = f"{number + 1}." if number + 1 < len(wanted) else None
            break
    return Response(200, await _bundle(found, following, request, context))


def _query(filters: Params, priority: str, count: int, cursor: str | None, context: Context) -> Any:
    params = [*filters, ("_sort", "due"), ("_count", str(count))]
    if priority == "routine":
        # Without a priority a task is routine.
        params.append(("_filter", "priority eq routine or priority pr false"))
    else:
        params.append(("priority", priority))
    if cursor:
        params.append(("_cursor", cursor))
    return parse(
        "Task", params, strict=True, parameters=context.parameters, terminology=context.codes, max_count=MOST
    )


def _filters(inputs: Inputs, now: str) -> Iterator[tuple[str, str]]:
    yield "status", ",".join(_all(inputs, "status")) or OPEN
    actor = acting()
    if inputs.one("mine") is True:
        yield "owner", actor.practitioner or actor.organization or "-"
    else:
        owners = [owner if "/" in owner else f"Organization/{owner}" for owner in _all(inputs, "owner")]
        if not owners and actor.organization is not None:
            # A centre sees what is its own, and what its people claimed under it.
            owners = [actor.organization, *([actor.practitioner] if actor.practitioner else [])]
        if owners:
            yield "owner", ",".join(owners)
    codes = _all(inputs, "code")
    if codes:
        yield "code", ",".join(codes)
    categories = _all(inputs, "category")
    if categories:
        yield "code", ",".join(f"{CATEGORY}|{category}" for category in categories)
    phases = _all(inputs, "phase")
    if phases:
        yield "business-status", ",".join(f"{PHASE}|{phase}" for phase in phases)
    patient = inputs.one("patient")
    if patient:
        yield "patient", str(patient)
    if inputs.one("overdue") is True:
        yield "due", f"lt{now}"
    if inputs.one("due-before"):
        yield "due", f"lt{inputs.one('due-before')}"


def _all(inputs: Inputs, name: str) -> list[str]:
    """Return the values of a parameter, repeated or separated by commas."""
    return [part.strip() for value in inputs.all(name) for part in str(value).split(",") if part.strip()]


def _place(text: Any) -> tuple[int, str | None]:
    if not text:
        return 0, None
    number, dot, cursor = str(text).partition(".")
    if not dot or not number.isascii() or not number.isdigit() or len(number) > 2:
        raise InvalidInput("HT-SEARCH-35")
    return int(number), cursor or None


async def _bundle(found: list[Version], following: str | None, request: Request, context: Context) -> Json:
    where = f"{request.base}/Task/$worklist"
    links = [{"relation": "self", "url": where}]
    if following is not None:
        kept = "&".join(part for part in request.query.split("&") if part and not part.startswith("cursor="))
        links.append({"relation": "next", "url": f"{where}?{kept}{'&' if kept else ''}cursor={following}"})
    bundle: Json = {"resourceType": "Bundle", "type": "searchset", "link": links}
    entries = [_entry(version, request, "match") for version in found]
    entries += [_entry(version, request, "include") for version in await _about(found, context)]
    if entries:
        bundle["entry"] = entries
    return bundle


async def _about(found: list[Version], context: Context) -> list[Version]:
    """Return the orders and patients of the tasks, each once."""
    keys: dict[tuple[str, str], None] = {}
    for version in found:
        task = decode_resource(version.body or b"{}")
        for element in ("focus", "for"):
            place = local(reference_of(task.get(element)))
            if place is not None and place[0] in ("ServiceRequest", "Patient"):
                keys[place] = None
    held = await context.store.read_many(list(keys))
    return [version for version in held.values() if version.body is not None]


def _entry(version: Version, request: Request, mode: str) -> Json:
    assert version.body is not None
    return {
        "fullUrl": f"{request.base}/{version.type}/{version.id}",
        "resource": Raw(version.body),
        "search": {"mode": mode},
    }
