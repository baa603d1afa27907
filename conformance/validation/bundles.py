"""Bundles (https://hl7.org/fhir/R4/bundle.html): entries' addresses, documents, messages, search sets."""

import re
from urllib.parse import parse_qsl, urlsplit

from conformance.definitions import is_resource
from conformance.validation.path import Path
from conformance.validation.references import Entries, entries_of, resolve
from conformance.validation.run import Node, Run, Scope, objects
from terminology.fhirjson import Json

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_RESTFUL = re.compile(r"https?://\S+/([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
# bundle.html#bundle-unique: elsewhere an entry may be a request or an answer without an address.
_ADDRESSED = frozenset({"document", "message", "collection", "searchset", "history"})


def check_bundle(node: Node, run: Run) -> None:
    kind = node.text("type")
    for row, path in node.objects("entry"):
        _check_entry(row, path, kind, run)
    if kind in ("document", "message"):
        _check_first(node, kind, run)
    if kind == "searchset":
        _check_search(node, run)


def _check_entry(row: Json, path: Path, kind: str | None, run: Run) -> None:
    url, resource = row.get("fullUrl"), row.get("resource")
    if url is None:
        if kind in _ADDRESSED and isinstance(resource, dict) and kind != "searchset" and kind != "history":
            run.report("HT-VAL-100", path, kind=kind)
        return
    if not isinstance(url, str):
        return
    if not _ABSOLUTE.fullmatch(url):
        run.report("HT-VAL-101", path, url=url[:200])
        return
    if not isinstance(resource, dict):
        return
    match = _RESTFUL.fullmatch(url)
    identifier = resource.get("id")
    if match and is_resource(match[1]) and identifier is not None:
        kind_of = resource.get("resourceType")
        if (match[1], match[2]) != (kind_of, identifier):
            run.report("HT-VAL-102", path, url=url[:200], wanted=f"/{kind_of}/{identifier}")
    elif (
        url.startswith("urn:uuid:")
        and isinstance(identifier, str)
        and _is_uuid(identifier)
        and url[9:] != identifier.lower()
    ):
        run.report("HT-VAL-102", path, "warning", url=url[:200], wanted=identifier)


def _is_uuid(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text))


def _check_first(node: Node, kind: str, run: Run) -> None:
    """A document begins with its Composition, a message with its MessageHeader; what these name is in the Bundle."""
    wanted = "Composition" if kind == "document" else "MessageHeader"
    rows = [row for row, _ in node.objects("entry")]
    first = rows[0].get("resource") if rows else None
    if not isinstance(first, dict) or first.get("resourceType") != wanted:
        run.report("HT-VAL-103", node.path, kind=kind, wanted=wanted)
        return
    entries = entries_of(node.scope, run)
    path = Path(Path(node.path, "entry", 0), "resource")
    scope = next((row for rows in entries.by_id.values() for row in rows if row.resource is first), None)
    if scope is None:
        return
    pointers = (
        _composition_pointers(first, path) if kind == "document" else list(objects(first, "focus", path))
    )
    for reference, where in pointers:
        _check_present(reference, where, scope, run)
    _check_reachable(scope, entries, run)


def _composition_pointers(composition: Json, path: Path) -> list[tuple[Json, Path]]:
    """documents.html#content: subject, encounter, author, attester, custodian, events and sections."""
    found: list[tuple[Json, Path]] = []
    for name in ("subject", "encounter", "custodian"):
        if isinstance(row := composition.get(name), dict):
            found.append((row, Path(path, name)))
    found.extend(objects(composition, "author", path))
    for row, where in objects(composition, "attester", path):
        if isinstance(party := row.get("party"), dict):
            found.append((party, Path(where, "party")))
    for row, where in objects(composition, "event", path):
        found.extend(objects(row, "detail", where))
    open_ = list(objects(composition, "section", path))
    while open_:
        row, where = open_.pop(0)
        found.extend(objects(row, "entry", where))
        found.extend(objects(row, "author", where))
        if isinstance(focus := row.get("focus"), dict):
            found.append((focus, Path(where, "focus")))
        open_.extend(objects(row, "section", where))
    return found


def _check_present(reference: Json, where: Path, scope: Scope, run: Run) -> None:
    text = reference.get("reference")
    if not isinstance(text, str) or text.startswith("#"):
        return
    found = resolve(text, scope, run)
    if not found:
        run.report("HT-VAL-104", where, reference=text[:200])


def _check_reachable(first: Scope, entries: Entries, run: Run) -> None:
    """documents.html#bundle: everything in a document hangs on its Composition, in either direction of a reference."""
    scopes = [row for rows in entries.by_id.values() for row in rows]
    number = {id(row.resource): place for place, row in enumerate(scopes)}
    links: list[set[int]] = [set() for _ in scopes]
    for place, row in enumerate(scopes):
        for text in _references(row.resource):
            for target in resolve(text, row, run):
                other = number.get(id(target.resource))
                if other is not None:
                    links[place].add(other)
                    links[other].add(place)
    open_, seen = [number[id(first.resource)]], {number[id(first.resource)]}
    while open_:
        for other in links[open_.pop()] - seen:
            seen.add(other)
            open_.append(other)
    for place, row in enumerate(scopes):
        if place not in seen and row.type != "Provenance" and row.path.parent is not None:
            run.report("HT-VAL-105", row.path.parent, "warning", type=row.type)


def _references(resource: Json) -> set[str]:
    found: set[str] = set()
    open_: list[object] = [resource]
    while open_:
        current = open_.pop()
        if isinstance(current, dict):
            if isinstance(text := current.get("reference"), str):
                found.add(text)
            open_.extend(current.values())
        elif isinstance(current, list):
            open_.extend(current)
    return found


def _check_search(node: Node, run: Run) -> None:
    """bundle.html#searchset: what comes as a match is of the searched type, an outcome is an OperationOutcome."""
    expected = _searched_types(node)
    for row, path in node.objects("entry"):
        resource = row.get("resource")
        if not isinstance(resource, dict):
            continue
        where, kind = Path(path, "resource"), str(resource.get("resourceType"))
        search = row.get("search")
        mode = search.get("mode") if isinstance(search, dict) else None
        if mode == "outcome":
            if kind != "OperationOutcome":
                run.report("HT-VAL-106", where, type=kind)
            continue
        if "id" not in resource and kind != "OperationOutcome":
            run.report("HT-VAL-107", where)
        if mode == "match" or (mode is None and kind != "OperationOutcome"):
            if expected and kind not in expected:
                run.report("HT-VAL-108", where, type=kind, expected=", ".join(sorted(expected)))
            if "id" not in resource and kind == "OperationOutcome":
                run.report("HT-VAL-107", where)


def _searched_types(node: Node) -> set[str]:
    for link, _ in node.objects("link"):
        url = link.get("url")
        if link.get("relation") == "self" and isinstance(url, str):
            parts = urlsplit(url)
            named = dict(parse_qsl(parts.query)).get("_type")
            if named:
                return {name for name in named.split(",") if is_resource(name)}
            tail = parts.path.rstrip("/").rpartition("/")[2]
            return {tail} if is_resource(tail) else set()
    return set()
