"""Patient/[id]/$enrol and $grade, CarePlan/[id]/$six-ones, CarePlan/$due (docs/workflow/chronic-care.md)."""

from datetime import date, timedelta
from typing import Any

from gateway.care.due import AHEAD, COLUMNS, Due, due_visits
from gateway.care.enrol import enrol as enrol_patient
from gateway.care.enrol import unknown_disease
from gateway.care.grading import assessment_of, regrade
from gateway.care.six_ones import NAMES, six_ones
from gateway.csv_sheet import csv_sheet
from gateway.operations.parameters import Inputs, read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput

MOST_ROWS = 10_000
MOST_DAYS = 36_600
YEARS = range(1900, 2200)
PHASES = ("due", "overdue", "lost")


async def enrol(request: Request, context: Context) -> Response:
    """Make the plan of a chronic patient; 201 with the CarePlan."""
    patient = await current(request, context)
    inputs = read_inputs(request, context)
    day = _day(inputs, "start", context)
    known = context.diseases.at(day)
    code = str(inputs.one("disease") or "")
    if code not in known:
        raise InvalidInput([unknown_disease(code, known)])
    author = inputs.one("author")
    if not isinstance(author, dict) or not author.get("reference"):
        raise InvalidInput("HT-WF-40", name="author", expression="Parameters.parameter.where(name='author')")
    plan = await enrol_patient(
        f"Patient/{patient.id}", known[code], context, author=author, team=inputs.one("careTeam"), day=day
    )
    return Response(201, plan, headers={"Location": f"{request.base}/CarePlan/{plan['id']}"})


async def grade(request: Request, context: Context) -> Response:
    """Grade the patient anew and return the assessments in force."""
    patient = f"Patient/{(await current(request, context)).id}"
    found = await regrade(patient, context.store, context.diseases, now=context.clock())
    rows = [
        row
        for one in found
        if (row := await assessment_of(patient, one.disease.id, context.store)) is not None
    ]
    entries = [{"resource": row} for row in rows]
    return Response(
        200, {"resourceType": "Bundle", "type": "collection", **({"entry": entries} if entries else {})}
    )


async def ones(request: Request, context: Context) -> Response:
    """Tell which of the six are there, with their evidence."""
    version = await current(request, context)
    plan = decode_resource(version.body or b"{}")
    day = _day(read_inputs(request, context), "date", context)
    found = await six_ones(plan, context.store, today=day)
    parameter: list[Json] = [
        {
            "name": one.name,
            "part": [
                {"name": "done", "valueBoolean": one.is_there},
                {"name": "title", "valueString": NAMES[one.name]},
                *({"name": "evidence", "valueReference": {"reference": row}} for row in one.evidence),
            ],
        }
        for one in found.ones
    ]
    if found.colour:
        parameter.append({"name": "colour", "valueCode": found.colour})
    parameter += [{"name": "missing", "valueCode": name} for name in found.missing]
    parameter.append({"name": "complete", "valueBoolean": not found.missing})
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def due(request: Request, context: Context) -> Response:
    """List the visits that are due, the most overdue first."""
    inputs = read_inputs(request, context)
    within = inputs.one("within")
    phase = str(inputs.one("phase") or "")
    if phase and phase not in PHASES:
        raise InvalidInput("HT-REST-31", name="phase", value=phase[:40], type=" | ".join(PHASES))
    rows = [
        row
        async for row in due_visits(
            context.store,
            today=_day(inputs, "date", context),
            within=timedelta(days=max(-MOST_DAYS, min(MOST_DAYS, int(within))))
            if within is not None
            else AHEAD,
            team=str(inputs.one("team") or ""),
            phase=phase,
        )
    ]
    rows.sort(key=lambda row: (row.day, row.plan))
    shown = rows[:MOST_ROWS]
    names = await names_of({row.patient for row in shown}, context.store)
    if inputs.one("as") == "csv":
        return Response(200, content=as_csv(shown, names), media_type="text/csv; charset=utf-8")
    parameter: list[Json] = [{"name": "total", "valueInteger": len(rows)}]
    parameter += [_parameter(row, names) for row in shown]
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def names_of(patients: set[str], store: Store) -> dict[str, str]:
    """Return reference → name of patients."""
    keys = [
        ("Patient", reference.partition("/")[2]) for reference in patients if reference.startswith("Patient/")
    ]
    found: dict[str, str] = {}
    for start in range(0, len(keys), 500):
        for (_, id), version in (await store.read_many(keys[start : start + 500])).items():
            rows = decode_resource(version.body).get("name", ()) if version.body is not None else ()
            found[f"Patient/{id}"] = next((str(row.get("text", "")) for row in rows), "")
    return found


def as_csv(rows: list[Due], names: dict[str, str]) -> bytes:
    """Return the list for a spreadsheet."""
    told = (row.row(names.get(row.patient, "")) for row in rows)
    return csv_sheet(COLUMNS, ([row[name] for name in COLUMNS] for row in told))


def _parameter(row: Due, names: dict[str, str]) -> Json:
    kinds = {"plan": "valueReference", "patient": "valueReference", "team": "valueReference", "date": "valueDate",
             "days": "valueInteger", "name": "valueString"}  # fmt: skip
    parts: list[Json] = []
    for name, value in row.row(names.get(row.patient, "")).items():
        kind = kinds.get(name, "valueCode")
        if value != "":
            parts.append({"name": name, kind: {"reference": value} if kind == "valueReference" else value})
    return {"name": "visit", "part": parts}


def _day(inputs: Inputs, name: str, context: Context) -> date:
    value: Any = inputs.one(name)
    if value is None:
        return context.clock().date()
    try:
        found = date.fromisoformat(str(value))
    except ValueError:
        raise InvalidInput("HT-CARE-06", value=str(value)[:40]) from None
    # A plan made in the last year of the calendar has no year to run.
    if found.year not in YEARS:
        raise InvalidInput("HT-CARE-06", value=str(value)[:40])
    return found
