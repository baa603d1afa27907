"""The search tables: their resources, their rows, and what answers a row (tests/spec/search_*.yaml)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import yaml

from gateway.search import Parameters, parse
from gateway.search.query import Query
from gateway.store.protocol import Commit, Put, Store
from terminology.fhirjson import decode, encode
from terminology.issues import FhirError

FOLDER = Path(__file__).parent
NOW = 1_717_200_000_000_000  # 2024-06-01T08:00:00+08:00


@dataclass(frozen=True)
class Case:
    """`asked`: Type?query (a leading "strict " or "Patient/id/" is allowed); `expected` as the tables write it."""

    section: str
    asked: str
    expected: str

    def __str__(self) -> str:
        return f"{self.section} {self.asked}"


def cases() -> Iterator[Case]:
    for path in sorted(FOLDER.glob("search_*.yaml")):
        if path.name == "search_resources.yaml":
            continue
        for section, rows in yaml.safe_load(path.read_text("utf-8")).items():
            for asked, expected in rows.items():
                yield Case(section, asked, str(expected or ""))


class Subsumption:
    """A terminology of three codes: diabetes (E11) above E11.9; one value set."""

    def expand(self, value_set: str) -> Sequence[tuple[str, str]]:
        if value_set in ("http://hutong.example/fhir/ValueSet/chronic", "ValueSet/chronic"):
            return [
                ("http://hl7.org/fhir/sid/icd-10", "I10.x00"),
                ("http://hl7.org/fhir/sid/icd-10", "E11.9"),
            ]
        return []

    def below(self, system: str, code: str) -> Sequence[str]:
        return ["E11", "E11.9"] if code == "E11" else [code]

    def above(self, system: str, code: str) -> Sequence[str]:
        return ["E11", "E11.9"] if code == "E11.9" else [code]


def resources() -> list[dict[str, Any]]:
    text = (FOLDER / "search_resources.yaml").read_text("utf-8")
    found: list[dict[str, Any]] = decode(encode(yaml.safe_load(text)))
    return found


async def fill(store: Store) -> None:
    for resource in resources():
        await store.commit(Commit([Put(resource)]))


def read(asked: str, parameters: Parameters) -> Query:
    """Return the query of a row; raises what `parse` raises."""
    strict = asked.startswith("strict ")
    where, _, text = asked.removeprefix("strict ").partition("?")
    parts = where.split("/")
    compartment = (parts[0], parts[1]) if len(parts) == 3 else None
    kind = parts[-1] if parts[-1] not in ("", "*") else None
    pairs = [tuple(map(unquote_plus, part.split("=", 1))) for part in text.split("&") if part]
    return parse(
        kind,
        pairs,  # type: ignore[arg-type]  # pairs have two parts
        strict=strict,
        parameters=parameters,
        terminology=Subsumption(),
        compartment=compartment,
        now=NOW,
    )


async def answer(store: Store, asked: str, *, ordered: bool) -> str:
    """Return the answer in the words of the tables: ids, `+ Type/id` of what is included, warnings, or the error."""
    try:
        query = read(asked, store.parameters)
        page = await store.search(query)
    except FhirError as error:
        return "error " + " ".join(sorted(issue.code for issue in error.issues))
    ids = [
        version.id if query.types[1:] == () and query.types else f"{version.type}/{version.id}"
        for version in page.matches
    ]
    found = " > ".join(ids) if ordered else " ".join(sorted(ids))
    if page.included:
        found += " + " + " ".join(sorted(f"{version.type}/{version.id}" for version in page.included))
    if query.count == 0:
        found = f"total {page.total}"
    warnings = [issue.code for issue in (*query.warnings, *page.warnings)]
    return (found + (" warn " + " ".join(warnings) if warnings else "")).strip()
