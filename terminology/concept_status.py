"""Whether a concept is active, abstract or deprecated: read from its properties and extensions.

Code systems write this in many ways (https://hl7.org/fhir/R4/codesystem.html#status, codesystem-concept-properties);
a property counts by its usual code or by its canonical URI in CodeSystem.property.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from terminology.designations import STANDARDS_STATUS
from terminology.fhirjson import Json

CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"

_ABSTRACT = ("abstract", "not-selectable", "notSelectable")


def roles(definitions: Sequence[Json]) -> dict[str, str]:
    """Return property code → standard property name, for the properties that carry a standard URI."""
    return {
        definition["code"]: definition["uri"].removeprefix(CONCEPT_PROPERTIES)
        for definition in definitions
        if str(definition.get("uri", "")).startswith(CONCEPT_PROPERTIES) and "code" in definition
    }


def value_of(row: Json) -> Any:
    """Return value[x] of a property, extension or parameter; None when there is none."""
    return next((value for key, value in row.items() if key.startswith("value")), None)


def text_of(row: Json) -> str:
    """Return value[x] as a filter compares it: booleans as true and false, a Coding by its code."""
    value = value_of(row)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return str(value.get("code", ""))
    return "" if value is None else str(value)


def status(concept: Json, roles: Mapping[str, str]) -> str | None:
    """Return the stated status: the status property first, then the flags, then the standards status."""
    rows = concept.get("property", ())
    for row in rows:
        if _is(row, "status", roles):
            return text_of(row)
    for row in rows:
        for flag in ("deprecated", "inactive", "retired"):
            if _is(row, flag, roles) and text_of(row) == "true":
                return flag
        if _is(row, "deprecationDate", roles) and _is_past(text_of(row)):
            return "deprecated"
    return standards_status(concept)


def standards_status(element: Json) -> str | None:
    """Return the structuredefinition-standards-status extension of any element."""
    for extension in element.get("extension", ()):
        if extension.get("url") == STANDARDS_STATUS:
            return text_of(extension)
    return None


def is_abstract(concept: Json, roles: Mapping[str, str]) -> bool:
    return any(
        (row.get("code") in _ABSTRACT or roles.get(row.get("code", "")) == "notSelectable")
        and text_of(row) == "true"
        for row in concept.get("property", ())
    )


def is_inactive(concept: Json, roles: Mapping[str, str]) -> bool:
    for row in concept.get("property", ()):
        if _is(row, "inactive", roles) and text_of(row) == "true":
            return True
        if _is(row, "status", roles) and text_of(row) in ("inactive", "retired"):
            return True
    return (standards_status(concept) or "").lower() == "withdrawn"


def is_deprecated(concept: Json, roles: Mapping[str, str]) -> bool:
    for row in concept.get("property", ()):
        if _is(row, "deprecated", roles) and text_of(row) == "true":
            return True
        if _is(row, "status", roles) and text_of(row) in ("deprecated", "retired"):
            return True
    return False


def _is(row: Json, name: str, roles: Mapping[str, str]) -> bool:
    code = row.get("code", "")
    return bool(code == name or roles.get(code) == name)


def _is_past(text: str) -> bool:
    try:
        date = datetime.fromisoformat(
            text if len(text) > 7 else f"{text}-01" if len(text) == 7 else f"{text}-01-01"
        )
    except ValueError:
        return False
    return date.replace(tzinfo=date.tzinfo or UTC) < datetime.now(UTC)
