"""Who a message speaks of: an existing resource with one of its identifiers, also under another sender's id.

A Patient whose record was retired by a merge (`link` replaced-by) is followed to the one that replaced it.
"""

from gateway.ingest.lookup import Key, Lookup
from gateway.store.protocol import Guard, Version
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource

MOST_LINKS = 8
MOST_NUMBERS = 4
PAIRED = frozenset({"link", "unlink"})


async def matched(result: Result, stored: dict[Key, Version], lookup: Lookup) -> tuple[Result, list[Guard]]:
    """Return the result with its ids replaced by those of existing resources, and what must still hold at the commit.

    `stored`: what is there under the result's own ids; the existing resources found are added.
    """
    renamed: dict[str, str] = {}
    guards: list[Guard] = []
    taken = {entry.reference for entry in result.entries}
    for entry in result.entries:
        if not (entry.rule.match_by_identifier or entry.type == "Patient"):
            continue
        found = stored.get((entry.type, entry.id))
        if found is None or found.body is None:
            found = await _by_identifier(entry, lookup, guards)
        if found is None or found.body is None:
            continue
        if entry.rule.write in PAIRED:
            # Two records that turn out to be one already have nothing to link.
            survivor = found if f"Patient/{found.id}" not in taken else None
        else:
            survivor = await _survivor(found, lookup) if entry.type == "Patient" else found
        if survivor is not None and survivor.id != entry.id:
            taken.add(f"{entry.type}/{survivor.id}")
            renamed[entry.reference] = f"{entry.type}/{survivor.id}"
            stored[entry.type, survivor.id] = survivor
    return (result.rename(renamed) if renamed else result), guards


async def _by_identifier(entry: Entry, lookup: Lookup, guards: list[Guard]) -> Version | None:
    for pairs in _questions(entry):
        matches = await lookup.identified(entry.type, pairs)
        if entry.type == "Patient":
            # Two senders may speak of one new person at once. An order has its patient's lane to itself.
            guards.append(
                Guard(lookup.query(entry.type, pairs), frozenset(version.id for version in matches))
            )
        # Two records with the same identifier: which one is right is for a person to say, not for us to guess.
        living = [version for version in matches if _replaced_by(version) is None]
        if len(living) == 1:
            return living[0]
    return None


def _questions(entry: Entry) -> list[list[tuple[str | None, str]]]:
    """Return the identifiers to look for, those of one list together, list by list until one record is found."""
    pairs = entry.match
    if not pairs:
        return []
    if entry.rule.matches_old:
        return [[pair] for pair in pairs[:MOST_NUMBERS]]
    # A message about two records tells them apart by the number it names first; further ones may be of both.
    return [pairs[:1]] if entry.rule.write in PAIRED else [pairs]


async def _survivor(version: Version, lookup: Lookup) -> Version:
    for _ in range(MOST_LINKS):
        target = _replaced_by(version)
        following = (
            (await lookup.versions([("Patient", target)])).get(("Patient", target)) if target else None
        )
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
