"""What the OpenAPI document's paths refer to: parameters, headers, schemas of resources, and examples."""

from typing import Any

from conformance.definitions import Child, children, required_codes
from terminology.fhirjson import Json

ID = "^[A-Za-z0-9\\-.]{1,64}$"
PRIMITIVES: dict[str, Json] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "positiveInt": {"type": "integer", "minimum": 1},
    "unsignedInt": {"type": "integer", "minimum": 0},
    "decimal": {"type": "number"},
    "id": {"type": "string", "pattern": ID},
}


def headers() -> Json:
    text = {"schema": {"type": "string"}}
    return {
        "ETag": {**text, "description": '版本 version: W/"3"'},
        "Location": {**text, "description": "写入的版本的地址 URL of the version written"},
        "Last-Modified": {**text, "description": "HTTP 日期 HTTP date"},
    }


def parameters() -> Json:
    def query(name: str, text: str, **schema: Any) -> Json:
        return {"name": name, "in": "query", "schema": {"type": "string", **schema}, "description": text}

    def header(name: str, text: str, example: str) -> Json:
        return {
            "name": name,
            "in": "header",
            "schema": {"type": "string"},
            "description": text,
            "example": example,
        }

    return {
        "id": {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": ID},
            "example": "p1",
        },
        "vid": {"name": "vid", "in": "path", "required": True, "schema": {"type": "string"}, "example": "1"},
        "format": query("_format", "应答格式 format of the answer", enum=["json", "xml"]),
        "summary": query("_summary", "摘要 summary", enum=["true", "text", "data", "count", "false"]),
        "elements": query("_elements", "只要这些元素 only these elements, e.g. name,birthDate"),
        "count": {
            **query("_count", "每页条数 page size"),
            "schema": {"type": "integer", "minimum": 0, "maximum": 1000},
        },
        "sort": query("_sort", "排序 order, e.g. -_lastUpdated"),
        "type": query("_type", "资源类型 types, e.g. Patient,Observation"),
        "since": query("_since", "自此时刻起 written since", format="date-time"),
        "at": query("_at", "当时有效的版本 versions current then"),
        "if_match": header("If-Match", "只在此版本上写 write over this version only", 'W/"1"'),
        "if_none_match": header("If-None-Match", "此版本已有 this version is known", 'W/"1"'),
        "if_modified_since": header("If-Modified-Since", "此后未变则 304", "Tue, 24 Nov 2026 08:00:00 GMT"),
        "if_none_exist": header(
            "If-None-Exist", "无匹配才新建 create only when nothing matches", "identifier=urn:s|1"
        ),
        "prefer": header("Prefer", "应答偏好 preference", "return=representation"),
    }


def schema(name: str) -> Json:
    """The top level of a resource; deeper levels are the validator's (docs/validation.md)."""
    described = children(name)
    properties: Json = {"resourceType": {"const": name}}
    for key, child in described.items():
        one = _property(child)
        properties[key] = {"type": "array", "items": one} if child.element.repeats else one
    required = [key for key, child in described.items() if child.element.min and not child.element.is_choice]
    return {"type": "object", "required": ["resourceType", *required], "properties": properties}


def _property(child: Child) -> Json:
    if child.type in PRIMITIVES:
        return PRIMITIVES[child.type]
    if not child.type[:1].islower():
        return {"type": "object", "description": child.element.short}
    row: Json = {"type": "string", "description": child.element.short}
    binding = child.element.binding
    if binding is not None and binding.strength == "required":
        codes = [
            code for group in (required_codes(binding.value_set) or {}).values() for code in sorted(group)
        ]
        if 0 < len(codes) <= 40:
            row["enum"] = codes
    return row


def transaction_example() -> Json:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7",
                "resource": {"resourceType": "Patient", "name": [{"text": "张三"}], "gender": "male"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {
                "resource": {
                    "resourceType": "Condition",
                    "code": {"text": "高血压"},
                    "subject": {"reference": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"},
                },
                "request": {"method": "POST", "url": "Condition"},
            },
        ],
    }


def fhirpath_patch_example(name: str) -> Json:
    parts = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": name},
        {"name": "name", "valueString": "language"},
        {"name": "value", "valueCode": "zh-CN"},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
