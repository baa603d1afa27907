"""A Subscription as what is asked of us: which events, to whom, in which form.

https://hl7.org/fhir/R4/subscription.html (rest-hook); topics and payload content as in the Subscriptions R5 Backport
for R4 (https://hl7.org/fhir/uv/subscriptions-backport/).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from conformance.definitions import is_resource
from gateway.outbound.destination import TOPICS
from gateway.search.parameters import Parameters
from gateway.search.parse import parse
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidResource, Issue

Content = Literal["empty", "id-only", "full-resource"]

TOPIC_BASE = "https://hutong.health/fhir/SubscriptionTopic/"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
_MEDIA = {
    "application/fhir+json": "application/fhir+json",
    "application/json": "application/fhir+json",
    "json": "application/fhir+json",
    "application/fhir+xml": "application/fhir+xml",
    "application/xml": "application/fhir+xml",
    "xml": "application/fhir+xml",
}
# These shape an answer; a criterion only says what matches.
_SHAPING = ("_count", "_sort", "_include", "_revinclude", "_summary", "_elements", "_total", "_cursor")
_FILTERS = 10
RECEIVER = "receiver"


@dataclass(frozen=True, slots=True)
class Criterion:
    """`Task?owner=Organization/1`: a type and search parameters; `receivers`: the organisations that an event must name."""

    type: str
    params: tuple[tuple[str, str], ...]
    receivers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hook:
    """One rest-hook. `topic` "" = every write that matches `criteria`; seconds, 0 = none."""

    id: str
    topic: str
    criteria: tuple[Criterion, ...]
    endpoint: str
    headers: Mapping[str, str]
    content: Content
    media: str
    heartbeat: float
    timeout: float
    end: datetime | None
    status: str

    @property
    def name(self) -> str:
        return f"Subscription/{self.id}"


def read_hook(resource: Json, parameters: Parameters, *, hosts: str = "*") -> Hook:
    """Return what a Subscription asks for; raises InvalidResource with every problem (HT-SUB-01…).

    `hosts`: patterns of the endpoints that may be called, by commas (setting subscription_hosts).
    """
    issues: list[Issue] = []
    channel = resource.get("channel") if isinstance(resource.get("channel"), dict) else {}
    assert isinstance(channel, dict)
    if channel.get("type") != "rest-hook":
        issues.append(_issue("HT-SUB-01", "Subscription.channel.type", type=channel.get("type")))
    endpoint = str(channel.get("endpoint") or "")
    if not _is_allowed(endpoint, hosts):
        issues.append(_issue("HT-SUB-02", "Subscription.channel.endpoint", url=endpoint, hosts=hosts))
    media = _MEDIA.get(str(channel.get("payload") or "application/fhir+json").partition(";")[0].strip())
    if media is None:
        issues.append(_issue("HT-SUB-03", "Subscription.channel.payload", payload=channel.get("payload")))
    topic, criteria = _criteria(resource, parameters, issues)
    content = str(_extension(channel.get("_payload"), "payload-content") or "id-only")
    if content not in ("empty", "id-only", "full-resource"):
        issues.append(_issue("HT-SUB-04", "Subscription.channel.payload", content=content))
    end = _instant(resource.get("end"))
    if issues:
        raise InvalidResource(issues)
    return Hook(
        id=str(resource["id"]),
        topic=topic,
        criteria=criteria,
        endpoint=endpoint,
        headers=_headers(channel.get("header")),
        content=content,  # type: ignore[arg-type]  # checked above
        media=media or "",
        heartbeat=_seconds(_extension(channel, "heartbeat-period"), 0.0),
        timeout=_seconds(_extension(channel, "timeout"), 30.0) or 30.0,
        end=end,
        status=str(resource.get("status") or "requested"),
    )


def _criteria(
    resource: Json, parameters: Parameters, issues: list[Issue]
) -> tuple[str, tuple[Criterion, ...]]:
    """Return the topic and its filters, or ("", the search criteria)."""
    text = str(resource.get("criteria") or "")
    head, _, query = text.partition("?")
    # Whatever base a subscriber knows the topics by: …/SubscriptionTopic/report-final.
    place, _, name = head.rpartition("/")
    topic = name if name in TOPICS and (not place or place.endswith("SubscriptionTopic")) else ""
    rows: list[tuple[str, str]] = []
    if topic:
        if query:
            rows.append(("", query))
        rows += [("", part) for part in _filters(resource)]
    elif is_resource(head):
        rows.append((head, query))
    else:
        known = ", ".join(f"{TOPIC_BASE}{one}" for one in TOPICS)
        issues.append(_issue("HT-SUB-05", "Subscription.criteria", criteria=text, known=known))
    found = [_criterion(type, part, parameters, issues) for type, part in rows[:_FILTERS]]
    return topic, tuple(one for one in found if one is not None)


def _filters(resource: Json) -> list[str]:
    """Return the filter criteria of a topic (backport-filter-criteria on Subscription.criteria)."""
    rows = (resource.get("_criteria") or {}).get("extension", ())
    return [
        str(row.get("valueString") or "") for row in rows if row.get("url") == f"{BACKPORT}filter-criteria"
    ]


def _criterion(type: str, text: str, parameters: Parameters, issues: list[Issue]) -> Criterion | None:
    query = text
    if not type and "?" in text:
        type, _, query = text.partition("?")
    pairs = [
        (name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _SHAPING
    ]
    receivers = tuple(part for name, value in pairs if name == RECEIVER for part in value.split(","))
    params = tuple(pair for pair in pairs if pair[0] != RECEIVER)
    if params and not type:
        issues.append(
            _issue("HT-SUB-06", "Subscription.criteria", criteria=text, reason="Type?parameter=value")
        )
        return None
    if type:
        try:
            parse(type, params, strict=True, parameters=parameters)
        except FhirError as error:
            reason = "; ".join(issue.text("en") for issue in error.issues)[:300]
            issues.append(_issue("HT-SUB-06", "Subscription.criteria", criteria=text, reason=reason))
            return None
    return Criterion(type, params, receivers)


def _is_allowed(endpoint: str, hosts: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or any(mark in endpoint for mark in "\r\n "):
        return False
    try:
        # Where clouds keep the keys of a machine; nobody's endpoint is there.
        if ipaddress.ip_address(host).is_link_local:
            return False
    except ValueError:
        pass
    return any(fnmatchcase(host, pattern.strip()) for pattern in hosts.split(",") if pattern.strip())


def _headers(lines: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines if isinstance(lines, list) else []:
        name, _, value = str(line).partition(":")
        if name.strip().isascii() and name.strip() and "\n" not in value and "\r" not in value:
            found[name.strip()] = value.strip()
    return found


def _extension(element: object, name: str) -> object:
    rows = element.get("extension", ()) if isinstance(element, dict) else ()
    for row in rows:
        if row.get("url") == f"{BACKPORT}{name}":
            return next((value for key, value in row.items() if key.startswith("value")), None)
    return None


def _seconds(value: object, default: float) -> float:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _instant(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.astimezone()


def _issue(code: str, expression: str, **values: object) -> Issue:
    return Issue(code, {name: str(value)[:300] for name, value in values.items()}, expression=expression)
