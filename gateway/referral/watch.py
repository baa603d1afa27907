"""What follows a stop notice (停诊) and a visit at home: appointments are cancelled, the follow-up is completed.

It follows what was written, whichever way it came (IST-YY6, REST). Each step is a commit of its own, and looking twice
changes nothing, so a stop in between loses nothing.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.care.plan import HOME, WAY, code_of, status_of
from gateway.care.record import find
from gateway.store.follower import Follower
from gateway.store.protocol import Commit, Put, Store
from gateway.store.pulse import Pulse
from gateway.store.watch import Watch
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Unavailable, VersionConflict

log = logging.getLogger("gateway.referral")

LOOK_SECONDS = 1.0
MOST_SLOTS = 1_000
ATTEMPTS = 5
WAITING = ("proposed", "pending", "booked", "waitlist")


class ReferralWatch(Watch):
    """`seconds`: between two looks; `writes` counts what was written."""

    def __init__(
        self,
        store: Store,
        file: Path,
        *,
        clock: Callable[[], datetime],
        seconds: float = LOOK_SECONDS,
        writes: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(Pulse(seconds, writes), name="the watch for referrals", log=log)
        self.store, self.clock = store, clock
        # What is booked while a stop notice comes in must be found as well: the newest are looked at again.
        self.follower = Follower(store, file, is_once=False)

    async def look(self) -> None:
        with acting_as(GATEWAY):
            for version in await self.follower.changed(("Schedule", "Encounter")):
                resource = decode_resource(version.body or b"{}")
                await self._follow(resource)
            self.follower.remember()

    async def _follow(self, resource: Json) -> None:
        for _ in range(ATTEMPTS):
            try:
                if resource["resourceType"] == "Schedule":
                    await self._stopped(resource)
                else:
                    await self._visited(resource)
                return
            except VersionConflict:
                # Somebody wrote it meanwhile: what he wrote counts.
                continue
            except Unavailable:
                # Nothing was remembered: the look is made again when the store is back.
                raise
            except Exception:
                # One odd record must not end the watch over all others.
                place = f"{resource['resourceType']}/{resource['id']}"
                log.exception("referral not followed", extra={"resource": place})
                return

    async def _stopped(self, schedule: Json) -> None:
        """Cancel what is booked from now on in a Schedule that is not active."""
        if schedule.get("active") is not False:
            return
        now = self.clock().isoformat(timespec="seconds")
        params = [("schedule", f"Schedule/{schedule['id']}"), ("start", f"ge{now}"), ("status", "busy")]
        reason = str(schedule.get("comment") or "停诊 the session does not take place")
        for slot in await find(self.store, "Slot", params, most=MOST_SLOTS):
            held = [("slot", f"Slot/{slot['id']}"), ("status", ",".join(WAITING))]
            for found in await find(self.store, "Appointment", held, most=10):
                cancelled = {
                    **found,
                    "status": "cancelled",
                    "cancelationReason": {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
                                "code": "prov",
                            }
                        ],
                        "text": reason,
                    },
                }
                await self.store.commit(Commit([Put(cancelled, expected=int(found["meta"]["versionId"]))]))

    async def _visited(self, encounter: Json) -> None:
        """A visit that belongs to a down-referral and ended is the follow-up that was due."""
        if encounter.get("status") != "finished":
            return
        for row in encounter.get("basedOn") or ():
            reference = reference_of(row)
            if not reference.startswith("ServiceRequest/"):
                continue
            id = task_id("referral", reference.partition("/")[2])
            version = await self.store.read("CarePlan", id)
            if version is None or version.body is None:
                continue
            plan, number = decode_resource(version.body), version.version
            for step, changed in enumerate(_done(plan, f"Encounter/{encounter['id']}")):
                await self.store.commit(Commit([Put(changed, expected=number + step)]))


def _done(plan: Json, evidence: str) -> list[Json]:
    """Return the plan state by state until its visit at home, and with it the plan, is completed; [] when it is already."""
    rows = list(plan.get("activity") or ())
    at = next((n for n, row in enumerate(rows) if code_of(row) == HOME and status_of(row) in WAY[:-1]), None)
    if at is None or plan.get("status") != "active":
        return []
    found = []
    for status in WAY[WAY.index(status_of(rows[at])) + 1 :]:
        changed = {**rows[at], "detail": {**rows[at]["detail"], "status": status}}
        if status == WAY[-1]:
            changed["outcomeReference"] = [{"reference": evidence}]
        found.append({**plan, "activity": [*rows[:at], changed, *rows[at + 1 :]]})
    return [*found, {**found[-1], "status": "completed"}]
