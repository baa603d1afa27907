"""OperationDefinitions of $status and $events, as the Subscriptions R5 Backport 1.1 has them for R4."""

from terminology.fhirjson import Json

_BASE = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-"

STATUS: Json = {
    "resourceType": "OperationDefinition",
    "url": f"{_BASE}status",
    "name": "BackportSubscriptionStatus",
    "title": "订阅状态",
    "status": "active",
    "kind": "operation",
    "code": "status",
    "description": "Where subscriptions stand: their status, how many events there were, the last error.",
    "affectsState": False,
    "resource": ["Subscription"],
    "system": False,
    "type": True,
    "instance": True,
    "parameter": [
        {"name": "id", "use": "in", "min": 0, "max": "*", "type": "id"},
        {"name": "status", "use": "in", "min": 0, "max": "*", "type": "code"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Bundle"},
    ],
}

EVENTS: Json = {
    "resourceType": "OperationDefinition",
    "url": f"{_BASE}events",
    "name": "BackportSubscriptionEvents",
    "title": "按编号重取订阅事件",
    "status": "active",
    "kind": "operation",
    "code": "events",
    "description": "The events of a subscription again, by their numbers: for a subscriber that missed some or has no endpoint.",
    "affectsState": False,
    "resource": ["Subscription"],
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "eventsSinceNumber", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "eventsUntilNumber", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "content", "use": "in", "min": 0, "max": "1", "type": "code"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Bundle"},
    ],
}
