"""What takes messages in: the maps, the kinds, the gate, the questions, and the intake over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from gateway.assembly.store import WritePath
from gateway.gate import Gate
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
from gateway.metrics import Metrics
from gateway.questions import may_be_question
from gateway.settings import Settings
from gateway.store.protocol import Store
from terminology.fhirjson import Json
from terminology.issues import Issue

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps


@dataclass(frozen=True, slots=True)
class Ingest:
    """The way in behind every channel; `imaging` files what has objects."""

    kinds: dict[str, Kind]
    intake: Intake
    imaging: Imaging


def build_ingest(
    settings: Settings,
    path: WritePath,
    journal: Journal,
    late: LateOrders,
    *,
    maps: Maps,
    gate: Gate | None,
    metrics: Metrics,
    remind: Remind,
) -> Ingest:
    """Return the kinds of messages, what processes them, and the intake, which `late` and imaging are given too."""
    kinds = build_kinds(settings, maps, gate, store=path.store, remind=remind)
    processor = Processor(
        kinds,
        path.store,
        metrics=metrics,
        retry=Retry(settings.retry_attempts, settings.retry_seconds),
        zone=settings.zone,
        check=resource_check(settings),
        complete={"astm": adopted, "hl7v2": moved, "hl7v3": moved, "rhin": moved},
        senders=path.desk.senders if path.desk is not None else None,
        late=late,
    )
    imaging = Imaging(settings, path.store, maps, processor)
    kinds["dicom"] = Dicom(cast("ActiveMaps", maps), file=imaging.file_message, check=imaging.check_message)
    intake = imaging.intake = late.intake = Intake(
        kinds,
        journal,
        processor,
        metrics=metrics,
        limit=settings.message_max_bytes,
        questions={"hl7v2": _questions(settings, path.store, maps, gate)},
    )
    return Ingest(kinds, intake, imaging)


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
    enquiry = Enquiry(store, active)
    platforms = {
        kind.name: kind(
            active,
            clock=hl7v2.clock,
            ask=enquiry,
            remind=remind,
            fallback_charset=hl7v2.fallback,
            gate=gate,
        )
        for kind in (Hl7v3, Rhin)
    }
    return {
        "hl7v2": hl7v2,
        **platforms,
        "astm": astm,
        "table": Table(active),
        "json": JsonBody(active),
        "xml": Xml(active, fallback_charset=hl7v2.fallback),
        "dicom": Dicom(active),
        "cda": cda,
        **ecg,
    }


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
