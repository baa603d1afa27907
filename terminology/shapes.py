"""Whether a resource has the shape that the operations rely on, before any of them walks it.

Not validation (that is `conformance.validation`): only the lists, objects and strings that evaluation reads, so that
a malformed tx-resource is a 400 with its place and never an accident.
"""

from typing import Any

from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

MAX_PROBLEMS = 20
MAX_DEPTH = 100

Shape = dict[str, Any]

# str = a string; a dict in a list = a list of objects of that shape; "concept" = this shape again.
_PROPERTY: Shape = {"code": str}
_DESIGNATION: Shape = {"language": str, "value": str, "use": {}, "extension": [{}]}
_CONCEPT: Shape = {
    "code": str,
    "display": str,
    "definition": str,
    "designation": [_DESIGNATION],
    "property": [_PROPERTY],
    "extension": [{}],
}
_CONCEPT["concept"] = [_CONCEPT]
_FILTER: Shape = {"property": str, "op": str, "value": str}
_REFERENCE: Shape = {"code": str, "display": str, "designation": [_DESIGNATION], "extension": [{}]}
_INCLUDE: Shape = {
    "system": str,
    "version": str,
    "concept": [_REFERENCE],
    "filter": [_FILTER],
    "valueSet": [str],
    "extension": [{}],
}
_CONTAINS: Shape = {"system": str, "version": str, "code": str, "display": str, "designation": [_DESIGNATION]}
_CONTAINS["contains"] = [_CONTAINS]
_TARGET: Shape = {"code": str, "display": str, "equivalence": str, "relationship": str, "comment": str}
_ELEMENT: Shape = {"code": str, "display": str, "target": [_TARGET]}
_UNMAPPED: Shape = {"mode": str, "code": str, "display": str, "url": str, "otherMap": str}
_CANONICAL: Shape = {"url": str, "version": str, "name": str, "title": str, "status": str, "language": str}

_SHAPES: dict[str, Shape] = {
    "CodeSystem": {
        **_CANONICAL,
        "content": str,
        "valueSet": str,
        "supplements": str,
        "extension": [{}],
        "property": [{"code": str, "uri": str}],
        "concept": [_CONCEPT],
    },
    "ValueSet": {
        **_CANONICAL,
        "extension": [{}],
        "contained": [{}],
        "compose": {"include": [_INCLUDE], "exclude": [_INCLUDE], "extension": [{}]},
        "expansion": {"contains": [_CONTAINS], "parameter": [{"name": str}]},
    },
    "ConceptMap": {
        **_CANONICAL,
        "group": [{"source": str, "target": str, "element": [_ELEMENT], "unmapped": _UNMAPPED}],
    },
}


def check_shape(resource: Json, place: str) -> None:
    """Raise InvalidInput with every element of a terminology resource that has the wrong JSON type."""
    shape = _SHAPES.get(resource["resourceType"])
    if shape is None:
        return
    problems: list[Issue] = []
    _check(resource, shape, f"{place}.{resource['resourceType']}", problems, 0)
    if problems:
        raise InvalidInput(problems)


def _check(value: Any, shape: Any, path: str, problems: list[Issue], depth: int) -> None:
    if len(problems) >= MAX_PROBLEMS:
        return
    if depth > MAX_DEPTH:
        _problem(problems, path, f"nested less than {MAX_DEPTH} deep")
    elif shape is str:
        if not isinstance(value, str):
            _problem(problems, path, "a string")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            _problem(problems, path, "a list")
            return
        for number, row in enumerate(value):
            _check(row, shape[0], f"{path}[{number}]", problems, depth + 1)
    elif not isinstance(value, dict):
        _problem(problems, path, "an object")
    else:
        for name, part in shape.items():
            if name in value:
                _check(value[name], part, f"{path}.{name}", problems, depth + 1)


def _problem(problems: list[Issue], path: str, expected: str) -> None:
    problems.append(Issue("HT-TX-04", {"path": path, "expected": expected}, expression=path))
