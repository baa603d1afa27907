"""What keeps chronic care current while the gateway runs: new results grade their patients, due visits are called.

It follows the store's history instead of standing in the way of writes. Where it was is a small file in the data
folder; after a stop it looks again from there, and looking twice writes nothing.
"""

import logging
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from conformance.chronic import Diseases
from gateway.care.due import remind
from gateway.care.grading import regrade
from gateway.care.plan import done
from gateway.care.record import plans_of
from gateway.store.follower import Follower
from gateway.store.protocol import Commit, Put, Store
from gateway.store.pulse import Pulse
from gateway.store.watch import Watch
from gateway.workflow.actor import GATEWAY, acting_as
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, Unavailable, VersionConflict

log = logging.getLogger("gateway.care")

LOOK_SECONDS = 1.0
ATTEMPTS = 5


class Keeper(Watch):
    """`seconds`: between two looks; `writes` counts what was written."""

    def __init__(
        self,
        store: Store,
        diseases: Diseases,
        file: Path,
        *,
        clock: Callable[[], datetime],
        seconds: float = LOOK_SECONDS,
        writes: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(Pulse(seconds, writes), name="chronic care", log=log)
        self.store, self.diseases, self.clock = store, diseases, clock
        self.follower = Follower(store, file)

    async def look(self) -> int:
        """Grade the patients of new results, complete their visits, call what is due; returns how many were looked at."""
        began = self.clock()
        touched = await self._touched()
        for patient, (day, evidence) in touched.items():
            with acting_as(GATEWAY):
                try:
                    await self._follow(patient, day, evidence)
                except FhirError:
                    raise
                except Exception:
                    # One odd record must not end the care of all others.
                    log.exception("no grade", extra={"resource": patient})
        if self.follower.more.get("called") != began.date().isoformat():
            with acting_as(GATEWAY):
                await remind(self.store, today=began.date(), now=began.isoformat(timespec="milliseconds"))
            self.follower.more["called"] = began.date().isoformat()
        self.follower.remember()
        return len(touched)

    async def _touched(self) -> dict[str, tuple[date | None, str]]:
        """Return the patients with new results or diagnoses: the day of the newest result and what proves the visit."""
        codes = frozenset().union(*(row.codes for row in self.diseases.at(self.clock().date()).values()))
        found: dict[str, tuple[date | None, str]] = {}
        for version in await self.follower.changed(("Observation", "Condition")):
            resource = decode_resource(version.body or b"{}")
            patient = str((resource.get("subject") or {}).get("reference", ""))
            if not patient.startswith("Patient/"):
                continue
            if version.type == "Condition":
                found.setdefault(patient, (None, ""))
            elif _codes(resource) & codes:
                day = _day(resource)
                known = found.get(patient, (None, ""))[0]
                if known is None or (day is not None and day > known):
                    found[patient] = (day, _evidence(resource))
        return found

    async def _follow(self, patient: str, day: date | None, evidence: str) -> None:
        for _ in range(ATTEMPTS):
            try:
                # The visit first: another grade makes a new timetable of what is still open.
                if day is not None:
                    await self._visited(patient, day, evidence)
                await regrade(patient, self.store, self.diseases, now=self.clock())
                return
            except VersionConflict:
                # Somebody wrote the plan meanwhile: what he wrote counts.
                continue
            except Unavailable:
                # Nothing was remembered: what is not graded now is found again when the store is back.
                raise
            except FhirError as error:
                log.warning("no grade: %s", error, extra={"resource": patient})
                return
        self._again()

    def _again(self) -> None:
        """A patient was left: his results are shown again while they are new."""
        self.follower.again()
        self._pulse.again()

    async def _visited(self, patient: str, day: date, evidence: str) -> None:
        """A result on a day is the visit that was planned then."""
        for plan in await plans_of(patient, self.store):
            number = int(plan["meta"]["versionId"])
            for step, changed in enumerate(done(plan, day, evidence)):
                await self.store.commit(Commit([Put(changed, expected=number + step)]))


def _codes(observation: Json) -> set[str]:
    parts = (observation, *(observation.get("component") or ()))
    return {str(row.get("code")) for part in parts for row in (part.get("code") or {}).get("coding") or ()}


def _day(observation: Json) -> date | None:
    text = (
        observation.get("effectiveDateTime") or (observation.get("effectivePeriod") or {}).get("start") or ""
    )
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _evidence(observation: Json) -> str:
    """The visit, where the result names one; else the result itself."""
    encounter = str((observation.get("encounter") or {}).get("reference", ""))
    return encounter or f"Observation/{observation['id']}"
