"""From a critical result to the doctor who ordered it: what is written when it is found, and when two have checked it."""

from datetime import datetime, time
from typing import Any

from gateway.care.record import find
from gateway.critical.alert import alert_id, outputs, to_communication, to_flag, to_task
from gateway.critical.detect import detect
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import reference_of
from gateway.workflow.moment import read_moment
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource


async def raised(observation: Json, store: Store, packs: Packs, *, now: datetime) -> Json | None:
    """Write what a critical result sets in motion; returns the Communication, None when it is none or known already."""
    rules = packs.rules("critical-values")
    found = detect(observation, rules)
    if found is None:
        return None
    id = alert_id(observation, found)
    if await store.read("Communication", id) is not None:
        return None
    sender = await performer_of(observation, store)
    receiver = await placer_of(observation, store) or sender
    communication = to_communication(observation, found, id=id, sender=sender, receiver=receiver, now=now)
    if await has_two_readers(observation, store):
        await release(communication, store, packs, now=now, expected=0)
    else:
        await _ask_to_confirm(communication, store, rules, now=now)
    return communication


async def release(
    communication: Json,
    store: Store,
    packs: Packs,
    *,
    now: datetime,
    expected: int,
    more: tuple[Put, ...] = (),
) -> None:
    """Tell it: Communication in-progress, Flag, Task acknowledge-critical and the outbox row, all or nothing."""
    rules = packs.rules("critical-values")
    moment = now.isoformat(timespec="seconds")
    sent = {**communication, "status": "in-progress", "sent": moment}
    receiver = reference_of(next(iter(communication.get("recipient") or ()), None))
    task = to_task(
        sent,
        "acknowledge-critical",
        id=task_id("ack", communication["id"]),
        owner=receiver,
        minutes=float(rules["minutes"]["acknowledged"]),
        now=now,
        parent=await _parent(communication, store),
    )
    changes = [
        Put(sent, expected=expected),
        Put(to_flag(sent, now=now), expected=0),
        Put(task, expected=0),
        *more,
    ]
    row = told(sent, [receiver], reason="new", now=now, version=expected + 1)
    await store.commit(Commit(changes, outbox=[row]))


def told(communication: Json, receivers: list[str], *, reason: str, now: datetime, version: int) -> OutboxRow:
    """Return the outbox row of a critical value; order is kept by patient."""
    reference = f"Communication/{communication['id']}"
    return OutboxRow(
        "critical-value",
        reference_of(communication.get("subject")) or reference,
        {
            "focus": f"{reference}/_history/{version}",
            "receivers": [row for row in receivers if row],
            "reason": reason,
            "at": now.isoformat(timespec="milliseconds"),
        },
    )


async def _ask_to_confirm(communication: Json, store: Store, rules: Any, *, now: datetime) -> None:
    """Nobody but the machine or one person has looked: a second one confirms before it is told (the core rule of 2018)."""
    owner = reference_of(communication.get("sender"))
    task = to_task(
        communication,
        "confirm-critical",
        id=task_id("confirm", communication["id"]),
        owner=owner,
        minutes=float(rules["minutes"]["sent"]),
        now=now,
        parent=await _parent(communication, store),
    )
    row = told(communication, [owner], reason="confirm", now=now, version=1)
    await store.commit(Commit([Put(communication, expected=0), Put(task, expected=0)], outbox=[row]))


def has_confirmed(task: Json, person: str, *, now: datetime, rules: Any) -> tuple[bool, bool]:
    """Return whether with this person two have looked, and whether he is refused (he was the first, by day)."""
    known = outputs(task)
    first = reference_of(known.get("confirmed-by"))
    if not first:
        return False, False
    if first != person:
        return True, False
    before = read_moment(known.get("confirmed-at"))
    check = rules["double_check"]
    is_later = before is not None and (now - before).total_seconds() >= 60 * float(check["minutes_between"])
    return (is_night(now, check) and is_later), not (is_night(now, check) and is_later)


def is_night(now: datetime, check: Any) -> bool:
    start, end = (time.fromisoformat(str(check[name])) for name in ("night_from", "night_to"))
    moment = now.time()
    return moment >= start or moment < end if start > end else start <= moment < end


async def has_two_readers(observation: Json, store: Store) -> bool:
    """Whether a report that holds the result was read by one person and audited by another."""
    reports = await find(store, "DiagnosticReport", [("result", f"Observation/{observation['id']}")], most=5)
    for report in reports:
        readers = {reference_of(row) for row in report.get("performer") or ()}
        auditors = {reference_of(row) for row in report.get("resultsInterpreter") or ()}
        people = {
            row for row in (*readers, *auditors) if row.startswith(("Practitioner/", "PractitionerRole/"))
        }
        if (
            auditors
            and len(people) >= 2
            and report.get("status") in ("final", "amended", "corrected", "appended")
        ):
            return True
    return False


async def placer_of(observation: Json, store: Store) -> str:
    """Return the organisation that ordered it, else where the patient is; "" when neither is known."""
    for row in observation.get("basedOn") or ():
        order = await _read(reference_of(row), store)
        found = await organization_of(reference_of((order or {}).get("requester")), store)
        if found:
            return found
    encounter = await _read(reference_of(observation.get("encounter")), store)
    return reference_of((encounter or {}).get("serviceProvider"))


async def performer_of(observation: Json, store: Store) -> str:
    """Return the organisation that found it."""
    for row in observation.get("performer") or ():
        found = await organization_of(reference_of(row), store)
        if found:
            return found
    return ""


async def organization_of(reference: str, store: Store) -> str:
    if reference.startswith("Organization/"):
        return reference
    if reference.startswith("PractitionerRole/"):
        return reference_of((await _read(reference, store) or {}).get("organization"))
    return ""


async def _parent(communication: Json, store: Store) -> str:
    """Return the order's coordination Task: work tasks hang below it (workflows §1.2)."""
    for row in communication.get("basedOn") or ():
        reference = f"Task/{task_id('order', reference_of(row).rpartition('/')[2])}"
        if await _read(reference, store) is not None:
            return reference
    return ""


async def _read(reference: str, store: Store) -> Json | None:
    type, _, id = reference.partition("/")
    version = await store.read(type, id) if id else None
    return decode_resource(version.body) if version is not None and version.body is not None else None
