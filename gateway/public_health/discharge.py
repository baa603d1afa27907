"""Discharged patients are followed up (出院患者跟踪): a Task for the family doctor's team, else for the hospital."""

from datetime import datetime, timedelta

from conformance.recognition.moment import read_approximately
from gateway.care.record import contracts_of, in_force
from gateway.public_health.task import to_task
from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import reference_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json

LATE = timedelta(days=60)
"""Stays that ended so long ago come from an old system's data and are not followed up now."""


async def follow(encounter: Json, store: Store, packs: Packs, *, now: datetime) -> Json | None:
    """Write the follow-up Task of a finished stay; returns it, None when there is nothing to follow or it is known."""
    rule = packs.rules("follow-up")["discharge"]
    patient = reference_of(encounter.get("subject"))
    ended = read_approximately((encounter.get("period") or {}).get("end"))
    if (
        encounter.get("status") != "finished"
        or (encounter.get("class") or {}).get("code") not in rule["classes"]
        or not patient.startswith("Patient/")
        or ended is None
        or now - ended > LATE
    ):
        return None
    id = task_id("discharge", encounter["id"])
    if await store.read("Task", id) is not None:
        return None
    contracts = [row for row in await contracts_of(patient, store) if in_force(row, now.date().isoformat())]
    owner = reference_of(contracts[0].get("author")) if contracts else ""
    task = to_task(
        "discharge-follow-up",
        id=id,
        focus=f"Encounter/{encounter['id']}",
        patient=patient,
        owner=owner or reference_of(encounter.get("serviceProvider")),
        now=now,
        limit=ended + timedelta(days=int(rule["days"])),
        text="出院后随访 follow-up after discharge",
    )
    await store.commit(Commit([Put(task, expected=0)]))
    return task
