"""Whom a row of the outbox concerns: its receivers by every name that a destination may know them by."""

from collections.abc import Iterable
from urllib.parse import unquote

from gateway.outbound.gather import gather, local
from gateway.store.protocol import OutboxRow, Store
from mappings.language.sources.focus import Focus
from terminology.fhirjson import Json, decode_resource
from terminology.issues import NotFound

# A department belongs to its hospital: so far upwards.
_LEVELS = 3


async def names_of(store: Store, row: OutboxRow) -> frozenset[str]:
    """Return the references, identifiers (`value` and `system|value`) and names of the organisations that a row concerns.

    Those are its receivers with what they are part of; beside them, and alone when it names none, who ordered what the
    focus is about: the requester's organisation, the visit's provider, the namespace of the placer's number.
    """
    receivers = [text for text in row.payload.get("receivers", ()) if isinstance(text, str)]
    found = set(receivers)
    found |= await _organizations(store, receivers)
    try:
        focus = await gather(store, str(row.payload.get("focus", "")))
    except NotFound:
        return frozenset(found)
    found |= await _organizations(store, _ordering(focus))
    found |= set(_namespaces(focus))
    return frozenset(found)


def _ordering(focus: Focus) -> Iterable[str]:
    for one in focus.resources:
        kind = one.get("resourceType")
        if kind == "ServiceRequest":
            requester = focus.resolve(one.get("requester")) or {}
            yield from _reference(one.get("requester"))
            yield from _reference(requester.get("organization"))
        elif kind == "Encounter":
            yield from _reference(one.get("serviceProvider"))
        elif kind == "Task":
            yield from _reference(one.get("requester"))


def _namespaces(focus: Focus) -> Iterable[str]:
    """The application or facility that numbered the orders: urn:id:HIS → HIS."""
    for one in focus.resources:
        if one.get("resourceType") != "ServiceRequest":
            continue
        for row in one.get("identifier", ()):
            codes = [coding.get("code") for coding in (row.get("type") or {}).get("coding", ())]
            system = str(row.get("system") or "")
            if "PLAC" in codes and system:
                yield unquote(system.removeprefix("urn:id:"))


def _reference(value: Json | None) -> Iterable[str]:
    text = (value or {}).get("reference")
    if isinstance(text, str):
        yield text


async def _organizations(store: Store, references: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = [key for text in references if (key := local(text)) is not None]
    for _ in range(_LEVELS + 1):
        keys = [key for key in dict.fromkeys(waiting) if "/".join(key) not in found or key in waiting]
        if not keys:
            break
        rows = await store.read_many(keys)
        waiting = []
        for key, version in rows.items():
            if version.body is None:
                continue
            resource = decode_resource(version.body)
            if key[0] == "PractitionerRole":
                waiting += [one for text in _reference(resource.get("organization")) if (one := local(text))]
                continue
            if key[0] != "Organization":
                continue
            found |= {"/".join(key), key[1], str(resource.get("name") or key[1])}
            for row in resource.get("identifier", ()):
                if row.get("value"):
                    found |= {str(row["value"]), f"{row.get('system', '')}|{row['value']}"}
            waiting += [one for text in _reference(resource.get("partOf")) if (one := local(text))]
    return found
