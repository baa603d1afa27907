"""Everything that can go wrong, as values: one error tree, one wording.

A problem has a stable code `HT-<AREA>-<NN>`. Its sentences (zh, en, and how to fix it) stand once, in
`terminology/sentences/<area>.toml`; code names the code and fills the blanks. An expected "no" (a code outside a
value set) is a result, not one of these errors (docs/design.md, decision 10).
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

SENTENCES = Path(__file__).parent / "sentences"

Severity = Literal["fatal", "error", "warning", "information"]
Language = Literal["zh", "en"]


@dataclass(frozen=True)
class Sentence:
    """The wording of one code. `type` is a FHIR IssueType (https://hl7.org/fhir/R4/valueset-issue-type.html)."""

    type: str
    zh: str
    en: str
    fix_zh: str
    fix_en: str


@dataclass(frozen=True)
class Issue:
    """One problem, in no language yet.

    `expression`: FHIRPath in the input; `source`: the field of a message ("PID-8", an XPath, "line 3 column 7").
    """

    code: str
    values: dict[str, Any] = field(default_factory=dict)
    severity: Severity = "error"
    expression: str | None = None
    source: str | None = None

    @property
    def type(self) -> str:
        return sentence(self.code).type

    def text(self, language: Language = "zh") -> str:
        wording = sentence(self.code)
        return (wording.zh if language == "zh" else wording.en).format_map(self._said(language))

    def fix(self, language: Language = "zh") -> str:
        wording = sentence(self.code)
        return (wording.fix_zh if language == "zh" else wording.fix_en).format_map(self._said(language))

    def _said(self, language: Language) -> dict[str, Any]:
        """Return the values as a language says them: `human_zh` stands in for `human` in Chinese."""
        if language != "zh":
            return self.values
        chinese = {
            name.removesuffix("_zh"): value for name, value in self.values.items() if name.endswith("_zh")
        }
        return self.values | chinese


@cache
def sentences(area: str) -> dict[str, Sentence]:
    """Return the sentences of one area ("rest", "v2", …) by code."""
    with (SENTENCES / f"{area}.toml").open("rb") as file:
        return {code: Sentence(**row) for code, row in tomllib.load(file).items()}


def sentence(code: str) -> Sentence:
    """Return the wording of `code` ("HT-REST-01"); KeyError when nobody worded it."""
    return sentences(code.split("-")[1].lower())[code]


class FhirError(Exception):
    """Something a caller did or sent; becomes an OperationOutcome with all its issues, or a negative ACK."""

    severity: ClassVar[Severity] = "error"

    def __init__(
        self,
        code: str | Iterable[Issue],
        /,
        *,
        expression: str | None = None,
        source: str | None = None,
        **values: Any,
    ) -> None:
        self.issues: tuple[Issue, ...] = (
            (Issue(code, values, self.severity, expression, source),)
            if isinstance(code, str)
            else tuple(code)
        )
        super().__init__("; ".join(f"{issue.code} {issue.text('en')}" for issue in self.issues))

    def at(self, expression: str) -> "FhirError":
        """Return the same error with every issue placed under `expression` ("Bundle.entry[3]")."""
        placed = (
            replace(issue, expression=f"{expression}.{issue.expression}" if issue.expression else expression)
            for issue in self.issues
        )
        return type(self)(placed)


class InvalidInput(FhirError):
    """The request's URL, header or body cannot be read or breaks the rules of its format (400)."""


class InvalidResource(FhirError):
    """A readable resource breaks a rule of its type or profile (422)."""


class NotFound(FhirError):
    """Nothing is there and nothing was (404)."""


class Gone(FhirError):
    """It was there and is deleted (410)."""


class VersionConflict(FhirError):
    """Another write came first, or an identity is taken (409)."""


class BusinessRule(FhirError):
    """Well-formed, and not allowed in the present state (409)."""


class PreconditionFailed(FhirError):
    """If-Match, If-None-Match or a condition with several matches (412)."""


class NotAllowed(FhirError):
    """The interaction does not exist here (405)."""


class NotAcceptable(FhirError):
    """No answer in the asked format (406)."""


class UnsupportedMedia(FhirError):
    """The body comes in a format we do not read (415)."""


class TooLarge(FhirError):
    """Size, depth, count or time over the limit (413)."""


class TooCostly(FhirError):
    """The answer would be larger or slower than the limit allows (422 `too-costly`)."""


class LoginRequired(FhirError):
    """No valid credentials (401)."""


class Forbidden(FhirError):
    """Known, and not permitted (403)."""


class Throttled(FhirError):
    """Too many requests (429)."""


class Unavailable(FhirError):
    """A part that the answer needs is out of reach now (503)."""


class MalformedMessage(FhirError):
    """Bytes that are not a message of the declared format (AR / 400)."""


class UnmappableMessage(FhirError):
    """A readable message that lacks what its mapping needs (AE / 422)."""
