"""OperationDefinitions of chronic care and critical values (docs/workflow/chronic-care.md, critical-values.md)."""

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
ACKNOWLEDGE = _definition(
    "acknowledge",
    "接收危急值",
    "Without input: it was opened. `repeatBack`: item and value again, in any unit; `action`: what was done, which ends it.",
    "Task",
    "instance",
    [_in("repeatBack", "string"), _in("action", "string"), _in("practitioner", "Reference")],
    result="Task",
    changes=True,
)
CONFIRM_CRITICAL = _definition(
    "confirm-critical",
    "复核危急值",
    "The second look before a critical value is told; at night one person may look twice.",
    "Task",
    "instance",
    [_in("practitioner", "Reference")],
    result="Task",
    changes=True,
)
CRITICAL_REGISTER = _definition(
    "critical-register",
    "危急值登记本",
    "The register with its rates, of a time and an organisation; `as=csv` gives a sheet.",
    "Communication",
    "type",
    [_in("start", "date"), _in("end", "date"), _in("organization", "string"), _in("as", "code")],
    result="Parameters",
    changes=False,
)
