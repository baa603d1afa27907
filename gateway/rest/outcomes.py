"""One table: error class → HTTP status, and issues → OperationOutcome (docs/design.md §4).

https://hl7.org/fhir/R4/operationoutcome.html, http.html#Status-Codes
"""

import re
from collections.abc import Iterable

from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json
from terminology.issues import (
    BusinessRule,
    FhirError,
    Forbidden,
    Gone,
    InvalidInput,
    InvalidResource,
    Issue,
    Language,
    LoginRequired,
    MalformedMessage,
    NotAcceptable,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    Throttled,
    TooCostly,
    TooLarge,
    Unavailable,
    UnmappableMessage,
    UnsupportedMedia,
    VersionConflict,
)
from terminology.outcome import TerminologyProblem

STATUS: dict[type[FhirError], int] = {
    FhirError: 400,
    InvalidInput: 400,
    InvalidResource: 422,
    NotFound: 404,
    Gone: 410,
    VersionConflict: 409,
    BusinessRule: 409,
    PreconditionFailed: 412,
    NotAllowed: 405,
    NotAcceptable: 406,
    UnsupportedMedia: 415,
    TooLarge: 413,
    TooCostly: 422,
    LoginRequired: 401,
    Forbidden: 403,
    Throttled: 429,
    Unavailable: 503,
    MalformedMessage: 400,
    UnmappableMessage: 422,
    TerminologyProblem: 422,
}

CANONICAL = "https://hutong.health/fhir"
ISSUE_CODES = f"{CANONICAL}/CodeSystem/issue-code"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
FIX = f"{CANONICAL}/StructureDefinition/issue-fix"
DOCUMENTATION = f"{CANONICAL}/StructureDefinition/issue-documentation"
SOURCE = f"{CANONICAL}/StructureDefinition/issue-source"


def refuse(error: FhirError, request: Request, *, docs: str = "") -> Response:
    """Return the answer to an error: its class's status and all its issues."""
    response = Response(STATUS[type(error)], outcome(error.issues, request, docs=docs))
    if isinstance(error, NotAllowed) and (allowed := error.issues[0].values.get("allowed")):
        response.headers["Allow"] = str(allowed)
    return response


def outcome(issues: Iterable[Issue], request: Request, *, docs: str = "") -> Json:
    """Return the OperationOutcome of issues in the language that the request prefers.

    Each issue carries the other language, the way to repair it and the page that explains it as extensions.
    `docs` stands before "/docs/errors/…" when documentation is served from another place.
    """
    rows = [_issue(issue, request.language, request.request_id, docs) for issue in issues]
    return {"resourceType": "OperationOutcome", "language": request.language, "issue": rows}


# What no XML document can hold, and no log should (https://www.w3.org/TR/xml/#charsets).
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def _clean(text: str) -> str:
    """Return a text that quotes what a stranger sent, fit for JSON, XML and terminals."""
    return UNPRINTABLE.sub("\ufffd", text)


def _issue(issue: Issue, language: Language, request_id: str, docs: str) -> Json:
    other: Language = "en" if language == "zh" else "zh"
    extensions: list[Json] = [
        {"url": FIX, "valueString": _clean(issue.fix(language))},
        {"url": DOCUMENTATION, "valueUrl": f"{docs}/docs/errors/{issue.code}"},
    ]
    if issue.source:
        extensions.append({"url": SOURCE, "valueString": _clean(issue.source)})
    row: Json = {
        "extension": extensions,
        "severity": issue.severity,
        "code": issue.type,
        "details": {
            "coding": [{"system": ISSUE_CODES, "code": issue.code}],
            "text": _clean(issue.text(language)),
            "_text": {
                "extension": [
                    {
                        "url": TRANSLATION,
                        "extension": [
                            {"url": "lang", "valueCode": other},
                            {"url": "content", "valueString": _clean(issue.text(other))},
                        ],
                    }
                ]
            },
        },
    }
    if request_id:
        row["diagnostics"] = request_id
    if issue.expression:
        row["expression"] = [_clean(issue.expression)]
    return row
