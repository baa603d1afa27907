"""Passing objects on to archives by C-STORE or STOW-RS: a durable queue for each, in order, tried until it is there.

An archive that is out of reach keeps its queue waiting, from seconds to an hour between attempts; an object that it
refuses for good is parked for a person and the next one goes on. One line in the log for each change of state.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.imaging.archive import Archive, now
from gateway.imaging.destinations import Destination
from terminology.fhirjson import Json
from terminology.issues import NotFound

log = logging.getLogger("gateway.imaging")

BATCH = 50
LOOK_SECONDS = 1.0
FIRST_WAIT_MS, LONGEST_WAIT_MS = 5_000, 3_600_000
SECONDS = 60.0
CHUNK = 256 * 1024
Sent = Literal["sent", "retry", "parked"]


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    uid: str
    path: Path
    sop_class: str
    syntax: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    state: Sent
    problem: str = ""


class Forwarder:
    """One task for each destination. `title`: the AE title that we call with."""

    def __init__(
        self, archive: Callable[[], Archive], destinations: Sequence[Destination], *, title: str
    ) -> None:
        self._archive, self.destinations, self.title = archive, tuple(destinations), title
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._is_closing = False
        self._is_up: dict[str, bool] = {}

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(self._run(row)) for row in self.destinations]

    async def close(self) -> None:
        self._is_closing = True
        self._wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def wake(self) -> None:
        """Look now; may be called from any thread."""
        if self._tasks and not self._is_closing:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self, destination: Destination) -> None:
        while not self._is_closing:
            try:
                sent = await asyncio.to_thread(self.send_some, destination)
            except Exception:
                log.exception("forwarding failed", extra={"destination": destination.name})
                sent = 0
            if sent:
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def send_some(self, destination: Destination) -> int:
        """Send the first objects of a queue; returns how many left it."""
        archive = self._archive()
        rows = waiting(archive, destination.name)
        if not rows:
            return 0
        count = 0
        for row, outcome in zip(rows, self._outcomes(destination, rows), strict=False):
            note(archive, row, outcome)
            self._tell(destination, outcome)
            if outcome.state == "retry":
                break
            count += 1
            if self._is_closing:
                break
        return count

    def _outcomes(self, destination: Destination, rows: Sequence[Row]) -> Iterator[Outcome]:
        if destination.kind == "dicom":
            from gateway.imaging.send_dimse import send

            return send(destination, rows, title=self.title)
        from gateway.imaging.send_stow import send as stow

        return stow(destination, rows)

    def _tell(self, destination: Destination, outcome: Outcome) -> None:
        """One alert for each change of state, not one for each attempt."""
        is_up = outcome.state != "retry"
        if self._is_up.get(destination.name, True) != is_up:
            said = "an archive answers again" if is_up else "an archive is out of reach; its queue waits"
            log.log(
                logging.INFO if is_up else logging.WARNING, said, extra={"destination": destination.name, "detail": outcome.problem}
            )  # fmt: skip
        self._is_up[destination.name] = is_up


def waiting(archive: Archive, destination: str) -> list[Row]:
    """Return the first objects of a queue whose time has come, in order; none while the first one waits."""
    rows = archive.rows(
        """select f.id, f.uid, i.path, i.sop_class, i.syntax, f.attempts, f.next_attempt from forward f
          left join instance i on i.uid = f.uid where f.destination = ? and f.state = 'waiting' order by f.id limit ?""",
        (destination, BATCH),
    )
    if not rows or rows[0][6] > now():
        return []
    return [
        Row(id, uid, archive.folder / (path or "-"), sop_class or "", syntax or "", attempts)
        for id, uid, path, sop_class, syntax, attempts, _ in rows
    ]


def note(archive: Archive, row: Row, outcome: Outcome) -> None:
    state = {"sent": "sent", "retry": "waiting", "parked": "parked"}[outcome.state]
    wait = min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** min(row.attempts, 16)) if outcome.state == "retry" else 0
    with archive.writing() as connection:
        connection.execute(
            "update forward set state = ?, attempts = attempts + 1, next_attempt = ?, problem = ? where id = ?",
            (state, now() + wait if wait else 0, outcome.problem[:300], row.id),
        )


def status(archive: Archive, destinations: Sequence[Destination]) -> list[Json]:
    """Return each destination with its numbers and what holds it up."""
    found: list[Json] = []
    for row in destinations:
        counts = dict(
            archive.rows(
                "select state, count(*) from forward where destination = ? group by state", (row.name,)
            )
        )
        head = archive.rows(
            """select uid, attempts, next_attempt, problem, queued from forward where destination = ? and state = 'waiting'
              order by id limit 1""",
            (row.name,),
        )
        said: Json = {
            "destination": row.name,
            "address": row.shown,
            "waiting": 0,
            "sent": 0,
            "parked": 0,
        } | counts
        if head:
            names = ("uid", "attempts", "next_attempt", "problem", "queued")
            said["first"] = {
                name: value for name, value in zip(names, head[0], strict=True) if value not in ("", 0)
            }
        found.append(said)
    return found


def parked(archive: Archive, destination: str, *, limit: int = 50) -> list[Json]:
    names = ("uid", "study", "attempts", "problem")
    rows = archive.rows(
        f"select {', '.join(names)} from forward where destination = ? and state = 'parked' order by id limit ?",
        (destination, limit),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def retry(archive: Archive, destinations: Sequence[Destination], name: str) -> int:
    """Try again now what waits or was parked; returns how many. Raises NotFound (HT-DCM-29)."""
    if all(row.name != name for row in destinations):
        raise NotFound("HT-DCM-29", name=name[:40], known=", ".join(row.name for row in destinations) or "-")
    with archive.writing() as connection:
        connection.execute(
            "update forward set state = 'waiting', next_attempt = 0, attempts = 0 where destination = ? and state in ('waiting', 'parked')",
            (name,),
        )
        count: int = connection.changes()
    archive.notice()
    return count


def queue_study(archive: Archive, destinations: Sequence[Destination], name: str, study: str) -> int:
    """Send a study (again) to a destination; returns how many objects were queued."""
    if all(row.name != name for row in destinations):
        raise NotFound("HT-DCM-29", name=name[:40], known=", ".join(row.name for row in destinations) or "-")
    with archive.writing() as connection:
        connection.execute(
            """insert into forward (destination, uid, study, queued)
              select ?, uid, study, ? from instance where study = ? order by received, uid
              on conflict do update set state = 'waiting', next_attempt = 0, attempts = 0, problem = ''""",
            (name, now(), study),
        )
        count: int = connection.changes()
    archive.notice()
    return count
