"""What watches while the gateway runs: cases of infectious diseases, risk of pregnancies and children, discharged patients."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.public_health.discharge import follow
from gateway.public_health.raise_report import reported
from gateway.public_health.risk import regrade
from gateway.store.follower import Follower
from gateway.store.protocol import Store
from gateway.store.pulse import Pulse
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.draft import reference_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError

log = logging.getLogger("gateway.public_health")

LOOK_SECONDS = 1.0
TYPES = ("Condition", "Observation", "EpisodeOfCare", "Encounter")


class PublicHealthWatch:
    """A Port. `packs` gives the rules in force; `seconds`: between two looks; `writes` counts what was written."""

    def __init__(
        self,
        store: Store,
        file: Path,
        *,
        packs: Callable[[], Packs],
        clock: Callable[[], datetime],
        seconds: float = LOOK_SECONDS,
        writes: Callable[[], int] | None = None,
    ) -> None:
        self.store, self.packs, self.clock = store, packs, clock
        self._pulse = Pulse(seconds, writes)
        self.follower = Follower(store, file)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> None:
        """Do what follows from what was written since the last look."""
        graded: set[str] = set()
        for version in await self.follower.changed(TYPES):
            resource = decode_resource(version.body or b"{}")
            try:
                with acting_as(GATEWAY):
                    await self._follow(resource, graded)
            except FhirError as error:
                place = f"{version.type}/{version.id}"
                log.error("public health: nothing follows: %s", error, extra={"resource": place})
        self.follower.remember()

    async def _follow(self, resource: Json, graded: set[str]) -> None:
        packs, now = self.packs(), self.clock()
        type = resource["resourceType"]
        if type in ("Condition", "Observation"):
            await reported(resource, self.store, packs, now=now)
        if type == "Encounter":
            await follow(resource, self.store, packs, now=now)
            return
        patient = reference_of(resource.get("patient" if type == "EpisodeOfCare" else "subject"))
        if patient.startswith("Patient/") and patient not in graded:
            graded.add(patient)
            await regrade(patient, self.store, packs, now=now)

    async def _run(self) -> None:
        await self._pulse.start()
        while True:
            try:
                await self.look()
            except FhirError as error:
                log.warning("the watch of public health waits: %s", error)
                self._pulse.again()
            except Exception:
                # The outermost edge of a background part: one odd record must not end the watch.
                log.exception("the watch of public health stumbled")
                self._pulse.again()
            await self._pulse.next()
