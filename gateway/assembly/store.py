"""The store of the settings, and the layers that every write passes.

Each layer is a store over the one beneath it, so that REST, messages, workflows and the console all pass all of them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.catalogues.place import snapshot_folder
from gateway.imaging.accession import NumberingStore
from gateway.ingest.late_order import LateOrders
from gateway.operations.terminology_library import TerminologyLibrary
from gateway.outbound.watched import WatchedStore
from gateway.recognition.watch import RecognitionStore
from gateway.rest import context as rest
from gateway.search import Options, Parameters
from gateway.settings import Settings
from gateway.store.layer import NoticingStore
from gateway.store.protocol import Store
from terminology.snapshot.library import CatalogueLibrary

if TYPE_CHECKING:
    from gateway.workflow.desk import Desk


@dataclass(frozen=True, slots=True)
class WritePath:
    """`store` is what everybody writes to, `stored` the store beneath all layers."""

    store: Store
    stored: Store
    outgoing: WatchedStore
    recognition: RecognitionStore
    terminology: TerminologyLibrary
    desk: "Desk | None"


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


def build_write_path(settings: Settings, stored: Store, late: LateOrders) -> WritePath:
    """Return the layers over `stored`; `late` hears of every order."""
    catalogues = CatalogueLibrary(snapshot_folder(settings), today=lambda: settings.now().date())
    # What is posted takes effect with its commit; published catalogues answer after it, FHIR's own last.
    library = TerminologyLibrary(stored, catalogues, is_noticed=True)
    # What workflows add to a commit goes out with it, so the way out looks from beneath them.
    outgoing = WatchedStore(stored, now=settings.now)
    guarded, desk = _workflow(settings, outgoing, library)
    recognition = RecognitionStore(NoticingStore(guarded, library.notice))
    # Orders get their accession number on the one write path, before anybody is told of them.
    store = NoticingStore(_labelling(settings, NumberingStore(recognition), desk), late.arrived)
    return WritePath(store, stored, outgoing, recognition, library, desk)


def _labelling(settings: Settings, store: Store, desk: "Desk | None") -> Store:
    """Return the store that labels sensitive data, whoever writes it; the plain store when switched off."""
    if desk is None or not settings.public_health:
        return store
    from gateway.public_health.sensitive import LabellingStore

    return LabellingStore(store, desk.packs)


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
