"""The reminder of an earlier report, as Communication (MR-029): once per report, order and doctor, again after a correction.

Two triggers: at the visit (接诊历史提醒, searchType 1) the patient's history is shown, at the order (开单重复提醒,
searchType 2) what would be done twice. A reminder tells; the physician decides, and in an emergency nobody waits for it
(MR-022: the reason 04 is filled in).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from conformance.recognition.engine import Answer, Candidate
from conformance.recognition.names import CHANGED
from conformance.recognition.record import Record, code_value, codings, concept_text, reference_of, references
from conformance.recognition.rules.report import DECISION_CODE
from terminology.fhirjson import Json

Trigger = Literal["visit", "order", "correction"]

C = "https://hutong.health/fhir/CodeSystem/"
CATEGORY = "recognition-reminder"
WORDS: dict[Trigger, tuple[str, str]] = {
    "visit": ("接诊历史提醒", "history at the visit"),
    "order": ("开单重复提醒", "duplicate at the order"),
    "correction": ("报告更正提醒", "a corrected report"),
}
EMERGENCY_REASON = "04"
WITHDRAWN = "entered-in-error"


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a reminder is made. `focus`: the order or encounter; `doctor` and `organization`: who is reminded."""

    trigger: Trigger
    patient: str
    focus: str
    at: datetime
    encounter: str | None = None
    doctor: str | None = None
    organization: str | None = None
    is_emergency: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """One earlier report with those of its results that may stand in for what is ordered."""

    report: Json
    candidates: tuple[Candidate, ...]


def reports_of(answer: Answer, record: Record) -> list[Held]:
    """Return the reports behind the candidates that are worth a reminder (recognise, ask), best answer first."""
    found: dict[str, tuple[Json, list[Candidate]]] = {}
    for candidate in answer.candidates:
        if candidate.decision == "repeat":
            continue
        result = candidate.result
        holder = (
            result
            if result["resourceType"] == "DiagnosticReport"
            else next(iter(record.reports_of(result)), result)
        )
        found.setdefault(reference_of(holder), (holder, []))[1].append(candidate)
    return [Held(report, tuple(rows)) for report, rows in found.values()]


def reminder_id(report: Json, occasion: Occasion) -> str:
    """Return the id of the one reminder for report, order and doctor: the same question makes no second one.

    A corrected report is reminded of again, so its version is part of the key; a version that only touched meta is not.
    """
    is_changed = report.get("status") in CHANGED or report.get("status") == WITHDRAWN
    version = (report.get("meta") or {}).get("versionId", "") if is_changed else ""
    doctor = occasion.doctor or occasion.organization or ""
    key = "\n".join((reference_of(report), str(version), occasion.focus, doctor))
    return f"mr-{sha256(key.encode()).hexdigest()[:40]}"


def is_known(held: Held, occasion: Occasion, tasks: Iterable[Json]) -> bool:
    """Return whether the doctor has seen all of it: viewed at any time, or decided for this very order.

    What was seen before a correction has not been seen.
    """
    rows = sorted(tasks, key=lambda task: str(task.get("authoredOn", "")))
    return all(_is_seen(candidate.result, held.report, occasion, rows) for candidate in held.candidates)


def _is_seen(result: Json, report: Json, occasion: Occasion, tasks: Sequence[Json]) -> bool:
    seen: dict[str, bool] = {}
    for resource in (result, report):
        plain = reference_of(resource)
        current = f"{plain}/_history/{(resource.get('meta') or {}).get('versionId')}"
        is_changed = resource.get("status") in CHANGED
        for task in tasks:
            focus = str((task.get("focus") or {}).get("reference", ""))
            if focus.partition("/_history/")[0] != plain or not _is_his(task, occasion):
                continue
            if is_changed and not focus.endswith(current):
                continue
            action = code_value(task.get("businessStatus"))
            if action == "viewed":
                return True
            if occasion.focus in references(task, "basedOn"):
                seen[plain] = action not in ("revoke", "reopened")
    return any(seen.values())


def _is_his(task: Json, occasion: Occasion) -> bool:
    """Whether a decision is this doctor's: of the organisation, and of another doctor only when none is named."""
    if not any(coding.get("code") == DECISION_CODE for coding in codings(task.get("code"))):
        return False
    owners, doctors = references(task, "owner"), references(task, "requester")
    if occasion.organization and owners and occasion.organization not in owners:
        return False
    return not (occasion.doctor and doctors and occasion.doctor not in doctors)


def to_reminder(held: Held, occasion: Occasion) -> Json:
    """Return the Communication: what is there, until when it holds, and what the physician may do."""
    zh, en = WORDS[occasion.trigger]
    results = [{"reference": _versioned(row.result)} for row in held.candidates]
    about = (
        results
        if held.report["resourceType"] == "Observation"
        else [*results, {"reference": _versioned(held.report)}]
    )
    reminder: Json = {
        "resourceType": "Communication",
        "id": reminder_id(held.report, occasion),
        "status": "completed",
        "category": [
            {"coding": [{"system": f"{C}communication-category", "code": CATEGORY, "display": "互认提醒"}]}
        ],
        "subject": {"reference": occasion.patient},
        "topic": {
            "coding": [{"system": f"{C}recognition-trigger", "code": occasion.trigger, "display": zh}],
            "text": f"{zh} {en}",
        },
        "about": _unique(about),
        "sent": occasion.at.isoformat(),
        "payload": [{"contentString": _sentence(row, held.report)} for row in held.candidates[:20]],
    }
    if occasion.focus.startswith("ServiceRequest/"):
        reminder["basedOn"] = [{"reference": occasion.focus}]
    if occasion.encounter:
        reminder["encounter"] = {"reference": occasion.encounter}
    to = [{"reference": one} for one in (occasion.organization, occasion.doctor) if one]
    if to:
        reminder["recipient"] = to
    if occasion.is_emergency:
        reminder["priority"] = "stat"
        reminder["reasonCode"] = [
            {
                "coding": [{"system": f"{C}recognition-reason", "code": EMERGENCY_REASON}],
                "text": "急诊抢救，不需等待",
            }
        ]
    return reminder


def _sentence(candidate: Candidate, report: Json) -> str:
    item = (
        candidate.item.get("display")
        or concept_text(candidate.result.get("code"))
        or candidate.item.get("code", "")
    )
    done = report.get("issued") or candidate.result.get("issued") or ""
    until = f"，有效至 {candidate.valid_until:%Y-%m-%d}" if candidate.valid_until else ""
    word = {"recognise": "可互认", "ask": "请医师判断"}[candidate.decision]
    return f"{item}：{str(done)[:10]} 已有结果，{word}{until}"


def _versioned(resource: Json) -> str:
    version = (resource.get("meta") or {}).get("versionId")
    return f"{reference_of(resource)}/_history/{version}" if version else reference_of(resource)


def _unique(rows: Iterable[Json]) -> list[Json]:
    return list({row["reference"]: row for row in rows}.values())
