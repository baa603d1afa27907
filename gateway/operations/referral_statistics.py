"""ServiceRequest/$referral-statistics: how many were referred, where they stand, the green channel (W8: reported as a statistic)."""

from collections import Counter
from collections.abc import AsyncIterator

from gateway.operations.parameters import Inputs, read_inputs
from gateway.referral.order import REASONS, direction_of, extension
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from gateway.workflow.coordination import CATEGORY
from gateway.workflow.draft import codes_of, reference_of
from gateway.workflow.phases import phase_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput

PAGE = 500
MOST = 20_000


async def statistics(request: Request, context: Context) -> Response:
    """Return counts: total, by direction, status, phase, green channel and override reason; the county's down to up."""
    inputs = read_inputs(request, context)
    given = inputs.one("organization")
    organization = given if isinstance(given, str) else reference_of(given)
    found: dict[str, Counter[str]] = {
        name: Counter() for name in ("direction", "status", "phase", "green-channel", "override")
    }
    total = 0
    async for task, order in _referrals(inputs, context):
        if organization and organization not in (
            reference_of(task.get("requester")),
            reference_of(task.get("owner")),
        ):
            continue
        total += 1
        found["direction"][direction_of(order) or "unknown"] += 1
        found["status"][str(task.get("status"))] += 1
        found["phase"][phase_of(task) or "-"] += 1
        if extension(order, "green-channel") is True:
            found["green-channel"][str(extension(order, "green-channel-reason") or "-")] += 1
        for code in codes_of(extension(order, "referral-override"), REASONS):
            found["override"][code] += 1
    parameter: list[Json] = [{"name": "total", "valueInteger": total}]
    for name, counts in found.items():
        rows = [{"name": code, "valueInteger": counts[code]} for code in sorted(counts)]
        if rows:
            parameter.append({"name": name, "part": rows})
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def _referrals(inputs: Inputs, context: Context) -> AsyncIterator[tuple[Json, Json]]:
    """Yield the Tasks of referrals with their orders, page by page."""
    filters = [("code", f"{CATEGORY}|referral"), ("_sort", "_id"), ("_count", str(PAGE))]
    filters += [
        ("authored-on", f"{prefix}{inputs.one(name)}")
        for name, prefix in (("start", "ge"), ("end", "le"))
        if inputs.one(name)
    ]
    cursor, count = "", 0
    while True:
        params = [*filters, *([("_cursor", cursor)] if cursor else [])]
        page = await context.store.search(
            parse("Task", params, strict=True, parameters=context.store.parameters, max_count=PAGE)
        )
        tasks = [decode_resource(row.body) for row in page.matches if row.body is not None]
        count += len(tasks)
        if count > MOST:
            raise InvalidInput("HT-WF-45", most=MOST)
        places = {
            task["id"]: ("ServiceRequest", reference_of(task.get("focus")).partition("/")[2])
            for task in tasks
        }
        orders = await context.store.read_many(list(dict.fromkeys(places.values())))
        for task in tasks:
            version = orders.get(places[task["id"]])
            body = version.body if version is not None else None
            yield task, decode_resource(body) if body is not None else {}
        if not page.cursor:
            return
        cursor = page.cursor
