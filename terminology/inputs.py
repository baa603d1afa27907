"""The inputs of a terminology operation, read from a Parameters resource (or the URL, as strings).

https://hl7.org/fhir/R4/parameters.html. A parameter is checked when it is asked for: wrong type or given twice is
InvalidInput with a code, so no operation reads a stranger's value unchecked.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from terminology.concept_status import value_of
from terminology.fhirjson import Json
from terminology.issues import InvalidInput
from terminology.shapes import check_shape

MAX_TEXT = 8_000

_TEXT_TYPES = frozenset(
    f"value{name}"
    for name in (
        "String", "Code", "Uri", "Url", "Canonical", "Id", "Oid", "Uuid", "Markdown", "DateTime", "Date", "Instant",
    )
)  # fmt: skip


class Inputs:
    """Named values in order. `operation`: what the caller asked for, for the sentences ("$expand")."""

    def __init__(self, operation: str, rows: Iterable[Json]) -> None:
        self.operation = operation
        self.rows = list(rows)
        self._by_name: dict[str, list[Json]] = {}
        for row in self.rows:
            self._by_name.setdefault(row["name"], []).append(row)

    @classmethod
    def of(cls, operation: str, parameters: Any) -> "Inputs":
        """Read a Parameters resource; raises InvalidInput when it is none."""
        if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
            kind = (
                parameters.get("resourceType") if isinstance(parameters, dict) else type(parameters).__name__
            )
            raise InvalidInput("HT-TX-10", type=kind)
        rows = parameters.get("parameter") or []
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
        ):
            raise InvalidInput("HT-TX-04", path="Parameters.parameter", expected="a list of named parameters")
        return cls(operation, rows)

    def has(self, name: str) -> bool:
        return name in self._by_name

    def text(self, *names: str) -> str | None:
        """Return the one value of a string-like parameter, under the first name that is there."""
        for name in names:
            row = self._one(name)
            if row is not None:
                return _text(name, row)
        return None

    def texts(self, name: str) -> list[str]:
        return [_text(name, row) for row in self._by_name.get(name, ())]

    def need(self, *names: str) -> str:
        """Return a string-like parameter; raises InvalidInput when it is missing."""
        value = self.text(*names)
        if value is None:
            raise InvalidInput("HT-TX-01", operation=self.operation, names=" | ".join(names))
        return value

    def boolean(self, name: str) -> bool | None:
        row = self._one(name)
        if row is None:
            return None
        value = value_of(row)
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise _wrong(name, "boolean", row)

    def integer(self, name: str) -> int | None:
        """Return a number that is not negative."""
        row = self._one(name)
        if row is None:
            return None
        value = value_of(row)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            return value
        raise _wrong(name, "non-negative integer", row)

    def coding(self, *names: str) -> Json | None:
        for name in names:
            row = self._one(name)
            if row is not None:
                return _coding(name, value_of(row), row)
        return None

    def concept(self, *names: str) -> Json | None:
        """Return a CodeableConcept."""
        for name in names:
            row = self._one(name)
            if row is None:
                continue
            value = value_of(row)
            codings = value.get("coding", []) if isinstance(value, dict) else None
            if not isinstance(value, dict) or not isinstance(codings, list):
                raise _wrong(name, "CodeableConcept", row)
            return (
                {**value, "coding": [dict(_coding(name, coding, row)) for coding in codings]}
                if codings
                else value
            )
        return None

    def resource(self, name: str, kind: str) -> Json | None:
        row = self._one(name)
        if row is None:
            return None
        resource = row.get("resource")
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            raise _wrong(name, kind, row)
        check_shape(resource, name)
        return resource

    def resources(self, name: str, kinds: Sequence[str]) -> list[Json]:
        """Return the resources of the kinds; other kinds are left out, what is no resource is refused."""
        found = []
        for row in self._by_name.get(name, ()):
            resource = row.get("resource")
            if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
                raise _wrong(name, "resource", row)
            if resource["resourceType"] in kinds:
                check_shape(resource, name)
                found.append(resource)
        return found

    def parts(self, name: str) -> list[dict[str, Json]]:
        """Return the parts of each parameter of a name, by their own name."""
        found = []
        for row in self._by_name.get(name, ()):
            parts = row.get("part")
            if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
                raise _wrong(name, "list of parts", row)
            found.append({str(part.get("name")): part for part in parts})
        return found

    def _one(self, name: str) -> Json | None:
        found = self._by_name.get(name)
        if found is None:
            return None
        if len(found) > 1:
            raise InvalidInput("HT-TX-02", name=name, count=len(found))
        return found[0]


def _text(name: str, row: Json) -> str:
    key = next((key for key in row if key.startswith("value")), None)
    value = row.get(key) if key else None
    if key not in _TEXT_TYPES or not isinstance(value, str) or not value:
        raise _wrong(name, "string", row)
    if len(value) > MAX_TEXT:
        raise InvalidInput("HT-TX-05", name=name, length=len(value), limit=MAX_TEXT)
    return value


def _coding(name: str, value: Any, row: Json) -> Json:
    if not isinstance(value, dict) or not all(
        isinstance(value.get(part, ""), str) for part in ("system", "version", "code", "display")
    ):
        raise _wrong(name, "Coding", row)
    return value


def _wrong(name: str, kind: str, row: Json) -> InvalidInput:
    shown = str(row.get("resource", value_of(row)))
    return InvalidInput("HT-TX-03", name=name, type=kind, value=shown[:80])
