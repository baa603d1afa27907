"""The way out: the delivery log, and the post that keeps it."""

from pathlib import Path
from tempfile import mkdtemp

from gateway.assembly.store import WritePath
from gateway.ingest.hl7v2 import Maps
from gateway.metrics import Metrics
from gateway.outbound.destination_files import Destinations
from gateway.outbound.ledger import Ledger
from gateway.outbound.post import Post
from gateway.settings import Settings


def build_post(settings: Settings, path: WritePath, maps: Maps, metrics: Metrics) -> Post:
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
        path.stored,
        path.outgoing,
        ledger,
        Destinations(settings.destinations),
        maps,
        zone=settings.zone,
        base=lambda: base,
        metrics=metrics,
        keep_days=settings.deliveries_keep_days,
        hosts=settings.subscription_hosts,
    )
