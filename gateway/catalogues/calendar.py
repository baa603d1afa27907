"""The calendar of the catalogues: a version comes into force on its day, and others hear of it through the outbox.

Catalogues are published over HTTP or by the command line, which has no store; the running gateway looks once a minute.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

import apsw

from gateway.catalogues.place import Office, snapshot_path
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from terminology.fhirjson import Json
from terminology.issues import FhirError
from terminology.snapshot.header import is_readable

if TYPE_CHECKING:
    from gateway.catalogues.authoring import Catalogue, PublishedVersion

SECONDS = 60.0
FIRST_SECONDS = 0.5

log = logging.getLogger(__name__)


class Calendar:
    """Keeps states, snapshots and announcements in step with the day."""

    def __init__(self, office: Office, store: Store, *, now: Callable[[], datetime]) -> None:
        self._office, self._store, self._now = office, store, now
        self._changed, self._turning = asyncio.Event(), asyncio.Lock()

    def wake(self) -> None:
        """Look now: something was published."""
        self._changed.set()

    async def keep(self, *, seconds: float = SECONDS, first: float = FIRST_SECONDS) -> None:
        """Run until cancelled, from `first` seconds on: the doors open before; a database that is away is tried again."""
        await asyncio.sleep(first)
        while True:
            try:
                await self.turn()
            except (FhirError, apsw.Error, OSError) as error:
                log.warning("catalogue calendar: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
            self._changed.clear()

    async def turn(self) -> None:
        """Bring everything to today: states, snapshots that are missing, and what others have not been told."""
        if not self._office.has_catalogues:
            return
        async with self._turning:
            await self._announce(await self._office.run(self._due))

    async def _announce(self, due: "list[tuple[str, Catalogue, PublishedVersion]]") -> None:
        for topic, catalogue, version in due:
            # Told before it is noted: after a crash in between others hear it twice, never not at all.
            record = to_library(topic, catalogue, version, today=self._now().date())
            row = self._row(topic, catalogue, version, focus=f"Library/{record['id']}")
            await self._store.commit(Commit([Put(record, unless_same=True)], outbox=[row]))
            await self._office.run(partial(self._office.catalogues.announced, version.change_set, topic))

    def _due(self) -> "list[tuple[str, Catalogue, PublishedVersion]]":
        catalogues, today = self._office.catalogues, self._office.today()
        catalogues.turn(today)
        for catalogue in catalogues.all():
            for version in catalogues.versions(catalogue.id):
                if not is_readable(snapshot_path(self._office.snapshots, catalogue.id, version.number)):
                    from gateway.catalogues.publish import write_snapshot  # numpy, for those who need it

                    write_snapshot(catalogues, version, self._office.snapshots)
        return catalogues.to_announce(today)

    def _row(
        self, topic: str, catalogue: "Catalogue", version: "PublishedVersion", *, focus: str
    ) -> OutboxRow:
        payload = {
            "focus": focus,
            "receivers": [],
            "canonical": f"{catalogue.url}|{version.label}",
            "at": self._now().isoformat(),
            "catalogue": catalogue.id,
            "number": version.number,
            "effective": version.effective_from.isoformat(),
        }
        return OutboxRow(f"catalogue-{topic}", f"catalogue/{catalogue.id}", payload)


def to_library(topic: str, catalogue: "Catalogue", version: "PublishedVersion", *, today: date) -> Json:
    """Return the record of a version as a Library (https://hl7.org/fhir/R4/library.html): what subscribers are told of.

    The codes themselves are no stored resource; `relatedArtifact` names the CodeSystem that the operations answer from.
    """
    id = f"{catalogue.id}-{version.number}"
    return {
        "resourceType": "Library",
        "id": id,
        "url": f"https://hutong.health/fhir/Library/{id}",
        "version": version.label,
        "name": "".join(part.capitalize() for part in catalogue.id.split("-")),
        "title": catalogue.title,
        "status": "active" if topic == "in-force" else "draft",
        "type": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "asset-collection"}
            ]
        },
        "date": today.isoformat(),
        "copyright": catalogue.source,
        "effectivePeriod": {"start": version.effective_from.isoformat()},
        "relatedArtifact": [{"type": "composed-of", "resource": f"{catalogue.url}|{version.label}"}],
    }
