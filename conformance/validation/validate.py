"""The whole validation of one resource: bytes or a value in, issues out."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from conformance.formats.json import parse, positions_of
from conformance.formats.xml import read
from conformance.validation.accept import is_valid_structure
from conformance.validation.codes import Terminology
from conformance.validation.items import item_of
from conformance.validation.path import Path
from conformance.validation.profiles import check_profile
from conformance.validation.registry import ProfileRegistry
from conformance.validation.run import Policy, Run, Scope
from conformance.validation.structure import structure_issues
from terminology.fhirjson import Json
from terminology.issues import FhirError, Issue

Level = Literal["full", "structure"]


def validate(
    resource: Json | bytes | str,
    *,
    level: Level = "full",
    profiles: Iterable[str] = (),
    registry: ProfileRegistry | None = None,
    terminology: Terminology | None = None,
    policy: Policy | None = None,
    locate: bool = False,
) -> list[Issue]:
    """Return everything that is wrong or worth saying, errors and warnings; an empty list when nothing is.

    Bytes and text may be JSON or XML. `level` structure stops after JSON form, types, cardinality and required codes.
    `profiles` come on top of those that the resource declares. `locate` adds "line 3 column 7" to each issue of bytes
    that were JSON. Nothing is raised for bad input: what cannot be read is an issue too.
    """
    value: Any = resource
    found: list[Issue] = []
    if not isinstance(resource, dict):
        try:
            value, found = _read(resource)
        except FhirError as problem:
            return list(problem.issues)
    if not is_valid_structure(value):
        found += structure_issues(value)
    if level == "full" and isinstance(value, dict) and not any(row.code == "HT-VAL-21" for row in found):
        found += _rules(value, tuple(profiles), registry, terminology, policy, found)
    if locate and not isinstance(resource, dict) and found:
        found = _located(found, resource)
    return found


def _read(body: bytes | str) -> tuple[Any, list[Issue]]:
    raw = body.encode() if isinstance(body, str) else body
    if raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return read(raw)
    return parse(raw), []


def _rules(
    value: Json,
    profiles: tuple[str, ...],
    registry: ProfileRegistry | None,
    terminology: Terminology | None,
    policy: Policy | None,
    before: list[Issue],
) -> list[Issue]:
    from conformance.validation.walk import visit_resource

    definitions = registry if registry is not None else _core_registry()
    name = value.get("resourceType")
    if not isinstance(name, str) or any(row.code == "HT-VAL-01" and row.expression == name for row in before):
        return []
    run = Run(terminology or definitions.terminology, definitions, policy or Policy())
    path = Path(None, name)
    visit_resource(value, path, None, "", None, run)
    for url in profiles:
        check_profile(item_of(value, path, Scope(value, path, None, "", None)), url, run)
    # A profile may say again what the base rules have said.
    return _unique(run.issues)


@cache
def _core_registry() -> ProfileRegistry:
    """What a validation uses that was given no registry: R4 alone. Nothing is ever added to it."""
    return ProfileRegistry()


def _unique(issues: list[Issue]) -> list[Issue]:
    seen: set[tuple[str, str | None, str]] = set()
    found = []
    for row in issues:
        key = (row.code, row.expression, str(row.values))
        if key not in seen:
            seen.add(key)
            found.append(row)
    return found


def _located(issues: list[Issue], body: bytes | str) -> list[Issue]:
    """Give each issue its line and column; an XML issue has its own already."""
    raw = body.encode() if isinstance(body, str) else body
    if raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return issues
    positions = positions_of(raw)
    return [
        replace(row, source="line {} column {}".format(*place))
        if row.source is None and row.expression and (place := positions.of(row.expression)) is not None
        else row
        for row in issues
    ]
