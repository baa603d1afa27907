"""What to write: the entries of a mapping result against what is stored, as one commit. Pure.

Staleness (adapters' rule): a late preliminary never replaces a final, an older message never replaces a newer one,
a cancel changes the status only, A40 links and retires. `Entry.is_stale` and `Entry.applied_to` decide; here the
instant of the message that wrote a resource is kept in its meta, so that the next one can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.imaging.accession import SYSTEM as ACCESSION_SYSTEM
from gateway.imaging.accession import with_number
from gateway.journal import Entry as Message
from gateway.store.protocol import Delete, Put, Version
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource, encode
from terminology.issues import Issue

CANONICAL = "https://hutong.health/fhir"
MESSAGE_TIME = f"{CANONICAL}/StructureDefinition/message-time"

Key = tuple[str, str]


@dataclass(slots=True)
class Plan:
    """`changes` of the commit; `targets` are the references that this message speaks for; `issues` what was left out."""

    changes: list[Put | Delete] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def plan(result: Result, stored: Mapping[Key, Version], *, source: str) -> Plan:
    """Return the changes that bring the store to what the message says; `source` goes to meta.source."""
    made = Plan()
    for entry in result.entries:
        version = stored.get((entry.type, entry.id))
        _plan_one(entry, version, made, source)
    return made


def message_source(message: Message) -> str:
    """meta.source: which message, and which request (https://hl7.org/fhir/R4/resource-definitions.html#Meta.source)."""
    if not message.id:
        # A study is no message: its resources come of all its objects.
        return f"urn:oid:{message.control_id}#{message.request_id}"
    return f"urn:hutong:message:{message.id}#{message.request_id}"


def _plan_one(entry: Entry, version: Version | None, made: Plan, source: str) -> None:
    number = version.version if version is not None else 0
    body = decode_resource(version.body) if version is not None and version.body is not None else None
    if body is None and entry.rule.write == "retire":
        return
    if body is not None:
        if entry.rule.write == "create":
            made.targets.append(entry.reference)
            known = _with_new_identifiers(body, entry) if entry.rule.match_by_identifier else body
            if known is not body:
                made.changes.append(Put(known, expected=number))
            return
        stored_time = message_time(body)
        if entry.is_stale(body, stored_time):
            values = {"reference": entry.reference, "stored": _standing(body, stored_time),
                      "received": _standing(entry.resource, entry.recency)}  # fmt: skip
            made.issues.append(Issue("HT-MSG-22", values, "information", expression=entry.type))
            return
    wanted = entry.applied_to(body)
    if body is not None and entry.rule.write in ("merge", "link", "unlink"):
        wanted = _with_known_identifiers(wanted, body)
    elif body is not None and entry.type == "ServiceRequest":
        wanted = _with_given_number(wanted, body)
    made.targets.append(entry.reference)
    if body is not None and _says_the_same(wanted, body):
        return
    made.changes.append(Put(_sourced(wanted, entry, source), expected=number))


def message_time(resource: Json) -> str | None:
    """The instant of the message that wrote a stored resource."""
    for row in (resource.get("meta") or {}).get("extension", ()):
        if row.get("url") == MESSAGE_TIME:
            return str(row.get("valueDateTime"))
    return None


def _sourced(resource: Json, entry: Entry, source: str) -> Json:
    meta = {
        name: value
        for name, value in (resource.get("meta") or {}).items()
        if name not in ("extension", "source")
    }
    kept = [
        row for row in (resource.get("meta") or {}).get("extension", ()) if row.get("url") != MESSAGE_TIME
    ]
    if entry.recency:
        kept.append({"url": MESSAGE_TIME, "valueDateTime": entry.recency})
    meta = {**({"extension": kept} if kept else {}), "source": source, **meta}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return {**rest, "meta": meta}


def _with_known_identifiers(wanted: Json, stored: Json) -> Json:
    """Keep the identifiers that other senders gave: one of another system says nothing about theirs."""
    own = wanted.get("identifier")
    known = stored.get("identifier")
    if not own or not known or own is known:
        return wanted
    systems = {row.get("system") for row in own}
    others = [row for row in known if row.get("system") not in systems]
    return {**wanted, "identifier": [*own, *others]} if others else wanted


def _with_given_number(wanted: Json, stored: Json) -> Json:
    """The accession number that the gateway gave an order stays with it: its sender doesn't know it."""
    given = [row for row in stored.get("identifier", ()) if row.get("system") == ACCESSION_SYSTEM]
    if not given or with_number(wanted) is wanted:
        return wanted
    return {**wanted, "identifier": [*wanted.get("identifier", ()), *given]}


def _with_new_identifiers(stored: Json, entry: Entry) -> Json:
    """Found under another sender's id: the number that this sender knows the person by must lead to it as well."""
    known = {(row.get("system"), row.get("value")) for row in stored.get("identifier", ())}
    new = [
        row
        for row in entry.resource.get("identifier", ())
        if (row.get("system"), row.get("value")) not in known
    ]
    return {**stored, "identifier": [*stored.get("identifier", ()), *new]} if new else stored


def _says_the_same(wanted: Json, stored: Json) -> bool:
    return _bare(wanted) == _bare(stored)


def _bare(resource: Json) -> bytes:
    return encode({name: resource[name] for name in sorted(resource) if name != "meta"})


def _standing(resource: Json, time: str | None) -> str:
    return " ".join(part for part in (resource.get("status"), time) if part) or "-"
