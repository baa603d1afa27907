"""One candidate under judgement, with everything that the rules look at."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from conformance.recognition.matching import Match
from conformance.recognition.moment import effective_text, read_approximately
from conformance.recognition.names import (
    ECG_CATEGORIES,
    ECG_CODES,
    IMAGING_CATEGORIES,
)
from conformance.recognition.organisation import distance, is_inside, producer_of
from conformance.recognition.pack import Item, Pack, Packs
from conformance.recognition.question import Question
from conformance.recognition.record import Record, has_code
from terminology.fhirjson import Json

Kind = Literal["laboratory", "imaging", "ecg"]


@dataclass(frozen=True)
class Case:
    """`ordered`: the codings of the ordered item; `result`: Observation or DiagnosticReport; `report`: the report that
    holds it (the result itself for imaging), None for an observation on its own."""

    question: Question
    record: Record
    packs: Packs
    ordered: tuple[Json, ...]
    result: Json
    report: Json | None
    match: Match

    @cached_property
    def kind(self) -> Kind:
        return kind_of(self.result, self.report)

    @cached_property
    def listed(self) -> tuple[Item, Pack] | None:
        """The item in the packs: under the ordered code, else under a code of the result."""
        return self.packs.item(self.ordered) or self.packs.item(
            (self.result.get("code") or {}).get("coding") or ()
        )

    @property
    def item(self) -> Item | None:
        return self.listed[0] if self.listed else None

    @cached_property
    def producer(self) -> Json | None:
        return producer_of(self.result, self.report, self.record)

    @cached_property
    def inside(self) -> bool:
        return is_inside(self.producer, self.question.requester, self.record)

    @cached_property
    def distance(self) -> str:
        return distance(self.producer, self.question.requester, self.record, self.packs)

    @cached_property
    def patient(self) -> Json | None:
        """The patient whom the result names."""
        return self.record.resolve(self.result.get("subject"), self.result)

    @cached_property
    def specimens(self) -> list[Json]:
        references = (
            [self.result.get("specimen"), *((self.report or {}).get("specimen") or ())]
            if self.result["resourceType"] == "Observation"
            else self.result.get("specimen") or []
        )
        # An observation that names its own specimen is of that one, whatever else the report holds.
        if isinstance(self.result.get("specimen"), dict):
            references = [self.result["specimen"]]
        found = (
            self.record.resolve(reference, self.result) or self.record.resolve(reference, self.report)
            for reference in references
        )
        return [specimen for specimen in found if specimen is not None]

    @cached_property
    def studies(self) -> list[Json]:
        found = (
            self.record.resolve(reference, self.report)
            for reference in (self.report or {}).get("imagingStudy") or ()
        )
        return [study for study in found if study is not None]

    @cached_property
    def effective(self) -> str | None:
        """effective[x] as written; of an image without it the start of the study."""
        own = effective_text(self.result) or (effective_text(self.report) if self.report else None)
        return own or next((study["started"] for study in self.studies if study.get("started")), None)

    @cached_property
    def effective_moment(self) -> datetime | None:
        return read_approximately(self.effective)


def kind_of(result: Json, report: Json | None) -> Kind:
    """Return what a result is, from category, code, images and waveform; the laboratory is the rule."""
    for resource in filter(None, (result, report)):
        if (
            has_code(resource.get("category"), ECG_CATEGORIES)
            or has_code(resource.get("code"), ECG_CODES)
            or "心电" in ((resource.get("code") or {}).get("text") or "")
        ):
            return "ecg"
        if resource.get("imagingStudy") or has_code(resource.get("category"), IMAGING_CATEGORIES):
            return "imaging"
    return "laboratory"
