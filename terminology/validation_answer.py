"""The Parameters that $validate-code answers with."""

from dataclasses import dataclass, field
from typing import Any

from terminology.check import Check
from terminology.coded import Coded
from terminology.fhirjson import Json
from terminology.outcome import Findings, TerminologyProblem, outcome
from terminology.scope import Scope


@dataclass
class Answer:
    """The parts of the result that come from the coding that is echoed."""

    system: str | None = None
    code: str | None = None
    version: str | None = None
    display: str | None = None
    path: str | None = None
    tried: Json = field(default_factory=dict)


def answer_of(scope: Scope, coded: Coded, check: Check, answer: Answer, *, is_found: bool | None) -> Json:
    is_concept = coded.kind == "codeableConcept"
    is_valid = is_found is True and not check.findings.has_errors
    tried = {} if is_concept else answer.tried
    rows: list[Json] = [{"name": "result", "valueBoolean": is_valid}]
    system = answer.system or (check.implied_system if is_found is True else None) or tried.get("system")
    if system:
        rows.append({"name": "system", "valueUri": system})
    cause = "x-unknown-system" if is_found is False else "x-caused-by-unknown-system"
    if not is_valid:
        rows.extend({"name": cause, "valueCanonical": unknown} for unknown in check.unknown_systems)
    if check.normal_form:
        rows.append({"name": "normalized-code", "valueCode": check.normal_form})
    code = answer.code or tried.get("code")
    if code:
        rows.append({"name": "code", "valueCode": code})
    version = answer.version or tried.get("version")
    if version and not (is_concept and answer.code is None):
        rows.append({"name": "version", "valueString": version})
    if answer.display and code:
        rows.append({"name": "display", "valueString": answer.display})
    _add_status(scope, coded, check, answer, rows)
    for text in check.findings.error_texts():
        check.say(text)
    if check.messages:
        rows.append({"name": "message", "valueString": "; ".join(sorted(check.messages))})
    if is_concept:
        rows.append({"name": "codeableConcept", "valueCodeableConcept": coded.concept})
    if check.findings.issues:
        rows.append({"name": "issues", "resource": outcome(check.findings.issues)})
    return {"resourceType": "Parameters", "parameter": rows}


def _add_status(scope: Scope, coded: Coded, check: Check, answer: Answer, rows: list[Json]) -> None:
    """Report that the code is inactive or deprecated."""
    status = check.status
    if check.is_inactive:
        # Of a CodeableConcept the inactive coding may be another one than the one that is echoed.
        if coded.kind != "codeableConcept" or (answer.code and check.inactive_path == answer.path):
            rows.append({"name": "inactive", "valueBoolean": True})
            if status and status != "inactive":
                rows.append({"name": "status", "valueCode": status})
        is_plain = status in ("inactive", "DISCOURAGED")
        message_id = "INACTIVE_CONCEPT_FOUND" if is_plain else "INACTIVE_CONCEPT_FOUND_ADD"
        values: tuple[Any, ...] = (status, check.inactive_code, "inactive")
        path = check.inactive_path or "code"
    elif status and status.lower() == "deprecated":
        rows.append({"name": "status", "valueCode": "deprecated"})
        message_id, values = "DEPRECATED_CONCEPT_FOUND", (status, answer.tried.get("code"))
        path = coded.root or "code"
    else:
        return
    shown_id = "INACTIVE_CONCEPT_FOUND" if check.is_inactive else message_id
    issue = scope.issue(
        "warning", "business-rule", "code-comment", message_id, *values, path=path, shown_id=shown_id
    )
    check.say(issue.text)
    check.findings.add(issue)


def unprepared(scope: Scope, coded: Coded, problem: TerminologyProblem) -> Json:
    """The value set could not be evaluated at all: the answer is no, and the issue says why."""
    findings = Findings(list(problem.problems))
    rows: list[Json] = [
        {"name": "result", "valueBoolean": False},
        {"name": "message", "valueString": findings.issues[0].text},
        {"name": "issues", "resource": outcome(findings.issues)},
    ]
    if coded.kind == "codeableConcept":
        rows.append({"name": "codeableConcept", "valueCodeableConcept": coded.concept})
    elif coded.codings:
        coding = coded.codings[0]
        if coding.get("system"):
            rows.append({"name": "system", "valueUri": coding["system"]})
            found = scope.code_system(coding["system"], coding.get("version"))
            version = coding.get("version") or (found.version if found is not None else None)
            if version:
                rows.append({"name": "version", "valueString": version})
        if coding.get("code"):
            rows.append({"name": "code", "valueCode": coding["code"]})
    if problem.unknown_system:
        rows.append({"name": "x-caused-by-unknown-system", "valueCanonical": problem.unknown_system})
    return {"resourceType": "Parameters", "parameter": rows}
