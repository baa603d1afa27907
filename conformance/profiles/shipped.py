"""What is built in, found by type and canonical URL, built when first asked for."""

from collections.abc import Iterator
from functools import cache, lru_cache

from conformance.profiles.build import BASE, VERSION
from conformance.profiles.table import table_ids
from terminology.catalogue.lists import value_sets
from terminology.fhirjson import Json

KINDS = ("StructureDefinition", "ValueSet", "CodeSystem")


def find(kind: str, canonical: str) -> Json | None:
    """Return a county definition; None when the URL is not ours, or names another version."""
    if not canonical.startswith(BASE):
        return None
    url, _, version = canonical.partition("|")
    if version and version != VERSION:
        return None
    place, _, identity = url.removeprefix(BASE).partition("/")
    return by_id(kind, identity) if place == kind else None


# Strangers choose the ids: what is kept is bounded.
@lru_cache(maxsize=512)
def by_id(kind: str, identity: str) -> Json | None:
    """Return a county definition by its id. The value is shared: whoever changes it takes a copy."""
    if kind == "StructureDefinition":
        return _structure(identity)
    if kind in ("ValueSet", "CodeSystem"):
        from conformance.profiles.codes import code_table, to_code_system, to_value_set

        if kind == "ValueSet" and identity in value_sets():
            return value_sets()[identity]
        row = code_table().get(identity)
        if row is None or (kind == "CodeSystem" and "codes" not in row):
            return None
        return to_value_set(identity) if kind == "ValueSet" else to_code_system(identity)
    return None


def _structure(identity: str) -> Json | None:
    from conformance.profiles.extensions import extension_table, to_extension

    if identity.startswith("hutong-"):
        # The name comes from a stranger; only a file that is in the folder is opened.
        if identity not in table_ids():
            return None
        from conformance.profiles.build import to_structure
        from conformance.profiles.table import load_table

        return to_structure(load_table(identity))
    return to_extension(identity) if identity in extension_table() else None


@cache
def profiles_of(type_name: str) -> tuple[str, ...]:
    """Return the URLs of the county profiles on a resource type."""
    from conformance.profiles.table import load_table

    return tuple(
        f"{BASE}StructureDefinition/{identity}"
        for identity in table_ids()
        if load_table(identity).type == type_name
    )


def resources(kind: str | None = None) -> Iterator[Json]:
    """Yield every county definition, of one type or of all."""
    for one in KINDS if kind is None else (kind,):
        for identity in identities(one):
            found = by_id(one, identity)
            assert found is not None, (one, identity)
            yield found


def identities(kind: str) -> list[str]:
    from conformance.profiles.codes import code_system_ids, code_table
    from conformance.profiles.extensions import extension_table

    if kind == "StructureDefinition":
        return [*table_ids(), *extension_table()]
    if kind == "ValueSet":
        return [*code_table(), *value_sets()]
    return code_system_ids() if kind == "CodeSystem" else []
