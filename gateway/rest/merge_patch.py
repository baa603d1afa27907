"""JSON Merge Patch (RFC 7386). FHIR doesn't ask for it; fhirpy and other clients send it."""

from typing import Any

from gateway.rest.json_patch import drop_empty
from terminology.fhirjson import Json


def apply_merge_patch(resource: Json, patch: Json) -> Json:
    """Return the resource with the patch's properties in place; null removes, lists are replaced as a whole."""
    return drop_empty(_merge(resource, patch))


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
