"""Which version of a code system a coding is checked against: the coding's, the value set's, the parameters'.

Disagreements become issues. The rules are those of the terminology ecosystem (suite `version` of its tests).
"""

from collections.abc import Iterable
from functools import cmp_to_key

from terminology import versions
from terminology.canonical import join
from terminology.code_system import CodeSystem
from terminology.designations import join_words
from terminology.fhirjson import Json
from terminology.outcome import Findings
from terminology.scope import Scope


def add_path(path: str | None, name: str) -> str:
    return f"{path}.{name}" if path else name


def is_more_detailed(system: CodeSystem, pattern: str | None, version: str | None) -> bool:
    """Say whether `version` is one that `pattern` means, in the code system's own way of counting."""
    return versions.matches(pattern, version, system.version_algorithm)


def negotiate_version(
    scope: Scope,
    path: str | None,
    system: str,
    stated: str | None,
    wanted: str | None,
    findings: Findings,
    messages: list[str],
    unknown_systems: list[str],
) -> str | None:
    """Return the version to check against. `stated`: by the include; `wanted`: by the coding."""
    result = scope.version_by_rules(system, stated)
    if not wanted:
        return result
    default = scope.code_system(system, None, by_rules=False)
    if result:
        if default is not None and wanted != result and is_more_detailed(default, result, wanted):
            result = wanted
    elif any(
        known == wanted or (default is not None and is_more_detailed(default, wanted, known))
        for known in scope.code_system_versions(system)
    ):
        result = wanted
    found = scope.code_system(system, result)
    if found is None:
        if result != wanted:
            _add(
                scope, findings, messages, "error", "invalid", "vs-invalid", "VALUESET_VALUE_MISMATCH", system, result,
                wanted, path=add_path(path, "version"),
            )  # fmt: skip
        return result
    if found.version == wanted or is_more_detailed(found, wanted, found.version):
        return result
    _note_mismatch(scope, path, found, result, stated, wanted, findings, messages)
    if scope.code_system(system, wanted, by_rules=False) is None:
        known_versions = present_versions(scope, system)
        canonical = join(system, wanted)
        if canonical not in unknown_systems:
            unknown_systems.append(canonical)
        _add(
            scope, findings, messages, "error", "not-found", "not-found", "UNKNOWN_CODESYSTEM_VERSION", system, wanted,
            known_versions, path=add_path(path, "system"),
        )  # fmt: skip
    return result


def _note_mismatch(
    scope: Scope,
    path: str | None,
    found: CodeSystem,
    result: str | None,
    stated: str | None,
    wanted: str,
    findings: Findings,
    messages: list[str],
) -> None:
    severity = "error"
    values: tuple[str | None, ...]
    if not result:
        needs_version = found.resource.get("versionNeeded") in (True, "true")
        severity = "error" if needs_version else "warning"
        message_id, values = "VALUESET_VALUE_MISMATCH_DEFAULT", (found.url, found.version, stated, wanted)
    elif result != stated:
        message_id, values = "VALUESET_VALUE_MISMATCH_CHANGED", (found.url, result, stated, wanted)
    else:
        message_id, values = "VALUESET_VALUE_MISMATCH", (found.url, stated, wanted, None)
    issue = scope.issue(
        severity, "invalid", "vs-invalid", message_id, *values, path=add_path(path, "version")
    )
    findings.add(issue)
    if severity == "error":
        _say(messages, issue.text)


def note_unknown_system(
    scope: Scope,
    path: str | None,
    system: str,
    version: str | None,
    findings: Findings,
    messages: list[str],
    unknown_systems: list[str],
) -> None:
    """Report a code system, or a version of one, that is nowhere; each only once."""
    known_versions = present_versions(scope, system)
    canonical = system
    values: tuple[str, ...]
    if not version:
        message_id, values = "UNKNOWN_CODESYSTEM", (system,)
    elif not known_versions:
        message_id, values = "UNKNOWN_CODESYSTEM_VERSION_NONE", (system, version)
    else:
        message_id, values = "UNKNOWN_CODESYSTEM_VERSION", (system, version, known_versions)
        canonical = join(system, version)
    issue = scope.issue("error", "not-found", "not-found", message_id, *values, path=add_path(path, "system"))
    _say(messages, issue.text)
    if canonical not in unknown_systems:
        unknown_systems.append(canonical)
        findings.add(issue)


def present_versions(scope: Scope, system: str) -> str:
    """List the known versions for a sentence: "1.0.0 or 1.2.0"."""
    known_versions = scope.code_system_versions(system)
    return join_words(known_versions, "or" if len(known_versions) == 2 else "and")


def applicable_version(
    scope: Scope, parts: Iterable[Json], system: str, code: str, display: str | None
) -> str | None:
    """Return the one version whose include may answer for a coding without version; None when all may.

    Of several versions in one value set the latest that knows the code (with this display) counts; when none does, the
    latest.
    """
    stated = list(
        dict.fromkeys(
            part["version"] for part in parts if part.get("system") == system and part.get("version")
        )
    )
    if len(stated) < 2:
        return None
    knowing = [version for version in stated if _knows(scope, system, version, code, display)]
    if len(knowing) == len(stated):
        return None
    chosen: str = max(knowing or stated, key=cmp_to_key(versions.compare))
    return chosen


def _knows(scope: Scope, system: str, version: str, code: str, display: str | None) -> bool:
    found = scope.code_system(system, version)
    ordinal = found.locate(code) if found is not None else None
    if found is None or ordinal is None:
        return False
    return not display or any(item.value == display for item in found.designations(ordinal))


def _add(
    scope: Scope,
    findings: Findings,
    messages: list[str],
    severity: str,
    type: str,
    kind: str,
    message_id: str,
    *values: object,
    path: str,
) -> None:
    issue = scope.issue(severity, type, kind, message_id, *values, path=path)
    findings.add(issue)
    _say(messages, issue.text)


def _say(messages: list[str], text: str) -> None:
    if text not in messages:
        messages.append(text)
