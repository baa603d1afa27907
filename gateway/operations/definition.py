"""An OperationDefinition of ours in one call (R4 operationdefinition.html)."""

from terminology.fhirjson import Json

BASE = "https://hutong.health/fhir/OperationDefinition/"


def define(
    code: str,
    title: str,
    description: str,
    resources: list[str],
    inputs: list[Json],
    *,
    result: str,
    level: str = "instance",
    changes: bool = True,
    id: str = "",
) -> Json:
    """Return the definition. `level`: instance or type; `id`: the end of its url, where `code` alone is taken."""
    return {
        "resourceType": "OperationDefinition",
        "url": BASE + (id or code),
        "name": "".join(part.capitalize() for part in code.split("-")),
        "title": title,
        "status": "active",
        "kind": "operation",
        "code": code,
        "description": description,
        **({"affectsState": True} if changes else {}),
        "resource": resources,
        "system": False,
        "type": level == "type",
        "instance": level == "instance",
        "parameter": [*inputs, {"name": "return", "use": "out", "min": 1, "max": "1", "type": result}],
    }


def taken(name: str, type: str, low: int = 0, high: str = "1") -> Json:
    """Return a parameter that goes in."""
    return {"name": name, "use": "in", "min": low, "max": high, "type": type}
