"""Task/$statistics: the figures of the centres for a month (docs/operations/stats.md)."""

import re
from typing import Any

from gateway.care.record import every
from gateway.operations.parameters import output, read_inputs
from gateway.operations.task_version import enforced
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.workflow.coordination import FHIR_TASK_CODE
from gateway.workflow.draft import local
from gateway.workflow.statistics import COLUMNS, Figures, Group, add, in_order
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, TooCostly

MOST_TASKS = 500_000
MONTH = re.compile(r"\d{4}(-(0[1-9]|1[0-2]))?")


async def statistics(request: Request, context: Context) -> Response:
    """Return a `row` for each month, centre and category; `month` (2026-05, or a year), `owner` and `category` narrow it."""
    desk, inputs = enforced(context), read_inputs(request, context)
    params = [("code", f"{FHIR_TASK_CODE}|fulfill")]
    month = inputs.one("month")
    if month is not None:
        if not MONTH.fullmatch(str(month)):
            raise InvalidInput("HT-REST-31", name="month", value=str(month)[:20], type="YYYY-MM")
        params.append(("authored-on", str(month)))
    owner = inputs.one("owner")
    if owner:
        params.append(("owner", owner if "/" in owner else f"Organization/{owner}"))
    category = inputs.one("category")
    if category:
        params.append(("code", f"https://hutong.health/fhir/CodeSystem/order-category|{category}"))
    groups: dict[Group, Figures] = {}
    count, now = 0, desk.clock()
    async for task in every(context.store, "Task", params, most=MOST_TASKS + 1):
        count += 1
        if count > MOST_TASKS:
            raise TooCostly("HT-WF-45", most=MOST_TASKS)
        add(groups, task, now=now)
    found = in_order(groups)
    names = await _names({row.centre for row in found}, context)
    rows = [_part(one.row(names)) for one in found]
    return Response(200, output(("at:valueInstant", desk.clock().isoformat(timespec="milliseconds")), *rows))


async def _names(centres: set[str], context: Context) -> dict[str, str]:
    places = [place for centre in centres if (place := local(centre)) is not None]
    held = await context.store.read_many(places)
    return {
        f"{type}/{id}": str(decode_resource(version.body).get("name") or "")
        for (type, id), version in held.items()
        if version.body is not None
    }


def _part(row: Json) -> Json:
    parts: list[Json] = []
    for name in COLUMNS:
        value: Any = row[name]
        if value in (None, ""):
            continue
        kind = (
            "valueString"
            if isinstance(value, str)
            else "valueDecimal"
            if isinstance(value, float)
            else "valueInteger"
        )
        parts.append({"name": name, kind: value})
    return {"name": "row", "part": parts}
