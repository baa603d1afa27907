"""Rows of a mapping project as FHIR Tasks, for worklists that speak FHIR (https://hl7.org/fhir/R4/task.html)."""

from gateway.workbench.projects import LocalRow, Project
from gateway.workbench.state import NAMES
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"

# What the state of a row means for who has to act: nobody yet, an author, a reviewer, a third person.
STATUS = {
    "unmapped": "requested", "stale": "requested", "draft": "in-progress", "submitted": "in-progress",
    "conflict": "on-hold", "approved": "completed", "rejected": "rejected",
}  # fmt: skip


def to_task(project: Project, row: LocalRow) -> Json:
    """Return the Task of one local code; `businessStatus` is the workbench's own state, `output` the decided target."""
    task: Json = {
        "resourceType": "Task",
        "identifier": [{"system": f"{project.source}/mapping", "value": row.local.code}],
        "status": STATUS[row.state],
        "businessStatus": {
            "coding": [{"system": f"{C}mapping-state", "code": row.state, "display": NAMES[row.state]}]
        },
        "intent": "order",
        "code": {"coding": [{"system": f"{C}task-code", "code": "map-code", "display": "对码"}]},
        "description": f"{row.local.code} {row.local.name} {row.local.strength}".rstrip(),
        "input": [
            {
                "type": {"text": "local"},
                "valueCoding": {"system": project.source, "code": row.local.code, "display": row.local.name},
            }
        ],
    }
    if row.target is not None:
        task["output"] = [
            {"type": {"text": row.relationship or "equivalent"}, "valueCoding": {"code": row.target}}
        ]
    if row.note:
        task["note"] = [{"text": row.note}]
    return task
