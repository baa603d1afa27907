"""How good a member's production data is: five measures, one grade A–E. Pure: resources in, figures out.

Not observed is neither good nor bad: a measure without data has no share, and a member without data has no grade.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from conformance.recognition.moment import read_approximately
from conformance.recognition.record import codings
from terminology.fhirjson import Json

MEASURES = ("completeness", "mapping", "references", "timeliness", "duplicates")
WEIGHTS = {"completeness": 0.3, "mapping": 0.25, "references": 0.15, "timeliness": 0.15, "duplicates": 0.15}
GRADES = (("A", 0.95), ("B", 0.85), ("C", 0.70), ("D", 0.50), ("E", 0.0))
TIMELY = timedelta(hours=24)
"""From the event (issued, authored, begun) to its arrival here."""
# What a receiver needs of each type; one of several where they are joined by |.
KEY_FIELDS: Mapping[str, tuple[str, ...]] = {
    "Patient": ("identifier", "name", "gender", "birthDate"),
    "Encounter": ("status", "class", "subject", "period", "serviceProvider"),
    "ServiceRequest": ("identifier", "code", "subject", "requester", "authoredOn"),
    "Observation": ("code", "subject", "effectiveDateTime|effectivePeriod|effectiveInstant", "value*|dataAbsentReason|component|hasMember",
                    "referenceRange|valueCodeableConcept|valueString"),
    "DiagnosticReport": ("code", "subject", "effectiveDateTime|effectivePeriod", "issued", "performer|resultsInterpreter",
                         "result|conclusion|presentedForm|imagingStudy"),
    "ImagingStudy": ("subject", "started", "modality|series", "endpoint|series"),
    "Condition": ("code", "subject", "recordedDate|onsetDateTime"),
    "MedicationRequest": ("medicationCodeableConcept|medicationReference", "subject", "authoredOn", "dosageInstruction"),
    "Specimen": ("type", "subject", "collection"),
}  # fmt: skip
CODED = ("code", "medicationCodeableConcept", "vaccineCode")
EVENT = ("issued", "authoredOn", "recordedDate", "started")


@dataclass(frozen=True, slots=True)
class Sample:
    """One resource and when it came in."""

    resource: Json
    received: datetime | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """`good` of `total`; no share when nothing was observed. `worst`: what lowers it most, by count."""

    name: str
    good: int
    total: int
    worst: tuple[tuple[str, int], ...] = ()

    @property
    def share(self) -> float | None:
        return self.good / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one member. `score` 0…1 and `grade` A…E; None when nothing was observed."""

    measures: tuple[Measure, ...]
    resources: int

    @property
    def score(self) -> float | None:
        seen = [(row.share, WEIGHTS[row.name]) for row in self.measures if row.share is not None]
        return (
            sum(share * weight for share, weight in seen) / sum(weight for _, weight in seen)
            if seen
            else None
        )

    @property
    def grade(self) -> str | None:
        score = self.score
        return next(grade for grade, least in GRADES if score >= least) if score is not None else None

    def to_json(self) -> Json:
        return {
            "score": round(self.score, 4) if self.score is not None else None,
            "grade": self.grade,
            "resources": self.resources,
            "measures": [
                {
                    "name": row.name,
                    "good": row.good,
                    "total": row.total,
                    "share": round(row.share, 4) if row.share is not None else None,
                    "worst": [{"what": what, "count": count} for what, count in row.worst],
                }
                for row in self.measures
            ],
        }


@dataclass(slots=True)
class _Count:
    good: int = 0
    total: int = 0
    wrong: dict[str, int] = field(default_factory=dict)

    def add(self, holds: bool, what: str) -> None:
        self.total += 1
        self.good += holds
        if not holds:
            self.wrong[what] = self.wrong.get(what, 0) + 1

    def measure(self, name: str) -> Measure:
        worst = sorted(self.wrong.items(), key=lambda row: (-row[1], row[0]))[:10]
        return Measure(name, self.good, self.total, tuple(worst))


def measure(
    samples: Sequence[Sample], *, exists: Callable[[str], bool], is_mapped: Callable[[str], bool]
) -> Quality:
    """Return the quality of resources. `exists`: whether a relative reference leads somewhere; `is_mapped`: whether a
    code system is one that the county knows."""
    counts = {name: _Count() for name in MEASURES}
    for sample in samples:
        resource = sample.resource
        _completeness(resource, counts["completeness"])
        for name in CODED:
            rows = codings(resource.get(name)) if isinstance(resource.get(name), dict) else []
            if name in resource:
                holds = any(row.get("code") and is_mapped(row.get("system", "")) for row in rows)
                counts["mapping"].add(holds, f"{resource['resourceType']}.{name}")
        for place, reference in references_in(resource, resource["resourceType"]):
            counts["references"].add(exists(reference), place)
        _timeliness(sample, counts["timeliness"])
    _duplicates(samples, counts["duplicates"])
    return Quality(tuple(counts[name].measure(name) for name in MEASURES), len(samples))


def meets(grade: str | None, least: str) -> bool:
    """Return whether a grade reaches another; no grade reaches none."""
    order = [name for name, _ in GRADES]
    return grade is not None and order.index(grade) <= order.index(least)


def _completeness(resource: Json, count: _Count) -> None:
    for fields in KEY_FIELDS.get(resource["resourceType"], ()):
        holds = any(
            any(key.startswith(name[:-1]) for key in resource)
            if name.endswith("*")
            else bool(resource.get(name))
            for name in fields.split("|")
        )
        count.add(holds, f"{resource['resourceType']}.{fields.split('|')[0].rstrip('*')}")


def references_in(value: Any, place: str) -> Iterable[tuple[str, str]]:
    """Yield (place, relative reference) of every literal reference to this server."""
    if isinstance(value, dict):
        reference = value.get("reference")
        if (
            isinstance(reference, str)
            and not reference.startswith(("#", "urn:", "http"))
            and "/" in reference
        ):
            yield place, "/".join(reference.partition("/_history/")[0].split("/")[-2:])
        for name, inner in value.items():
            if name not in ("contained", "meta"):
                yield from references_in(inner, f"{place}.{name}" if place.count(".") < 2 else place)
    elif isinstance(value, list):
        for row in value:
            yield from references_in(row, place)


def _timeliness(sample: Sample, count: _Count) -> None:
    text = next((sample.resource[name] for name in EVENT if isinstance(sample.resource.get(name), str)), None)
    moment = read_approximately(text)
    if moment is None or sample.received is None:
        return
    # A date alone ends with its day.
    slack = timedelta(days=1) if len(str(text)) == 10 else timedelta()
    count.add(sample.received - moment <= TIMELY + slack, sample.resource["resourceType"])


def _duplicates(samples: Sequence[Sample], count: _Count) -> None:
    """Good is the only one of its kind: persons by number, results by patient, item, time and value."""
    seen: dict[tuple[str, ...], str] = {}
    for sample in samples:
        for key in _keys(sample.resource):
            first = seen.setdefault(key, str(sample.resource.get("id")))
            count.add(
                first == str(sample.resource.get("id")),
                f"{key[0]} {key[1]}"[:60] if key[0] != "Patient" else "Patient",
            )


def _keys(resource: Json) -> Iterable[tuple[str, ...]]:
    kind = resource["resourceType"]
    if kind == "Patient":
        if any(link.get("type") == "replaced-by" for link in resource.get("link") or ()):
            return
        for row in resource.get("identifier") or ():
            if row.get("value"):
                yield kind, str(row.get("system", "")), str(row["value"])
    elif kind in ("Observation", "DiagnosticReport"):
        code = next((str(row.get("code")) for row in codings(resource.get("code"))), "")
        when = str(resource.get("effectiveDateTime") or resource.get("issued") or "")
        if code and when:
            value = str(
                resource.get("valueQuantity")
                or resource.get("valueString")
                or resource.get("conclusion")
                or ""
            )
            yield kind, code, str((resource.get("subject") or {}).get("reference", "")), when, value
