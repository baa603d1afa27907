"""`Patient/[id]/$recognize`: candidates for what is ordered, each with every rule's result and a decision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from conformance.recognition.case import Case, kind_of
from conformance.recognition.matching import ItemMaps, Match
from conformance.recognition.moment import effective_text, read_approximately
from conformance.recognition.names import NOT_A_CANDIDATE
from conformance.recognition.organisation import effective_scope
from conformance.recognition.pack import Packs
from conformance.recognition.question import Question
from conformance.recognition.record import Record, codings
from conformance.recognition.rules import RULES
from conformance.recognition.rules.circumstance import is_emergency
from conformance.recognition.rules.person import is_other_person
from conformance.recognition.rules.quality import image_address
from conformance.recognition.rules.validity import valid_until
from conformance.recognition.verdict import PRECEDENCE, RuleResult
from terminology.fhirjson import Json

Decision = Literal["recognise", "ask", "repeat"]
BEST: tuple[Decision, ...] = ("recognise", "ask", "repeat")
MAX_CANDIDATES = 20
"""Candidates of one item that are judged and returned, the newest first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """`item`: which ordered item it answers; `image`: address of images or waveform."""

    item: Json
    result: Json
    decision: Decision
    valid_until: datetime | None
    rules: tuple[RuleResult, ...]
    image: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """`missing`: the ordered items (parts of a panel) that still have to be ordered; `packs`: "id|version" in force."""

    decision: Decision
    candidates: tuple[Candidate, ...]
    missing: tuple[Json, ...]
    packs: tuple[str, ...]
    is_bypassed: bool


def recognize(question: Question, record: Record, packs: Packs, maps: ItemMaps | None = None) -> Answer:
    """Judge every earlier result of what is ordered. Reads only; the same input gives the same answer."""
    found: list[Candidate] = []
    missing: list[Json] = []
    for ordered in ordered_items(question, packs):
        own = sorted(
            (_judge(case) for case in cases(question, record, packs, maps or ItemMaps(), ordered)),
            key=lambda candidate: (BEST.index(candidate.decision), -_time(candidate.result)),
        )
        if not any(candidate.decision in ("recognise", "ask") for candidate in own):
            missing.append(ordered[0])
        found += own
    best: Decision = min((candidate.decision for candidate in found), key=BEST.index, default=BEST[-1])
    return Answer(
        best,
        tuple(found),
        tuple(missing),
        tuple(packs.names()),
        is_emergency(question.encounter, question.order),
    )


def ordered_items(question: Question, packs: Packs) -> Iterator[tuple[Json, ...]]:
    """Yield each ordered item's codings; a listed panel counts as its members."""
    for ordered in question.items:
        listed = packs.item(ordered)
        if listed is None or not listed[0].members:
            yield ordered
            continue
        for system, code in listed[0].members:
            member = packs.item([{"system": system, "code": code}])
            yield (member[0].coding if member else {"system": system, "code": code},)


def cases(
    question: Question, record: Record, packs: Packs, maps: ItemMaps, ordered: tuple[Json, ...]
) -> Sequence[Case]:
    """Return the candidates of one item: laboratory and ECG values are Observations, images are reports."""
    observed = [
        case
        for row in record.of("Observation")
        if (match := maps.match(ordered, codings(row.get("code")))) is not None
        for case in [
            _case(question, record, packs, ordered, row, next(iter(record.reports_of(row)), None), match)
        ]
        if case.kind != "imaging"
    ]
    reported = [
        _case(question, record, packs, ordered, row, row, match)
        for row in record.of("DiagnosticReport")
        if (match := maps.match(ordered, codings(row.get("code")))) is not None
        and (kind_of(row, row) == "imaging" or not observed)
    ]
    eligible = [case for case in (*observed, *reported) if _is_candidate(case)]
    return sorted(eligible, key=lambda case: -_time(case.result))[:MAX_CANDIDATES]


def _case(
    question: Question,
    record: Record,
    packs: Packs,
    ordered: tuple[Json, ...],
    result: Json,
    report: Json | None,
    match: Match,
) -> Case:
    return Case(question, record, packs, ordered, result, report, match)


def _is_candidate(case: Case) -> bool:
    """Another person's result (MR-001), a withdrawn one and an unmarked one from outside (MR-033) are none."""
    if any(
        resource is not None and resource.get("status") in NOT_A_CANDIDATE
        for resource in (case.result, case.report)
    ):
        return False
    if case.patient is not None and is_other_person(case.question.patient, case.patient):
        return False
    return effective_scope(case.result, case.report, case.producer, case.item, inside=case.inside) is not None


def _judge(case: Case) -> Candidate:
    results = tuple(result for rule in RULES if (result := rule(case)) is not None)
    worst = max((PRECEDENCE.index(result.outcome) for result in results), default=0)
    decision: Decision = "recognise" if worst == 0 else "ask" if worst == 1 else "repeat"
    return Candidate(case.ordered[0], case.result, decision, valid_until(case), results, image_address(case))


def _time(result: Json) -> float:
    moment = read_approximately(effective_text(result)) or read_approximately(result.get("issued"))
    return moment.timestamp() if moment else 0.0
