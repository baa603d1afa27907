"""The one place that builds a gateway: settings in, running parts out."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.assembly.doors import build_astm_port, build_mllp
from gateway.assembly.gauges import add_gauges
from gateway.assembly.messages import active_maps, build_gate, build_ingest
from gateway.assembly.outbound import build_post
from gateway.assembly.routes import (
    catalogue_routes,
    cds_services,
    code_routes,
    delivery_routes,
    dicomweb,
    imaging_routes,
    member_routes,
    source_routes,
    vendor_routes,
)
from gateway.assembly.store import WritePath, build_write_path, open_store
from gateway.assembly.watches import build_polling, build_watches
from gateway.catalogues.calendar import Calendar
from gateway.catalogues.place import Office
from gateway.channels.http import Messages
from gateway.channels.mllp import Mllp, tls_context
from gateway.channels.part import Later
from gateway.channels.port import Port, port_taken
from gateway.channels.soap import Soap
from gateway.conformance_api import ConformanceApi
from gateway.front import App, Front
from gateway.imaging.imaging import Imaging
from gateway.ingest.hl7v2 import Maps
from gateway.ingest.intake import Intake
from gateway.ingest.late_order import LateOrders
from gateway.journal import Journal
from gateway.lock import DataLock
from gateway.metrics import Metrics
from gateway.operations.registry import ROWS, Operations
from gateway.outbound.post import Post
from gateway.recognition.watch import RecognitionStore
from gateway.rest import context as rest
from gateway.rest.api_docs import ApiDocs
from gateway.rest.asgi import Rest
from gateway.rest.respond_async import Jobs
from gateway.settings import Settings
from gateway.store.protocol import Store
from gateway.store.upkeep import upkeep
from gateway.workbench.published import PublishedMaps
from terminology.fhirjson import Json

if TYPE_CHECKING:
    from conformance.recognition import PackLibrary
    from gateway.sources.polling import Polling

log = logging.getLogger("gateway.app")

DRAIN_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Gateway:
    """Everything that runs. `start` makes it receive and process, `close` lets it finish."""

    settings: Settings
    store: Store
    journal: Journal
    intake: Intake
    metrics: Metrics
    mllp: Mllp | None
    asgi: Front
    lock: DataLock
    maps: Maps
    office: Office
    recognition: RecognitionStore
    imaging: Imaging
    calendar: Calendar
    post: Post
    ports: Sequence[Port]
    polling: "Polling"
    late: LateOrders
    mllp_port: int | None = None
    dicom_port: int | None = None
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def start(self) -> None:
        """Process what an earlier run left, and listen for MLLP; raises Unavailable when the port is taken."""
        # Maps are read, compiled and tested beside the opening of the doors.
        ready = asyncio.ensure_future(asyncio.to_thread(self.maps.events))
        self.intake.start(ready)
        self._keep_running(upkeep(self.store))
        self._keep_running(self.calendar.keep())
        if self.settings.conformance_nightly:
            nightly = member_routes(self.settings, self.store, self.journal).nightly
            self._keep_running(nightly.keep_watch(self.settings.conformance_nightly))
        try:
            self.dicom_port = await self.imaging.start()
        except OSError as error:
            raise port_taken(
                self.settings.host, self.settings.dicom_port, error, option="dicom-port"
            ) from None
        await self.post.start(ready)
        if self.mllp is not None:
            await self._listen(self.mllp)
        for port in self.ports:
            await port.start()

    async def _listen(self, mllp: Mllp) -> None:
        settings = self.settings
        tls = None
        if settings.mllp_tls_cert is not None and settings.mllp_tls_key is not None:
            tls = tls_context(
                settings.mllp_tls_cert, settings.mllp_tls_key, client_ca=settings.mllp_tls_client_ca
            )
        try:
            self.mllp_port = await mllp.start(settings.host, settings.mllp_port, tls=tls)
        except OSError as error:
            raise port_taken(settings.host, settings.mllp_port, error, option="mllp-port") from None

    async def close(self) -> None:
        """Close the doors first and the lock last; an error of one part is raised when all others are closed."""
        async with AsyncExitStack() as parts:
            # Last in, first out: what must outlive the others comes first.
            parts.callback(self.lock.close)
            parts.callback(self.journal.close)
            parts.push_async_callback(self.store.close)
            parts.push_async_callback(self.office.close)
            parts.push_async_callback(self.post.close)
            parts.push_async_callback(self._end_tasks)
            parts.push_async_callback(self.recognition.stop)
            parts.push_async_callback(self.intake.close)
            parts.push_async_callback(self.late.close)
            parts.push_async_callback(self.imaging.close)
            if self.mllp is not None:
                parts.push_async_callback(self.mllp.stop, seconds=DRAIN_SECONDS)
            for port in reversed(self.ports):
                parts.push_async_callback(port.stop)

    def _keep_running(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def _end_tasks(self) -> None:
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks)


async def build(settings: Settings, *, is_serving: bool = True, maps: Maps | None = None) -> Gateway:
    """Return a gateway over the data folder of `settings`; raises BusinessRule when another process holds it.

    `maps` stands in for the active maps of the settings. `is_serving` False: nothing listens or watches, as a command
    needs it that brings its own messages.
    """
    async with AsyncExitStack() as opened:
        gateway = await _build(settings, maps or active_maps(settings), opened, is_serving=is_serving)
        # What was opened is the gateway's to close from now on.
        opened.pop_all()
    return gateway


async def _build(settings: Settings, maps: Maps, opened: AsyncExitStack, *, is_serving: bool) -> Gateway:
    started = time.time()
    metrics = Metrics()
    lock = DataLock(settings.data)
    opened.callback(lock.close)
    stored = await open_store(settings)
    opened.push_async_callback(stored.close)
    journal = Journal(
        settings.data,
        control_id_reuse_hours=settings.control_id_reuse_hours,
        min_free_mib=settings.min_free_mib,
    )
    opened.callback(journal.close)
    late = LateOrders(journal)
    path = build_write_path(settings, stored, late)
    store = path.store
    gate = build_gate(settings)

    async def remind(xml: bytes, transaction: str) -> bytes:
        from gateway.recognition.duplicate import answer_query

        return await answer_query(xml, context, transaction)

    ingest = build_ingest(settings, path, journal, late, maps=maps, gate=gate, metrics=metrics, remind=remind)
    intake, imaging = ingest.intake, ingest.imaging
    mllp = (
        build_mllp(settings, intake, ingest.kinds["hl7v2"], metrics) if is_serving and settings.mllp else None
    )
    add_gauges(metrics, ingest, journal, mllp)
    post = build_post(settings, path, maps, metrics)
    opened.callback(post.ledger.close)
    context = rest.Context(
        store=store,
        operations=Operations(ROWS),
        jobs=Jobs(),
        maps=maps,
        subscriptions=post.subscriptions,
        terminology=path.terminology,
        packs=_packs(settings),
        care_packs=settings.care_packs,
        health_card_key=settings.health_card_key,
        patient_header=settings.actor_patient_header.lower(),
        workflow=path.desk,
        clock=settings.now,
        validation=rest.Validation(default=settings.validation),  # type: ignore[arg-type]  # one of its choices
    )
    fhir = Rest(context, base=settings.base_url or None, gate=gate)
    office = Office(settings)
    opened.push_async_callback(office.close)
    calendar = Calendar(office, store, now=settings.now)
    published = PublishedMaps(store, getattr(maps, "translator", None))
    if office.has_workbench:
        published.take(await office.run(lambda: office.desk.projects.newest_publications()))
    polling = build_polling(settings, intake, journal, ingest.kinds, metrics)
    parts: dict[str, App] = {
        "fhir": fhir,
        "openapi.json": ApiDocs(fhir),
        "messages": Messages(intake, journal, gate=gate),
        "soap": Soap(intake),
        "deliveries": Later(lambda: delivery_routes(post)),
        "conformance": ConformanceApi(
            settings.data,
            clock=settings.now,
            members=lambda: member_routes(settings, store, journal),
        ),
        "catalogues": Later(lambda: catalogue_routes(office, store, calendar)),
        "codes": Later(lambda: code_routes(office, published)),
        "imaging": Later(lambda: imaging_routes(imaging)),
        "dicomweb": Later(lambda: dicomweb(imaging, gate)),
        "api": Later(lambda: vendor_routes(context, settings, gate)),
        "cds-services": Later(lambda: cds_services(context)),
        "sources": Later(lambda: source_routes(polling)),
    }
    front = Front(
        parts,
        pages=_pages,
        health=lambda: _health(started),
        metrics=metrics,
        patient_header=settings.actor_patient_header,
    )
    if settings.recognition_reminders:
        path.recognition.start(context)
    return Gateway(
        settings=settings,
        store=store,
        journal=journal,
        intake=intake,
        metrics=metrics,
        mllp=mllp,
        asgi=front,
        lock=lock,
        maps=maps,
        office=office,
        recognition=path.recognition,
        imaging=imaging,
        calendar=calendar,
        post=post,
        ports=(*_ports(settings, intake, path, metrics), polling) if is_serving else (),
        polling=polling,
        late=late,
    )


def _packs(settings: Settings) -> "PackLibrary | None":
    """Return the county's recognition packs; without a folder the built-in ones are read when they are first asked."""
    if settings.packs is None:
        return None
    from conformance.recognition import load_packs

    return load_packs(settings.packs)


def _pages() -> Any:
    from gateway.pages import build_pages

    return build_pages()


def _health(started: float) -> Json:
    return {"status": "ok", "uptime_seconds": round(time.time() - started, 1)}


def _ports(settings: Settings, intake: Intake, path: WritePath, metrics: Metrics) -> Sequence[Port]:
    watches = build_watches(settings, path.store, metrics, path.desk, lambda: path.outgoing.writes)
    return [build_astm_port(settings, intake, path.store, metrics), *watches] if settings.astm else watches
