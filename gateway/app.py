"""The one place that builds a gateway: settings in, running parts out."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, cast

from gateway.catalogues.calendar import Calendar
from gateway.catalogues.place import Office, snapshot_folder
from gateway.channels.http import Messages
from gateway.channels.mllp import Limits, Mllp, tls_context
from gateway.channels.part import Later, Part
from gateway.channels.port import Port
from gateway.channels.soap import Soap
from gateway.conformance_api import ConformanceApi
from gateway.front import App, Front
from gateway.gate import Gate
from gateway.imaging.accession import NumberingStore
from gateway.imaging.imaging import Imaging
from gateway.ingest.astm import Astm
from gateway.ingest.cda import Cda
from gateway.ingest.dicom import Dicom
from gateway.ingest.ecg import Ecg
from gateway.ingest.hl7v2 import Hl7v2, Maps
from gateway.ingest.hl7v3 import Hl7v3, Remind, Rhin
from gateway.ingest.intake import Ask, Intake
from gateway.ingest.json_body import JsonBody
from gateway.ingest.kind import Kind
from gateway.ingest.late_order import LateOrders
from gateway.ingest.process import Check, Processor, Retry
from gateway.ingest.sample import adopted
from gateway.ingest.table import Table
from gateway.ingest.xml import Xml
from gateway.interactions.ask import Enquiry
from gateway.interactions.steps import moved
from gateway.journal import Journal
from gateway.lock import DataLock
from gateway.metrics import Metrics
from gateway.operations.registry import ROWS, Operations
from gateway.operations.terminology_library import NoticingStore, TerminologyLibrary
from gateway.outbound.destination import Destinations
from gateway.outbound.ledger import Ledger
from gateway.outbound.post import Post
from gateway.outbound.watched import WatchedStore
from gateway.questions import may_be_question
from gateway.recognition.watch import RecognitionStore
from gateway.rest import context as rest
from gateway.rest.api_docs import ApiDocs
from gateway.rest.asgi import Rest
from gateway.rest.respond_async import Jobs
from gateway.search import Options, Parameters
from gateway.settings import Settings
from gateway.store.protocol import Store
from gateway.store.upkeep import upkeep
from gateway.workbench.published import PublishedMaps
from terminology.fhirjson import Json
from terminology.issues import FhirError, Issue, Unavailable
from terminology.snapshot.library import CatalogueLibrary

if TYPE_CHECKING:
    from conformance.recognition import PackLibrary
    from gateway.members.routes import MemberRoutes
    from gateway.sources.polling import Polling
    from gateway.workflow.desk import Desk
    from mappings.language.active import ActiveMaps

log = logging.getLogger("gateway.app")

DRAIN_SECONDS = 10.0
IMAGING_GAUGES = {
    "orphans": "Studies that wait for their order.",
    "asides": "DICOM objects that were kept aside for a person.",
    "waiting": "Objects that wait to be forwarded.",
    "parked": "Objects that an archive refused.",
    "late": "Studies whose resources could not be written yet.",
}


@dataclass(slots=True)
class Gateway:
    """Everything that runs. `start` makes it receive and process, `close` lets it finish."""

    settings: Settings
    store: Store
    journal: Journal
    intake: Intake
    metrics: Metrics
    mllp: Mllp | None
    asgi: Front
    lock: DataLock | None
    maps: Maps
    office: Office
    started: float
    recognition: RecognitionStore
    imaging: Imaging
    calendar: Calendar
    post: Post
    ports: Sequence[Port] = ()
    polling: "Polling | None" = None
    late: LateOrders | None = None
    mllp_port: int | None = None
    dicom_port: int | None = None
    upkeep: "asyncio.Task[None] | None" = None
    nights: "asyncio.Task[None] | None" = None
    days: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Process what an earlier run left, and listen for MLLP; raises Unavailable when the port is taken."""
        # Maps are read, compiled and tested beside the opening of the doors.
        ready = asyncio.ensure_future(asyncio.to_thread(self.maps.events))
        self.intake.start(ready)
        self.upkeep = asyncio.create_task(upkeep(self.store))
        self.days = asyncio.create_task(self.calendar.keep())
        if self.settings.conformance_nightly:
            nightly = _members(self.settings, self.store, self.journal).nightly
            self.nights = asyncio.create_task(nightly.keep_watch(self.settings.conformance_nightly))
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
        for port in self.ports:
            await port.stop()
        if self.mllp is not None:
            await self.mllp.stop(seconds=DRAIN_SECONDS)
        await self.imaging.close()
        if self.late is not None:
            await self.late.close()
        await self.intake.close()
        await self.recognition.stop()
        for task in (self.upkeep, self.days, self.nights):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self.post.close()
        await self.office.close()
        await self.store.close()
        self.journal.close()
        if self.lock is not None:
            self.lock.close()


async def build(settings: Settings, *, with_mllp: bool = True, maps: Maps | None = None) -> Gateway:
    """Return a gateway over the data folder of `settings`; raises BusinessRule when another process holds it.

    `maps` stands in for the active maps of the settings.
    """
    lock = DataLock(settings.data)
    try:
        return await _build(settings, lock, maps or active_maps(settings), with_mllp=with_mllp)
    except BaseException:
        lock.close()
        raise


async def _build(settings: Settings, lock: DataLock, maps: Maps, *, with_mllp: bool) -> Gateway:
    started = time.time()
    metrics = Metrics()
    stored = await open_store(settings)
    catalogues = CatalogueLibrary(snapshot_folder(settings), today=lambda: settings.now().date())
    # What is posted takes effect with its commit; published catalogues answer after it, FHIR's own last.
    library = TerminologyLibrary(stored, catalogues, is_noticed=True)
    # What workflows add to a commit goes out with it, so the way out looks from beneath them.
    outgoing = WatchedStore(stored, now=settings.now)
    guarded, desk = _workflow(settings, outgoing, library)
    watched = RecognitionStore(NoticingStore(guarded, library.notice))
    journal = Journal(
        settings.data,
        control_id_reuse_hours=settings.control_id_reuse_hours,
        min_free_mib=settings.min_free_mib,
    )
    late = LateOrders(journal)
    # Orders get their accession number on the one write path, before anybody is told of them.
    store = cast(Store, NoticingStore(cast(Store, NumberingStore(watched)), late.arrived))
    gate = build_gate(settings)

    async def remind(xml: bytes, transaction: str) -> bytes:
        from gateway.recognition.duplicate import answer_query

        return await answer_query(xml, context, transaction)

    kinds = build_kinds(settings, maps, gate, store=store, remind=remind)
    retry = Retry(settings.retry_attempts, settings.retry_seconds)
    processor = Processor(
        kinds,
        store,
        metrics=metrics,
        retry=retry,
        zone=settings.zone,
        check=resource_check(settings),
        complete={"astm": adopted, "hl7v3": moved, "rhin": moved},
        senders=desk.senders if desk is not None else None,
        late=late,
    )
    imaging = Imaging(settings, store, maps, processor)
    kinds["dicom"] = Dicom(cast("ActiveMaps", maps), file=imaging.file_message, check=imaging.check_message)
    questions = {"hl7v2": _questions(settings, store, maps, gate)}
    intake = imaging.intake = late.intake = Intake(
        kinds, journal, processor, metrics=metrics, limit=settings.message_max_bytes, questions=questions
    )
    mllp = _mllp(settings, intake, kinds["hl7v2"], metrics) if with_mllp and settings.mllp else None
    metrics.gauge("hutong_backlog", "Messages in memory that wait to be processed.", lambda: intake.backlog)
    metrics.gauge(
        "hutong_mllp_open", "Open MLLP connections.", lambda: len(mllp.connections) if mllp is not None else 0
    )
    metrics.gauge(
        "hutong_messages_failed", "Messages that failed and are tried again.", lambda: journal.count("failed")
    )
    metrics.gauge(
        "hutong_messages_parked", "Messages that wait for a person.", lambda: journal.count("parked")
    )
    post = _post(settings, stored, outgoing, maps, metrics)
    metrics.gauge("hutong_dicom_open", "Open DICOM associations.", lambda: imaging.dimse.open)
    for name, text in IMAGING_GAUGES.items():
        metrics.gauge(f"hutong_imaging_{name}", text, partial(imaging.count, name))
    context = rest.Context(
        store=store,
        operations=Operations(ROWS),
        jobs=Jobs(),
        maps=maps,
        subscriptions=post.subscriptions,
        terminology=library,
        packs=_packs(settings),
        care_packs=settings.care_packs,
        workflow=desk,
        validation=rest.Validation(default=settings.validation),  # type: ignore[arg-type]  # one of its choices
    )
    fhir = Rest(context, base=settings.base_url or None, gate=gate)
    office = Office(settings)
    calendar = Calendar(office, store, now=settings.now)
    published = PublishedMaps(store, getattr(maps, "translator", None))
    if office.has_workbench:
        published.take(await office.run(lambda: office.desk.projects.newest_publications()))
    parts: dict[str, App] = {
        "fhir": fhir,
        "openapi.json": ApiDocs(fhir),
        "messages": Messages(intake, journal, gate=gate),
        "soap": Soap(intake),
        "deliveries": Later(lambda: _delivery_routes(post)),
        "conformance": ConformanceApi(
            settings.data,
            clock=settings.now,
            members=lambda: _members(settings, store, journal),
        ),
        "catalogues": Later(lambda: _catalogue_routes(office, store, calendar)),
        "codes": Later(lambda: _code_routes(office, published)),
        "imaging": Later(lambda: _imaging_routes(imaging)),
        "dicomweb": Later(lambda: _dicomweb(imaging, gate)),
        "api": Later(lambda: _vendor_routes(context, settings, gate)),
        "cds-services": Later(lambda: _cds_services(context)),
    }
    polling = build_polling(settings, intake, journal, kinds, metrics)
    parts["sources"] = Later(lambda: _source_routes(polling))
    front = Front(parts, pages=_pages, health=lambda: _health(started), metrics=metrics)
    if settings.recognition_reminders:
        watched.start(context)
    return Gateway(
        settings, store, journal, intake, metrics, mllp, front, lock, maps, office, started, watched, imaging,
        calendar=calendar,
        ports=(*_ports(settings, intake, store, metrics, desk), polling) if with_mllp else (),
        polling=polling,
        late=late,
        post=post,
    )  # fmt: skip


def build_polling(
    settings: Settings, intake: Intake, journal: Journal, kinds: Mapping[str, Kind], metrics: Metrics
) -> "Polling":
    """Return what reads the sources of the settings; raises InvalidInput (HT-TAB-10)."""
    from gateway.sources.polling import Polling
    from gateway.sources.reading import Door
    from gateway.sources.source import load_sources

    sources = load_sources(settings.sources, os.environ) if settings.sources is not None else ()
    door = Door(intake, journal, cast("Table", kinds["table"]))
    return Polling(sources, door, metrics=metrics, limit=settings.message_max_bytes)


def _post(settings: Settings, store: Store, watched: WatchedStore, maps: Maps, metrics: Metrics) -> Post:
    """Return the way out; the log of a store in memory lives as long as the process."""
    is_temporary = settings.store == "memory"
    folder = Path(mkdtemp(prefix="hutong-")) if is_temporary else settings.data
    ledger = Ledger(folder, is_temporary=is_temporary)
    metrics.gauge(
        "hutong_deliveries_waiting",
        "Deliveries that wait for their turn or are tried again.",
        lambda: sum(ledger.counts().get(state, 0) for state in ("waiting", "failed")),
    )
    metrics.gauge(
        "hutong_deliveries_parked",
        "Deliveries that wait for a person.",
        lambda: ledger.counts().get("parked", 0),
    )
    metrics.gauge(
        "hutong_destinations_down",
        "Destinations and subscriptions that do not answer.",
        lambda: sum(row.state == "down" for row in ledger.standings().values()),
    )
    base = settings.base_url.rstrip("/") or f"http://{settings.host}:{settings.port}/fhir"
    return Post(
        store,
        watched,
        ledger,
        Destinations(settings.destinations),
        maps,
        zone=settings.zone,
        base=lambda: base,
        metrics=metrics,
        keep_days=settings.deliveries_keep_days,
        hosts=settings.subscription_hosts,
    )


def _ports(
    settings: Settings, intake: Intake, store: Store, metrics: Metrics, desk: "Desk | None"
) -> Sequence[Port]:
    """Return the listeners beside HTTP and MLLP that are switched on."""
    ports: list[Port] = []
    if settings.astm:
        ports.append(_astm_port(settings, intake, store, metrics))
    if settings.workflow and settings.chronic_care:
        ports.append(_chronic_care(settings, store))
    if desk is not None:
        ports.append(_deadlines(settings, store, metrics))
        ports.append(_referrals(settings, store))
    if desk is not None and settings.critical_values:
        ports.append(_critical_values(settings, store, desk))
    return ports


def _deadlines(settings: Settings, store: Store, metrics: Metrics) -> Port:
    from gateway.workflow.deadlines import Deadlines

    return Deadlines(store, clock=settings.now, metrics=metrics)


def _referrals(settings: Settings, store: Store) -> Port:
    from gateway.referral.watch import ReferralWatch

    return ReferralWatch(store, settings.data / "referral.json", clock=lambda: datetime.now(settings.zone))


def _critical_values(settings: Settings, store: Store, desk: "Desk") -> Port:
    from gateway.critical.watch import CriticalWatch

    return CriticalWatch(
        store,
        settings.data / "critical-values.json",
        packs=desk.packs,
        clock=settings.now,
    )


def _chronic_care(settings: Settings, store: Store) -> Port:
    from conformance.chronic import load_diseases
    from gateway.care.keeper import Keeper

    return Keeper(
        store,
        load_diseases(settings.care_packs),
        settings.data / "chronic-care.json",
        clock=settings.now,
    )


def _astm_port(settings: Settings, intake: Intake, store: Store, metrics: Metrics) -> Port:
    from gateway.channels.astm import AstmPort, Taken
    from gateway.questions.astm import answer_to

    async def take(text: bytes, *, peer: str) -> Taken:
        asked = await answer_to(text, store, clock=settings.now)
        if asked is not None:
            return Taken(True, asked)
        try:
            taken = await intake.take(text, kind="astm", channel="astm", peer=peer)
        except FhirError as error:
            metrics.messages.add("astm", "reject")
            log.warning("message refused", extra={"peer": peer, "codes": [row.code for row in error.issues]})
            return Taken(False)
        return Taken(all(row.receipt is not None for row in taken))

    return AstmPort(
        settings.host,
        settings.astm_port,
        take,
        limit=settings.message_max_bytes,
        most=settings.astm_connections,
        metrics=metrics,
    )


def _workflow(settings: Settings, stored: Store, library: TerminologyLibrary) -> "tuple[Store, Desk | None]":
    """Return the store that enforces the state machines, and what the REST edge needs; the plain store when switched off."""
    if not settings.workflow:
        return stored, None
    from gateway.workflow.actor import ActorHeaders
    from gateway.workflow.desk import Desk
    from gateway.workflow.guarded import GuardedStore
    from gateway.workflow.packs import PackShelf
    from gateway.workflow.sender import Senders
    from gateway.workflow.signer import LocalSigner

    guarded = GuardedStore(
        stored,
        PackShelf(settings.workflow_packs),
        clock=settings.now,
        new_id=rest.new_id,
        terminology=library,
    )
    headers = ActorHeaders(
        settings.actor_organization_header.lower(),
        settings.actor_roles_header.lower(),
        settings.actor_practitioner_header.lower(),
    )
    senders = Senders(guarded, clock=settings.now, new_id=rest.new_id)
    return guarded, Desk(guarded, headers, settings.now, senders, LocalSigner(settings.data / "keys"))


def _questions(settings: Settings, store: Store, maps: Maps, gate: Gate | None) -> Ask:
    """Return what answers the questions among HL7 v2 messages; it is read when the first one comes."""

    async def ask(raw: bytes) -> Sequence[bytes] | None:
        if not may_be_question(raw):
            return None
        from gateway.questions.hl7v2 import Questions

        return await Questions(
            store,
            maps,  # type: ignore[arg-type]  # the active maps, or none that tests send
            clock=settings.now,
            fallback_charset=settings.fallback_charset or None,
            gate=gate,
        ).answer(raw)

    return ask


def _packs(settings: Settings) -> "PackLibrary | None":
    """Return the county's recognition packs; without a folder the built-in ones are read when they are first asked."""
    if settings.packs is None:
        return None
    from conformance.recognition import load_packs

    return load_packs(settings.packs)


def build_kinds(
    settings: Settings, maps: Maps, gate: Gate | None = None, *, store: Store, remind: Remind | None = None
) -> dict[str, Kind]:
    """Return the kinds of messages by the name of `POST /messages/{kind}`; `store` and `remind` answer the queries of platforms."""
    hl7v2 = Hl7v2(
        maps,
        clock=settings.now,
        fallback_charset=settings.fallback_charset or None,
        gate=gate,
    )
    astm = Astm(maps, clock=hl7v2.clock, fallback_charset=hl7v2.fallback)
    active = cast("ActiveMaps", maps)  # the active maps, or none that tests send
    ecg = {name: Ecg(active, name) for name in ("aecg", "scp", "ecg")}
    cda = Cda(active, fallback_charset=hl7v2.fallback)
    platform: Any = {
        "clock": hl7v2.clock,
        "ask": Enquiry(store, active),
        "remind": remind,
        "fallback_charset": hl7v2.fallback,
        "gate": gate,
    }
    return {
        "hl7v2": hl7v2,
        "hl7v3": Hl7v3(active, **platform),
        "rhin": Rhin(active, **platform),
        "astm": astm,
        "table": Table(active),
        "json": JsonBody(active),
        "xml": Xml(active, fallback_charset=hl7v2.fallback),
        "dicom": Dicom(active),
        "cda": cda,
        **ecg,
    }


def resource_check(settings: Settings) -> Check | None:
    """Return what checks the resources of messages: their structure, unless validation is off.

    Profiles and invariants of a mapped resource are the map's tests' business; REST writers get the level of the settings.
    """
    if settings.validation == "off":
        return None

    def check(resource: Json) -> list[Issue]:
        from conformance.validation import validate

        return [row for row in validate(resource, level="structure") if row.severity in ("error", "fatal")]

    return check


def build_gate(settings: Settings) -> Gate | None:
    """Return the gate of production, None where it is switched off."""
    if not settings.gate:
        return None
    folder = settings.data / "certificates"
    return Gate(folder, clock=settings.now, header=settings.gate_member_header)


def active_maps(settings: Settings) -> Maps:
    """Return the shipped maps with those of the site's folder over them."""
    from mappings.language.active import ActiveMaps
    from mappings.language.converters import Sender

    sender = Sender(zone=settings.timezone, fallback_charset=settings.fallback_charset or None)
    senders = None
    if settings.senders is not None:
        from gateway.senders import load_senders

        senders = load_senders(settings.senders, sender)
    return ActiveMaps(settings.maps, sender=sender, senders=senders)


async def open_store(settings: Settings) -> Store:
    """Return the store that the settings name."""
    zone = settings.now().utcoffset()
    base = settings.base_url.rstrip("/")
    options = Options(
        offset_minutes=int(zone.total_seconds() // 60) if zone is not None else 480,
        bases=(f"{base}/",) if base else (),
    )
    if settings.store == "memory":
        from gateway.store.memory import MemoryStore

        return MemoryStore(Parameters(options))
    if settings.store == "sqlite":
        from gateway.store.sqlite import SqliteStore

        return SqliteStore(settings.data / "store.sqlite", Parameters(options))
    from gateway.store.postgres import PostgresStore

    return await PostgresStore.open(settings.store, Parameters(options))


def port_taken(host: str, port: int, error: OSError, *, option: str) -> Unavailable:
    return Unavailable("HT-CLI-13", host=host, port=port, detail=error.strerror or str(error), option=option)


def _mllp(settings: Settings, intake: Intake, kind: Kind, metrics: Metrics) -> Mllp:
    limits = Limits(
        bytes=settings.message_max_bytes,
        pending=settings.mllp_pending,
        connections=settings.mllp_connections,
        idle_seconds=settings.mllp_idle_seconds,
        frame_seconds=settings.mllp_frame_seconds,
    )

    def refuse(raw: bytes, error: FhirError) -> bytes | None:
        metrics.messages.add("mllp", "reject")
        return kind.refuse(raw, error)

    return Mllp(intake.receive, refuse, limits=limits, metrics=metrics)


def _pages() -> Any:
    from gateway.pages import build_pages

    return build_pages()


def _source_routes(polling: "Polling") -> Part:
    from gateway.sources.http import SourceRoutes

    return SourceRoutes(polling)


def _catalogue_routes(office: Office, store: Store, calendar: Calendar) -> Part:
    from gateway.catalogues.http import CatalogueRoutes

    return CatalogueRoutes(office, store, published=calendar.wake)


def _delivery_routes(post: Post) -> Part:
    from gateway.outbound.routes import Deliveries

    return Deliveries(post)


def _code_routes(office: Office, published: PublishedMaps) -> Part:
    from gateway.workbench.http import CodeRoutes

    return CodeRoutes(office, published.publish)


def _members(settings: Settings, store: Store, journal: Journal) -> "MemberRoutes":
    from gateway.members.nightly import Nightly
    from gateway.members.routes import MemberRoutes

    nightly = Nightly(settings.data, store, journal, clock=settings.now, least=settings.quality_least)
    return MemberRoutes(nightly)


def _vendor_routes(context: rest.Context, settings: Settings, gate: Gate | None) -> Part:
    from gateway.recognition.vendor import VendorApi, load_clients

    clients = load_clients(settings.vendor_clients) if settings.vendor_clients else None
    return VendorApi(context, clients, gate)


def _cds_services(context: rest.Context) -> Part:
    from gateway.drug_use.cds_hooks import CdsServices

    return CdsServices(context)


def _imaging_routes(imaging: Imaging) -> Part:
    from gateway.imaging.http import ImagingRoutes

    return ImagingRoutes(imaging)


def _dicomweb(imaging: Imaging, gate: Gate | None) -> Part:
    from gateway.dicomweb.routes import Dicomweb

    return Dicomweb(imaging, gate=gate)


def _health(started: float) -> Json:
    return {"status": "ok", "uptime_seconds": round(time.time() - started, 1)}
