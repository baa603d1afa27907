"""The published catalogues as a source of the terminology operations: a folder of snapshots (`terminology.library.Library`).

File names do not matter; each snapshot says which version of which code system it is and from which day it is in force.
New files are seen by the next question; mapped files stay valid while they are in use.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from terminology.code_system import CodeSystem
from terminology.drug.tiers import AVAILABLE, TIERS
from terminology.fhirjson import Json
from terminology.issues import NotFound
from terminology.library import best
from terminology.memory import ConceptIndex
from terminology.snapshot.header import is_readable, read_meta

if TYPE_CHECKING:
    from terminology.snapshot.code_system import SnapshotCodeSystem

log = logging.getLogger(__name__)

SUFFIX = ".snapshot"
CHINA = timezone(timedelta(hours=8))
EFFECTIVE = "https://hutong.health/fhir/StructureDefinition/effective-from"


class CatalogueLibrary:
    """Opens a snapshot when it is first asked for; knows all by their headers."""

    def __init__(
        self, folder: Path, *, today: Callable[[], date] = lambda: datetime.now(CHINA).date()
    ) -> None:
        """`today` decides which version is in force."""
        self._folder = folder
        self._today = today
        self._paths: dict[tuple[str, str], Path] = {}
        self._resources: dict[str, list[Json]] = {}
        # A scheduled version may be taken back and another take its name: a file is known by its inode.
        self._open: dict[Path, tuple[int, SnapshotCodeSystem]] = {}
        self._seen = 0

    @property
    def _catalogues(self) -> dict[str, list[Json]]:
        """Metadata by URL; the folder is read again when something was published."""
        try:
            changed = os.stat(self._folder).st_mtime_ns
        except FileNotFoundError:
            changed = 0
        if changed != self._seen:
            self._seen = changed
            paths: dict[tuple[str, str], Path] = {}
            resources: dict[str, list[Json]] = {}
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                if not is_readable(path):
                    # What one file cannot answer, the others still can; the gateway writes it anew when it starts.
                    log.warning("%s cannot be read", path.name)
                    continue
                resource = read_meta(path)["resource"]
                paths[resource["url"], resource["version"]] = path
                resources.setdefault(resource["url"], []).append(resource)
            self._paths, self._resources = paths, resources
            self._open = {path: held for path, held in self._open.items() if held[0] == _inode(path)}
        return self._resources

    def code_system(self, url: str, version: str | None) -> CodeSystem | None:
        """Return the version asked for; without one the version in force today, never one of the future."""
        resource = self.code_system_resource(url, version)
        return self._at(resource) if resource is not None else None

    def _at(self, resource: Json) -> "SnapshotCodeSystem":
        path = self._paths[resource["url"], resource["version"]]
        held = self._open.get(path)
        if held is None:
            from terminology.snapshot.code_system import (
                SnapshotCodeSystem,  # numpy, for those who ask a catalogue
            )

            held = self._open[path] = _inode(path), SnapshotCodeSystem(path)
        return held[1]

    def code_system_versions(self, url: str) -> Sequence[str]:
        return [resource["version"] for resource in self._catalogues.get(url, ())]

    def code_system_resource(self, url: str, version: str | None) -> Json | None:
        rows = self._catalogues.get(url, ())
        return best(rows, version) if version else in_force(rows, self._today())

    def code_systems(self) -> Iterator[Json]:
        return (resource for rows in self._catalogues.values() for resource in rows)

    def code_systems_with_value_set(self, url: str) -> Iterator[Json]:
        return (row for row in self.code_systems() if row.get("valueSet") == url)

    def supplements(self, url: str, version: str | None) -> Iterator[ConceptIndex]:  # noqa: ARG002  # catalogues have none
        return iter(())

    def value_set(self, url: str, version: str | None) -> Json | None:  # noqa: ARG002  # implicit
        """Return the value set of all codes of a catalogue; `…-village` is that of the drugs of a tier."""
        base, _, tier = url.rpartition("-")
        for resource in self.code_systems():
            include: Json = {"system": resource["url"]}
            if resource.get("valueSet") == base and tier in TIERS and _has_property(resource, AVAILABLE):
                include["filter"] = [{"property": AVAILABLE, "op": "=", "value": tier}]
            elif resource.get("valueSet") != url:
                continue
            return {
                "resourceType": "ValueSet",
                "url": url,
                "status": "active",
                "name": resource.get("name"),
                "title": resource.get("title"),
                "compose": {"include": [include]},
            }
        return None

    def value_set_versions(self, url: str) -> Sequence[str]:  # noqa: ARG002  # they follow their code system
        return ()

    def concept_map(self, url: str, version: str | None) -> Json | None:  # noqa: ARG002  # maps are stored resources
        return None

    def concept_maps(self) -> Iterator[Json]:
        return iter(())

    def version_on(self, url: str, on: date) -> str | None:
        rows = self._catalogues.get(url, ())
        if not rows:
            return None
        found = in_force(rows, on)
        if found is None:
            raise NotFound("HT-TX-14", system=url, date=on.isoformat())
        return str(found["version"])


def _has_property(resource: Json, code: str) -> bool:
    return any(row["code"] == code for row in resource.get("property") or ())


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def in_force(resources: Sequence[Json], on: date) -> Json | None:
    """Return the version in force on a day: the newest that began by then."""
    begun = [row for row in resources if effective_from(row) <= on.isoformat()]
    return max(begun, key=lambda row: (effective_from(row), row.get("version", "")), default=None)


def effective_from(resource: Json) -> str:
    return next(
        (row["valueDate"] for row in resource.get("extension") or () if row.get("url") == EFFECTIVE), ""
    )
