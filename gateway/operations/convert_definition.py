"""OperationDefinition of $convert (docs/mapping.md, "Preview")."""

from terminology.fhirjson import Json

CONVERT: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/convert",
    "name": "Convert",
    "title": "消息转换预览",
    "status": "active",
    "kind": "operation",
    "code": "convert",
    "description": "Map a message or table to FHIR without storing it. The body is the message as the sender sends it; the answer holds the Bundle, map line and source fields of every value, the fields that no line read, and the codes that no table knows. With the name of a map that runs back as adapter the body is a Bundle and the return a Binary: the message that would be sent.",
    "affectsState": False,
    "resource": ["Resource"],
    "system": True,
    "type": False,
    "instance": False,
    "parameter": [
        {"name": "adapter", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "waveform", "use": "in", "min": 0, "max": "1", "type": "boolean"},
        {"name": "return", "use": "out", "min": 1, "max": "*", "type": "Resource"},
        {"name": "message", "use": "out", "min": 1, "max": "*"},
    ],
}
