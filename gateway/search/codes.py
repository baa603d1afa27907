"""What `:in`, `:not-in`, `:above` and `:below` mean, asked of the terminology service.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput
from terminology.service import Call, Terminology

MAX_CODES = 10_000


class Library(Protocol):
    """What holds the terminology in force."""

    @property
    def terminology(self) -> Terminology: ...


class Codes:
    """Value sets and hierarchies as lists of codes."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def expand(self, value_set: str) -> Sequence[tuple[str, str]]:
        """Return the (system, code) pairs of a value set by its URL; raises InvalidInput when it cannot be expanded."""
        return self._expand({"name": "url", "valueUri": value_set}, value_set)

    def below(self, system: str, code: str) -> Sequence[str]:
        """Return the codes that `code` subsumes, itself included."""
        return self._related(system, code, "is-a")

    def above(self, system: str, code: str) -> Sequence[str]:
        """Return the codes that subsume `code`, itself included."""
        return self._related(system, code, "generalizes")

    def _related(self, system: str, code: str, operator: str) -> Sequence[str]:
        row = {"property": "concept", "op": operator, "value": code}
        value_set: Json = {
            "resourceType": "ValueSet",
            "status": "active",
            "compose": {"include": [{"system": system, "filter": [row]}]},
        }
        pairs = self._expand({"name": "valueSet", "resource": value_set}, f"{system}|{code}")
        return [found for _, found in pairs]

    def _expand(self, given: Json, shown: str) -> Sequence[tuple[str, str]]:
        parameters: Json = {"resourceType": "Parameters", "parameter": [given]}
        try:
            answer = self._library.terminology.expand(parameters, Call(limit=MAX_CODES))
        except FhirError as error:
            detail = error.issues[0].text("en") if error.issues else str(error)
            raise InvalidInput("HT-SEARCH-41", value=shown[:200], detail=detail[:300]) from error
        return list(dict.fromkeys(_flat(answer.get("expansion", {}).get("contains", ()))))


def _flat(rows: Iterable[Json]) -> Iterable[tuple[str, str]]:
    for row in rows:
        if not row.get("abstract") and "code" in row:
            yield row.get("system", ""), row["code"]
        yield from _flat(row.get("contains", ()))
