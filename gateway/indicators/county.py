"""What an indicator looks at: resources of a period, and the organisations with their place in the county."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from conformance.chronic import Disease
from conformance.recognition.moment import read_approximately
from conformance.recognition.pack import CHINA
from conformance.recognition.record import Record, codings, references
from terminology.fhirjson import Json

TYPE = "https://hutong.health/fhir/CodeSystem/organization-type"
INSTITUTIONS = ("hospital", "township", "community-health", "clinic", "centre", "public-health")
PRIMARY = frozenset({"township", "community-health", "clinic"})
MOST_PARENTS = 16


@dataclass(frozen=True, slots=True)
class Case:
    """One row behind a figure. `required`: in the denominator, `counted`: in the numerator; `value`: money or minutes."""

    source: str
    day: date
    organization: str = ""
    patient: str = ""
    counted: bool = True
    required: bool = True
    value: Decimal | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """`start`, `end`: days in +08:00, both inclusive; `rules`: the indicator's own row of the pack; `limits`: minutes by name."""

    start: date
    end: date
    rules: Mapping[str, Any]
    now: datetime
    limits: Mapping[str, Any] = field(default_factory=dict)
    diseases: Mapping[str, Disease] = field(default_factory=dict)

    def has(self, day: date | None) -> bool:
        return day is not None and self.start <= day <= self.end


class County:
    """All that was read for one question."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self.record = Record(resources)
        self._chains: dict[str, tuple[Json, ...]] = {}

    def of(self, type: str) -> list[Json]:
        return self.record.of(type)

    def place(self, reference: str) -> str:
        """Return the organisation that a reference is, or works for (PractitionerRole); "" for anything else."""
        if reference.startswith("PractitionerRole/"):
            role = self.record.resolve({"reference": reference})
            return next(iter(references(role or {}, "organization")), "")
        return reference if reference.startswith("Organization/") else ""

    def chain(self, organization: str) -> tuple[Json, ...]:
        """Return the organisation and those above it."""
        known = self._chains.get(organization)
        if known is None:
            rows: list[Json] = []
            current = self.record.resolve({"reference": organization})
            while current is not None and len(rows) < MOST_PARENTS:
                rows.append(current)
                current = self.record.resolve(current.get("partOf"), current)
            known = self._chains[organization] = tuple(rows)
        return known

    def is_member(self, organization: str) -> bool:
        """Whether it is the community or below it."""
        return any("community" in types_of(row) for row in self.chain(organization))

    def tier(self, organization: str) -> str:
        """Return the type of the institution that it is, or is part of; "" for an unknown one."""
        for row in self.chain(organization):
            found = next((code for code in types_of(row) if code in INSTITUTIONS), "")
            if found:
                return found
        return ""

    def is_primary(self, organization: str) -> bool:
        return self.tier(organization) in PRIMARY

    def is_within(self, organization: str, above: str) -> bool:
        return organization == above or any(
            f"Organization/{row.get('id')}" == above for row in self.chain(organization)
        )

    @cached_property
    def tasks(self) -> dict[str, list[Json]]:
        """Tasks by what they are about."""
        found: dict[str, list[Json]] = {}
        for task in self.of("Task"):
            for reference in references(task, "focus"):
                found.setdefault(reference, []).append(task)
        return found


def types_of(organization: Json) -> list[str]:
    return [
        str(row.get("code"))
        for concept in organization.get("type") or ()
        for row in codings(concept)
        if row.get("system") == TYPE
    ]


def day_of(text: object) -> date | None:
    """Return the day in +08:00 of a date or moment."""
    moment = read_approximately(text)
    return moment.astimezone(CHINA).date() if moment is not None else None


def one(resource: Json, element: str) -> str:
    """Return the first reference of an element, "" without one."""
    return next(iter(references(resource, element)), "")


def codes_in(concepts: Any) -> Iterator[str]:
    """Yield the codes of one CodeableConcept or of a list of them."""
    rows = concepts if isinstance(concepts, list) else [concepts] if concepts else []
    for concept in rows:
        for row in codings(concept):
            yield str(row.get("code"))
