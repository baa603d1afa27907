"""Issues of terminology operations: in the answer of $validate-code, or as the reason why there is none.

They carry the ecosystem's tx-issue-type and message id, so that clients can act on them
(https://hl7.org/fhir/uv/tx-ecosystem/). Problems of the request itself are ordinary `terminology.issues` errors.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from terminology.fhirjson import Json
from terminology.issues import FhirError, Language, Severity
from terminology.messages import message

ISSUE_TYPE = "http://hl7.org/fhir/tools/CodeSystem/tx-issue-type"
MESSAGE_ID = "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id"

# The coding of issues that don't name one, by FHIR IssueType.
_DEFAULT_KIND = {
    "not-found": "not-found",
    "code-invalid": "invalid-code",
    "business-rule": "business-rule",
    "not-supported": "not-supported",
}


@dataclass(frozen=True)
class TxIssue:
    """One issue. `type` is a FHIR IssueType, `kind` a tx-issue-type ("" = none), `path` FHIRPath in the input."""

    severity: Severity
    type: str
    kind: str
    message_id: str
    text: str
    path: str | None = None
    diagnostics: str | None = None

    def as_json(self) -> Json:
        row: Json = {}
        if self.message_id:
            row["extension"] = [{"url": MESSAGE_ID, "valueString": self.message_id}]
        row["severity"] = self.severity
        row["code"] = self.type
        row["details"] = {"text": self.text}
        if self.kind:
            row["details"] = {"coding": [{"system": ISSUE_TYPE, "code": self.kind}], "text": self.text}
        if self.diagnostics:
            row["diagnostics"] = self.diagnostics
        if self.path:
            row["expression"] = [self.path]
        return row


def tx_issue(
    severity: Severity,
    type: str,
    kind: str,
    message_id: str,
    *values: object,
    path: str | None = None,
    language: Language = "en",
    shown_id: str | None = None,
) -> TxIssue:
    """Return an issue with the sentence of a message id; `shown_id` when clients know it under another one."""
    return TxIssue(severity, type, kind, shown_id or message_id, message(message_id, language, *values), path)


class TerminologyProblem(FhirError):
    """The operation has no answer: a value set that cannot be found or evaluated, an expansion too large.

    `status` is the HTTP status. `in_answer`: $validate-code reports it as `result = false` with issues instead.
    `unknown_system`: the canonical whose absence caused it.
    """

    def __init__(
        self,
        *problems: TxIssue,
        status: int = 422,
        in_answer: bool = False,
        unknown_system: str | None = None,
    ) -> None:
        super().__init__(())
        self.problems = problems
        self.status = status
        self.in_answer = in_answer
        self.unknown_system = unknown_system
        self.args = ("; ".join(problem.text for problem in problems),)

    def outcome(self) -> Json:
        return outcome(self.problems)


def outcome(problems: Iterable[TxIssue]) -> Json:
    return {"resourceType": "OperationOutcome", "issue": [problem.as_json() for problem in problems]}


@dataclass
class Findings:
    """The issues of one $validate-code, in the order in which they were found."""

    issues: list[TxIssue] = field(default_factory=list)

    def add(self, issue: TxIssue) -> None:
        self.issues.append(issue)

    def add_new(self, issue: TxIssue) -> bool:
        """Add an issue unless one with the same text is there; say whether it was added."""
        if any(known.text == issue.text for known in self.issues):
            return False
        self.issues.append(issue)
        return True

    @property
    def has_errors(self) -> bool:
        return any(issue.severity == "error" for issue in self.issues)

    def error_texts(self) -> list[str]:
        return [issue.text for issue in self.issues if issue.severity == "error"]

    def replace(self, old: TxIssue, **changes: str) -> TxIssue:
        """Put a changed copy in the place of an issue and return it."""
        new = replace(old, **changes)  # type: ignore[arg-type]  # the callers name fields of TxIssue
        self.issues[self.issues.index(old)] = new
        return new
