"""Compare an answer with an expected file of the terminology ecosystem, by the rules of HL7's runner.

`$…$` marks stand for kinds of values; `$optional$`, `$optional-properties$` and `$count-arrays$` loosen objects; the
order of arrays never matters.
"""

import base64
import re
from decimal import Decimal
from typing import Any

STRICT = False

KINDS = {
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "uuid": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "date": r"\d{4}(-\d\d(-\d\d(T.*)?)?)?",
    "semver": r"\d+\.\d+(\.\d+)?(-[A-Za-z0-9.-]+)?",
    "version": r".+",
    "url": r"(https?://|urn:).+",
    "token": r"[0-9A-Za-z_.\-]+",
    "string": r".+",
}

# Extensions that a comparison looks at; all others are scrubbed.
MANAGED = {
    "http://hl7.org/fhir/StructureDefinition/operationoutcome-message-id",
    "http://hl7.org/fhir/StructureDefinition/valueset-unclosed",
    "http://hl7.org/fhir/StructureDefinition/valueset-unclosed-reason",
    "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
    "http://hl7.org/fhir/StructureDefinition/valueset-supplement",
    "http://hl7.org/fhir/StructureDefinition/valueset-deprecated",
    "http://hl7.org/fhir/StructureDefinition/valueset-concept-definition",
    "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter",
    "http://hl7.org/fhir/StructureDefinition/valueset-label",
    "http://hl7.org/fhir/StructureDefinition/valueset-conceptOrder",
    "http://hl7.org/fhir/StructureDefinition/codesystem-alternate",
    "http://hl7.org/fhir/StructureDefinition/codesystem-label",
    "http://hl7.org/fhir/StructureDefinition/codesystem-conceptOrder",
    "http://hl7.org/fhir/StructureDefinition/coding-sctdescid",
    "http://hl7.org/fhir/StructureDefinition/itemWeight",
    "http://hl7.org/fhir/StructureDefinition/rendering-style",
    "http://hl7.org/fhir/StructureDefinition/rendering-xhtml",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status",
    "http://hl7.org/fhir/uv/application-feature/StructureDefinition/feature",
    "definition",
    "value",
    "name",
}


def scrub(value: Any) -> Any:
    """Return a tree without what no comparison looks at: narrative, meta, diagnostics, other extensions."""
    if isinstance(value, list):
        return [scrub(row) for row in value if not _is_noise(row)]
    if not isinstance(value, dict):
        return value
    cleaned = {}
    for name, inner in value.items():
        if name in ("meta", "diagnostics") or (name == "text" and isinstance(inner, dict) and "div" in inner):
            continue
        if name == "extension":
            inner = [row for row in inner if row.get("url") in MANAGED]
            if not inner:
                continue
        result = scrub(inner)
        if result != []:
            cleaned[name] = result
    if value.get("name") == "message" and isinstance(value.get("valueString"), str):
        cleaned["valueString"] = "; ".join(sorted(value["valueString"].split("; ")))
    return cleaned


def _is_noise(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if row.get("name") == "diagnostics":
        return True
    return "diagnostics" in row and "details" not in row and "severity" in row


class Comparison:
    """`modes` of the run; `version`: FHIR release of the server (4); `is_pattern`: extra content is allowed."""

    def __init__(self, modes: set[str], *, version: str = "4", is_pattern: bool = False) -> None:
        self.modes = modes
        self.version = version
        self.is_pattern = is_pattern

    def difference(self, expected: Any, actual: Any) -> str | None:
        """Return where and how an answer differs, None when it is as expected."""
        return self._compare(scrub(expected), scrub(actual), "$")

    def _compare(self, expected: Any, actual: Any, path: str) -> str | None:
        if isinstance(expected, dict):
            return self._object(expected, actual, path)
        if isinstance(expected, list):
            return self._array(expected, actual, path)
        if isinstance(expected, str) and isinstance(actual, str):
            return (
                None if matches_text(expected, actual) else f"{path}: expected {expected!r}, found {actual!r}"
            )
        if isinstance(expected, (int, float, Decimal)) and not isinstance(expected, bool):
            same = isinstance(actual, (int, float, Decimal)) and Decimal(str(expected)) == Decimal(
                str(actual)
            )
            return None if same else f"{path}: expected {expected}, found {actual}"
        if str(expected).lower() == str(actual).lower() and isinstance(actual, bool):
            return None  # some files write "true" for true
        return None if expected == actual else f"{path}: expected {expected!r}, found {actual!r}"

    def _object(self, expected: dict[str, Any], actual: Any, path: str) -> str | None:
        if not isinstance(actual, dict):
            return f"{path}: expected an object, found {actual!r}"
        optional = set(expected.get("$optional-properties$", ()))
        if "severity" in expected:
            # OperationOutcome.issue.location is deprecated; servers may repeat `expression` there or not.
            optional.add("location")
        counted = set(expected.get("$count-arrays$", ()))
        wanted = {name: value for name, value in expected.items() if not name.startswith("$")}
        for name, value in wanted.items():
            if name not in actual:
                if name in optional or "*" in optional or self._all_optional(value):
                    continue
                return f"{path}.{name}: missing"
            if name in counted:
                if len(value) != len(actual[name]):
                    return f"{path}.{name}: expected {len(value)} rows, found {len(actual[name])}"
                continue
            problem = self._compare(value, actual[name], f"{path}.{name}")
            if problem:
                return problem
        extra = set(actual) - set(wanted) - optional
        if extra and not self.is_pattern:
            return f"{path}: unexpected {sorted(extra)}: {[actual[name] for name in sorted(extra)]}"
        return None

    def _all_optional(self, value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(row, dict) and self._is_optional(row) for row in value
        )

    def _is_optional(self, row: dict[str, Any]) -> bool:
        mark = row.get("$optional$")
        if mark is None or mark is False:
            return False
        if mark is True or mark == "true":
            return True
        if mark.startswith("!"):
            return mark[1:] not in self.modes
        if mark.startswith("version:"):
            return mark.partition(":")[2][0] != self.version
        if mark.startswith("warning:"):
            return True
        return mark in self.modes

    def _array(self, expected: list[Any], actual: Any, path: str) -> str | None:
        if not isinstance(actual, list):
            return f"{path}: expected a list, found {actual!r}"
        left = list(actual)
        first_problem = None
        for number, row in enumerate(sorted(expected, key=lambda row: _looseness(row))):
            found = next(
                (index for index, other in enumerate(left) if self._compare(row, other, path) is None), None
            )
            if found is not None:
                del left[found]
            elif not (isinstance(row, dict) and self._is_optional(row)):
                nearest = self._nearest(row, left, f"{path}[{number}]")
                first_problem = first_problem or nearest
        if first_problem:
            return first_problem
        if left and not self.is_pattern:
            return f"{path}: unexpected {left}"
        return None

    def _nearest(self, row: Any, others: list[Any], path: str) -> str:
        """Tell about the row that was probably meant: the one with the same name, code or url."""
        for name in ("name", "code", "url", "severity"):
            if isinstance(row, dict) and name in row:
                for other in others:
                    if isinstance(other, dict) and other.get(name) == row[name]:
                        return self._compare(row, other, path) or path
        return f"{path}: no row like {row} in {others}"


def _looseness(row: Any) -> int:
    """Rows that must be there are matched before those that may be."""
    return 1 if isinstance(row, dict) and row.get("$optional$") else 0


def matches_text(expected: str, actual: str) -> bool:
    """Say whether a string is as expected; a mark stands for a kind of value."""
    if expected == actual:
        return True
    match = re.fullmatch(r"\$(.*)\$", expected, re.DOTALL)
    if not match:
        return not STRICT and _same_bytes(expected, actual)
    mark = match[1]
    if mark == "":
        return True
    kind, _, rest = mark.partition(":")
    if kind == "external":
        _, _, fragments = rest.partition(":")
        return all(fragment.lower() in actual.lower() for fragment in fragments.split("|"))
    if kind == "fragments":
        return all(fragment.lower() in actual.lower() for fragment in rest.split("|"))
    if kind == "choice":
        return actual in rest.split("|")
    return kind in KINDS and re.fullmatch(KINDS[kind], actual, re.DOTALL) is not None


def _same_bytes(expected: str, actual: str) -> bool:
    """HL7's runner compares strings as base64 when they differ; a few expected files pass only so."""
    return _loose(expected) == _loose(actual) != b""


def _loose(text: str) -> bytes:
    kept = "".join(re.findall(r"[A-Za-z0-9+/]", text.partition("=")[0]))
    return base64.b64decode(kept + "A" * (-len(kept) % 4))
