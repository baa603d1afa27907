"""A played script as a TestReport (https://hl7.org/fhir/R4/testreport.html)."""

from collections.abc import Sequence
from typing import Any

from conformance.testing.result import Result, State, Step
from terminology.fhirjson import Json
from terminology.issues import Language

_RESULTS: dict[State, str] = {
    "pass": "pass",
    "fail": "fail",
    "error": "error",
    "not-evaluated": "skip",
    "not-applicable": "skip",
    "waived": "warning",
    "attested": "pass",
}


def to_test_report(
    results: Sequence[Result],
    *,
    script: str,
    target: str,
    issued: str,
    setup: Sequence[Step] = (),
    teardown: Sequence[Step] = (),
    language: Language = "zh",
) -> Json:
    """Return the TestReport of one script; `issued` is an instant.

    The whole passes only when every test passed; what was not evaluated makes it fail (Hutong: a skip is no pass).
    """
    passed = sum(1 for row in results if row.state == "pass")
    report: Json = {
        "resourceType": "TestReport",
        "status": "completed",
        "testScript": {"display": script},
        "result": "pass" if results and passed == len(results) else "fail",
        "score": round(100 * passed / len(results), 1) if results else 0,
        "tester": "Hutong",
        "issued": issued,
        "participant": [{"type": "server", "uri": target}],
        "test": [
            {"name": row.id, "description": row.zh if language == "zh" else row.en, "action": actions}
            for row in results
            if (actions := [_action(step, language) for step in row.steps])
        ],
    }
    if setup:
        report["setup"] = {"action": [_action(step, language) for step in setup]}
    if teardown:
        report["teardown"] = {"action": [{"operation": _told(step, language)} for step in teardown]}
    if not report["test"]:
        del report["test"]
    return report


def _action(step: Step, language: Language) -> Json:
    kind = (
        "operation"
        if step.kind in ("operation", "request", "send", "receive", "wait", "upload")
        else "assert"
    )
    return {kind: _told(step, language)}


def _told(step: Step, language: Language) -> Json:
    result = "warning" if step.warns and step.state != "pass" else _RESULTS[step.state]
    told: dict[str, Any] = {"result": result}
    message = "; ".join(f"{issue.code} {issue.text(language)}" for issue in step.issues)
    if message or step.name:
        told["message"] = f"{step.name}: {message}" if message else step.name
    return told
