"""Who is called next when nobody acknowledges (workflows §2.1.5): each attempt is a Communication of its own, part of the first."""

import logging
from datetime import datetime, timedelta
from typing import Any

from gateway.care.record import every, id_of
from gateway.critical.alert import C
from gateway.critical.raise_alert import told
from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.coordination import TASK_CODE, coding
from gateway.workflow.draft import reference_of
from gateway.workflow.moment import read_moment
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, Unavailable

log = logging.getLogger("gateway.critical")

WAITING = ("requested", "received")
MOST = 100_000


async def climb(store: Store, packs: Packs, *, now: datetime) -> int:
    """Call whom the ladder names for each alert that waits; returns how many calls were made. A second look calls nobody twice."""
    rules = packs.rules("critical-values")
    params = [("code", f"{TASK_CODE}|acknowledge-critical"), ("status", ",".join(WAITING))]
    calls = 0
    async for task in every(store, "Task", params, most=MOST):
        communication = await _communication(task, store)
        sent = read_moment((communication or {}).get("sent"))
        if communication is None or sent is None:
            continue
        for step, row in enumerate(rules["ladder"]):
            if now - sent >= timedelta(minutes=float(row["after"])) and not _is_spared(row, task):
                calls += await _call_once(step, row, task, communication, rules, store, now=now)
    return calls


async def _call_once(
    step: int, row: Any, task: Json, communication: Json, rules: Any, store: Store, *, now: datetime
) -> int:
    """One alert that cannot be called for must not keep the others from it."""
    try:
        return await _call(step, row, task, communication, rules, store, now=now)
    except Unavailable:
        raise
    except FhirError as error:
        log.error("nobody called: %s", error, extra={"resource": f"Communication/{communication['id']}"})
        return 0


def _is_spared(row: Any, task: Json) -> bool:
    """A row `unless: opened` is for somebody who has not even seen it."""
    return row.get("unless") == "opened" and task.get("status") != "requested"


async def _call(
    step: int, row: Any, task: Json, communication: Json, rules: Any, store: Store, *, now: datetime
) -> int:
    id = id_of("call", communication["id"], str(step))
    if await store.read("Communication", id) is not None:
        return 0
    receiver = {
        "placer": reference_of(task.get("owner")),
        "on-call": str(rules.get("on_call") or ""),
        "information-centre": str(rules.get("information_centre") or ""),
    }.get(str(row["to"]), "")
    call: Json = {
        "resourceType": "Communication",
        "id": id,
        "partOf": [{"reference": f"Communication/{communication['id']}"}],
        # Somebody that nobody named can't be called: that is told too, it is for the information centre to repair.
        "status": "completed" if receiver else "not-done",
        "category": [coding(f"{C}communication-category", "critical-value")],
        "priority": "stat",
        "subject": communication.get("subject"),
        "about": communication.get("about"),
        "topic": communication.get("topic"),
        "sent": now.isoformat(timespec="seconds") if receiver else None,
        "recipient": [{"reference": receiver}] if receiver else None,
        "sender": communication.get("sender"),
        "payload": [
            {"contentString": f"第 {step + 1} 次催告 / call {step + 1}: {communication['topic']['text']}"}
        ],
        "statusReason": None
        if receiver
        else {"text": f"没有可联系的 {row['to']} / nobody named for {row['to']}"},
    }
    call = {name: value for name, value in call.items() if value}
    told_row = told(call, [receiver], reason=f"ladder-{step + 1}", now=now, version=1)
    await store.commit(Commit([Put(call, expected=0)], outbox=[told_row]))
    return 1


async def _communication(task: Json, store: Store) -> Json | None:
    type, _, id = reference_of(task.get("focus")).partition("/")
    version = await store.read(type, id) if type == "Communication" and id else None
    return decode_resource(version.body) if version is not None and version.body is not None else None
