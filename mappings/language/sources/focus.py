"""A focus resource, the resources around it and the facts of a message: the record of a map that runs back."""

from collections.abc import Iterable, Mapping
from typing import Any

from mappings.language.sources.resource_path import Back
from terminology.fhirjson import Json


class Focus:
    """The record of a map that runs back: the focus resource, the resources around it, the facts of the message.

    References between them are found as `Type/id` (with or without base URL and version), by fullUrl and, for
    contained resources, as `#id` within their resource.
    """

    __slots__ = ("_referrers", "facts", "index", "resource", "resources")

    def __init__(
        self, resource: Json, around: Iterable[Json] = (), facts: Mapping[str, Any] | None = None
    ) -> None:
        self.resource = _without_local(resource)
        self.resources = [self.resource, *(_without_local(one) for one in around)]
        self.facts: Mapping[str, Any] = facts or {}
        self.index: dict[str, Json] = {}
        self._referrers: dict[Back, dict[str, list[Json]]] = {}
        for one in self.resources:
            key = f"{one.get('resourceType')}/{one.get('id', '')}"
            self.index.setdefault(key, one)
            for inner in one.get("contained", ()):
                self.index[f"{key}#{inner.get('id', '')}"] = inner

    @staticmethod
    def of_bundle(bundle: Json, type: str = "", facts: Mapping[str, Any] | None = None) -> "Focus":
        """Return the focus of a Bundle: its first resource, or the first of `type`. A lone resource is its own focus."""
        if bundle.get("resourceType") != "Bundle":
            return Focus(bundle, [], facts)
        entries = [row for row in bundle.get("entry", ()) if isinstance(row.get("resource"), dict)]
        rows = [row["resource"] for row in entries]
        if not rows:
            return Focus({}, [], facts)
        types = type.split("|")
        first = next((row for row in rows if not type or row.get("resourceType") in types), rows[0])
        focus = Focus(first, [row for row in rows if row is not first], facts)
        for entry in entries:
            row = entry["resource"]
            if entry.get("fullUrl"):
                known = focus.index.get(f"{row.get('resourceType')}/{row.get('id', '')}")
                focus.index.setdefault(entry["fullUrl"], known or row)
        return focus

    def resolve(self, reference: Any) -> Json | None:
        """Return the resource of a Reference (or of its text); None when the bundle doesn't have it."""
        text = reference.get("reference") if isinstance(reference, dict) else reference
        if not isinstance(text, str):
            return None
        found = self.index.get(text)
        if found is None and "/" in text:
            found = self.index.get("/".join(_plain(text)))
        return found

    def referrers(self, step: Back, resource: Json) -> list[Json]:
        """Return the resources of a type whose element refers to `resource`, in the order of the bundle."""
        known = self._referrers.get(step)
        if known is None:
            known = self._referrers[step] = {}
            for one in self.resources:
                if one.get("resourceType") != step.type:
                    continue
                value = one.get(step.element)
                for row in value if isinstance(value, list) else [value]:
                    target = self.resolve(row)
                    if target is not None:
                        known.setdefault(f"{target.get('resourceType')}/{target.get('id', '')}", []).append(
                            one
                        )
        return known.get(f"{resource.get('resourceType')}/{resource.get('id', '')}", [])


def _plain(reference: str) -> list[str]:
    """Return [type, id] of a reference with or without base URL and version."""
    parts = reference.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    return parts[-2:]


def _without_local(resource: Json) -> Json:
    """Return a resource whose `#id` references to contained resources can be found from anywhere."""
    if not resource.get("contained"):
        return resource
    key = f"{resource.get('resourceType')}/{resource.get('id', '')}"

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f"{key}{part}"
                if name == "reference" and isinstance(part, str) and part.startswith("#")
                else named(part)
                for name, part in value.items()
            }
        return [named(item) for item in value] if isinstance(value, list) else value

    made: Json = named(resource)
    return made
