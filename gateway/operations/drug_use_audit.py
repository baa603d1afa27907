"""MedicationRequest/$audit-drug-use: the prescriptions of some days checked again, whatever way they came (事后审核)."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from conformance.drug_use import Finding, check
from gateway.care.record import read_one
from gateway.csv_sheet import csv_sheet
from gateway.drug_use.case import case_of
from gateway.drug_use.stage import audit_row
from gateway.operations.parameters import Inputs, read_inputs
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from gateway.store.protocol import Commit
from gateway.workflow.actor import acting
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, TooCostly

MOST = 2_000
PAGE = 200
DAYS = 7
COLUMNS = ("prescription", "patient", "requester", "authored", "severity", "code", "about", "text")


@dataclass(frozen=True, slots=True)
class Row:
    request: Json
    finding: Finding


async def audit(request: Request, context: Context) -> Response:
    """Return the findings of the prescriptions written from `start` to `end` (default: the last 7 days)."""
    inputs = read_inputs(request, context)
    today = context.clock().date()
    start, end = _day(inputs, "start", today - timedelta(days=DAYS)), _day(inputs, "end", today)
    requests = await _prescriptions(context, start, end)
    rows: list[Row] = []
    for one in requests:
        # A prescription is judged as of its own day: who was a child then was one.
        case = await case_of(
            one, read=partial(read_one, context.store), store=context.store, on=_authored(one, today)
        )
        rows += [Row(one, finding) for finding in check(case)]
    note = f"{start}/{end}: {len(requests)} prescriptions, {len(rows)} findings"
    entry = audit_row(
        "after", [row.finding for row in rows], acting(), about=(), now=context.clock(), note=note
    )
    await context.store.commit(Commit([], audit=[entry]))
    if inputs.one("as") == "csv":
        return Response(200, content=_csv(rows), media_type="text/csv; charset=utf-8")
    parameter: list[Json] = [
        {"name": "checked", "valueInteger": len(requests)},
        {"name": "findings", "valueInteger": len(rows)},
        *(_parameter(row) for row in rows),
    ]
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def _prescriptions(context: Context, start: date, end: date) -> list[Json]:
    found: list[Json] = []
    cursor: str | None = None
    while True:
        params = [
            ("authoredon", f"ge{start}"), ("authoredon", f"le{end}"),
            ("status:not", "entered-in-error"), ("_sort", "_id"), ("_count", str(PAGE)),
        ]  # fmt: skip
        if cursor:
            params.append(("_cursor", cursor))
        page = await context.store.search(
            parse("MedicationRequest", params, strict=True, parameters=context.parameters, max_count=PAGE)
        )
        found += [decode_resource(row.body) for row in page.matches if row.body is not None]
        if len(found) > MOST:
            raise TooCostly("HT-DU-23", most=MOST)
        cursor = page.cursor
        if not cursor:
            return found


def _authored(request: Json, today: date) -> date:
    try:
        return date.fromisoformat(str(request.get("authoredOn", ""))[:10])
    except ValueError:
        return today


def _csv(rows: list[Row]) -> bytes:
    return csv_sheet(
        COLUMNS,
        (
            (
                f"MedicationRequest/{row.request['id']}", reference_of(row.request.get("subject")),
                reference_of(row.request.get("requester")), row.request.get("authoredOn", ""), row.finding.severity,
                row.finding.issue.code, row.finding.about, row.finding.issue.text("zh"),
            )
            for row in rows
        ),
    )  # fmt: skip


def _parameter(row: Row) -> Json:
    issue = row.finding.issue
    parts: list[Json] = [
        {"name": "prescription", "valueReference": {"reference": f"MedicationRequest/{row.request['id']}"}},
        {"name": "severity", "valueCode": row.finding.severity},
        {"name": "kind", "valueCode": row.finding.kind},
        {"name": "code", "valueCode": issue.code},
        {"name": "text", "valueString": f"{issue.text('zh')} / {issue.text('en')}"},
    ]
    if row.finding.about:
        parts.append({"name": "about", "valueReference": {"reference": row.finding.about}})
    return {"name": "finding", "part": parts}


def _day(inputs: Inputs, name: str, otherwise: date) -> date:
    value = inputs.one(name)
    if value is None:
        return otherwise
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise InvalidInput("HT-CARE-06", value=str(value)[:40]) from None
