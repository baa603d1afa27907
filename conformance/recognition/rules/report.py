"""MR-003 final and signed (by a physician, where a machine made it), MR-004 corrected, MR-031 conclusion."""

from conformance.recognition.case import Case
from conformance.recognition.names import CHANGED, FINAL, MACHINE_SOURCES, RESULT_SOURCE
from conformance.recognition.record import code_value, codings, reference_of, references
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json

DECISION_CODE = "mutual-recognition"


def statuses(case: Case) -> list[str]:
    return [resource.get("status", "") for resource in (case.report, case.result) if resource is not None]


def final_and_signed(case: Case) -> RuleResult | None:
    unfinished = next((status for status in statuses(case) if status not in FINAL), None)
    if unfinished is not None:
        return judge("MR-003", "fail", "status", input=unfinished, limit=", ".join(sorted(FINAL)))
    holder = case.report or case.result
    is_signed = holder.get("resultsInterpreter") or holder.get("performer")
    if not is_signed or not (holder.get("issued") or case.result.get("issued")):
        return judge("MR-003", "fail", "unsigned", input=reference_of(holder))
    source = machine_source(case)
    if source is not None and not _has_physician(case):
        return judge("MR-003", "fail", "machine", input=source)
    return judge("MR-003", "pass", input=statuses(case)[0])


def machine_source(case: Case) -> str | None:
    """Return what tells that no person made the result: its source tag (ai, wearable, self-measured) or an AI device."""
    for row in (case.result, case.report):
        for tag in ((row or {}).get("meta") or {}).get("tag") or ():
            if tag.get("system") == RESULT_SOURCE and tag.get("code") in MACHINE_SOURCES:
                return str(tag["code"])
    device = case.record.resolve(case.result.get("device"), case.result)
    codes = {coding.get("code") for coding in codings((device or {}).get("type"))}
    return next((code for code in sorted(MACHINE_SOURCES) if code in codes), None)


def _has_physician(case: Case) -> bool:
    """Whether a person of the health service interpreted or answers for it; an organisation alone is none."""
    rows = [case.result] if case.report is None else [case.report, case.result]
    named = [
        held
        for row in rows
        for held in (*references(row, "resultsInterpreter"), *references(row, "performer"))
    ]
    return any(held.startswith(("Practitioner/", "PractitionerRole/")) for held in named)


def corrected(case: Case) -> RuleResult | None:
    changed = next((status for status in statuses(case) if status in CHANGED), None)
    if changed is None:
        return judge("MR-004", "pass", input=statuses(case)[0])
    if _has_decision_on_this_version(case):
        return judge("MR-004", "pass", input=changed)
    return judge("MR-004", "warn", input=changed)


def conclusion(case: Case) -> RuleResult | None:
    """The conclusion is shown and is no part of what is recognised (管理办法 art. 3)."""
    if case.report is None or not (case.report.get("conclusion") or case.report.get("conclusionCode")):
        return None
    return judge("MR-031", "pass")


def _has_decision_on_this_version(case: Case) -> bool:
    """A decision Task of the requester's organisation whose focus is this version of the result or of its report."""
    wanted = {
        f"{reference_of(row)}/_history/{(row.get('meta') or {}).get('versionId')}"
        for row in (case.result, case.report)
        if row is not None
    }
    requester = reference_of(case.question.requester) if case.question.requester else None
    own = [
        task
        for task in case.record.of("Task")
        if any(coding.get("code") == DECISION_CODE for coding in codings(task.get("code")))
        and (task.get("status") in ("completed", "rejected") or _is_reopened(task))
        and code_value(task.get("businessStatus")) != "viewed"
        and any((task.get("focus") or {}).get("reference", "").endswith(version) for version in wanted)
        and (requester is None or requester in (*references(task, "owner"), *references(task, "requester")))
    ]
    # A revocation takes back what was decided before it; the newest word counts.
    newest = max(own, key=lambda task: str(task.get("authoredOn", "")), default=None)
    return newest is not None and code_value(newest.get("businessStatus")) not in ("revoke", "reopened")


def _is_reopened(task: Json) -> bool:
    """A correction asks again: also where the value itself is unchanged and only its report was corrected."""
    return code_value(task.get("businessStatus")) == "reopened"
