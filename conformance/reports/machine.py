"""A run document for other programs: JUnit XML, SARIF 2.1.0, FHIR TestReport."""

import json
from xml.sax.saxutils import escape, quoteattr

from terminology.fhirjson import Json
from terminology.issues import Language

_RESULTS = {"pass": "pass", "attested": "pass", "waived": "warning", "fail": "fail", "error": "error"}
_LEVELS = {"fail": "error", "error": "error", "not-evaluated": "warning"}


def to_junit(document: Json, language: Language = "zh") -> str:
    """Return JUnit XML: what was not evaluated is `skipped`, never a pass."""
    counts = document["counts"]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={quoteattr(document["target"])} tests="{len(document["results"])}" '
        f'failures="{counts.get("fail", 0)}" errors="{counts.get("error", 0)}" '
        f'skipped="{counts.get("not-evaluated", 0)}" timestamp={quoteattr(document["started"])}>',
    ]
    for row in document["results"]:
        name = quoteattr(f"{row['id']} {row[language]}")
        lines.append(
            f'  <testcase name={name} classname={quoteattr(",".join(row["roles"]))} time="{row["seconds"]}">'
        )
        tag = {"fail": "failure", "error": "error", "not-evaluated": "skipped"}.get(row["state"])
        if tag:
            text = _message(row, language)
            lines.append(f"    <{tag} message={quoteattr(text[:300])}>{escape(text)}</{tag}>")
        lines.append("  </testcase>")
    lines.append("</testsuite>")
    return "".join(char for char in "\n".join(lines) if char >= " " or char in "\n\t")


def to_sarif(document: Json, language: Language = "zh") -> str:
    """Return SARIF 2.1.0 with one result for each test that did not pass."""
    wrong = [row for row in document["results"] if row["state"] in _LEVELS]
    results = [
        {
            "ruleId": row["requirements"][0] if row["requirements"] else row["id"],
            "level": _LEVELS[row["state"]],
            "message": {"text": f"{row[language]}: {_message(row, language)}"},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": row["id"]}]}],
        }
        for row in wrong
    ]
    rules = [{"id": id} for id in sorted({str(row["ruleId"]) for row in results})]
    sarif = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "hutong conformance", "rules": rules}}, "results": results}],
    }
    return json.dumps(sarif, ensure_ascii=False, indent=2)


def to_test_report(document: Json, language: Language = "zh") -> Json:
    """Return the run as one TestReport (https://hl7.org/fhir/R4/testreport.html)."""
    results = document["results"]
    passed = sum(1 for row in results if row["state"] in ("pass", "attested"))
    tests = []
    for row in results:
        actions = []
        for step in row["steps"]:
            kind = "assert" if step["kind"] in ("expect", "validate", "attest", "assert") else "operation"
            text = "; ".join(issue[language] for issue in step.get("issues", ()))
            message = f"{step['name']}: {text}" if text else step["name"] or step["kind"]
            actions.append({kind: {"result": _RESULTS.get(step["state"], "skip"), "message": message}})
        tests.append({"name": row["id"], "description": row[language], "action": actions})
    return {
        "resourceType": "TestReport",
        "status": "completed",
        "testScript": {"display": f"Hutong {', '.join(document['roles'])} {document['suite_hash'][:12]}"},
        "result": "pass" if results and passed == len(results) else "fail",
        "score": round(100 * passed / len(results), 1) if results else 0,
        "tester": "Hutong",
        "issued": document["started"],
        "participant": [{"type": "server", "uri": "urn:hutong:target", "display": document["target"]}],
        "test": tests,
    }


def _message(row: Json, language: Language) -> str:
    issues = [issue for step in row["steps"] for issue in step.get("issues", ())]
    return (
        "\n".join(f"{one['code']} {one[language]} {one[f'fix_{language}']}" for one in issues) or row["state"]
    )
