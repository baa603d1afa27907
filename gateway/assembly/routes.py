"""The parts of the HTTP front beside FHIR and messages; each is read when it is first asked (gateway/channels/part.py)."""

from typing import TYPE_CHECKING

from gateway.catalogues.calendar import Calendar
from gateway.catalogues.place import Office
from gateway.channels.part import Part
from gateway.gate import Gate
from gateway.imaging.imaging import Imaging
from gateway.journal import Journal
from gateway.outbound.post import Post
from gateway.rest import context as rest
from gateway.settings import Settings
from gateway.store.protocol import Store
from gateway.workbench.published import PublishedMaps

if TYPE_CHECKING:
    from gateway.members.routes import MemberRoutes
    from gateway.sources.polling import Polling


def catalogue_routes(office: Office, store: Store, calendar: Calendar) -> Part:
    from gateway.catalogues.http import CatalogueRoutes

    return CatalogueRoutes(office, store, published=calendar.wake)


def code_routes(office: Office, published: PublishedMaps) -> Part:
    from gateway.workbench.http import CodeRoutes

    return CodeRoutes(office, published.publish)


def delivery_routes(post: Post) -> Part:
    from gateway.outbound.routes import Deliveries

    return Deliveries(post)


def source_routes(polling: "Polling") -> Part:
    from gateway.sources.http import SourceRoutes

    return SourceRoutes(polling)


def imaging_routes(imaging: Imaging) -> Part:
    from gateway.imaging.http import ImagingRoutes

    return ImagingRoutes(imaging)


def dicomweb(imaging: Imaging, gate: Gate | None) -> Part:
    from gateway.dicomweb.routes import Dicomweb

    return Dicomweb(imaging, gate=gate)


def vendor_routes(context: rest.Context, settings: Settings, gate: Gate | None) -> Part:
    from gateway.recognition.vendor import VendorApi, load_clients

    clients = load_clients(settings.vendor_clients) if settings.vendor_clients else None
    return VendorApi(context, clients, gate)


def cds_services(context: rest.Context) -> Part:
    from gateway.drug_use.cds_hooks import CdsServices

    return CdsServices(context)


def member_routes(settings: Settings, store: Store, journal: Journal) -> "MemberRoutes":
    from gateway.members.nightly import Nightly
    from gateway.members.routes import MemberRoutes

    nightly = Nightly(settings.data, store, journal, clock=settings.now, least=settings.quality_least)
    return MemberRoutes(nightly)
