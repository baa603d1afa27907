"""Measure/[id]/$evaluate-measure and Measure/$indicators: figures recomputed from the resources (docs/workflow/policy.md).

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from gateway.indicators.county import Case, County, Question
from gateway.indicators.report import as_csv, to_measure, to_measure_report
from gateway.indicators.rows import ROWS
from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.recognition_statistics import ID as RECOGNITION
from gateway.operations.recognition_statistics import evaluate as evaluate_recognition
from gateway.operations.recognition_statistics import every
from gateway.operations.task_version import enforced
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue, NotFound

PLACES: tuple[Json, ...] = ({"type": "Organization"}, {"type": "PractitionerRole"})


async def evaluate(request: Request, context: Context) -> Response:
    """Return the MeasureReport of one indicator; `organization` narrows it, `as=csv` gives the rows behind it."""
    if request.id == RECOGNITION:
        return await evaluate_recognition(request, context)
    pack = enforced(context).packs()["indicators"]
    rules = next((row for row in pack.rules if row["id"] == request.id), None)
    if rules is None:
        raise NotFound("HT-REST-01", type="Measure", id=str(request.id)[:64])
    inputs = read_inputs(request, context)
    start, end = _period(inputs)
    county, cases = await _cases(rules, start, end, context)
    organization = str(inputs.one("organization") or "")
    if organization:
        above = organization if "/" in organization else f"Organization/{organization}"
        cases = [case for case in cases if county.is_within(case.organization, above)]
    if inputs.one("as") == "csv":
        return Response(200, content=as_csv(cases, county), media_type="text/csv; charset=utf-8")
    return Response(200, _report(rules, cases, county, start, end, context))


async def indicators(request: Request, context: Context) -> Response:
    """Return the definitions, or with a period the figures of all of them."""
    inputs, pack = read_inputs(request, context), enforced(context).packs()["indicators"]
    if inputs.one("periodStart") is None and inputs.one("periodEnd") is None:
        rows = [to_measure(rules, version=pack.version, source=pack.source) for rules in pack.rules]
    else:
        start, end = _period(inputs)
        rows = []
        for rules in pack.rules:
            county, cases = await _cases(rules, start, end, context)
            rows.append(_report(rules, cases, county, start, end, context))
    entries = [{"resource": row} for row in rows]
    return Response(200, {"resourceType": "Bundle", "type": "collection", "entry": entries})


def _report(
    rules: Mapping[str, Any], cases: list[Case], county: County, start: date, end: date, context: Context
) -> Json:
    now = context.clock().isoformat(timespec="seconds")
    return to_measure_report(rules, cases, county, start=start.isoformat(), end=end.isoformat(), now=now)


async def _cases(
    rules: Mapping[str, Any], start: date, end: date, context: Context
) -> tuple[County, list[Case]]:
    packs, now = enforced(context).packs(), context.clock()
    diseases = context.diseases.at(now.date())
    resources: list[Json] = []
    for row in (*PLACES, *rules["reads"]):
        params = [(name, str(value)) for name, value in (row.get("where") or {}).items()]
        if row.get("date"):
            # A day more on each side: which day it is in +08:00 is decided by the rows.
            params.append((row["date"], f"ge{start - timedelta(days=1)}"))
            params.append((row["date"], f"le{end + timedelta(days=1)}"))
        if row.get("measures"):
            params.append(("combo-code", ",".join(sorted(diseases[row["measures"]].codes))))
        resources += await every(row["type"], params, context)
    county = County(resources)
    limits = packs.rules("critical-values")["minutes"]
    question = Question(start, end, rules, now, limits, diseases)
    cases = sorted(ROWS[rules["rows"]](county, question), key=lambda case: (case.day, case.source))
    return county, cases


def _period(inputs: Inputs) -> tuple[date, date]:
    """Return the days of the period; all that is wrong with them is told at once."""
    found: list[date] = []
    problems: list[Issue] = []
    for name in ("periodStart", "periodEnd"):
        value = inputs.one(name)
        if not value:
            problems.append(Issue("HT-MR-11", {"name": name}))
            continue
        try:
            found.append(date.fromisoformat(str(value)))
        except ValueError:
            problems.append(Issue("HT-CARE-06", {"value": str(value)[:40]}))
    if not problems and found[0] > found[1]:
        problems.append(Issue("HT-CARE-20", {"start": found[0].isoformat(), "end": found[1].isoformat()}))
    if problems:
        raise InvalidInput(problems)
    return found[0], found[1]
