"""From a published version to the snapshot that serves it, and to files that leave the house."""

import csv
import io
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.catalogues.authoring import Catalogue, Catalogues, PublishedVersion
from gateway.catalogues.change_set import ChangeSet
from gateway.catalogues.place import snapshot_path
from terminology.catalogue.row import Row
from terminology.fhirjson import Json
from terminology.snapshot.build import Concept, Designation, Progress, write
from terminology.snapshot.header import is_readable
from terminology.snapshot.library import EFFECTIVE

VALUE_KEYS = {"boolean": "valueBoolean", "integer": "valueInteger", "decimal": "valueDecimal"}
USES = {"short": "https://hutong.health/fhir/CodeSystem/designation-use"}


def write_snapshot(
    catalogues: Catalogues,
    version: PublishedVersion,
    folder: Path,
    *,
    progress: Progress = lambda _done, _all: None,
) -> Path:
    """Write the snapshot of a version and return its path; one that is there is left (a version never changes).

    One that was damaged, or written by an earlier Hutong in another form, is written again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = snapshot_path(folder, version.catalogue, version.number)
    if not is_readable(path):
        rows = list(catalogues.rows(version.catalogue, version.number))
        resource = code_system(catalogues.get(version.catalogue), version, rows)
        write(path, [to_concept(row) for row in rows], {"resource": resource}, progress=progress)
    return path


def write_missing(catalogues: Catalogues, folder: Path) -> list[Path]:
    """Write the snapshots that are not there yet, or cannot be read, of all published versions."""
    return [
        write_snapshot(catalogues, version, folder)
        for row in catalogues.all()
        for version in catalogues.versions(row.id)
    ]


def reject(catalogues: Catalogues, id: int, *, who: str, note: str | None, folder: Path) -> ChangeSet:
    """Reject a change set; a scheduled version is taken back with its snapshot, before its day."""
    before = catalogues.change_set(id)
    rejected = catalogues.move(id, "rejected", who=who, note=note)
    if before.version is not None:
        snapshot_path(folder, before.catalogue, before.version).unlink(missing_ok=True)
    return rejected


def code_system(catalogue: Catalogue, version: PublishedVersion, rows: Iterable[Row]) -> Json:
    """Return the CodeSystem of a version without its concepts."""
    listed = list(rows)
    properties = _property_types(listed)
    resource: Json = {
        "resourceType": "CodeSystem",
        "id": f"{catalogue.id}-{version.number}",
        "extension": [{"url": EFFECTIVE, "valueDate": version.effective_from.isoformat()}],
        "url": catalogue.url,
        "version": version.label,
        "name": "".join(part.capitalize() for part in catalogue.id.replace("_", "-").split("-")),
        "title": catalogue.title,
        "status": "active",
        "language": "zh-CN",
        "date": version.effective_from.isoformat(),
        "copyright": catalogue.source,
        "caseSensitive": True,
        "valueSet": f"https://hutong.health/fhir/ValueSet/{catalogue.id}",
        "hierarchyMeaning": "is-a",
        "content": "complete",
        "count": len(listed),
    }
    if properties:
        resource["property"] = [{"code": name, "type": kind} for name, kind in properties.items()]
    return resource


def _property_types(rows: Iterable[Row]) -> dict[str, str]:
    """Return each property's FHIR type by its values: boolean, integer, decimal, else string."""
    found: dict[str, str] = {}
    for row in rows:
        for name, values in row.properties.items():
            for value in values if isinstance(values, list) else [values]:
                kind = _type_of(value)
                held = found.setdefault(name, kind)
                if held != kind:
                    found[name] = "decimal" if {held, kind} == {"integer", "decimal"} else "string"
    return found


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "decimal" if isinstance(value, Decimal) else "string"


def to_concept(row: Row) -> Concept:
    """Return a row as the snapshot takes it; a property with several values repeats."""
    properties: list[tuple[str, Any]] = []
    for name, value in row.properties.items():
        properties += [(name, one) for one in value] if isinstance(value, list) else [(name, value)]
    return Concept(
        code=row.code,
        display=row.display,
        definition=row.definition,
        parents=row.parents,
        designations=[
            Designation(name.value, name.language or None, {"code": name.use} if name.use in USES else None)
            for name in row.names
        ],
        properties=properties,
        spellings=row.spellings,
        is_inactive=row.is_inactive,
    )


def to_csv(rows: Iterable[Row]) -> str:
    """Return a version as CSV with headings that a load understands again; several values are parted by "|"."""
    listed = list(rows)
    properties = list(_property_types(listed))
    more = [part for part, has in MORE.items() if any(map(has, listed))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["code", "display", "parent", "status", *more, *properties])
    for row in listed:
        texts = {
            "definition": row.definition or "",
            "alias": "|".join(name.value for name in row.names),
            "pinyin": "|".join(row.spellings),
        }
        writer.writerow(
            [
                row.code,
                row.display,
                "|".join(row.parents),
                "inactive" if row.is_inactive else "",
                *(texts[part] for part in more),
                *(_cell(row.properties.get(name, "")) for name in properties),
            ]
        )
    return out.getvalue()


MORE: dict[str, Callable[[Row], Any]] = {
    "definition": lambda row: row.definition,
    "alias": lambda row: row.names,
    "pinyin": lambda row: row.spellings,
}
"""Columns that only some catalogues have."""


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "|".join(map(_cell, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def to_recognition_items(catalogue: Catalogue, rows: Iterable[Row]) -> str:
    """Return the items with attributes of mutual recognition as `items.csv` of a recognition pack (docs/recognition.md)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["system", "code", "display", *ITEM_COLUMNS])
    for row in rows:
        if "scope" in row.properties and not row.is_inactive:
            system = str(row.properties.get("system") or catalogue.url)
            cells = (_cell(row.properties.get(name, "")) for name in ITEM_COLUMNS.values())
            writer.writerow([system, row.code, row.display, *cells])
    return out.getvalue()


ITEM_COLUMNS = {
    "scope": "scope", "validity_days": "validity-days", "base": "base", "volatile": "volatile",
    "qualified_only": "qualified-only", "method_sensitive": "method-sensitive", "min_images": "min-images",
    "price": "price", "source": "source", "unit": "unit", "method": "method", "specimen": "specimen",
    "bundle_of": "bundle-of",
}  # fmt: skip
"""Column of a recognition pack → attribute of the catalogue."""


def to_resource(catalogue: Catalogue, version: PublishedVersion, rows: Iterable[Row]) -> Json:
    """Return a version as a CodeSystem with all its concepts; the hierarchy as parent properties."""
    listed = list(rows)
    resource = code_system(catalogue, version, listed)
    types = {row["code"]: row["type"] for row in resource.get("property", ())}
    resource["property"] = [*resource.get("property", ()), {"code": "parent", "type": "code"}]
    resource["concept"] = [_concept(row, types) for row in listed]
    return resource


def _concept(row: Row, types: dict[str, str]) -> Json:
    concept: Json = {"code": row.code, "display": row.display}
    if row.definition:
        concept["definition"] = row.definition
    if row.names:
        concept["designation"] = [
            {"language": name.language, "value": name.value} if name.language else {"value": name.value}
            for name in row.names
        ]
    properties: list[Json] = [{"code": "parent", "valueCode": parent} for parent in row.parents]
    for code, value in to_concept(row).properties:
        key = VALUE_KEYS.get(types[code], "valueString")
        properties.append({"code": code, key: value if key != "valueString" else str(value)})
    if row.is_inactive:
        properties.append({"code": "inactive", "valueBoolean": True})
    if properties:
        concept["property"] = properties
    return concept
