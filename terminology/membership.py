"""Whether one code is in a value set: the membership half of ValueSet/$validate-code.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html. Nothing is expanded: a code is looked up in each part
of compose. What was found on the way (inactive, abstract, other version …) goes into `Check`.
"""

from collections.abc import Sequence

from terminology import value_set as compose
from terminology.canonical import join
from terminology.canonical_status import note_status
from terminology.check import Check
from terminology.concept_set import accept, in_concept_set, unknown_code
from terminology.fhirjson import Json
from terminology.languages import known
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope
from terminology.system_inference import infer_system
from terminology.version_negotiation import (
    add_path,
    applicable_version,
    negotiate_version,
    note_unknown_system,
)


def prepare(scope: Scope, value_set: Json) -> None:
    """Look at a value set and all it imports before any code is checked.

    Raises TerminologyProblem: unknown import, cycle, filter that cannot be run, missing supplement.
    """
    scope.require_supplements(value_set)
    scope.options.see_value_set(value_set)
    _prepare_compose(scope, value_set)
    scope.check_supplements()


def _prepare_compose(scope: Scope, value_set: Json) -> None:
    """Look at the parts of a value set, and at those of what it imports."""
    compose.check_locked_date(scope, value_set)
    with scope.entering(value_set):
        for kind, parts in (
            ("include", (value_set.get("compose") or {}).get("include") or ()),
            ("exclude", compose.excludes(value_set)),
        ):
            for number, part in enumerate(parts):
                _prepare_part(scope, value_set, part, f"{kind}[{number}]")


def _prepare_part(scope: Scope, value_set: Json, part: Json, path: str) -> None:
    for canonical in compose.imports(part):
        pinned = scope.pinned(canonical)
        other = scope.value_set(pinned, source=value_set)
        if other is None:
            issue = scope.issue("error", "not-found", "not-found", "Unable_to_resolve_value_Set_", pinned)
            raise TerminologyProblem(issue, in_answer=True)
        _prepare_compose(scope, other)
    system = scope.code_system(part.get("system"), part.get("version"))
    if system is not None and part.get("filter"):
        compose.select(scope, system, part, path)


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
    if in_concept_set(scope, value_set, part, found, path, code, check, is_exclusion=False):
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
            excluded = found.url == system and in_concept_set(
                scope, value_set, part, found, path, code, Check(), is_exclusion=True
            )
        for canonical in compose.imports(part):
            excluded = excluded and _in_import(
                scope, value_set, canonical, path, system, version, code, Check()
            ) is True  # fmt: skip
        if excluded:
            return True
    return False


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
        return unknown_code(scope, found, path, code, check, is_exclusion=False)
    return accept(scope, value_set, found, ordinal, path, code, check, is_exclusion=False)


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
