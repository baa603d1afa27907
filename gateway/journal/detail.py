"""What the journal tells of a message, as JSON: issues in both languages, resources, map, charset, unread fields."""

from terminology.fhirjson import Json
from terminology.issues import Issue


def issue_row(issue: Issue) -> Json:
    """Return one issue as the journal keeps it."""
    row: Json = {
        "code": issue.code,
        "severity": issue.severity,
        "zh": issue.text("zh"),
        "en": issue.text("en"),
        "fix_zh": issue.fix("zh"),
        "fix_en": issue.fix("en"),
    }
    if issue.source:
        row["source"] = issue.source
    if issue.expression:
        row["expression"] = issue.expression
    return row
