"""Contained resources (https://hl7.org/fhir/R4/references.html#contained): dom-2 to dom-6 and ref-1, in one pass."""

from typing import Any

from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json


def check_contained(node: Node, run: Run) -> None:
    """Contained resources are named, flat, without a life of their own, and somebody points at them."""
    if "contained" not in node.value:
        if (
            "text" not in node.value
            and node.scope.held == ""
            and run.policy.best_practice
            and "Domain" in _kind(node)
        ):
            run.report("HT-VAL-70", node.path, "warning")
        return
    if node.scope.held == "contained":
        run.report("HT-VAL-46", node.path)
        return
    pointers: set[str] = set()
    _collect(node.value, pointers)
    seen: set[str] = set()
    for row, path in objects(node.value, "contained", node.path):
        identifier = row.get("id")
        if not isinstance(identifier, str):
            run.report("HT-VAL-47", path)
            continue
        if identifier in seen:
            run.report("HT-VAL-71", path, id=identifier)
        seen.add(identifier)
        _check_meta(row, path, run)
        if "#" + identifier not in pointers and not _points_back(row):
            run.report("HT-VAL-45", path, id=identifier)


def _kind(node: Node) -> str:
    return "" if node.type in ("Bundle", "Parameters", "Binary") else "Domain"


def _check_meta(row: Json, path: Path, run: Run) -> None:
    meta = row.get("meta")
    if not isinstance(meta, dict):
        return
    for name in ("versionId", "lastUpdated", "security"):
        if name in meta:
            run.report("HT-VAL-72", path, name=name)


def _collect(value: Any, found: set[str]) -> None:
    """Collect every string that is a local pointer: references, canonicals and URIs alike."""
    open_ = [value]
    while open_:
        current = open_.pop()
        if isinstance(current, dict):
            open_.extend(current.values())
        elif isinstance(current, list):
            open_.extend(current)
        elif isinstance(current, str) and current.startswith("#"):
            found.add(current)


def _points_back(row: Json) -> bool:
    found: set[str] = set()
    _collect(row, found)
    return "#" in found
