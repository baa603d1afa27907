"""The physician's decision on an earlier result, as resources (《管理办法》: 以接诊医师判断为标准)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from conformance.recognition import Packs
from conformance.recognition.rules.report import DECISION_CODE
from terminology.fhirjson import Json
from terminology.issues import InvalidResource

Action = Literal["accept", "reject", "revoke", "viewed"]
ACTIONS: tuple[Action, ...] = ("accept", "reject", "revoke", "viewed")

C = "https://hutong.health/fhir/CodeSystem/"
TASK_CODE = {"coding": [{"system": f"{C}task-code", "code": DECISION_CODE, "display": "检查检验结果互认"}]}
STATUS: dict[Action, str] = {
    "accept": "completed",
    "reject": "rejected",
    "revoke": "completed",
    "viewed": "completed",
}
WORDS: dict[Action, str] = {"accept": "认可", "reject": "不认可", "revoke": "撤销", "viewed": "已查看"}


@dataclass(frozen=True, slots=True)
class Decision:
    """`result` is a versioned reference (Observation/1/_history/2): a decision is about what the physician saw.

    `source`: the institution that made it, `mark`: its recognition mark; both stay with an accepted result (MR-030).
    `doctor`: who decided, where he has no record here (number and name as they came); `remark`: a listed reason in the
    sender's words, kept beside it.
    """

    patient: str
    result: str
    action: Action
    at: datetime
    order: str | None = None
    reason: Json | None = None
    note: str | None = None
    practitioner: str | None = None
    organization: str | None = None
    encounter: str | None = None
    source: str | None = None
    mark: str | None = None
    doctor: Json | None = None
    remark: str | None = None


def check_reason(decision: Decision, packs: Packs) -> None:
    """Raise InvalidResource HT-MR-08 for a reject without a listed reason, HT-MR-09 for free text beside another than 07, 08."""
    if decision.action != "reject":
        return
    code = (decision.reason or {}).get("code")
    listed = packs.reasons()
    if code not in listed:
        raise InvalidResource(
            "HT-MR-08",
            value=code or "—",
            allowed=", ".join(listed),
            expression="Parameters.parameter.where(name='reason')",
        )
    if decision.note and not listed[code].get("free_text"):
        free = ", ".join(key for key, row in listed.items() if row.get("free_text"))
        raise InvalidResource(
            "HT-MR-09", value=code, allowed=free, expression="Parameters.parameter.where(name='note')"
        )


def to_resources(decision: Decision, packs: Packs, ids: tuple[str, str, str]) -> tuple[Json, Json, Json]:
    """Return Task, DetectedIssue and Provenance with the given ids; check_reason came before."""
    task_id, issue_id, provenance_id = ids
    at = decision.at.isoformat()
    task: Json = {
        "resourceType": "Task",
        "id": task_id,
        "status": STATUS[decision.action],
        "businessStatus": {
            "coding": [
                {
                    "system": f"{C}recognition-action",
                    "code": decision.action,
                    "display": WORDS[decision.action],
                }
            ]
        },
        "intent": "order",
        "code": TASK_CODE,
        "focus": {"reference": decision.result},
        "for": {"reference": decision.patient},
        "authoredOn": at,
        "lastModified": at,
    }
    if decision.order:
        task["basedOn"] = [{"reference": decision.order}]
    if decision.practitioner:
        task["requester"] = {"reference": decision.practitioner}
    elif decision.doctor:
        task["requester"] = decision.doctor
    if decision.organization:
        task["owner"] = {"reference": decision.organization}
    if decision.reason:
        listed = packs.reason(decision.reason.get("code", "")) or {}
        coding = {"system": f"{C}recognition-reason", "display": listed.get("zh", "")} | decision.reason
        task["statusReason"] = {"coding": [coding]} | ({"text": decision.note} if decision.note else {})
    if decision.remark:
        task["note"] = [{"text": decision.remark}]
    if decision.encounter:
        task["encounter"] = {"reference": decision.encounter}
    if decision.action == "accept":
        task |= _copied(decision)
    issue: Json = {
        "resourceType": "DetectedIssue",
        "id": issue_id,
        "status": "final",
        "code": {
            "coding": [
                {"system": f"{C}detected-issue", "code": "duplicate-examination", "display": "重复检查检验"}
            ]
        },
        "patient": {"reference": decision.patient},
        "identifiedDateTime": at,
        "implicated": [
            {"reference": reference} for reference in (decision.result, decision.order) if reference
        ],
        "mitigation": [
            {"action": task["businessStatus"], "date": at}
            | ({"author": {"reference": decision.practitioner}} if decision.practitioner else {})
        ],
    }
    return task, issue, _provenance(decision, packs, provenance_id, (task_id, issue_id))


def _copied(decision: Decision) -> Json:
    """MR-030: the result enters the visit by reference, with its institution and mark; nothing is made to be charged."""
    found: Json = {
        "output": [
            {
                "type": {
                    "coding": [
                        {"system": f"{C}task-output", "code": "recognised-result", "display": "互认结果"}
                    ]
                },
                "valueReference": {"reference": decision.result},
            }
        ]
    }
    inputs: list[Json] = []
    if decision.source:
        inputs.append({"type": {"text": "来源机构 source"}, "valueReference": {"reference": decision.source}})
    if decision.mark:
        inputs.append({"type": {"text": "互认标识 mark"}, "valueCode": decision.mark})
    return found | ({"input": inputs} if inputs else {})


def _provenance(decision: Decision, packs: Packs, id: str, targets: tuple[str, str]) -> Json:
    at = decision.at.isoformat()
    task_id, issue_id = targets
    who = (
        {"reference": decision.practitioner}
        if decision.practitioner
        else decision.doctor
        or ({"reference": decision.organization} if decision.organization else {"display": "unknown"})
    )
    agent: Json = {"who": who}
    if decision.practitioner and decision.organization:
        agent["onBehalfOf"] = {"reference": decision.organization}
    return {
        "resourceType": "Provenance",
        "id": id,
        "target": [{"reference": f"Task/{task_id}"}, {"reference": f"DetectedIssue/{issue_id}"}],
        "recorded": at,
        "activity": {"text": f"互认{WORDS[decision.action]} recognition {decision.action}"},
        "policy": [
            f"https://hutong.health/fhir/recognition-pack/{name.replace('|', '/')}" for name in packs.names()
        ],
        "agent": [agent],
        "entity": [{"role": "source", "what": {"reference": decision.result}}],
    }
