"""An example of each resource type, made from the definitions: every mandatory element, nothing else."""

from decimal import Decimal
from typing import Any

from conformance.definitions import Child, children, required_codes
from terminology.fhirjson import Json

PRIMITIVES: dict[str, Any] = {
    "boolean": True,
    "integer": 1,
    "positiveInt": 1,
    "unsignedInt": 1,
    "decimal": Decimal("1.50"),
    "string": "文本",
    "markdown": "文本",
    "code": "code",
    "id": "a",
    "uri": "urn:x",
    "url": "http://example.org",
    "canonical": "http://example.org/x",
    "oid": "urn:oid:1.2.3",
    "uuid": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
    "date": "2024-05-01",
    "dateTime": "2024-05-01",
    "instant": "2024-05-01T08:00:00+08:00",
    "time": "08:00:00",
    "base64Binary": "YWJj",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>',
}
# What invariants ask for beyond cardinality.
EXTRA: dict[str, Json] = {
    "Group": {"actual": True, "type": "person"},
    "Reference": {"display": "x"},
    "Identifier": {"value": "1"},
    "CodeableConcept": {"text": "x"},
    "Coding": {"code": "x"},
    "Period": {"start": "2024-05-01"},
    "Quantity": {"value": Decimal("1.50")},
    "HumanName": {"text": "x"},
    "Annotation": {"text": "x"},
    "Dosage": {"text": "x"},
    "Attachment": {"title": "x"},
    "Range": {"low": {"value": Decimal("1.0")}},
    "Ratio": {"numerator": {"value": Decimal("1.0")}, "denominator": {"value": Decimal("1.0")}},
    "Timing": {"code": {"text": "x"}},
    "ProductShelfLife": {},
    "Money": {"value": Decimal("1.50"), "currency": "CNY"},
}


# What this server asks for beyond the definitions (docs/adapters/outbound.md).
OURS: dict[str, Json] = {
    "Subscription": {
        "status": "requested",
        "criteria": "Patient?active=true",
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/hook"},
    },
}


def minimal(path: str, depth: int = 0) -> Json:
    """Return a value with the mandatory elements of what is described at `path` ("Patient", "Patient.contact")."""
    found: Json = {"resourceType": path} if depth == 0 else {}
    chosen: set[str] = set()
    for name, child in children(path).items():
        if child.element.min == 0 or child.element.name in chosen or name in ("id", "extension"):
            continue
        chosen.add(child.element.name)
        value = _value(child, depth)
        found[name] = [value] if child.element.repeats else value
    return found | OURS.get(path, {}) if depth == 0 else found


def _value(child: Child, depth: int) -> Any:
    binding = child.element.binding
    if child.type in PRIMITIVES:
        if child.type == "code" and binding is not None and binding.strength == "required":
            for codes in (required_codes(binding.value_set) or {}).values():
                return min(codes)
        return PRIMITIVES[child.type]
    if child.type == "Resource":
        return {"resourceType": "Basic", "code": {"text": "x"}}
    if depth > 6:
        return {}
    return minimal(child.path, depth + 1) | EXTRA.get(child.type, {})
