"""What `:in`, `:not-in`, `:above` and `:below` mean, asked of the terminology service.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from collections.abc import Sequence
from typing import Protocol

from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, TooCostly
from terminology.members import Members
from terminology.service import Terminology

MAX_CODES = 10_000


class Library(Protocol):
    """What holds the terminology in force."""

    @property
    def terminology(self) -> Terminology: ...

    def held(self, kind: str, identity: str) -> Json | None:
        """Return a resource by its id."""


class Codes:
    """Value sets and hierarchies as lists of codes."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def expand(self, value_set: str) -> Sequence[tuple[str, str | None]]:
        """Return the (system, code) pairs of a value set by URL or `ValueSet/id`; code None: every code of a large system.

        Raises InvalidInput when it cannot be expanded.
        """
        given: Json = {"name": "url", "valueUri": value_set}
        if ":" not in value_set:
            held = self._library.held("ValueSet", value_set.removeprefix("ValueSet/"))
            given = {"name": "valueSet", "resource": held} if held is not None else given
        members = self._members(given, value_set)
        found: dict[tuple[str, str | None], None] = {}
        for run in members.runs:
            system = run.system
            if len(run.ordinals) == len(system) > MAX_CODES:
                found[system.url, None] = None
                continue
            if len(run.ordinals) > MAX_CODES:
                raise TooCostly("HT-SEARCH-22", name=":in", count=len(run.ordinals), most=MAX_CODES)
            for ordinal in run.ordinals:
                if not system.is_abstract(ordinal):
                    found[system.url, system.code(ordinal)] = None
        return list(found)

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
        members = self._members({"name": "valueSet", "resource": value_set}, f"{system}|{code}")
        if len(members) > MAX_CODES:
            raise TooCostly("HT-SEARCH-22", name=f"{system}|{code}", count=len(members), most=MAX_CODES)
        return [member.code for member in members if not member.system.is_abstract(member.ordinal)]

    def _members(self, given: Json, shown: str) -> Members:
        parameters: Json = {"resourceType": "Parameters", "parameter": [given]}
        try:
            return self._library.terminology.members(parameters)
        except FhirError as error:
            detail = error.issues[0].text("en") if error.issues else str(error)
            raise InvalidInput("HT-SEARCH-41", value=shown[:200], detail=detail[:300]) from error
