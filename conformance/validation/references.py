"""References: their form, the types they may name, and whether they lead anywhere (https://hl7.org/fhir/R4/references.html)."""

import re
from dataclasses import dataclass, field
from typing import Any

from conformance.definitions import is_resource, resource_types
from conformance.validation.path import Path
from conformance.validation.run import Node, Run, Scope, objects
from terminology.fhirjson import Json

_RESTFUL = re.compile(
    r"((?:https?|ftp)://\S+/)?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?(?:#\S*)?"
)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+")
_BASE = "http://hl7.org/fhir/StructureDefinition/"


@dataclass
class Entries:
    """The entries of one Bundle or Parameters: by fullUrl, and by Type/id."""

    by_url: dict[str, list[Scope]] = field(default_factory=dict)
    by_id: dict[str, list[Scope]] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)

    def add(self, scope: Scope, url: Any) -> None:
        if isinstance(url, str):
            self.by_url.setdefault(url, []).append(scope)
        self.by_id.setdefault(f"{scope.type}/{scope.resource.get('id')}", []).append(scope)
        self.types.add(scope.type)


def entries_of(bundle: Scope, run: Run) -> Entries:
    """Return the index of a Bundle's (or Parameters') resources; built once in a run."""
    key = ("entries", id(bundle.resource))
    known = run.memory.get(key)
    if known is None:
        known = run.memory[key] = Entries()
        name, held = ("entry", "entry") if bundle.type == "Bundle" else ("parameter", "parameter")
        for row, path in objects(bundle.resource, name, bundle.path):
            inner = row.get("resource")
            if isinstance(inner, dict) and isinstance(inner.get("resourceType"), str):
                known.add(Scope(inner, Path(path, "resource"), bundle, held, row), row.get("fullUrl"))
    return known


def resolve(reference: str, scope: Scope, run: Run) -> list[Scope]:
    """Return the resources that a reference in `scope` can mean, inside what was sent or known to the registry.

    bundle.html#references: an absolute reference means the entry with that fullUrl; a relative one is read against the
    fullUrl of the entry that holds it, and where that is no server address, against type and id.
    """
    host = scope.host
    if reference == "#":
        return [host]
    if reference.startswith("#"):
        return _contained(reference[1:], host)
    for container in _containers(host):
        if found := _in_entries(reference, host, container, entries_of(container, run)):
            return found
    return []


def _contained(identifier: str, host: Scope) -> list[Scope]:
    if (found := host.contained.get(identifier)) is not None and isinstance(found.get("resourceType"), str):
        return [Scope(found, Path(host.path, "contained"), host, "contained", None)]
    return [host] if host.resource.get("id") == identifier else []


def _containers(scope: Scope) -> list[Scope]:
    found = []
    current = scope.parent
    while current is not None:
        if current.type in ("Bundle", "Parameters"):
            found.append(current)
        current = current.parent
    return found


def _in_entries(reference: str, host: Scope, container: Scope, entries: Entries) -> list[Scope]:
    plain = reference.partition("#")[0]
    if found := entries.by_url.get(plain):
        return found
    match = _RESTFUL.fullmatch(plain)
    if match is None:
        return []
    server, kind, identifier, version = match.groups()
    unversioned = f"{server or ''}{kind}/{identifier}"
    base = server or _server_of(host, container)
    if base:
        found = entries.by_url.get(
            f"{base}{kind}/{identifier}" + (f"/_history/{version}" if version else ""), []
        )
        if not found and version:
            found = [
                row
                for row in entries.by_url.get(f"{base}{kind}/{identifier}", [])
                if _meta(row.resource).get("versionId") == version
            ]
        return found
    same = entries.by_id.get(unversioned, [])
    return [row for row in same if version is None or _meta(row.resource).get("versionId") == version]


def _server_of(host: Scope, container: Scope) -> str | None:
    """Return the base of the holding entry's fullUrl when it is a server address."""
    holder = host
    while holder.parent is not None and holder.parent is not container:
        holder = holder.parent
    url = holder.entry.get("fullUrl") if holder.entry is not None else None
    match = _RESTFUL.fullmatch(url) if isinstance(url, str) else None
    return match[1] if match is not None and match[1] and is_resource(match[2]) else None


def _meta(resource: Json) -> Json:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else {}


def target_types(targets: tuple[str, ...]) -> frozenset[str] | None:
    """Return the resource types that target profiles of the core specification name; None for any."""
    names = {url.removeprefix(_BASE).partition("|")[0] for url in targets if url.startswith(_BASE)}
    if not names or len(names) < len(targets) or "Resource" in names or not names <= resource_types():
        return None
    return frozenset(names)


def check_reference(node: Node, run: Run) -> None:
    """A Reference has something to say, a readable form, an allowed target, and a target where it must have one."""
    reference = node.text("reference")
    if reference is None:
        if not node.value.keys() & {"identifier", "display", "extension", "_reference"}:
            run.report("HT-VAL-49", node.path, "warning")
        _check_type(node, node.text("type"), run)
        return
    scope = node.scope
    if reference.startswith("#"):
        found = resolve(reference, scope, run)
        if not found:
            run.report("HT-VAL-40", node.path, reference=reference[:80])
        elif reference != "#":
            _check_type(node, found[0].type, run)
        return
    match = _RESTFUL.fullmatch(reference)
    if match is None or (match[1] and not is_resource(match[2])):
        _check_other_form(node, reference, run)
        return
    if not match[1] and not is_resource(match[2]):
        run.report(
            "HT-VAL-41",
            node.path,
            type=match[2],
            targets=", ".join(_shown(node)) or "–",
            reference=reference[:80],
        )
        return
    stated = node.text("type")
    if stated is not None and is_resource(stated) and stated != match[2]:
        run.report("HT-VAL-48", node.path, stated=stated, type=match[2], reference=reference[:80])
    _check_type(node, match[2], run)
    _check_container(node, reference, match[2], run)


def _check_other_form(node: Node, reference: str, run: Run) -> None:
    if _ABSOLUTE.fullmatch(reference):
        found = resolve(reference, node.scope, run)
        if len(found) == 1:
            _check_type(node, found[0].type, run)
        elif not found and reference.startswith(("urn:uuid:", "urn:oid:")) and node.scope.bundle is not None:
            run.report("HT-VAL-43", node.path, "warning", reference=reference[:80])
        return
    root = node.scope.root
    if (match := _CONDITIONAL.fullmatch(reference)) and root.type == "Bundle" and is_resource(match[1]):
        return  # http.html#trules: a conditional reference, resolved while the transaction is processed
    run.report("HT-VAL-42", node.path, reference=reference[:80])


def _check_type(node: Node, type_name: str | None, run: Run) -> None:
    spec = node.spec
    if spec is None or type_name is None or not is_resource(type_name):
        return
    allowed = target_types(spec.targets)
    if allowed is not None and type_name not in allowed:
        reference = node.text("reference") or type_name
        run.report(
            "HT-VAL-41",
            node.path,
            type=type_name,
            targets=", ".join(sorted(allowed)),
            reference=reference[:80],
        )


def _shown(node: Node) -> list[str]:
    allowed = target_types(node.spec.targets) if node.spec is not None else None
    return sorted(allowed or ())


def _check_container(node: Node, reference: str, type_name: str, run: Run) -> None:
    host = node.scope.host
    for container in _containers(host):
        entries = entries_of(container, run)
        found = _in_entries(reference, host, container, entries)
        if len(found) > 1:
            run.report("HT-VAL-44", node.path, reference=reference[:80], count=len(found))
        elif not found and container.type == "Parameters" and type_name in entries.types:
            # Parameters travel alone: when they carry the Patient, a reference means the one they carry.
            run.report("HT-VAL-40", node.path, reference=reference[:80])
