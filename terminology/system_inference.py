"""inferSystem: which code system a bare code of a value set belongs to."""

from terminology import value_set as compose
from terminology.canonical_status import vurl
from terminology.expansion import evaluate
from terminology.fhirjson import Json
from terminology.outcome import Findings
from terminology.scope import Scope


def infer_system(
    scope: Scope, value_set: Json, code: str, findings: Findings, messages: list[str]
) -> str | None:
    """Return the one system in which the value set has the code; several or none are reported."""
    systems = _systems(scope, value_set, code)
    if len(systems) == 1:
        return systems[0]
    if systems:
        listed = f"[{', '.join(sorted(systems))}]"
        issue = scope.issue(
            "error", "not-found", "cannot-infer", "Unable_to_resolve_system__value_set_has_multiple_matches", code,
            vurl(value_set), listed, path="code",
        )  # fmt: skip
    else:
        issue = scope.issue(
            "error",
            "not-found",
            "cannot-infer",
            "UNABLE_TO_INFER_CODESYSTEM",
            code,
            vurl(value_set),
            ", ".join(
                dict.fromkeys(part["system"] for part in compose.includes(value_set) if part.get("system"))
            ),
            path="code",
        )
    messages.append(issue.text)
    findings.add(issue)
    return None


def _systems(scope: Scope, value_set: Json, code: str) -> list[str]:
    if _needs_evaluation(value_set):
        return evaluate(scope, value_set).systems_of(code)
    systems: list[str] = []
    for part in compose.includes(value_set):
        found = scope.code_system(part["system"], part.get("version"))
        if found is None:
            continue
        listed = compose.listed(part)
        if any(row.get("code") == code for row in listed) if listed else found.locate(code) is not None:
            systems.append(part["system"])
    unique = list(dict.fromkeys(systems))
    if len(unique) > 1 and any(part.get("filter") for part in compose.includes(value_set)):
        return evaluate(scope, value_set).systems_of(code)
    return unique


def _needs_evaluation(value_set: Json) -> bool:
    parts = compose.includes(value_set)
    return any(
        part.get("valueSet") or not part.get("system") for part in (*parts, *compose.excludes(value_set))
    ) or any(part.get("filter") for part in compose.excludes(value_set))
