"""A strict JSON Schema of each resource type, made from the same tables as the structure check.

The schema only accepts: what it refuses goes to structure.py, which explains, or accepts what a schema cannot express
(`_name` arrays with nulls, a mandatory primitive that has only extensions). Resources inside a resource are left open
and checked by their own schema.
"""

from typing import Any

from conformance.validation.primitives import MAX_STRING, PATTERNS, RANGES
from conformance.validation.tables import COMPLEX, PRIMITIVE, RESOURCE, Spec, Table, table
from terminology.fhirjson import Json

_BASE64 = r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
# JSON Schema calls 1.0 an integer, FHIR does not.
WHOLE_NUMBER = "wholeNumber"


def schema_of(type_name: str) -> Json:
    """Return the schema of a resource type with everything that it refers to."""
    definitions: dict[str, Json] = {}
    open_ = [type_name]
    while open_:
        path = open_.pop()
        if path not in definitions:
            rows = table(path)
            definitions[path] = _object(rows)
            open_.extend(spec.table_path for spec in rows.children.values() if spec.shape == COMPLEX)
            open_.extend(["Element"])
    return {"$ref": f"#/$defs/{type_name}", "$defs": definitions | _primitives()}


def _object(rows: Table) -> Json:
    properties: dict[str, Any] = {}
    groups: dict[str, list[str]] = {}
    for spec in rows.children.values():
        one = _value(spec)
        properties[spec.name] = {"type": "array", "minItems": 1, "items": one} if spec.repeats else one
        if spec.shape == PRIMITIVE and not spec.repeats and not spec.is_attribute:
            properties["_" + spec.name] = {"$ref": "#/$defs/Element"}
        if spec.stem is not None:
            groups.setdefault(spec.stem, []).append(spec.name)
    schema: Json = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
    }
    required = [names[0] for name, names in rows.required if len(names) == 1 and not name.endswith("[x]")]
    if rows.is_resource:
        properties["resourceType"] = {"const": rows.path}
        required.append("resourceType")
    elif "id" in properties:
        # An element of nothing but an id is empty (ele-1).
        schema["anyOf"] = [{"minProperties": 2}, {"not": {"required": ["id"]}}]
    if required:
        schema["required"] = required
    choices = [
        _choice(stem, names, rows)
        for stem, names in groups.items()
        if len(names) > 1 or _is_required(stem, rows)
    ]
    if choices:
        schema["allOf"] = choices
    return schema


def _is_required(stem: str, rows: Table) -> bool:
    return any(name == stem + "[x]" for name, _ in rows.required)


def _choice(stem: str, names: list[str], rows: Table) -> Json:
    """At most one of a choice's properties, exactly one where it is mandatory; `_valueX` counts as its own."""
    present: list[Json] = [
        {"anyOf": [{"required": [name]}, {"required": ["_" + name]}]}
        if _has_sibling(name, rows)
        else {"required": [name]}
        for name in names
    ]
    if _is_required(stem, rows):
        return {"oneOf": present}
    return {"oneOf": [{"not": {"anyOf": present}}, *present]}


def _has_sibling(name: str, rows: Table) -> bool:
    return rows.children[name].shape == PRIMITIVE


def _value(spec: Spec) -> Json:
    if spec.shape == RESOURCE:
        return {"type": "object", "required": ["resourceType"]}
    if spec.shape == COMPLEX:
        return {"$ref": f"#/$defs/{spec.table_path}"}
    if spec.codes is not None:
        return {"enum": sorted(spec.codes)}
    return {"$ref": f"#/$defs/:{spec.type}"}


def _primitives() -> dict[str, Json]:
    found: dict[str, Json] = {":boolean": {"type": "boolean"}, ":decimal": {"type": "number"}}
    for name, (low, high) in RANGES.items():
        found[f":{name}"] = {"type": "integer", "minimum": low, "maximum": high, WHOLE_NUMBER: True}
    for name, pattern in PATTERNS.items():
        found[f":{name}"] = {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": MAX_STRING}
    found[":base64Binary"] = {"type": "string", "pattern": f"^(?:{_BASE64})$"}
    return found
