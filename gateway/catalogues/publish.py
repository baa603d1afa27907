"""From a published version to the snapshot that serves it, and to files that leave the house."""

import csv
import io
from collections.abc import Iterable
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
        for name, value in row.properties.items():
            kind = "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"
            found[name] = kind if found.get(name, kind) == kind else "string"
    return found


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
    """Return a version as CSV with headings that a load understands again."""
    listed = list(rows)
    properties = list(_property_types(listed))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["code", "display", "parent", "status", *properties])
    for row in listed:
        values = (row.properties.get(name, "") for name in properties)
        writer.writerow(
            [
                row.code,
                row.display,
                "|".join(row.parents),
                "inactive" if row.is_inactive else "",
                *(",".join(map(str, value)) if isinstance(value, list) else value for value in values),
            ]
        )
    return out.getvalue()


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
        key = {"boolean": "valueBoolean", "integer": "valueInteger"}.get(types[code], "valueString")
        properties.append({"code": code, key: value if key != "valueString" else str(value)})
    if row.is_inactive:
        properties.append({"code": "inactive", "valueBoolean": True})
    if properties:
        concept["property"] = properties
    return concept
