"""What is known of a patient: resources by reference, contained ones too."""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from terminology.fhirjson import Json


class Record:
    """Resources that the gateway gathered for one question; nothing here is fetched."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self._by_reference: dict[str, Json] = {}
        self._by_type: dict[str, list[Json]] = {}
        for resource in resources:
            key = f"{resource['resourceType']}/{resource.get('id')}"
            if key not in self._by_reference:
                self._by_reference[key] = resource
                self._by_type.setdefault(resource["resourceType"], []).append(resource)

    def of(self, type: str) -> list[Json]:
        """Return all resources of a type in the order they came."""
        return self._by_type.get(type, [])

    def resolve(self, reference: Any, owner: Json | None = None) -> Json | None:
        """Return what a Reference names; `#id` is looked up in `owner`, a version or a server's base is ignored."""
        target = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(target, str):
            return None
        if target.startswith("#"):
            return next(
                (row for row in (owner or {}).get("contained", ()) if row.get("id") == target[1:]), None
            )
        return self._by_reference.get("/".join(target.partition("/_history/")[0].split("/")[-2:]))

    def reports_of(self, observation: Json) -> list[Json]:
        """Return the DiagnosticReports whose results name an Observation, directly or as part of a panel."""
        return self._reports.get(reference_of(observation), [])

    @cached_property
    def _reports(self) -> dict[str, list[Json]]:
        members = {
            reference_of(row): references(row, "hasMember")
            for row in self.of("Observation")
            if row.get("hasMember")
        }
        found: dict[str, list[Json]] = {}
        for report in self.of("DiagnosticReport"):
            named = references(report, "result")
            for held in dict.fromkeys(
                [*named, *(member for panel in named for member in members.get(panel, ()))]
            ):
                found.setdefault(held, []).append(report)
        return found


def reference_of(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource.get('id')}"


def references(resource: Json, element: str) -> list[str]:
    """Return the relative references of an element, without versions."""
    held: Any = resource.get(element) or []
    rows = held if isinstance(held, list) else [held]
    return [
        "/".join(row["reference"].partition("/_history/")[0].split("/")[-2:])
        for row in rows
        if isinstance(row.get("reference"), str)
    ]


def codings(concept: Any) -> list[Json]:
    return list((concept or {}).get("coding") or ())


def concept_text(concept: Any) -> str:
    """Return all words of a CodeableConcept: text and displays."""
    return " ".join(
        filter(None, [(concept or {}).get("text"), *(coding.get("display") for coding in codings(concept))])
    )


def has_code(concepts: Any, codes: frozenset[str]) -> bool:
    """Return whether any CodeableConcept of a list (or the one given) has one of the codes."""
    rows = concepts if isinstance(concepts, list) else [concepts] if concepts else []
    return any(coding.get("code") in codes for row in rows for coding in codings(row))


def extension(element: Json | None, url: str) -> Any:
    """Return the value of the first extension with `url`, None without one."""
    for row in (element or {}).get("extension") or ():
        if row.get("url") == url:
            return next((row[key] for key in row if key.startswith("value")), None)
    return None


def extensions(element: Json | None, url: str) -> list[Json]:
    return [row for row in (element or {}).get("extension") or () if row.get("url") == url]


def code_value(value: Any) -> str | None:
    """Return the code of an extension value that may be a code, a string, an integer, a Coding or a CodeableConcept."""
    if isinstance(value, dict):
        return value.get("code") or next((coding.get("code") for coding in codings(value)), None)
    return str(value) if value is not None else None
