"""What the metrics read of the parts when they are asked; parts that count for themselves are not here."""

from functools import partial

from gateway.assembly.messages import Ingest
from gateway.channels.mllp import Mllp
from gateway.journal import Journal
from gateway.metrics import Metrics

IMAGING = {
    "orphans": "Studies that wait for their order.",
    "asides": "DICOM objects that were kept aside for a person.",
    "waiting": "Objects that wait to be forwarded.",
    "parked": "Objects that an archive refused.",
    "late": "Studies whose resources could not be written yet.",
}


def add_gauges(metrics: Metrics, ingest: Ingest, journal: Journal, mllp: Mllp | None) -> None:
    """Let `metrics` show how full the way in is."""
    intake, imaging = ingest.intake, ingest.imaging
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
    metrics.gauge("hutong_dicom_open", "Open DICOM associations.", lambda: imaging.dimse.open)
    for name, text in IMAGING.items():
        metrics.gauge(f"hutong_imaging_{name}", text, partial(imaging.count, name))
