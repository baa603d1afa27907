"""OperationDefinitions of the workflows (docs/workflow/operations.md)."""

from typing import Any

from terminology.fhirjson import Json


def _in(name: str, type: str, low: int = 0, high: str = "1") -> Json:
    return {"name": name, "use": "in", "min": low, "max": high, "type": type}


def _definition(
    code: str,
    title: str,
    description: str,
    resources: list[str],
    parameters: list[Json],
    *,
    result: str,
    level: str = "instance",
    changes: bool = True,
) -> Json:
    found: dict[str, Any] = {
        "resourceType": "OperationDefinition",
        "url": f"https://hutong.health/fhir/OperationDefinition/{resources[0].lower()}-{code}"
        if code == "statistics"
        else f"https://hutong.health/fhir/OperationDefinition/{code}",
        "name": "".join(part.capitalize() for part in code.split("-")),
        "title": title,
        "status": "active",
        "kind": "operation",
        "code": code,
        "description": description,
        "affectsState": changes,
        "resource": resources,
        "system": False,
        "type": level == "type",
        "instance": level == "instance",
        "parameter": [*parameters, {"name": "return", "use": "out", "min": 1, "max": "1", "type": result}],
    }
    if not changes:
        del found["affectsState"]
    return found


CLAIM = _definition(
    "claim",
    "领取任务",
    "Accept a work task (or an order's task) for oneself. One of parallel claims wins; the others are told the department that did.",
    ["Task"],
    [_in("owner", "Reference")],
    result="Task",
)
RELEASE = _definition(
    "release",
    "释放任务",
    "Give a claimed task back: it is cancelled (failed once it began), and a new one takes its place, with the draft.",
    ["Task"],
    [_in("reason", "string")],
    result="Task",
)
ASSIGN = _definition(
    "assign",
    "指派任务",
    "The dispatcher gives a task to a reader; one that was claimed is released first.",
    ["Task"],
    [_in("owner", "Reference", 1)],
    result="Task",
)
WORKLIST = _definition(
    "worklist",
    "工作列表",
    "Open tasks, the most urgent first, then by their time limit, with their orders; page by page.",
    ["Task"],
    [
        _in("owner", "string", high="*"),
        _in("code", "code", high="*"),
        _in("category", "code", high="*"),
        _in("status", "code", high="*"),
        _in("priority", "code", high="*"),
        _in("phase", "code", high="*"),
        _in("patient", "string"),
        _in("overdue", "boolean"),
        _in("due-before", "dateTime"),
        _in("mine", "boolean"),
        _in("count", "positiveInt"),
        _in("cursor", "string"),
    ],
    result="Bundle",
    level="type",
    changes=False,
)
SIGN = _definition(
    "sign",
    "签发报告",
    "Verify and sign a report: it becomes final, with the signature in a Provenance, and goes to the placer.",
    ["DiagnosticReport"],
    [_in("comment", "string")],
    result="DiagnosticReport",
)
AMEND = _definition(
    "amend",
    "修订报告",
    "Change an issued report: amended, corrected or appended, signed anew; everybody who saw the earlier version is told.",
    ["DiagnosticReport"],
    [
        _in("status", "code"),
        _in("conclusion", "string"),
        _in("report", "DiagnosticReport"),
        _in("reason", "string", 1),
    ],
    result="DiagnosticReport",
)
WITHDRAW = _definition(
    "withdraw",
    "撤回报告",
    "Withdraw an issued report (entered-in-error); everybody who saw it is told.",
    ["DiagnosticReport"],
    [_in("reason", "string", 1)],
    result="DiagnosticReport",
)
RECALL = _definition(
    "recall",
    "召回",
    "Ask everybody who saw a result to acknowledge a notice about it; the answer tells who they are.",
    ["DiagnosticReport", "Observation", "ImagingStudy"],
    [_in("reason", "string", 1)],
    result="Parameters",
)
VERIFY_SIGNATURE = _definition(
    "verify-signature",
    "验签",
    "Check the signature of a report's current version against its content.",
    ["DiagnosticReport"],
    [],
    result="Parameters",
    changes=False,
)
ROUTE = _definition(
    "route",
    "分派申请",
    "Send an order to a centre (the one that is named, else by the rules): one that had none, or that its centre rejected.",
    ["ServiceRequest"],
    [_in("performer", "Reference")],
    result="Task",
)
STATISTICS = _definition(
    "statistics",
    "中心统计",
    "Counts, turnaround and time limits of orders by month, centre and category, recomputed from the tasks.",
    ["Task"],
    [_in("month", "string"), _in("owner", "string"), _in("category", "code")],
    result="Parameters",
    level="type",
    changes=False,
)
