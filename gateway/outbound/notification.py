"""Notifications of subscriptions: a Bundle of type history that begins with the subscription's status.

Subscriptions R5 Backport 1.1 for R4: profile backport-subscription-notification-r4; the status is a Parameters.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from gateway.outbound.delivery import Delivery
from gateway.outbound.gather import read_focus
from gateway.outbound.hook import TOPIC_BASE, Content
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource

PROFILE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
# What kind of notification stands behind a row without outbox event.
KINDS = ("handshake", "heartbeat")


def status_parameters(
    subscription: str,
    *,
    kind: str,
    status: str,
    count: int,
    topic: str,
    events: Sequence[Sequence[Json]] = (),
    error: str = "",
) -> Json:
    """Return the status of `Subscription/id` as Parameters; `count`: events since it began; `events`: their parts."""
    rows: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": subscription}},
        *([{"name": "topic", "valueCanonical": f"{TOPIC_BASE}{topic}"}] if topic else []),
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(count)},
        *({"name": "notification-event", "part": list(parts)} for parts in events),
    ]
    if error:
        rows.append({"name": "error", "valueCodeableConcept": {"text": error}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subscription}/{kind}/{count}")),
        "meta": {"profile": [f"{PROFILE}backport-subscription-status-r4"]},
        "parameter": rows,
    }


def event_parts(delivery: Delivery, content: Content) -> list[Json]:
    """Return the parts of one event: number, instant and, unless the content is empty, the focus."""
    instant = str(delivery.payload.get("at") or "")
    parts: list[Json] = [{"name": "event-number", "valueString": str(delivery.number)}]
    if instant:
        parts.append({"name": "timestamp", "valueInstant": instant})
    if content != "empty" and delivery.focus:
        parts.append({"name": "focus", "valueReference": {"reference": plain(delivery.focus)}})
    return parts


async def bundle_of(
    store: Store, status: Json, deliveries: Sequence[Delivery], *, content: Content, base: str, now: datetime
) -> Json:
    """Return the notification: its status, and of each event the focus as id or, with full-resource, as it was then."""
    subscription = status["parameter"][0]["valueReference"]["reference"]
    entries: list[Json] = [
        {
            "fullUrl": f"urn:uuid:{status['id']}",
            "resource": status,
            "request": {"method": "GET", "url": f"{base}/{subscription}/$status"},
            "response": {"status": "200"},
        }
    ]
    seen: set[str] = set()
    for delivery in deliveries:
        if content == "empty" or not delivery.focus or delivery.focus in seen:
            continue
        seen.add(delivery.focus)
        reference = plain(delivery.focus)
        entry: Json = {
            "fullUrl": f"{base}/{reference}",
            "request": {"method": "GET", "url": reference},
            "response": {"status": "200"},
        }
        if content == "full-resource":
            version = await read_focus(store, delivery.focus)
            if version is not None and version.body is not None:
                entry["resource"] = decode_resource(version.body)
        entries.append(entry)
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{status['id']}/{now.isoformat()}")),
        "meta": {"profile": [f"{PROFILE}backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": now.isoformat(timespec="milliseconds"),
        "entry": entries,
    }


def plain(focus: str) -> str:
    """Return "Type/id" of a focus with or without version."""
    return focus.partition("/_history/")[0]
