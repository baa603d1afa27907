"""Search parameters, operations and compartments of R4 (https://hl7.org/fhir/R4/searchparameter-registry.html)."""

import gzip
from functools import cache

import msgspec

from conformance.definitions.structures import FOLDER
from terminology.fhirjson import Json


class Component(msgspec.Struct, frozen=True):
    """One part of a composite parameter: the other parameter's URL and where its value lies in the match."""

    definition: str
    expression: str


class SearchParameter(msgspec.Struct, frozen=True, rename="camel"):
    """`type`: string token date reference quantity number uri composite special; `target`: types a reference may name."""

    url: str
    name: str
    code: str
    type: str
    base: list[str] = []
    expression: str = ""
    target: list[str] = []
    component: list[Component] = []
    comparator: list[str] = []
    modifier: list[str] = []
    description: str = ""


@cache
def _by_base() -> dict[str, dict[str, SearchParameter]]:
    found: dict[str, dict[str, SearchParameter]] = {}
    for row in msgspec.json.decode(_read("search_parameters"), type=list[SearchParameter]):
        # The core package carries three examples of SearchParameter, one of which would replace Condition.subject.
        if row.url.startswith("http://hl7.org/fhir/SearchParameter/example"):
            continue
        for base in row.base:
            found.setdefault(base, {})[row.code] = row
    return found


@cache
def search_parameters(resource_type: str) -> dict[str, SearchParameter]:
    """Return the parameters of a resource type by code, those of Resource and DomainResource included."""
    rows = _by_base()
    return rows.get("Resource", {}) | rows.get("DomainResource", {}) | rows.get(resource_type, {})


@cache
def operations() -> dict[str, Json]:
    """Return the OperationDefinitions of the core package by canonical URL."""
    rows: list[Json] = msgspec.json.decode(_read("operations"))
    return {row["url"]: row for row in rows}


@cache
def compartment(code: str) -> dict[str, list[str]]:
    """Return for each resource type of a compartment ("Patient") the search parameters that place it there."""
    rows: list[Json] = msgspec.json.decode(_read("compartments"))
    found = next((row for row in rows if row["code"] == code), None)
    return {row["code"]: row["param"] for row in found["resource"] if row.get("param")} if found else {}


def _read(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes())
