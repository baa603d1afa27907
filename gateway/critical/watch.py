"""What watches for critical values while the gateway runs: new results, reports that were audited, alerts that wait."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gateway.care.record import find
from gateway.critical.alert import C
from gateway.critical.ladder import climb
from gateway.critical.raise_alert import has_two_readers, raised, release
from gateway.store.follower import Follower
from gateway.store.protocol import Put, Store, Version
from gateway.store.pulse import Pulse
from gateway.store.watch import Watch
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.coordination import coding, task_id
from gateway.workflow.draft import reference_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Unavailable, VersionConflict

log = logging.getLogger("gateway.critical")

LOOK_SECONDS = 0.5
ATTEMPTS = 5
MOST = 1_000
WAITING = [("category", f"{C}communication-category|critical-value"), ("status", "preparation")]


class CriticalWatch(Watch):
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
        super().__init__(Pulse(seconds, writes), name="the watch for critical values", log=log)
        self.store, self.packs, self.clock = store, packs, clock
        self.follower = Follower(store, file)
        self._prepared: list[Json] | None = None

    async def look(self) -> None:
        """Raise what is new, release what two have read by now, call again for what waits."""
        with acting_as(GATEWAY):
            packs, now = self.packs(), self.clock()
            self._prepared = None
            for version in await self.follower.changed(("Observation", "DiagnosticReport")):
                await self._seen(version, packs, now)
            await climb(self.store, packs, now=now)
            self.follower.remember()

    async def _seen(self, version: Version, packs: Packs, now: datetime) -> None:
        """What cannot be raised is logged and keeps nothing else waiting; a store that is away ends the look, which is made again."""
        resource = decode_resource(version.body or b"{}")
        for _ in range(ATTEMPTS):
            try:
                if version.type == "Observation":
                    if await raised(resource, self.store, packs, now=now) is not None:
                        self._prepared = None
                else:
                    await self._audited(resource, packs, now)
                return
            except VersionConflict as error:
                # Somebody confirmed it at this moment: how it stands now counts.
                failure: Exception = error
                self._prepared = None
            except Unavailable:
                raise
            except Exception as error:  # one odd record must not end the watch over all others
                failure = error
                break
        log.error(
            "critical value not raised",
            exc_info=failure,
            extra={"resource": f"{version.type}/{version.id}"},
        )

    async def _audited(self, report: Json, packs: Packs, now: datetime) -> None:
        """A report read by one and audited by another is the double check: what waited for one goes out."""
        subject = reference_of(report.get("subject"))
        for row in report.get("result") or ():
            observation = reference_of(row)
            if not observation.startswith("Observation/") or not subject:
                continue
            for communication in await self._waiting(subject):
                about = {reference_of(one) for one in communication.get("about") or ()}
                if observation in about and await has_two_readers(
                    {"id": observation.partition("/")[2]}, self.store
                ):
                    await self._release(communication, packs, now)
                    self._prepared = None

    async def _waiting(self, subject: str) -> list[Json]:
        """Return the alerts of a patient that wait for a second reader; one question serves all reports of a look."""
        if self._prepared is None:
            self._prepared = await find(self.store, "Communication", WAITING, most=MOST)
        if len(self._prepared) == MOST:
            return await find(self.store, "Communication", [*WAITING, ("subject", subject)])
        return [row for row in self._prepared if reference_of(row.get("subject")) == subject]

    async def _release(self, communication: Json, packs: Packs, now: datetime) -> None:
        confirm = await self.store.read("Task", task_id("confirm", communication["id"]))
        more: tuple[Put, ...] = ()
        if confirm is not None and confirm.body is not None:
            task = decode_resource(confirm.body)
            if task.get("status") in ("requested", "received", "accepted"):
                reason = {
                    **coding(f"{C}status-reason", "no-longer-needed"),
                    "text": "报告已审核 / the report was audited",
                }
                more = (
                    Put({**task, "status": "cancelled", "statusReason": reason}, expected=confirm.version),
                )
        number = int(communication["meta"]["versionId"])
        await release(communication, self.store, packs, now=now, expected=number, more=more)
