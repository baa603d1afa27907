"""Measure/mutual-recognition/$evaluate-measure: reminders, decisions, rate and savings of a period (MR-034).

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html
"""

from decimal import Decimal

from conformance.recognition import Packs
from conformance.recognition.record import references
from gateway.operations.parameters import read_inputs
from gateway.operations.recognize import library
from gateway.recognition.statistics import Decided, decided, to_measure_report
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, Issue, NotFound, TooCostly

ID = "mutual-recognition"
MOST = 200_000
PAGE = 1_000


async def evaluate(request: Request, context: Context) -> Response:
    """Answer for `mutual-recognition`; `periodStart` and `periodEnd` (dates in +08:00) are required."""
    if request.id != ID:
        raise NotFound("HT-REST-01", type="Measure", id=request.id)
    inputs = read_inputs(request, context)
    start, end = inputs.one("periodStart"), inputs.one("periodEnd")
    missing = [name for name, value in (("periodStart", start), ("periodEnd", end)) if not value]
    if missing:
        raise InvalidInput(Issue("HT-MR-11", {"name": name}) for name in missing)
    wanted = {name: inputs.one(name) for name in ("organization", "item", "practitioner")}
    wanted["practitioner"] = wanted["practitioner"] or inputs.one("doctor")
    now = context.clock()
    packs = library(context).at(now)
    rows = await _rows(str(start), str(end), packs, context)
    kept = [
        row
        for row in rows
        if all(not value or getattr(row, name).endswith(str(value)) for name, value in wanted.items())
    ]
    return Response(200, to_measure_report(kept, packs, start=str(start), end=str(end), now=now.isoformat()))


async def _rows(start: str, end: str, packs: Packs, context: Context) -> list[Decided]:
    tasks = await every(
        "Task",
        [("code", "mutual-recognition"), ("authored-on", f"ge{start}"), ("authored-on", f"le{end}")],
        context,
    )
    reminders = await every(
        "Communication",
        [("category", "recognition-reminder"), ("sent", f"ge{start}"), ("sent", f"le{end}")],
        context,
    )
    items: dict[str, tuple[str, Decimal]] = {}
    named = [held for task in tasks for held in references(task, "focus")]
    named += [held for row in reminders for held in references(row, "about")[:1]]
    for reference in dict.fromkeys(named):
        kind, _, id = reference.partition("/")
        version = await context.store.read(kind, id) if id else None
        coded = (
            (decode_resource(version.body).get("code") or {}).get("coding") or []
            if version is not None and version.body
            else []
        )
        listed = packs.item(coded)
        code = listed[0].code if listed else next((coding.get("code", "") for coding in coded), "")
        items[reference] = (code, (listed[0].price if listed else None) or Decimal(0))
    return decided(tasks, reminders, item_of=lambda reference: items.get(reference, ("", Decimal(0))))


async def every(kind: str, params: list[tuple[str, str]], context: Context) -> list[Json]:
    """Return every match; raises TooCostly beyond the limit."""
    found: list[Json] = []
    cursor: str | None = None
    while True:
        more = [("_cursor", cursor)] if cursor else []
        query = parse(
            kind,
            [*params, ("_count", str(PAGE)), *more],
            strict=True,
            parameters=context.parameters,
            max_count=PAGE,
        )
        page = await context.store.search(query)
        found += [decode_resource(version.body) for version in page.matches if version.body is not None]
        if page.cursor is None:
            return found
        if len(found) >= MOST:
            raise TooCostly("HT-REST-37", limit=MOST)
        cursor = page.cursor
