"""Imaging as one part of the gateway: folder, keeper, listener and forwarding, started and stopped together."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from gateway.imaging import steps
from gateway.imaging.archive import Archive, Origin
from gateway.imaging.destinations import read_destinations
from gateway.imaging.dimse import Dimse
from gateway.imaging.forward import Forwarder
from gateway.imaging.keep import Choices, Keeper
from gateway.imaging.orders import Orders
from gateway.imaging.schema import FILE
from gateway.imaging.steps import Steps
from gateway.imaging.worklist import Worklist
from gateway.ingest.intake import Intake
from gateway.ingest.process import Processor
from gateway.settings import Settings
from gateway.store.protocol import Store
from mappings.dicom import Instance
from mappings.language.result import Result
from terminology.fhirjson import Json
from terminology.issues import FhirError

log = logging.getLogger("gateway.imaging")


COUNTS = {
    "orphans": "select count(*) from orphan where state = 'open'",
    "asides": "select count(*) from aside where state = 'open'",
    "waiting": "select count(*) from forward where state = 'waiting'",
    "parked": "select count(*) from forward where state = 'parked'",
    "late": "select count(*) from study where attempts > 0",
}


class Imaging:
    """`maps` are the active maps; `intake` keeps what is refused. Nothing is opened before it is needed."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        maps: Any,
        processor: Processor,
    ) -> None:
        self.settings = settings
        self.folder = settings.dicom_folder or settings.data / "imaging"
        self.destinations = read_destinations(settings.dicom_forward)
        self.orders = Orders(store)
        self.intake: Intake | None = None
        choices = Choices(
            root=dicomweb_root(settings),
            issuer=settings.dicom_patient_issuer,
            quiet_seconds=settings.dicom_quiet_seconds,
            zone=settings.zone,
        )
        self._steps = Steps(maps, processor, self.orders)
        self.keeper = Keeper(lambda: self.archive, maps, processor, self.orders, choices, self._steps)
        self.forwarder = Forwarder(lambda: self.archive, self.destinations, title=settings.dicom_ae_title)
        self._worklist = Worklist(
            self.orders, lambda: self.archive, charset=settings.dicom_charset, zone=settings.zone
        )
        peers = frozenset(part.strip() for part in settings.dicom_peers.split(",") if part.strip())
        self.dimse = Dimse(
            lambda: self.archive,
            self,
            title=settings.dicom_ae_title,
            associations=settings.dicom_associations,
            limit=settings.message_max_bytes,
            peers=peers,
        )
        self._is_started = False

    @cached_property
    def archive(self) -> Archive:
        """The object folder, opened when first asked."""
        return Archive(
            self.folder,
            min_free_mib=self.settings.min_free_mib,
            limit=self.settings.dicom_max_bytes,
            destinations=[row.name for row in self.destinations],
            notice=self._notice,
        )

    def _notice(self) -> None:
        self.keeper.wake()
        self.forwarder.wake()

    async def start(self) -> int | None:
        """Go on with what an earlier run left, and listen where the settings say so; returns the port.

        Raises OSError when the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        if self.settings.dicom or (self.folder / FILE).exists():
            self.begin()
        if not self.settings.dicom:
            return None
        return await self.dimse.start(self.settings.host, self.settings.dicom_port)

    def count(self, what: str) -> int:
        """Return a figure of the index for the metrics; 0 while nothing was opened."""
        if "archive" not in self.__dict__:
            return 0
        found: int = self.archive.rows(COUNTS[what])[0][0]
        return found

    def answers_at(self, url: str) -> None:
        """Take note of where HTTP really listens (port 0 is any); a base of the settings stands."""
        if not self.settings.base_url:
            self.keeper.choices = replace(self.keeper.choices, root=f"{url}/dicomweb")

    def check_message(self, instance: Instance) -> None:
        """Raise UnmappableMessage when an object names another patient than its study (HT-DCM-21)."""
        self.archive.check_patient(instance)

    def file_message(self, raw: bytes, instance: Instance) -> tuple[Json, Callable[[Result], Result]]:
        """File an object that came to `/messages/dicom`."""
        self.begin()
        return self.keeper.file_message(raw, instance)

    def begin(self) -> None:
        """Keep studies and forward from now on; the first object that comes by HTTP begins it, too."""
        if not self._is_started:
            self._is_started = True
            self.keeper.start()
            self.forwarder.start()

    async def close(self) -> None:
        await self.dimse.stop()
        if self._is_started:
            await self.forwarder.close()
            await self.keeper.close()
        if "archive" in self.__dict__:
            self.archive.close()

    # What the listener asks of the event loop

    async def refused(self, raw: bytes, origin: Origin) -> None:
        """Keep the bytes of a refused object in the error queue."""
        if self.intake is None:
            return
        try:
            await self.intake.take(raw, kind="dicom", channel=origin.channel, peer=origin.source)
        except FhirError as problem:
            # Bytes that are no DICOM at all are no message; the reason is in the log.
            log.warning("refused and not kept", extra={"detail": str(problem), "peer": origin.source})

    async def worklist(self, asked: Json, *, caller: str) -> list[Any]:
        return await self._worklist.find(asked, caller=caller)

    async def create_step(self, uid: str, record: Json) -> None:
        await asyncio.to_thread(steps.create, self.archive, uid, record)
        self.keeper.wake()

    async def set_step(self, uid: str, record: Json) -> None:
        await asyncio.to_thread(steps.change, self.archive, uid, record)
        self.keeper.wake()


def dicomweb_root(settings: Settings) -> str:
    """Return the address of our DICOMweb as clients see it."""
    if settings.base_url:
        return settings.base_url.rstrip("/").removesuffix("/fhir") + "/dicomweb"
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}/dicomweb"
