"""A corrected report opens the decisions on its earlier version again, and tells those who used it (MR-004, MR-029).

Everything goes into the commit of the correction itself: no moment in which the new version is there and the old
decision still stands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from conformance.recognition.names import CHANGED
from conformance.recognition.record import code_value, codings, reference_of, references
from conformance.recognition.reminder import WITHDRAWN, Held, Occasion, to_reminder
from conformance.recognition.rules.report import DECISION_CODE
from gateway.recognition.decision import TASK_CODE, C
from gateway.store.protocol import OutboxRow
from terminology.fhirjson import Json

USED = frozenset({"accept", "reject"})


@dataclass(frozen=True, slots=True)
class Reopening:
    """What a correction adds to its commit: Tasks and reminders to write, rows to tell."""

    resources: tuple[Json, ...] = ()
    outbox: tuple[OutboxRow, ...] = ()


def is_correction(resource: Json) -> bool:
    """Return whether a resource is a result or report in a corrected (or withdrawn) state."""
    return resource.get("resourceType") in ("Observation", "DiagnosticReport") and (
        resource.get("status") in CHANGED or resource.get("status") == WITHDRAWN
    )


def concerned(report: Json) -> list[str]:
    """Return the results whose decisions a correction touches: itself, and what a report holds."""
    held = references(report, "result") if report["resourceType"] == "DiagnosticReport" else []
    return [reference_of(report), *held]


def standing(tasks: Iterable[Json]) -> list[Json]:
    """Return the decisions that hold now: of each result, order and organisation the newest, if it used the result."""
    newest: dict[tuple[str, str, str], Json] = {}
    for task in sorted(tasks, key=lambda task: (str(task.get("authoredOn", "")), str(task.get("id", "")))):
        action = code_value(task.get("businessStatus"))
        is_ours = any(coding.get("code") == DECISION_CODE for coding in codings(task.get("code")))
        if is_ours and action != "viewed":
            newest[_key(task)] = task
    return [task for task in newest.values() if code_value(task.get("businessStatus")) in USED]


def users(tasks: Iterable[Json]) -> list[str]:
    """Return the organisations whose decisions stand on these results (whom a recall has to reach)."""
    return list(dict.fromkeys(owner for task in standing(tasks) for owner in references(task, "owner")))


def reopen(
    corrected: Json, version: int, tasks: Iterable[Json], versions: Mapping[str, int], *, at: datetime
) -> Reopening:
    """Return what the correction of `corrected` (to `version`) adds; the recall itself is the workflow's.

    `tasks`: the decisions on the results that it touches; `versions`: the version that each of those results will have.
    """
    focus = f"{reference_of(corrected)}/_history/{version}"
    resources: list[Json] = []
    outbox: list[OutboxRow] = []
    for task in standing(tasks):
        opened = _opened(task, focus, versions, at)
        resources.append(opened)
        payload = {
            "focus": f"Task/{opened['id']}/_history/1",
            "receivers": references(task, "owner"),
            "reason": "reopened",
            "at": at.isoformat(),
        }
        outbox.append(OutboxRow("recognition", _patient(task), payload))
        resources.append(_reminder(corrected, version, task, at))
    return Reopening(tuple({row["id"]: row for row in resources}.values()), tuple(outbox))


def _opened(task: Json, focus: str, versions: Mapping[str, int], at: datetime) -> Json:
    """The decision asked again: on the version that now is, with the earlier decision as its part."""
    result = _plain(task)
    seen = f"{result}/_history/{versions[result]}" if result in versions else result
    found: Json = {
        "resourceType": "Task",
        "id": f"mr-{sha256('|'.join((task['id'], seen)).encode()).hexdigest()[:40]}",
        "status": "in-progress",
        "businessStatus": {
            "coding": [{"system": f"{C}recognition-action", "code": "reopened", "display": "重新决定"}]
        },
        "intent": "order",
        "code": TASK_CODE,
        "focus": {"reference": seen},
        "partOf": [{"reference": f"Task/{task['id']}"}],
        "authoredOn": at.isoformat(),
        "lastModified": at.isoformat(),
        "reasonReference": {"reference": focus},
        "reasonCode": {"text": "报告已更正，请重新决定 The report was corrected; decide again"},
    }
    return found | {
        name: task[name] for name in ("for", "basedOn", "requester", "owner", "encounter") if name in task
    }


def _reminder(corrected: Json, version: int, task: Json, at: datetime) -> Json:
    seen = corrected | {"meta": {**(corrected.get("meta") or {}), "versionId": str(version)}}
    order = next(iter(references(task, "basedOn")), "")
    occasion = Occasion(
        "correction", _patient(task), order or f"Task/{task['id']}", at,
        encounter=next(iter(references(task, "encounter")), None),
        doctor=next(iter(references(task, "requester")), None),
        organization=next(iter(references(task, "owner")), None),
    )  # fmt: skip
    reminder = to_reminder(Held(seen, ()), occasion)
    withdrawn = corrected.get("status") == WITHDRAWN
    text = (
        "所用报告已作废 the report was withdrawn" if withdrawn else "所用报告已更正 the report was corrected"
    )
    return reminder | {"payload": [{"contentString": text}], "partOf": [{"reference": f"Task/{task['id']}"}]}


def _key(task: Json) -> tuple[str, str, str]:
    return (
        _plain(task),
        next(iter(references(task, "basedOn")), ""),
        next(iter(references(task, "owner")), ""),
    )


def _plain(task: Json) -> str:
    return next(iter(references(task, "focus")), "")


def _patient(task: Json) -> str:
    return next(iter(references(task, "for") or references(task, "subject")), "")
