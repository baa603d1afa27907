"""`_summary` and `_elements`: a part of each resource (https://hl7.org/fhir/R4/search.html#summary).

Subsets are marked SUBSETTED so that nobody writes them back by mistake.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from conformance.definitions import Child, children
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}
SUMMARIES = ("true", "text", "data", "count", "false")

# Bundles and outcomes are the answer itself, not what was asked for.
WHOLE = {"OperationOutcome", "Parameters", "CapabilityStatement"}


@dataclass(frozen=True, slots=True)
class Subset:
    """What to keep: `summary` of the five values, `elements` by type ("" = any type). False when everything."""

    summary: str = "false"
    elements: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.elements) or self.summary not in ("false", "count")

    def apply(self, resource: Json) -> Json:
        """Return the subset of a resource; in a Bundle, of each entry's resource."""
        kind = resource["resourceType"]
        if kind == "Bundle" and resource.get("type") in ("searchset", "history"):
            entries = [
                {**entry, "resource": self.apply(entry["resource"])} if "resource" in entry else entry
                for entry in resource.get("entry", ())
            ]
            return {**resource, "entry": entries} if entries else resource
        if kind in WHOLE or kind == "Bundle":
            return resource
        if self.elements:
            wanted = {name for of, name in self.elements if of in ("", kind)}
            if not wanted:
                return resource
            kept = _only(resource, lambda name, child: name in wanted or child.element.min > 0)
        elif self.summary == "true":
            kept = _summary(resource, kind)
        elif self.summary == "text":
            kept = _only(resource, lambda name, child: name in ("text", "meta") or child.element.min > 0)
        else:
            kept = {key: value for key, value in resource.items() if key != "text"}
        return _mark(kept)


def subset_of(request: Request) -> Subset:
    """Return what the request's `_summary` and `_elements` ask for; raises InvalidInput for other values."""
    if "_summary" not in request.query and "_elements" not in request.query and request._params is None:
        return Subset()
    summary = request.param("_summary")
    if summary is not None and summary not in SUMMARIES:
        raise InvalidInput("HT-REST-13", value=summary[:40])
    names = [name for key, value in request.params if key == "_elements" for name in value.split(",")]
    pairs = []
    for name in filter(None, names):
        of, _, element = name.rpartition(".")
        pairs.append((of, element))
    return Subset(summary or "false", tuple(pairs))


def _only(resource: Json, keep: Any) -> Json:
    """Keep top-level elements for which `keep(element name, child)` holds; id and resourceType always."""
    described = _described(resource["resourceType"])
    kept: Json = {}
    for key, value in resource.items():
        child = described.get(key.removeprefix("_"))
        if key in ("resourceType", "id", "meta") or (
            child is not None and keep(child.element.name.removesuffix("[x]"), child)
        ):
            kept[key] = value
    return kept


def _summary(node: Json, path: str) -> Json:
    """Keep what the specification marks as summary, at every depth of backbone elements."""
    described = _described(path)
    kept: Json = {}
    for key, value in node.items():
        if key in ("resourceType", "id"):
            kept[key] = value
            continue
        child = described.get(key.removeprefix("_"))
        if child is None or not (child.element.is_summary or child.element.min > 0):
            continue
        if child.type in ("BackboneElement", "Element", "") and not key.startswith("_"):
            below = (
                [_summary(item, child.path) if isinstance(item, dict) else item for item in value]
                if isinstance(value, list)
                else _summary(value, child.path)
            )
            if below:
                kept[key] = below
        else:
            kept[key] = value
    return kept


def _mark(resource: Json) -> Json:
    meta = dict(resource.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    marked: Json = {}
    for key, value in resource.items():
        if key != "meta":
            marked[key] = value
        if key == "id" or (key == "resourceType" and "id" not in resource):
            marked["meta"] = meta
    return marked


@cache
def _described(path: str) -> dict[str, Child]:
    return children(path)
