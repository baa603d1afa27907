"""Whether a code is in one include of a value set: listed, kept by its filters, or any code of the system."""

from terminology import value_set as compose
from terminology.canonical import join
from terminology.canonical_status import vurl
from terminology.check import Check
from terminology.code_system import CodeSystem
from terminology.concept_status import standards_status
from terminology.designations import DISPLAY_USE, Designation
from terminology.fhirjson import Json
from terminology.languages import known
from terminology.scope import Scope
from terminology.version_negotiation import add_path

VALUE_SET_DEPRECATED = "http://hl7.org/fhir/StructureDefinition/valueset-deprecated"


def in_concept_set(
    scope: Scope,
    value_set: Json,
    part: Json,
    system: CodeSystem,
    path: str,
    code: str,
    check: Check,
    *,
    is_exclusion: bool,
) -> bool:
    ordinal = system.locate(code)
    listed, filters = compose.listed(part), part.get("filter")
    if not listed and not filters:
        if ordinal is None:
            return unknown_code(scope, system, path, code, check, is_exclusion=is_exclusion)
        _note_normal_form(scope, system, ordinal, path, code, check)
        return accept(scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion)
    row = next((row for row in listed if row.get("code") == code), None)
    if row is not None and ordinal is not None:
        check.designations.items.extend(_row_designations(row, value_set))
        if accept(scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion):
            _note_deprecation(scope, value_set, row, system, path, code, check)
            return True
    if filters and ordinal is not None and ordinal in compose.select(scope, system, part, "include[0]"):
        return accept(
            scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion, by_filter=True
        )
    return False


def accept(
    scope: Scope,
    value_set: Json,
    system: CodeSystem,
    ordinal: int,
    path: str,
    code: str,
    check: Check,
    *,
    is_exclusion: bool,
    by_filter: bool = False,
) -> bool:
    """A code of the concept set is a member unless it is abstract or inactive and that isn't wanted."""
    check.designations.items[:0] = system.designations(ordinal).items
    options = scope.options
    place = add_path(path, "code")
    if is_exclusion:
        return True
    if not options.allows_abstract and system.is_abstract(ordinal):
        if not options.membership_only:
            check.findings.add(
                scope.issue("error", "business-rule", "code-rule", "ABSTRACT_CODE_NOT_ALLOWED", system.url, code, path=place)
            )  # fmt: skip
        return False
    if system.is_inactive(ordinal) and (compose.excludes_inactive(value_set) or options.active_only):
        words = "not active" if options.message_language == "en" else "已停用"
        issue = scope.issue(
            "error", "business-rule", "code-rule", "STATUS_CODE_WARNING_CODE", words, code, path=place
        )
        check.findings.add(issue)
        check.say(issue.text)
        if not options.membership_only:
            check.is_inactive, check.inactive_path, check.inactive_code = True, path, code
            check.status = system.status(ordinal)
        return False
    # A code found by a filter brings its status only when it is inactive: deprecation is the include's business.
    if not by_filter or system.is_inactive(ordinal):
        check.note_status(system, ordinal, path, code)
    return True


def unknown_code(
    scope: Scope, system: CodeSystem, path: str, code: str, check: Check, *, is_exclusion: bool
) -> bool:
    if scope.options.membership_only or is_exclusion:
        return False
    place = add_path(path, "code")
    values = (code, system.url, system.version)
    if system.content != "complete":
        check.findings.add(
            scope.issue(
                "warning", "code-invalid", "invalid-code", "UNKNOWN_CODE_IN_FRAGMENT", *values, path=place
            )
        )
        return True
    message_id = "Unknown_Code_in_Version" if system.version else "Unknown_Code_in"
    check.findings.add_new(
        scope.issue("error", "code-invalid", "invalid-code", message_id, *values, path=place)
    )
    return False


def _note_normal_form(
    scope: Scope, system: CodeSystem, ordinal: int, path: str, code: str, check: Check
) -> None:
    right = system.code(ordinal)
    if right == code:
        return
    canonical = join(system.url, system.version)
    check.findings.add(
        scope.issue(
            "information", "business-rule", "code-rule", "CODE_CASE_DIFFERENCE", code, right, canonical,
            path=add_path(path, "code"),
        )
    )  # fmt: skip
    check.normal_form = right


def _note_deprecation(
    scope: Scope, value_set: Json, row: Json, system: CodeSystem, path: str, code: str, check: Check
) -> None:
    status = standards_status(row)
    if status not in ("withdrawn", "deprecated"):
        has_mark = any(ext.get("url") == VALUE_SET_DEPRECATED for ext in row.get("extension") or ())
        status = "deprecated" if has_mark else None
    if status:
        check.findings.add(
            scope.issue(
                "warning", "business-rule", "code-comment", "CONCEPT_DEPRECATED_IN_VALUESET", system.url, code, status,
                vurl(value_set), path=add_path(path, "code"),
            )
        )  # fmt: skip


def _row_designations(row: Json, value_set: Json) -> list[Designation]:
    """Return the texts that a value set gives a concept: its display, and its designations."""
    found = []
    if row.get("display"):
        found.append(Designation(row["display"].strip(), known(value_set.get("language")), DISPLAY_USE))
    for item in row.get("designation") or ():
        if item.get("value"):
            found.append(Designation(item["value"].strip(), known(item.get("language")), item.get("use")))
    return found
