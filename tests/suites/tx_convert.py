"""R5 test files to what an R4 client sends, and R4 answers back to R5, as HL7's runner does it.

Cross-version extensions: https://hl7.org/fhir/R5/versions.html#extensions.
"""

import copy
from typing import Any

R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
FILTER_OP = R5 + "ValueSet.compose.include.filter.op"
VERSION_ALGORITHM = R5 + "CanonicalResource.versionAlgorithm"
EXPANSION_PROPERTY = R5 + "ValueSet.expansion.property"
CONTAINS_PROPERTY = R5 + "ValueSet.expansion.contains.property"

R5_ONLY_OPS = {"child-of", "descendent-leaf"}
EQUIVALENCE = {
    "related-to": "relatedto",
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    "not-related-to": "unmatched",
}


def to_r4(resource: Any) -> Any:
    """Return a resource (or Parameters with resources in it) in R4 form."""
    resource = copy.deepcopy(resource)
    kind = resource.get("resourceType")
    if kind == "Parameters":
        for row in resource.get("parameter", []):
            if "resource" in row:
                row["resource"] = to_r4(row["resource"])
        return resource
    for name in ("versionAlgorithmString", "versionAlgorithmCoding"):
        if name in resource:
            value = {name.replace("versionAlgorithm", "value"): resource.pop(name)}
            resource.setdefault("extension", []).append({"url": VERSION_ALGORITHM, **value})
    if kind == "ValueSet":
        for part in [*_compose(resource, "include"), *_compose(resource, "exclude")]:
            for row in part.get("filter", []):
                if row.get("op") in R5_ONLY_OPS:
                    row["_op"] = {"extension": [{"url": FILTER_OP, "valueCode": row.pop("op")}]}
    if kind == "ConceptMap":
        _concept_map_to_r4(resource)
    return resource


def _compose(resource: Any, name: str) -> list[Any]:
    return resource.get("compose", {}).get(name, [])


def _concept_map_to_r4(resource: Any) -> None:
    for side in ("source", "target"):
        for suffix in ("Uri", "Canonical"):
            if f"{side}Scope{suffix}" in resource:
                resource[side + suffix] = resource.pop(f"{side}Scope{suffix}")
    for group in resource.get("group", []):
        for element in group.get("element", []):
            for target in element.get("target", []):
                if "relationship" in target:
                    target["equivalence"] = EQUIVALENCE[target.pop("relationship")]
        unmapped = group.get("unmapped", {})
        if unmapped.get("mode") == "use-source-code":
            unmapped["mode"] = "provided"
        if "otherMap" in unmapped:
            unmapped["url"] = unmapped.pop("otherMap")


def to_r5(resource: Any) -> Any:
    """Return an answer in R5 form."""
    resource = copy.deepcopy(resource)
    kind = resource.get("resourceType")
    if kind == "ValueSet" and "expansion" in resource:
        expansion = resource["expansion"]
        _lift(expansion, EXPANSION_PROPERTY)
        _lift_rows(expansion.get("contains", []))
    if kind == "Parameters":
        for row in resource.get("parameter", []):
            if "resource" in row:
                row["resource"] = to_r5(row["resource"])
    return resource


def _lift_rows(rows: list[Any]) -> None:
    for row in rows:
        _lift(row, CONTAINS_PROPERTY)
        _lift_rows(row.get("contains", []))


def _lift(element: Any, url: str) -> None:
    """Turn extensions of one url into the R5 element `property`."""
    kept = [extension for extension in element.get("extension", []) if extension["url"] != url]
    lifted = []
    for extension in element.get("extension", []):
        if extension["url"] == url:
            row = {}
            for part in extension["extension"]:
                if part["url"] == "value":
                    row.update({key: value for key, value in part.items() if key.startswith("value")})
                else:
                    row[part["url"]] = next(value for key, value in part.items() if key.startswith("value"))
            lifted.append(row)
    if lifted:
        element["property"] = lifted
    if "extension" in element:
        if kept:
            element["extension"] = kept
        else:
            del element["extension"]
