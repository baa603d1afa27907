"""The doors beside HTTP: MLLP, and the port of laboratory devices."""

import logging

from gateway.channels.mllp import Limits, Mllp
from gateway.channels.port import Port
from gateway.ingest.intake import Intake
from gateway.ingest.kind import Kind
from gateway.metrics import Metrics
from gateway.settings import Settings
from gateway.store.protocol import Store
from terminology.issues import FhirError

log = logging.getLogger("gateway.app")


def build_mllp(settings: Settings, intake: Intake, kind: Kind, metrics: Metrics) -> Mllp:
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


def build_astm_port(settings: Settings, intake: Intake, store: Store, metrics: Metrics) -> Port:
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
