"""OperationDefinitions of referral (docs/workflow/referral.md)."""

from terminology.fhirjson import Json

BASE = "https://hutong.health/fhir/OperationDefinition/"


def _in(name: str, type: str, low: int = 0) -> Json:
    return {"name": name, "use": "in", "min": low, "max": "1", "type": type}


def _definition(
    code: str,
    title: str,
    text: str,
    resources: list[str],
    inputs: list[Json],
    *,
    result: str,
    level: str,
    changes: bool,
) -> Json:
    found: Json = {
        "resourceType": "OperationDefinition",
        "url": BASE + code,
        "name": "".join(part.capitalize() for part in code.split("-")),
        "title": title,
        "status": "active",
        "kind": "operation",
        "code": code,
        "description": text,
        "resource": resources,
        "system": False,
        "type": level == "type",
        "instance": level == "instance",
        "parameter": [*inputs, {"name": "return", "use": "out", "min": 1, "max": "1", "type": result}],
    }
    if changes:
        found["affectsState"] = True
    return found


REDIRECT = _definition(
    "redirect",
    "改转",
    "Pass a referral that has not begun on to another organisation: this task ends as redirected, a new one is returned.",
    ["Task"],
    [_in("performer", "Reference", 1), _in("reason", "string", 1)],
    result="Task",
    level="instance",
    changes=True,
)
RELATIONS = _definition(
    "referral-relations",
    "转诊关系表",
    "Who may refer to whom, up and down, made from the levels of the organisations.",
    ["Organization"],
    [_in("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
BOOK = _definition(
    "book",
    "预约号源、床位",
    "Take a number (Slot), the first free number of a session (Schedule), or a bed (Location) for a referral or a patient.",
    ["Slot", "Schedule", "Location"],
    [
        _in("basedOn", "Reference"),
        _in("patient", "Reference"),
        _in("start", "dateTime"),
        _in("comment", "string"),
    ],
    result="Resource",
    level="instance",
    changes=True,
)
BED_POOL = _definition(
    "bed-pool",
    "床位池",
    "Beds by ward and state (HL7 table 0116).",
    ["Location"],
    [_in("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
REFERRAL_STATISTICS = _definition(
    "referral-statistics",
    "双向转诊统计",
    "Referrals of a time and an organisation: up, down, accepted, declined, passed on, closed, green channel, reasons.",
    ["ServiceRequest"],
    [_in("start", "date"), _in("end", "date"), _in("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
