"""Time limits watched: at 80 % of the time a Task's owner is warned, at 100 % its sides are alerted, once each (workflows §1.6).

What was told is a Communication under an id that follows from Task, limit and step: a restart, or two gateways, tell
nothing twice. A Task that is on hold waits: its clock stands.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from time import perf_counter
from typing import Any

from gateway.care.record import every, id_of
from gateway.metrics import Metrics
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from gateway.store.pulse import START_SECONDS
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.coordination import coding
from gateway.workflow.draft import reference_of
from gateway.workflow.moment import read_moment
from terminology.fhirjson import Json
from terminology.issues import FhirError, Unavailable

log = logging.getLogger("gateway.workflow")

C = "https://hutong.health/fhir/CodeSystem/"
OPEN = "requested,received,accepted,in-progress"
WARNED, BREACHED = 80, 100
LOOK_SECONDS = 5.0
YIELD = 9
MOST = 200_000
WORDS = {
    WARNED: ("时限已过 80%", "80 % of the time has passed"),
    BREACHED: ("已超过时限", "the time limit has passed"),
}


class Deadlines:
    """A Port. `seconds`: between two looks."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics | None = None,
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self.store, self.clock, self.seconds = store, clock, seconds
        self.overdue = 0
        self._told: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        if metrics is not None:
            metrics.gauge(
                "hutong_tasks_overdue", "Open tasks whose time limit has passed.", lambda: self.overdue
            )

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> int:
        """Tell what has come to its 80 % or 100 % since the last look; returns how many were told."""
        now, told, overdue = self.clock(), 0, 0
        late: set[str] = set()
        with acting_as(GATEWAY):
            async for task in every(self.store, "Task", [("status", OPEN)], most=MOST):
                step = reached(task, now)
                overdue += step == BREACHED
                if step:
                    id = id_of("limit", task["id"], str(task["restriction"]["period"]["end"]), str(step))
                    told += id not in self._told and await self._tell_once(id, task, step, now)
                    late.add(id)
        self.overdue, self._told = overdue, late
        return told

    async def _run(self) -> None:
        await asyncio.sleep(START_SECONDS)
        while True:
            started = perf_counter()
            try:
                await self.look()
            except FhirError as error:
                log.warning("time limits wait: %s", error)
            except Exception:
                # The outermost edge of a background part: one odd Task must not end the watch.
                log.exception("the watch over time limits stumbled")
            # However many Tasks are open: looking takes a tenth of the time at most.
            await asyncio.sleep(max(self.seconds, YIELD * (perf_counter() - started)))

    async def _tell_once(self, id: str, task: Json, step: int, now: datetime) -> bool:
        """Return whether it was told now; one Task that cannot be told of keeps no other from it."""
        try:
            if await self.store.read("Communication", id) is not None:
                return False
            await self._tell(id, task, step, now)
        except Unavailable:
            raise
        except FhirError as error:
            log.warning("time limit not told: %s", error, extra={"resource": f"Task/{task['id']}"})
            return False
        return True

    async def _tell(self, id: str, task: Json, step: int, now: datetime) -> None:
        end = str(task["restriction"]["period"]["end"])
        owner, requester = reference_of(task.get("owner")), reference_of(task.get("requester"))
        # A warning is for whoever works on it; a breach is for whoever waits as well.
        sides = [owner] if step == WARNED else [owner, requester]
        receivers = [side for side in dict.fromkeys(sides) if side.startswith("Organization/")]
        zh, en = WORDS[step]
        notice: dict[str, Any] = {
            "resourceType": "Communication",
            "id": id,
            "status": "completed" if receivers else "not-done",
            "category": [coding(f"{C}communication-category", "time-limit")],
            "priority": "urgent" if step == BREACHED else "routine",
            "about": [{"reference": f"Task/{task['id']}"}],
            "subject": task.get("for"),
            "sent": now.isoformat(timespec="seconds"),
            "recipient": [{"reference": row} for row in receivers],
            "payload": [{"contentString": f"{zh} / {en}: {end}"}],
        }
        notice = {name: value for name, value in notice.items() if value}
        payload: Json = {
            "focus": f"Task/{task['id']}/_history/{task['meta']['versionId']}",
            "receivers": receivers,
            "reason": f"time-limit-{step}",
            "at": now.isoformat(timespec="milliseconds"),
        }
        key = next((reference_of(row) for row in task.get("basedOn") or ()), "") or f"Task/{task['id']}"
        await self.store.commit(
            Commit([Put(notice, expected=0)], outbox=[OutboxRow("task-status", key, payload)])
        )
        log.warning("time limit", extra={"resource": f"Task/{task['id']}", "percent": step})


def reached(task: Json, now: datetime) -> int:
    """Return 80 or 100 when so much of a Task's time has passed, 0 before that or without a limit."""
    start, end = (
        read_moment(task.get("authoredOn")),
        read_moment(((task.get("restriction") or {}).get("period") or {}).get("end")),
    )
    if start is None or end is None or end <= start:
        return 0
    if now >= end:
        return BREACHED
    return WARNED if now - start >= (end - start) * WARNED / 100 else 0
