"""What watches while the gateway runs: cases of infectious diseases, risk of pregnancies and children, discharged patients."""

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
from gateway.store.watch import Watch
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.draft import reference_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError

log = logging.getLogger("gateway.public_health")

LOOK_SECONDS = 1.0
TYPES = ("Condition", "Observation", "EpisodeOfCare", "Encounter")


class PublicHealthWatch(Watch):
    """`packs` gives the rules in force; `seconds`: between two looks; `writes` counts what was written."""

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
        super().__init__(Pulse(seconds, writes), name="the watch of public health", log=log)
        self.store, self.packs, self.clock = store, packs, clock
        self.follower = Follower(store, file)

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
