"""The two triggers of mutual recognition: a visit reminds of the history, an order of what would be done twice (MR-029)."""

import logging
from datetime import datetime

from conformance.recognition import Answer, Packs, Question, Record, recognize
from conformance.recognition.matching import ItemMaps
from conformance.recognition.moment import read_instant
from conformance.recognition.record import codings, reference_of, references
from conformance.recognition.reminder import Occasion, is_known, reports_of, to_reminder
from conformance.recognition.rules.circumstance import is_emergency
from gateway.operations.recognize import judge, library
from gateway.recognition.evidence import Evidence, gather_history
from gateway.rest.context import Context
from gateway.store.protocol import Commit, OutboxRow, Put
from terminology.fhirjson import Json
from terminology.issues import NotFound, VersionConflict

MAX_REMINDERS = 20
"""Of one visit or order, the best first: a doctor reads no longer list."""
MAX_ITEMS = 40
HISTORY_DAYS = 90
"""How far a visit looks back where no listed item is valid longer."""
DOCTORS = ("Practitioner/", "PractitionerRole/")

log = logging.getLogger("gateway.recognition")


async def remind(source: Json, context: Context) -> list[Json]:
    """Make the reminders of an active ServiceRequest or a begun Encounter that are not there yet; return them.

    What cannot be asked (no patient, no coded item) reminds of nothing.
    """
    [subject] = references(source, "subject")[:1] or [""]
    patient = await Evidence(context).read([subject]) if subject.startswith("Patient/") else []
    if not patient:
        return []
    try:
        if source["resourceType"] == "Encounter":
            occasion, answer, record = await _visit(source, patient[0], context)
        else:
            if not codings(source.get("code")):
                return []
            occasion, answer, record = await _order(source, patient[0], context)
    except NotFound:
        return []
    tasks = record.of("Task")
    wanted = [
        to_reminder(held, occasion)
        for held in reports_of(answer, record)
        if not _is_its_own(held.report, source) and not is_known(held, occasion, tasks)
    ]
    return await keep(wanted[:MAX_REMINDERS], context)


async def _order(order: Json, patient: Json, context: Context) -> tuple[Occasion, Answer, Record]:
    at = read_instant(order.get("authoredOn")) or context.clock()
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "order", "resource": order},
            {"name": "at", "valueDateTime": at.isoformat()},
        ],
    }
    question, answer, record = await judge(patient, parameters, context)
    doctor = next((held for held in references(order, "requester") if held.startswith(DOCTORS)), None)
    occasion = Occasion(
        "order", reference_of(patient), reference_of(order), context.clock(),
        encounter=next(iter(references(order, "encounter")), None),
        doctor=doctor,
        organization=reference_of(question.requester) if question.requester else None,
        is_emergency=answer.is_bypassed,
    )  # fmt: skip
    return occasion, answer, record


async def _visit(encounter: Json, patient: Json, context: Context) -> tuple[Occasion, Answer, Record]:
    at = read_instant((encounter.get("period") or {}).get("start")) or context.clock()
    organization = next(iter(references(encounter, "serviceProvider")), None)
    question, answer, record = await history(
        patient, context, at=at, organization=organization, encounter=encounter
    )
    doctors = [
        held
        for row in encounter.get("participant") or ()
        for held in references(row, "individual")
        if held.startswith(DOCTORS)
    ]
    occasion = Occasion(
        "visit", reference_of(patient), reference_of(encounter), context.clock(),
        encounter=reference_of(encounter),
        doctor=next(iter(doctors), None),
        organization=reference_of(question.requester) if question.requester else None,
        is_emergency=is_emergency(encounter, None),
    )  # fmt: skip
    return occasion, answer, record


async def history(
    patient: Json,
    context: Context,
    *,
    at: datetime,
    organization: str | None = None,
    encounter: Json | None = None,
) -> tuple[Question, Answer, Record]:
    """Judge everything that a patient has had lately as if all of it were ordered now; `organization` asks."""
    packs = library(context).at(at)
    evidence = Evidence(context)
    await evidence.read([reference_of(patient)])
    asker = await evidence.read([organization] if organization else [])
    await evidence.follow([*asker, *([encounter] if encounter else [])])
    found = await gather_history(evidence, patient, at, days=_days(packs))
    record = evidence.record()
    items = list(dict.fromkeys(_keys(row) for row in found if codings(row.get("code"))))[:MAX_ITEMS]
    question = Question(
        patient=patient,
        items=tuple(tuple(_coding(*key) for key in item) for item in items),
        at=at,
        requester=asker[0] if asker else None,
        encounter=encounter,
    )
    return question, recognize(question, record, packs, ItemMaps()), record


async def keep(reminders: list[Json], context: Context) -> list[Json]:
    """Write the reminders that are not there yet, and tell whom they are for; return those written."""
    known = (
        await context.store.read_many([("Communication", row["id"]) for row in reminders])
        if reminders
        else {}
    )
    fresh = [row for row in reminders if ("Communication", row["id"]) not in known]
    if not fresh:
        return []
    try:
        await _write(fresh, context)
        return fresh
    except VersionConflict:
        # One of them was made by a parallel trigger: the others are still to be written.
        pass
    made = []
    for row in fresh:
        try:
            await _write([row], context)
        except VersionConflict:
            continue
        made.append(row)
    return made


async def _write(rows: list[Json], context: Context) -> None:
    now = context.clock()
    outbox = [told(row, reason="reminder", at=now) for row in rows]
    await context.store.commit(Commit([Put(row, expected=0) for row in rows], outbox=outbox))


def told(resource: Json, *, reason: str, at: datetime, version: int = 1) -> OutboxRow:
    """Return the outbox row of the topic `recognition` for a Communication or Task just written."""
    receivers = references(resource, "recipient") or references(resource, "owner")
    patient = references(resource, "subject") or references(resource, "for")
    payload = {
        "focus": f"{reference_of(resource)}/_history/{version}",
        "receivers": receivers,
        "reason": reason,
        "at": at.isoformat(),
    }
    return OutboxRow("recognition", next(iter(patient), ""), payload)


def _days(packs: Packs) -> int:
    listed = [item.validity_days or 0 for pack in packs.packs for item in pack.items.values()]
    return max([HISTORY_DAYS, *listed])


def _keys(resource: Json) -> tuple[tuple[str, str], ...]:
    return tuple((row.get("system", ""), row.get("code", "")) for row in codings(resource.get("code")))


def _coding(system: str, code: str) -> Json:
    return {"system": system, "code": code} if system else {"code": code}


def _is_its_own(report: Json, source: Json) -> bool:
    """Whether a report answers this very order, or was made in this very visit."""
    own = reference_of(source)
    return own in references(report, "basedOn") or own in references(report, "encounter")
