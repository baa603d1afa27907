"""The ConceptMaps that come with Hutong, described in `shipped_maps.toml`, read from `terminology/tables` when asked.

https://hl7.org/fhir/R4/conceptmap.html. A stored map of the same URL comes before.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from terminology.concept_map_index import LargeMap
from terminology.fhirjson import Json
from terminology.library import ResourceLibrary
from terminology.tables.rows import table_rows

FILE = Path(__file__).with_name("shipped_maps.toml")
BASE = "https://hutong.health/fhir/ConceptMap/"


@dataclass(frozen=True)
class MapTable:
    """A row of `shipped_maps.toml`: the elements of its group, by source code and by target code."""

    id: str
    title: str
    origin: str
    from_: str
    to: str
    file: str
    source: str
    target: str
    display: str = ""
    codes: tuple[str, ...] = field(default=())

    def elements(self, code: str) -> list[Json]:
        targets = self._by_source.get(code)
        if not targets:
            return []
        rows: list[Json] = []
        for target, display in targets.items():
            row: Json = {"code": target, "equivalence": "equivalent"}
            rows.append(row | ({"display": display} if display else {}))
        return [{"code": code, "target": rows}]

    def sources(self, code: str) -> list[tuple[Json, Json]]:
        return [
            (element, target)
            for source in self._by_target.get(code, ())
            for element in self.elements(source)
            for target in element["target"]
            if target["code"] == code
        ]

    @cached_property
    def _by_source(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for row in table_rows(self.file):
            code, target = row[self.source], row[self.target]
            if code and target and (not self.codes or code in self.codes):
                found.setdefault(code, {})[target] = row[self.display] if self.display else ""
        return found

    @cached_property
    def _by_target(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for code, targets in self._by_source.items():
            for target in targets:
                found.setdefault(target, []).append(code)
        return found


@cache
def shipped_maps() -> dict[str, LargeMap]:
    """Return the shipped maps by id, without their elements, which are found by code."""
    found = {}
    for id, row in tomllib.loads(FILE.read_text("utf-8")).items():
        codes = tuple(row.pop("codes", ()))
        table = MapTable(id=id, from_=row.pop("from"), codes=codes, **row)
        concept_map = LargeMap(
            resourceType="ConceptMap",
            id=id,
            url=BASE + id,
            version="1",
            name="".join(part.capitalize() for part in id.split("-")),
            title=table.title,
            status="active",
            copyright=table.origin,
            group=[{"source": table.from_, "target": table.to}],
        )
        concept_map.rows = [table]
        found[id] = concept_map
    return found


class ShippedMaps(ResourceLibrary):
    """A `Library` of the shipped maps."""

    def by_id(self, kind: str, identity: str) -> Json | None:
        return shipped_maps().get(identity) if kind == "ConceptMap" else None

    def concept_map(self, url: str, version: str | None) -> Json | None:
        found = shipped_maps().get(url.removeprefix(BASE)) if url.startswith(BASE) else None
        return found if found is not None and version in (None, found["version"]) else None

    def concept_maps(self) -> Iterator[Json]:
        yield from shipped_maps().values()
