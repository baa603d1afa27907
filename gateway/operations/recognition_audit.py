"""$recognition-audit: accepted results whose item was charged again while they were valid (MR-030, 重复收费)."""

from dataclasses import dataclass
from datetime import datetime

from conformance.recognition.moment import read_approximately
from conformance.recognition.pack import CHINA
from conformance.recognition.record import code_value, codings, reference_of, references
from gateway.operations.parameters import read_inputs
from gateway.operations.recognition_statistics import every
from gateway.operations.recognize import judge
from gateway.recognition.correction import standing
from gateway.recognition.evidence import Evidence
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.escape import escape
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

NOT_CHARGED = frozenset({"not-billable", "aborted", "entered-in-error"})
MAX_CHARGES = 100


@dataclass(frozen=True, slots=True)
class Charged:
    """One charge of an item whose earlier result stands in for it."""

    task: Json
    charge: Json
    item: Json
    valid_until: datetime | None


async def audit(request: Request, context: Context) -> Response:
    """Answer the findings of the decisions in a period; `periodStart` and `periodEnd` (dates in +08:00) are required."""
    inputs = read_inputs(request, context)
    start, end = inputs.one("periodStart"), inputs.one("periodEnd")
    missing = [name for name, value in (("periodStart", start), ("periodEnd", end)) if not value]
    if missing:
        raise InvalidInput(Issue("HT-MR-11", {"name": name}) for name in missing)
    wanted = inputs.one("organization")
    tasks = await every(
        "Task",
        [("code", "mutual-recognition"), ("authored-on", f"ge{start}"), ("authored-on", f"le{end}")],
        context,
    )
    accepted = [
        task
        for task in standing(tasks)
        if code_value(task.get("businessStatus")) == "accept"
        and (not wanted or any(owner.endswith(str(wanted)) for owner in references(task, "owner")))
    ]
    found = [row for task in accepted for row in await charged_again(task, context)]
    return Response(200, to_parameters(found, len(accepted)))


async def charged_again(task: Json, context: Context) -> list[Charged]:
    """Return the charges of an accepted result's item, after the decision and while the result was valid.

    An item of unknown validity counts within the very visit that the result was accepted for.
    """
    evidence = Evidence(context)
    decided = read_approximately(task.get("authoredOn"))
    results = await evidence.read(references(task, "focus"))
    subject = next(iter(references(task, "for")), "")
    if decided is None or not results or not codings(results[0].get("code")):
        return []
    items = tuple(codings(results[0].get("code")))
    keys = (await evidence.maps([items])).related(items)
    code = ",".join(
        f"{escape(system)}|{escape(value)}" if system else escape(value) for system, value in keys
    )
    charges = await evidence.search("ChargeItem", ("subject", subject), ("code", code), count=MAX_CHARGES)
    later = [row for row in charges if row.get("status") not in NOT_CHARGED and _is_after(row, decided)]
    if not later:
        return []
    until = await _valid_until(task, results[0], items[0], decided, context)
    visit = set(references(task, "encounter"))
    if until is None:
        later = [row for row in later if visit & set(references(row, "context"))]
    else:
        later = [row for row in later if (_when(row) or decided) <= until]
    return [Charged(task, row, items[0], until) for row in later]


async def _valid_until(
    task: Json, result: Json, item: Json, decided: datetime, context: Context
) -> datetime | None:
    patients = await Evidence(context).read(references(task, "for"))
    if not patients:
        return None
    parameters: Json = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "item", "valueCoding": item},
            {"name": "at", "valueDateTime": decided.isoformat()},
        ],
    }
    _, answer, _ = await judge(patients[0], parameters, context)
    own = reference_of(result)
    return next((row.valid_until for row in answer.candidates if reference_of(row.result) == own), None)


def to_parameters(found: list[Charged], accepted: int) -> Json:
    """Return `accepted`, `count` and a `finding` for each charge."""
    rows: list[Json] = [
        {"name": "accepted", "valueInteger": accepted},
        {"name": "count", "valueInteger": len(found)},
    ]
    for row in found:
        parts: list[Json] = [
            {"name": "rule", "valueCode": "MR-030"},
            {"name": "reason", "valueCode": "MR-DUPFEE"},
            {"name": "task", "valueReference": {"reference": reference_of(row.task)}},
            {"name": "result", "valueReference": row.task["focus"]},
            {"name": "charge", "valueReference": {"reference": reference_of(row.charge)}},
            {"name": "item", "valueCoding": row.item},
        ]
        if row.valid_until is not None:
            parts.append({"name": "validUntil", "valueDateTime": row.valid_until.isoformat()})
        if row.task.get("owner"):
            parts.append({"name": "organization", "valueReference": row.task["owner"]})
        if row.charge.get("priceOverride"):
            parts.append({"name": "amount", "valueMoney": row.charge["priceOverride"]})
        rows.append({"name": "finding", "part": parts})
    return {"resourceType": "Parameters", "parameter": rows}


def _when(charge: Json) -> datetime | None:
    return (
        read_approximately(charge.get("occurrenceDateTime"))
        or read_approximately((charge.get("occurrencePeriod") or {}).get("start"))
        or read_approximately(charge.get("enteredDate"))
    )


def _is_after(charge: Json, decided: datetime) -> bool:
    """A charge without a time is of the day it is asked about: it counts."""
    when = _when(charge)
    # A date alone begins at midnight: that of the decision's own day is not before it.
    is_day = len(str(charge.get("occurrenceDateTime", ""))) == 10
    return when is None or when >= decided or (is_day and when.date() == decided.astimezone(CHINA).date())
