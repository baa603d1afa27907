"""Task/$public-health-list, $report-card, $finish; Patient/$five-colours, RiskAssessment/$high-risk (docs/workflow/public-health.md)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from conformance.recognition.moment import read_approximately
from gateway.csv_sheet import csv_sheet
from gateway.operations.chronic_care import names_of
from gateway.operations.parameters import read_inputs
from gateway.operations.recognition_statistics import every
from gateway.operations.task_version import enforced
from gateway.public_health.card import lacking, to_card
from gateway.public_health.risk import colour_of, plan_of, regrade
from gateway.public_health.sensitive import is_restricted, masked
from gateway.public_health.task import CODES, WAY, finish
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Put
from gateway.workflow.coordination import TASK_CODE
from gateway.workflow.draft import codes_of, reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput, Issue

PHASES = ("due", "overdue", "done", "late")
COLUMNS = ("task", "phase", "limit", "hours", "patient", "name", "about", "owner", "output")
RISK_COLUMNS = ("patient", "name", "programme", "colour", "factors", "plan", "warning")


async def task_list(request: Request, context: Context) -> Response:
    """List the Tasks of one code, the longest overdue first."""
    inputs = read_inputs(request, context)
    code, phase = str(inputs.one("code") or ""), str(inputs.one("phase") or "")
    for name, value, known in (("code", code, CODES), ("phase", phase or PHASES[0], PHASES)):
        if value not in known:
            raise InvalidInput("HT-REST-31", name=name, value=value[:40], type=" | ".join(known))
    organization = str(inputs.one("organization") or "")
    owner = organization if not organization or "/" in organization else f"Organization/{organization}"
    params = [("code", f"{TASK_CODE}|{code}"), *([("owner", owner)] if owner else [])]
    tasks = [row for row in await every("Task", params, context) if row.get("status") in WAY]
    now = context.clock()
    names = await names_of({reference_of(task.get("for")) for task in tasks}, context.store)
    rows = [_row(task, names, now) for task in tasks]
    rows = sorted(
        (row for row in rows if phase in ("", row["phase"])), key=lambda row: (row["limit"], row["task"])
    )
    return _answer(rows, COLUMNS, is_sheet=inputs.one("as") == "csv")


async def report_card(request: Request, context: Context) -> Response:
    """Write the card and complete the task; 201 with the Composition."""
    inputs = read_inputs(request, context)
    task = decode_resource((await current(request, context)).body or b"{}")
    _check(task, ("infectious-report",))
    practitioner, who = inputs.one("practitioner"), "Parameters.parameter.where(name='practitioner')"
    if not isinstance(practitioner, dict) or not reference_of(practitioner):
        raise InvalidInput("HT-WF-40", name="practitioner", expression=who)
    found = {}
    for reference in (reference_of(task.get("for")), reference_of(task.get("focus"))):
        type, _, id = reference.partition("/")
        version = await context.store.read(type, id)
        found[reference] = decode_resource(version.body) if version is not None and version.body else {}
    patient, case = found.values()
    missing = lacking(patient)
    if missing:
        raise BusinessRule(
            Issue("HT-CARE-31", {"what_zh": zh, "what_en": en}, expression=path) for path, zh, en in missing
        )
    now = enforced(context).clock()
    card = to_card(
        task, patient, case, practitioner=practitioner, onset=str(inputs.one("onset") or ""), now=now
    )
    output = f"Composition/{card['id']}"
    await finish(
        task, "report", output, context.store, owner=reference_of(practitioner), more=[Put(card, expected=0)]
    )
    return Response(201, card, headers={"Location": f"{request.base}/{output}"})


async def finish_task(request: Request, context: Context) -> Response:
    """Complete a follow-up or a visit with what was done; the Task as it is then."""
    inputs = read_inputs(request, context)
    task = decode_resource((await current(request, context)).body or b"{}")
    _check(task, ("discharge-follow-up", "home-visit"))
    output = reference_of(inputs.one("output"))
    type, _, id = output.partition("/")
    version = await context.store.read(type, id) if id and ":" not in type else None
    held = decode_resource(version.body) if version is not None and version.body is not None else {}
    if reference_of(held.get("subject")) != reference_of(task.get("for")) or held.get("status") in (
        "planned",
        "in-progress",
        "cancelled",
        "entered-in-error",
    ):
        raise BusinessRule("HT-CARE-32", reference=output[:80], patient=reference_of(task.get("for")))
    await finish(task, "action", output, context.store)
    done = await context.store.read("Task", str(task["id"]))
    return Response(200, stored=done.body if done is not None else None)


async def five_colours(request: Request, context: Context) -> Response:
    """Grade now; a warning where high risk has no plan."""
    patient = f"Patient/{(await current(request, context)).id}"
    packs = enforced(context).packs()
    found = await regrade(patient, context.store, packs, now=context.clock())
    if found is None:
        raise BusinessRule("HT-CARE-30", patient=patient)
    plan = await plan_of(patient, found.programme, context.store)
    parameter: list[Json] = [
        {"name": "programme", "valueCode": found.programme},
        {"name": "colour", "valueCode": found.colour},
        *({"name": "factor", "part": [{"name": "text", "valueString": f"{row.zh} / {row.en}"}, {"name": "evidence", "valueReference": {"reference": row.source}}]} for row in found.factors),
        *([{"name": "plan", "valueReference": {"reference": plan}}] if plan else []),
    ]  # fmt: skip
    if not plan and found.colour in packs.rules("maternal-child")["needs_plan"]:
        issue = Issue("HT-CARE-33", {"colour": found.colour})
        parameter.append({"name": "warning", "valueString": f"{issue.text('zh')} / {issue.text('en')}"})
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def high_risk(request: Request, context: Context) -> Response:
    """List all of high risk, those without a plan first."""
    inputs, rules = read_inputs(request, context), enforced(context).packs().rules("maternal-child")
    programmes = {row["id"] for row in rules["programmes"]}
    found = [
        row
        for row in await every("RiskAssessment", [], context)
        if colour_of(row) in rules["needs_plan"] and programmes & set(codes_of(row.get("code")))
    ]
    names = await names_of({reference_of(row.get("subject")) for row in found}, context.store)
    rows = []
    for row in found:
        patient = reference_of(row.get("subject"))
        programme = next(code for code in codes_of(row.get("code")) if code in programmes)
        plan, name = await plan_of(patient, programme, context.store), names.get(patient, "")
        hidden = is_restricted(row)
        rows.append(
            {
                "patient": patient,
                "name": masked(name) if hidden else name,
                "programme": programme,
                "colour": colour_of(row),
                "factors": "" if hidden else str(row["prediction"][0].get("rationale", "")),
                "plan": plan,
                "warning": "" if plan else "HT-CARE-33",
            }
        )
    rows.sort(key=lambda row: (bool(row["plan"]), row["patient"]))
    return _answer(rows, RISK_COLUMNS, is_sheet=inputs.one("as") == "csv")


def _check(task: Json, codes: Iterable[str]) -> None:
    """Raise BusinessRule for a Task of another code, or one that ended."""
    if not set(codes) & set(codes_of(task.get("code"))) or task.get("status") not in WAY[:-1]:
        values = {"codes": ", ".join(codes), "status": str(task.get("status"))}
        raise BusinessRule([Issue("HT-CARE-34", values, expression="Task.status")])


def _row(task: Json, names: Mapping[str, str], now: datetime) -> dict[str, str]:
    patient, hidden = reference_of(task.get("for")), is_restricted(task)
    limit = str(((task.get("restriction") or {}).get("period") or {}).get("end", ""))
    end = read_approximately(limit)
    ended = read_approximately((task.get("executionPeriod") or {}).get("end") or task.get("lastModified"))
    is_done = task.get("status") == "completed"
    at = (ended or now) if is_done else now
    is_late = end is not None and at > end
    outputs = [reference_of(row.get("valueReference")) for row in task.get("output") or ()]
    about = str((task.get("reasonCode") or {}).get("text") or task.get("description") or "")
    name = names.get(patient, "")
    return {
        "task": f"Task/{task['id']}",
        "phase": ("late" if is_late else "done") if is_done else ("overdue" if is_late else "due"),
        "limit": limit,
        "hours": f"{(at - end).total_seconds() / 3600:.1f}" if end is not None else "",
        "patient": patient,
        "name": masked(name) if hidden else name,
        "about": "***" if hidden else about,
        "owner": reference_of(task.get("owner")),
        "output": next((row for row in outputs if row), ""),
    }


def _answer(rows: Sequence[Mapping[str, str]], columns: Sequence[str], *, is_sheet: bool) -> Response:
    if is_sheet:
        sheet = csv_sheet(columns, ([row[name] for name in columns] for row in rows))
        return Response(200, content=sheet, media_type="text/csv; charset=utf-8")
    parameter: list[Json] = [{"name": "total", "valueInteger": len(rows)}]
    for row in rows:
        parts = [{"name": name, "valueString": row[name]} for name in columns if row[name]]
        parameter.append({"name": "row", "part": parts})
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})
