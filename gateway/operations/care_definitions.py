"""OperationDefinitions of chronic care (docs/workflow/chronic-care.md)."""

from typing import Any

from terminology.fhirjson import Json


def _in(name: str, type: str, low: int = 0) -> Json:
    return {"name": name, "use": "in", "min": low, "max": "1", "type": type}


def _definition(
    code: str,
    title: str,
    text: str,
    resource: str,
    level: str,
    inputs: list[Json],
    *,
    result: str,
    changes: bool,
) -> Json:
    found: dict[str, Any] = {
        "resourceType": "OperationDefinition",
        "url": f"https://hutong.health/fhir/OperationDefinition/{code}",
        "name": "".join(part.capitalize() for part in code.split("-")),
        "title": title,
        "status": "active",
        "kind": "operation",
        "code": code,
        "description": text,
        "resource": [resource],
        "system": False,
        "type": level == "type",
        "instance": level == "instance",
        "parameter": [*inputs, {"name": "return", "use": "out", "min": 1, "max": "1", "type": result}],
    }
    if changes:
        found["affectsState"] = True
    return found


ENROL = _definition(
    "enrol",
    "慢病建档与分级",
    "A plan with grade and timetable for a patient with the diagnosis and a result of the last 12 months.",
    "Patient",
    "instance",
    [
        _in("disease", "code", 1),
        _in("author", "Reference", 1),
        _in("careTeam", "Reference"),
        _in("start", "date"),
    ],
    result="CarePlan",
    changes=True,
)
GRADE = _definition(
    "grade",
    "慢病分级",
    "The patient's grades, brought up to date: RiskAssessment with colour, findings and the pack's version.",
    "Patient",
    "instance",
    [],
    result="Bundle",
    changes=True,
)
SIX_ONES = _definition(
    "six-ones",
    "六个一",
    "Six booleans with their evidence: record, contract, assessment, plan, timetable, log; colour and what is missing.",
    "CarePlan",
    "instance",
    [_in("date", "date")],
    result="Parameters",
    changes=False,
)
DUE = _definition(
    "due",
    "到期随访",
    "Visits that are due within some days, overdue, or lost (180 days); of one team or of all; `as=csv` gives a sheet.",
    "CarePlan",
    "type",
    [
        _in("date", "date"),
        _in("within", "integer"),
        _in("team", "string"),
        _in("phase", "code"),
        _in("as", "code"),
    ],
    result="Parameters",
    changes=False,
)
