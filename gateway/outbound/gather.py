"""The focus of a delivery and what it refers to, read from the store: the record of a map that runs back."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from conformance.definitions import children
from gateway.search.parse import parse
from gateway.store.protocol import Store, Version
from mappings.language.sources.focus import Focus
from mappings.language.sources.resource_path import Back
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, NotFound

DEPTH = 4
MOST = 500
# Of how many resources the referring ones are looked for.
_ANCHORS = 5
# Whole files and journals say nothing that a message needs.
_LEFT_OUT = frozenset({"AuditEvent", "Provenance"})


async def gather(store: Store, reference: str, *, referrers: Iterable[Back] = ()) -> Focus:
    """Return a focus by "Type/id" or "Type/id/_history/2" with at most `MOST` resources around it, `DEPTH` references deep.

    Raises NotFound (HT-OUT-11) when there is no such resource.
    """
    version = await read_focus(store, reference)
    if version is None or version.body is None:
        raise NotFound("HT-OUT-11", reference=reference[:200])
    focus = decode_resource(version.body)
    found: dict[tuple[str, str], Json] = {(version.type, version.id): focus}
    await _follow(store, found, [focus])
    fresh: list[Json] = []
    for back in referrers:
        for one in await _referring(store, back, list(found.values())):
            key = (one["resourceType"], one["id"])
            if key not in found and len(found) < MOST:
                found[key] = one
                fresh.append(one)
    await _follow(store, found, fresh)
    return Focus(focus, [one for one in found.values() if one is not focus])


async def _follow(store: Store, found: dict[tuple[str, str], Json], fresh: list[Json]) -> None:
    """Add what `fresh` resources refer to, `DEPTH` references deep."""
    for _ in range(DEPTH):
        wanted = [
            key for one in fresh for key in references_of(one) if key not in found and key[0] not in _LEFT_OUT
        ]
        wanted = list(dict.fromkeys(wanted))[: MOST - len(found)]
        if not wanted:
            return
        rows = await store.read_many(wanted)
        fresh = []
        for key in wanted:
            row = rows.get(key)
            if row is not None and row.body is not None:
                found[key] = decode_resource(row.body)
                fresh.append(found[key])


async def read_focus(store: Store, reference: str, *, is_exact: bool = False) -> Version | None:
    """Return the version that a reference names, the current one when it names none.

    A version that isn't there (a write that changed nothing made none) gives the current one, or None when `is_exact`.
    """
    parts = reference.split("/")
    if len(parts) == 4 and parts[2] == "_history" and parts[3].isdigit():
        found = await store.vread(parts[0], parts[1], int(parts[3]))
        if found is not None or is_exact:
            return found
    return await store.read(parts[0], parts[1]) if len(parts) >= 2 else None


def references_of(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (type, id) of every local reference in a resource, in order."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "reference" and isinstance(part, str):
                key = local(part)
                if key is not None:
                    yield key
            elif isinstance(part, (dict, list)):
                yield from references_of(part)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, (dict, list)):
                yield from references_of(item)


def local(reference: str) -> tuple[str, str] | None:
    """Return (type, id) of "Type/id", with or without base URL and version; None for anything else."""
    parts = reference.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    if len(parts) < 2 or not parts[-2][:1].isupper() or not parts[-1]:
        return None
    return parts[-2], parts[-1]


async def _referring(store: Store, back: Back, around: Sequence[Json]) -> list[Json]:
    """Return the resources whose element refers to one of `around`: by the search parameter of that element."""
    code = "".join(f"-{mark.lower()}" if mark.isupper() else mark for mark in back.element)
    kinds = {
        url.rpartition("/")[2]
        for kind in children(back.type)[back.element].element.types
        for url in kind.targets
    }
    fitting = [one for one in around if one.get("resourceType") in kinds or "Resource" in kinds]
    found: list[Json] = []
    for one in fitting[:_ANCHORS]:
        reference = f"{one['resourceType']}/{one.get('id')}"
        try:
            params = [(code, reference), ("_count", "100")]
            query = parse(back.type, params, strict=True, parameters=store.parameters)
        except FhirError:
            continue
        page = await store.search(query)
        found += [decode_resource(row.body) for row in page.matches if row.body is not None]
    return found
