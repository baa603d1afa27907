"""Whether one code is in a value set: the membership half of ValueSet/$validate-code.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html. Nothing is expanded: a code is looked up in each part
of compose. What was found on the way (inactive, abstract, other version …) goes into `Check`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from terminology import value_set as compose
from terminology.canonical import join
from terminology.canonical_status import note_status, vurl
from terminology.code_system import CodeSystem
from terminology.concept_status import standards_status
from terminology.designations import DISPLAY_USE, Designation, Designations
from terminology.fhirjson import Json
from terminology.languages import Language, known
from terminology.outcome import Findings, TerminologyProblem
from terminology.scope import Scope
from terminology.system_inference import infer_system
from terminology.version_negotiation import (
    add_path,
    applicable_version,
    negotiate_version,
    note_unknown_system,
)

VALUE_SET_DEPRECATED = "http://hl7.org/fhir/StructureDefinition/valueset-deprecated"


@dataclass
class Check:
    """What checking one coding, or the codings of a CodeableConcept, found so far.

    The fields of the second half belong to the coding that is being checked.
    """

    findings: Findings = field(default_factory=Findings)
    messages: list[str] = field(default_factory=list)
    unknown_systems: list[str] = field(default_factory=list)
    is_inactive: bool = False
    inactive_path: str = ""
    inactive_code: str = ""
    status: str | None = None
    normal_form: str | None = None
    implied_system: str | None = None

    designations: Designations = field(default_factory=Designations)
    version: str | None = None
    content: str | None = None
    default_language: Language | None = None

    def next_coding(self) -> None:
        self.designations = Designations()
        self.version = self.content = self.default_language = None

    def say(self, text: str) -> None:
        if text and text not in self.messages:
            self.messages.append(text)

    def note_status(self, system: CodeSystem, ordinal: int, path: str, code: str) -> None:
        """Remember whether the code is inactive; the first inactive code of a CodeableConcept is the one reported."""
        if self.is_inactive:
            return
        self.is_inactive = system.is_inactive(ordinal)
        self.inactive_path, self.inactive_code = path, code
        self.status = system.status(ordinal)


def prepare(scope: Scope, value_set: Json) -> None:
    """Look at a value set and all it imports before any code is checked.

    Raises TerminologyProblem: unknown import, cycle, filter that cannot be run, missing supplement.
    """
    scope.require_supplements(value_set)
    scope.options.see_value_set(value_set)
    compose.check_locked_date(scope, value_set)
    with scope.entering(value_set):
        for kind, parts in (
            ("include", (value_set.get("compose") or {}).get("include") or ()),
            ("exclude", compose.excludes(value_set)),
        ):
            for number, part in enumerate(parts):
                _prepare_part(scope, value_set, part, f"{kind}[{number}]")
    scope.check_supplements()


def _prepare_part(scope: Scope, value_set: Json, part: Json, path: str) -> None:
    for canonical in compose.imports(part):
        pinned = scope.pinned(canonical)
        other = scope.value_set(pinned, source=value_set)
        if other is None:
            issue = scope.issue("error", "not-found", "not-found", "Unable_to_resolve_value_Set_", pinned)
            raise TerminologyProblem(issue, in_answer=True)
        prepare_import(scope, other)
    system = scope.code_system(part.get("system"), part.get("version"))
    if system is not None:
        compose.select(scope, system, part, path)


def prepare_import(scope: Scope, value_set: Json) -> None:
    compose.check_locked_date(scope, value_set)
    with scope.entering(value_set):
        for kind, parts in (
            ("include", (value_set.get("compose") or {}).get("include") or ()),
            ("exclude", compose.excludes(value_set)),
        ):
            for number, part in enumerate(parts):
                _prepare_part(scope, value_set, part, f"{kind}[{number}]")


def is_member(
    scope: Scope,
    value_set: Json,
    *,
    path: str,
    system: str | None,
    version: str | None,
    code: str,
    display: str | None,
    check: Check,
) -> bool | None:
    """Say whether a code is in a value set; None when it cannot be told because a code system is unknown."""
    if not system and not scope.options.infer_system:
        issue = scope.issue(
            "warning", "invalid", "invalid-data", "Coding_has_no_system__cannot_validate", path=path
        )
        check.say(issue.text)
        check.findings.add(issue)
        return False
    if not system:
        system = infer_system(scope, value_set, code, check.findings, check.messages)
        if not system:
            return False
        check.implied_system = system
    if value_set.get("compose"):
        return _in_compose(scope, value_set, path, system, version, code, display, check)
    if value_set.get("expansion"):
        return _in_expansion(scope, value_set, path, system, version, code, check)
    return False


def _in_compose(
    scope: Scope,
    value_set: Json,
    path: str,
    system: str,
    version: str | None,
    code: str,
    display: str | None,
    check: Check,
) -> bool | None:
    parts = compose.includes(value_set)
    fixed = None if version else applicable_version(scope, parts, system, code, display)
    stated = {part.get("version") for part in parts}
    result: bool | None = False
    for part in parts:
        if not part.get("system"):
            result = True
        elif (
            part["system"] == system
            and (not fixed or part.get("version") == fixed)
            # An include with just this version answers for it; the others then don't.
            and (not version or part.get("version") == version or version not in stated)
        ):
            result = _in_part(scope, value_set, part, path, system, version, code, check)
            if result is None or (result is False and check.content is None):
                return result
        else:
            result = False
        for canonical in compose.imports(part):
            if result is not True:
                break
            result = _in_import(scope, value_set, canonical, path, system, version, code, check)
        if result is True:
            break
    if result is True and _is_excluded(scope, value_set, path, system, version, code, check):
        return False
    return result


def _in_part(
    scope: Scope,
    value_set: Json,
    part: Json,
    path: str,
    system: str,
    version: str | None,
    code: str,
    check: Check,
) -> bool | None:
    chosen = negotiate_version(
        scope,
        path,
        system,
        part.get("version"),
        version,
        check.findings,
        check.messages,
        check.unknown_systems,
    )
    found = scope.code_system(system, chosen)
    if found is None:
        check.content = None
        if scope.options.membership_only:
            return False
        note_unknown_system(
            scope, path, system, chosen, check.findings, check.messages, check.unknown_systems
        )
        return None
    scope.check_version(found, check.findings, add_path(path, "version"))
    check.default_language = known(found.language) or known("en")
    note_status(scope, check.findings, found.resource, value_set)
    check.content = found.content
    if _in_concept_set(scope, value_set, part, found, path, code, check, is_exclusion=False):
        check.version = found.version
        return True
    return False


def _in_import(
    scope: Scope,
    value_set: Json,
    canonical: str,
    path: str,
    system: str,
    version: str | None,
    code: str,
    check: Check,
) -> bool | None:
    other = scope.value_set(scope.pinned(canonical), source=value_set)
    if other is None:
        return None
    note_status(scope, check.findings, other, value_set)
    return is_member(
        scope, other, path=path, system=system, version=version, code=code, display=None, check=check
    )


def _is_excluded(
    scope: Scope, value_set: Json, path: str, system: str, version: str | None, code: str, check: Check
) -> bool:
    for part in compose.excludes(value_set):
        excluded = True
        if part.get("system"):
            found = scope.code_system(part["system"], part.get("version"))
            if found is None:
                shown = join(part["system"], part.get("version"))
                raise TerminologyProblem(
                    scope.issue("error", "not-found", "not-found", "UNKNOWN_CODESYSTEM", shown)
                )
            note_status(scope, check.findings, found.resource, value_set)
            excluded = found.url == system and _in_concept_set(
                scope, value_set, part, found, path, code, Check(), is_exclusion=True
            )
        for canonical in compose.imports(part):
            excluded = excluded and _in_import(
                scope, value_set, canonical, path, system, version, code, Check()
            ) is True  # fmt: skip
        if excluded:
            return True
    return False


def _in_concept_set(
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
            return _unknown_code(scope, system, path, code, check, is_exclusion=is_exclusion)
        _note_normal_form(scope, system, ordinal, path, code, check)
        return _accept(scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion)
    row = next((row for row in listed if row.get("code") == code), None)
    if row is not None and ordinal is not None:
        check.designations.items.extend(_row_designations(row, value_set))
        if _accept(scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion):
            _note_deprecation(scope, value_set, row, system, path, code, check)
            return True
    if filters and ordinal is not None and ordinal in compose.select(scope, system, part, "include[0]"):
        return _accept(
            scope, value_set, system, ordinal, path, code, check, is_exclusion=is_exclusion, by_filter=True
        )
    return False


def _accept(
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


def _unknown_code(
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


def _in_expansion(
    scope: Scope, value_set: Json, path: str, system: str, version: str | None, code: str, check: Check
) -> bool | None:
    """A value set that only lists an expansion: the code must be in it."""
    row = _contained(value_set["expansion"].get("contains") or (), system, version, code)
    if row is None:
        return False
    chosen = version or row.get("version")
    found = scope.code_system(system, chosen)
    if found is None:
        if scope.options.membership_only:
            return False
        note_unknown_system(
            scope, path, system, chosen, check.findings, check.messages, check.unknown_systems
        )
        return None
    check.default_language = known(found.language) or known("en")
    check.content, check.version = found.content, found.version
    ordinal = found.locate(code)
    if ordinal is None:
        return _unknown_code(scope, found, path, code, check, is_exclusion=False)
    return _accept(scope, value_set, found, ordinal, path, code, check, is_exclusion=False)


def _contained(rows: Sequence[Json], system: str, version: str | None, code: str) -> Json | None:
    for row in rows:
        if (
            row.get("system") == system
            and row.get("code") == code
            and (not version or not row.get("version") or row["version"] == version)
        ):
            return row
        inner = _contained(row.get("contains") or (), system, version, code)
        if inner is not None:
            return inner
    return None
