"""Inputs and outputs of operations (https://hl7.org/fhir/R4/operations.html#executing, parameters.html)."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.rest.body import read_resource
from gateway.rest.context import Context
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

NUMBERS = {"integer", "positiveInt", "unsignedInt"}
NOT_PARAMETERS = {"_format", "_pretty", "_summary", "_elements"}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Named values in order. A value is a Python primitive, a datatype or a resource; parts are a nested Inputs."""

    values: tuple[tuple[str, Any], ...] = ()

    def one(self, name: str, default: Any = None) -> Any:
        """Return the first value of a parameter."""
        return next((value for key, value in self.values if key == name), default)

    def all(self, name: str) -> list[Any]:
        return [value for key, value in self.values if key == name]

    def names(self) -> set[str]:
        return {name for name, _ in self.values}


def read_inputs(request: Request, context: Context) -> Inputs:
    """Return the inputs of an operation from the URL and the body, typed as its OperationDefinition says.

    A body is a Parameters resource, or, where the operation takes exactly one resource, that resource itself
    (operations.html#request). Raises InvalidInput with every parameter that doesn't fit.
    """
    assert request.operation is not None
    rows: list[Json] = [row for row in request.operation.resource.get("parameter", []) if row["use"] == "in"]
    known = {row["name"]: row for row in rows}
    problems: list[Issue] = []
    found: list[tuple[str, Any]] = []
    for name, text in request.params:
        if name in NOT_PARAMETERS:
            continue
        row = known.get(name)
        value = _from_text(text, row.get("type", "string") if row else "string")
        if value is None:
            problems.append(
                Issue(
                    "HT-REST-31", {"name": name, "value": text[:80], "type": row["type"] if row else "string"}
                )
            )
        else:
            found.append((name, value))
    if request.body and request.method == "POST":
        resource = read_resource(request, context)
        if resource["resourceType"] == "Parameters":
            found.extend(_from_parameters(resource, problems))
        else:
            kind = resource["resourceType"]
            taking = [row["name"] for row in rows if _takes(row.get("type", ""), kind)]
            if not taking:
                raise InvalidInput("HT-REST-32", type=kind, operation=request.operation.name)
            found.append((taking[0], resource))
    if problems:
        raise InvalidInput(problems)
    return Inputs(tuple(found))


def _takes(wanted: str, given: str) -> bool:
    return wanted in (given, "Resource", "DomainResource")


def _from_parameters(
    resource: Json, problems: list[Issue], path: str = "Parameters"
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    rows = resource.get("parameter") if path == "Parameters" else resource.get("part")
    if not isinstance(rows, list | None):
        problems.append(Issue("HT-REST-33", {}, expression=path))
        return []
    for number, row in enumerate(rows or ()):
        place = f"{path}.{'parameter' if path == 'Parameters' else 'part'}[{number}]"
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            problems.append(Issue("HT-REST-33", {}, expression=place))
            continue
        key = next((key for key in row if key.startswith("value")), None)
        if "resource" in row:
            found.append((row["name"], row["resource"]))
        elif key is not None:
            found.append((row["name"], row[key]))
        elif row.get("part"):
            found.append((row["name"], Inputs(tuple(_from_parameters(row, problems, place)))))
    return found


def _from_text(text: str, kind: str) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text)
    if kind in NUMBERS:
        return (
            int(text)
            if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 12
            else None
        )
    if kind == "decimal":
        try:
            return Decimal(text)
        except InvalidOperation:
            return None
    return text


def output(*rows: tuple[str, Any] | Json) -> Json:
    """Return a Parameters resource; a row is (name with its value[x] type as "name:valueCode", value) or a whole row."""
    parameters: list[Json] = []
    for row in rows:
        if isinstance(row, dict):
            parameters.append(row)
            continue
        name, _, kind = row[0].partition(":")
        parameters.append({"name": name, kind or "resource": row[1]})
    return {"resourceType": "Parameters", "parameter": parameters}
