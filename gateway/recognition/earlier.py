"""What there is already of a patient, for systems that ask in their own words: vendors' JSON and the region's XML.

One question (who, what, since when, who asks, why), one answer; every asking at a visit or order is a reminder (MR-029).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from conformance.identifiers import read_resident_id, systems, to_eighteen
from conformance.recognition import Answer, Candidate, Question, Record
from conformance.recognition.case import kind_of
from conformance.recognition.moment import effective_text, read_approximately
from conformance.recognition.record import codings, reference_of, references
from conformance.recognition.reminder import Held, Occasion, Trigger, is_known, reports_of, to_reminder
from gateway.operations.recognize import judge, library
from gateway.recognition.evidence import Evidence
from gateway.recognition.remind import history, keep
from gateway.rest.context import Context
from gateway.search.escape import escape
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

Kind = Literal["examination", "laboratory", "any"]
MAX_PATIENTS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in a partner's words. `items`: codes with or without a system; none asks for the history.

    `order` and `doctor` are FHIR references or the partner's own numbers; a number that is not ours still makes the
    reminder one a report, order and doctor.
    """

    resident_id: str
    at: datetime
    name: str = ""
    kind: Kind = "any"
    items: tuple[Json, ...] = ()
    since: datetime | None = None
    organization: str | None = None
    doctor: str = ""
    order: str = ""
    trigger: Trigger = "order"


@dataclass(frozen=True, slots=True)
class Earlier:
    """One earlier report that may stand in; `is_viewed`: the asker has seen or decided it, so nothing was reminded."""

    report: Json
    candidates: tuple[Candidate, ...]
    record: Record
    is_viewed: bool

    @property
    def decision(self) -> str:
        return "recognise" if any(row.decision == "recognise" for row in self.candidates) else "ask"


async def find_patient(resident_id: str, name: str, context: Context) -> Json | None:
    """Return the active patient with this identity number (and, where given, this name); None when nobody has it.

    Raises InvalidInput HT-MR-15 for what is no identity number at all; a wrong check digit is MR-002's business.
    """
    found = read_resident_id(resident_id)
    if found.fault == "form":
        raise InvalidInput("HT-MR-15", name="idCardNo", detail="15 | 18")
    forms = dict.fromkeys((found.value, to_eighteen(found.value)))
    value = ",".join(f"{systems.RESIDENT_ID}|{escape(form)}" for form in forms)
    rows = await Evidence(context).search("Patient", ("identifier", value), count=MAX_PATIENTS)
    rows = [row for row in rows if row.get("active", True) and not _is_replaced(row)] or rows
    wanted = "".join(name.split())
    named = [row for row in rows if wanted in _names(row)] if wanted else rows
    return named[0] if named else None


async def earlier_reports(asked: Asked, patient: Json, context: Context) -> list[Earlier]:
    """Return the reports that answer, best first, and keep a reminder of each that the asker has not seen."""
    question, answer, record = await _judged(asked, patient, context)
    occasion = Occasion(
        asked.trigger, reference_of(patient), asked.order or "history", context.clock(),
        doctor=asked.doctor if "/" in asked.doctor else None,
        organization=asked.organization,
    )  # fmt: skip
    tasks = record.of("Task")
    found = [
        Earlier(held.report, held.candidates, record, is_known(held, occasion, tasks))
        for held in reports_of(answer, record)
        if _is_wanted(held, asked, question)
    ]
    await keep([_reminder(row, occasion, asked) for row in found if not row.is_viewed], context)
    return found


def _reminder(row: Earlier, occasion: Occasion, asked: Asked) -> Json:
    """A doctor without a record here is part of the identity and shown by the number that came."""
    named = occasion if not asked.doctor or occasion.doctor else _with_focus(occasion, asked.doctor)
    reminder = to_reminder(Held(row.report, row.candidates), named)
    if asked.doctor and occasion.doctor is None:
        reminder.setdefault("recipient", []).append({"display": asked.doctor[:64]})
    return reminder


def _with_focus(occasion: Occasion, doctor: str) -> Occasion:
    return Occasion(
        occasion.trigger, occasion.patient, f"{occasion.focus} {doctor}", occasion.at,
        organization=occasion.organization,
    )  # fmt: skip


async def _judged(asked: Asked, patient: Json, context: Context) -> tuple[Question, Answer, Record]:
    if not asked.items:
        return await history(patient, context, at=asked.at, organization=asked.organization)
    parameters: list[Json] = [
        {"name": "item", "valueCoding": coding}
        for item in asked.items
        for coding in await _systems(item, patient, asked, context)
    ]
    parameters.append({"name": "at", "valueDateTime": asked.at.isoformat()})
    if asked.organization:
        parameters.append({"name": "requester", "valueReference": {"reference": asked.organization}})
    return await judge(patient, {"resourceType": "Parameters", "parameter": parameters}, context)


async def _systems(item: Json, patient: Json, asked: Asked, context: Context) -> list[Json]:
    """A code without a system is looked up in the item lists, then among what the patient has had."""
    if item.get("system"):
        return [item]
    code = item.get("code", "")
    packs = library(context).at(asked.at)
    listed = [row.coding for pack in packs.packs for row in pack.items.values() if row.code == code]
    if listed:
        return listed[:1]
    evidence = Evidence(context)
    subject = ("subject", reference_of(patient))
    found = [
        coding
        for kind in ("Observation", "DiagnosticReport")
        for row in await evidence.search(kind, subject, ("code", escape(code)), count=5)
        for coding in codings(row.get("code"))
        if coding.get("code") == code
    ]
    return found[:1] or [item]


def _is_wanted(held: Held, asked: Asked, question: Question) -> bool:
    """Of the asked kind, not older than asked, and not the answer to the asked order itself."""
    if asked.order and asked.order in references(held.report, "basedOn"):
        return False
    is_laboratory = all(kind_of(row.result, held.report) == "laboratory" for row in held.candidates)
    if asked.kind != "any" and (asked.kind == "laboratory") != is_laboratory:
        return False
    done = read_approximately(effective_text(held.report)) or read_approximately(held.report.get("issued"))
    return asked.since is None or done is None or asked.since <= done <= question.at


def _is_replaced(patient: Json) -> bool:
    return any(link.get("type") == "replaced-by" for link in patient.get("link") or ())


def _names(patient: Json) -> set[str]:
    found = set()
    for name in patient.get("name") or ():
        text = name.get("text") or f"{name.get('family', '')}{''.join(name.get('given') or ())}"
        found.add("".join(text.split()))
    return found
