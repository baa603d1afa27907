"""Who a message speaks of: an existing resource with one of its identifiers, also under another sender's id.

A Patient whose record was retired by a merge (`link` replaced-by) is followed to the one that replaced it.
"""

from collections.abc import Sequence

from gateway.ingest.plan import Key
from gateway.search import parse
from gateway.search.query import Query
from gateway.store.protocol import Guard, Store, Version
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource

MOST_LINKS = 8


async def matched(result: Result, stored: dict[Key, Version], store: Store) -> tuple[Result, list[Guard]]:
    """Return the result with its ids replaced by those of existing resources, and what must still hold at the commit.

    `stored`: what is there under the result's own ids; the existing resources found are added.
    """
    renamed: dict[str, str] = {}
    guards: list[Guard] = []
    for entry in result.entries:
        if entry.rule.write == "link" or not (entry.rule.match_by_identifier or entry.type == "Patient"):
            continue
        found = stored.get((entry.type, entry.id))
        if found is None or found.body is None:
            found = await _by_identifier(entry, store, guards)
        if found is None or found.body is None:
            continue
        survivor = await _survivor(found, store) if entry.type == "Patient" else found
        if survivor.id != entry.id:
            renamed[entry.reference] = f"{entry.type}/{survivor.id}"
            stored[entry.type, survivor.id] = survivor
    return (result.rename(renamed) if renamed else result), guards


async def _by_identifier(entry: Entry, store: Store, guards: list[Guard]) -> Version | None:
    pairs = entry.match
    if not pairs:
        return None
    query = _query(entry.type, pairs, store)
    page = await store.search(query)
    # Two records with the same identifier: which one is right is for a person to say, not for us to guess.
    guards.append(Guard(query, frozenset(version.id for version in page.matches)))
    living = [version for version in page.matches if not _is_retired(version)]
    return living[0] if len(living) == 1 else None


def _query(type: str, pairs: Sequence[tuple[str | None, str]], store: Store) -> Query:
    value = ",".join(f"{_token(system or '')}|{_token(value)}" for system, value in pairs)
    return parse(type, [("identifier", value), ("_count", "10")], strict=True, parameters=store.parameters)


def _token(text: str) -> str:
    """Escape what separates values in a search (search.html#escaping)."""
    for mark in ("\\", "|", ",", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


async def _survivor(version: Version, store: Store) -> Version:
    for _ in range(MOST_LINKS):
        target = _replaced_by(version)
        following = await store.read("Patient", target) if target else None
        if following is None or following.body is None:
            return version
        version = following
    return version


def _replaced_by(version: Version) -> str | None:
    if version.body is None or b'"replaced-by"' not in version.body:
        return None
    body: Json = decode_resource(version.body)
    for link in body.get("link", ()):
        if link.get("type") == "replaced-by":
            return str(link["other"].get("reference", "")).rpartition("/")[2] or None
    return None


def _is_retired(version: Version) -> bool:
    return _replaced_by(version) is not None
