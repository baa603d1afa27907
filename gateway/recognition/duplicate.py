"""Reminders of the regional platform: IST-RS1 重复检查, IST-RS2 重复检验, IST-RS3 重复用药.

区域卫生信息平台交互规范: a query names the person (`patientId/value@extension`), the item (`subjectId/value@extension`),
how far to look back (`versionTimestamp/value@value`), its own id and time, who asks and for which organisation. Elements
are found by their local names wherever they stand, inside SOAP too: senders' prefixes and wrappers differ.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from conformance.formats.xml_tree import Node, parse_tree
from conformance.recognition.moment import countable, read_approximately
from conformance.recognition.pack import CHINA
from conformance.recognition.record import codings, concept_text, reference_of
from gateway.recognition.earlier import Asked, Earlier, earlier_reports, find_patient
from gateway.recognition.evidence import Evidence
from gateway.recognition.vendor_report import row_of
from gateway.rest.context import Context
from gateway.search.escape import escape
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

Transaction = Literal["IST-RS1", "IST-RS2", "IST-RS3"]
KINDS: dict[Transaction, Literal["examination", "laboratory", "any"]] = {
    "IST-RS1": "examination",
    "IST-RS2": "laboratory",
    "IST-RS3": "any",
}
TITLES: dict[Transaction, str] = {
    "IST-RS1": "重复检查提醒",
    "IST-RS2": "重复检验提醒",
    "IST-RS3": "重复用药提醒",
}
ANSWERS: dict[Transaction, str] = {
    "IST-RS1": "RepeatExaminationReminderResponse",
    "IST-RS2": "RepeatTestReminderResponse",
    "IST-RS3": "RepeatDrugReminderResponse",
}
NAMESPACE = "urn:hutong:rhin"
LOOK_BACK = timedelta(days=90)
"""Where the query names no time."""
GIVEN = ("active", "on-hold", "completed")
MAX_PRESCRIPTIONS = 50


@dataclass(frozen=True, slots=True)
class ReminderQuery:
    """What one query asks; `organization` is the number that the sender wrote, `namespace` that of its root."""

    transaction: Transaction
    message_id: str
    created: datetime | None
    resident_id: str
    item: Json
    since: datetime | None
    person: str = ""
    organization: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Reminder:
    """One earlier examination, laboratory report or prescription."""

    id: str
    code: str
    name: str
    at: str
    organization: str
    decision: str = ""
    valid_until: str = ""
    image: str = ""


async def answer_query(xml: bytes, context: Context, transaction: str | None = None) -> bytes:
    """Return the answer to a query; `transaction` is the one of the envelope, else the document says it.

    Raises InvalidInput (HT-FMT-*, HT-MR-20) when it cannot be read; nobody known is an answer without reminders.
    """
    query = read_query(xml, transaction)
    return to_answer(query, await reminders(query, context), now=context.clock())


def read_query(xml: bytes, transaction: str | None = None) -> ReminderQuery:
    """Return the query; raises InvalidInput HT-MR-20 naming every element that is missing or wrong."""
    root = parse_tree(xml)
    body = next((node.children[0] for node in _all(root) if node.name == "Body" and node.children), root)
    named = (
        _transaction(transaction) or _transaction(_attribute(body, "interactionId", "extension")) or _of(body)
    )
    person = _attribute(body, "patientId/value", "extension")
    item = _find(body, "subjectId/value")
    since = read_time(_attribute(body, "versionTimestamp/value", "value"))
    wrong = [
        name
        for name, is_there in (
            ("IST-RS1 | IST-RS2 | IST-RS3", named is not None),
            ("patientId/value@extension", bool(person)),
            ("subjectId/value@extension", item is not None and bool(item.attributes.get("extension"))),
            ("versionTimestamp/value@value", since is not None or not _find(body, "versionTimestamp/value")),
        )
        if not is_there
    ]
    if wrong or named is None or item is None:
        raise InvalidInput("HT-MR-20", name=", ".join(wrong))
    root_of = item.attributes.get("root", "")
    system = {"system": f"urn:oid:{root_of}"} if re.fullmatch(r"[\d.]+", root_of) else {}
    return ReminderQuery(
        transaction=named,
        message_id=_attribute(body, "id", "extension") or _attribute(body, "messageId/value", "extension"),
        created=read_time(_attribute(body, "creationTime", "value")),
        resident_id=person,
        item={"code": item.attributes["extension"]} | system,
        since=since,
        person=_attribute(body, "requestPerson/value", "extension")
        or _attribute(body, "assignedPerson/id", "extension"),
        organization=_attribute(body, "requestOrganization/value", "extension")
        or _attribute(body, "representedOrganization/id", "extension"),
        namespace=body.namespace,
    )


async def reminders(query: ReminderQuery, context: Context) -> list[Reminder]:
    """Return what the patient had since the time asked; each earlier report is a reminder of record (MR-029)."""
    patient = await find_patient(query.resident_id, "", context)
    if patient is None:
        return []
    at = query.created or context.clock()
    since = query.since or at - LOOK_BACK
    if query.transaction == "IST-RS3":
        return await _prescriptions(query, patient, since, context)
    asked = Asked(
        resident_id=query.resident_id,
        at=at,
        kind=KINDS[query.transaction],
        items=(query.item,),
        since=since,
        organization=await _organization(query.organization, context),
        doctor=query.person,
        order=query.message_id,
    )
    found = await earlier_reports(asked, patient, context)
    return [_reminder(row, patient) for row in found]


def to_answer(query: ReminderQuery, found: list[Reminder], *, now: datetime) -> bytes:
    """Return the answer document: an acknowledgement of the query's id and a `reminder` for each finding."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<rhin:{ANSWERS[query.transaction]} xmlns:rhin={quoteattr(query.namespace or NAMESPACE)}>",
        f"<rhin:id root={quoteattr(str(uuid4()))}/>",
        f'<rhin:creationTime value="{now.astimezone(CHINA):%Y%m%d%H%M%S}"/>',
        f"<rhin:interactionId extension={quoteattr(query.transaction)} displayName={quoteattr(TITLES[query.transaction])}/>",
        f'<rhin:acknowledgement typeCode="AA"><rhin:targetMessage><rhin:id extension={quoteattr(query.message_id)}/>'
        "</rhin:targetMessage></rhin:acknowledgement>",
        f'<rhin:reminderCount value="{len(found)}"/>',
    ]
    for row in found:
        lines.append(
            f"<rhin:reminder><rhin:id extension={quoteattr(row.id)}/>"
            f"<rhin:subjectId><rhin:value extension={quoteattr(row.code)} displayName={quoteattr(row.name)}/></rhin:subjectId>"
            f"<rhin:effectiveTime value={quoteattr(row.at)}/>"
            f"<rhin:representedOrganization><rhin:name>{xml_escape(row.organization)}</rhin:name></rhin:representedOrganization>"
            + (f"<rhin:decision code={quoteattr(row.decision)}/>" if row.decision else "")
            + (f"<rhin:validUntil value={quoteattr(row.valid_until)}/>" if row.valid_until else "")
            + (f"<rhin:image value={quoteattr(row.image)}/>" if row.image else "")
            + "</rhin:reminder>"
        )
    return "\n".join([*lines, f"</rhin:{ANSWERS[query.transaction]}>"]).encode()


def read_time(text: str) -> datetime | None:
    """Return a time written as HL7 v3 does (20260315080000) or as FHIR does; without zone it is +08:00."""
    digits = re.fullmatch(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?(?:\.\d+)?(?:[+-]\d{4})?", text)
    if digits is None:
        return read_approximately(text.replace(" ", "T"))
    try:
        return countable(datetime(*(int(part or 0) for part in digits.groups()), tzinfo=CHINA))  # type: ignore[misc,arg-type]  # six numbers
    except ValueError:
        return None


async def _prescriptions(
    query: ReminderQuery, patient: Json, since: datetime, context: Context
) -> list[Reminder]:
    evidence = Evidence(context)
    maps = await evidence.maps([(query.item,)])
    keys = [*maps.related((query.item,)), ("", query.item["code"])]
    code = ",".join(
        dict.fromkeys(
            f"{escape(system)}|{escape(value)}" if system else escape(value) for system, value in keys
        )
    )
    rows = await evidence.search(
        "MedicationRequest",
        ("subject", reference_of(patient)), ("code", code), ("status", ",".join(GIVEN)),
        ("authoredon", f"ge{since.date().isoformat()}"), ("_sort", "-authoredon"),
        count=MAX_PRESCRIPTIONS,
    )  # fmt: skip
    await evidence.follow(rows)
    record = evidence.record()
    found = []
    for row in rows:
        concept = row.get("medicationCodeableConcept") or {}
        requester = record.resolve(row.get("requester"), row) or {}
        found.append(
            Reminder(
                id=row["id"],
                code=next((coding.get("code", "") for coding in codings(concept)), query.item["code"]),
                name=concept_text(concept),
                at=_compact(row.get("authoredOn")),
                organization=str(requester.get("name", ""))
                if requester.get("resourceType") == "Organization"
                else "",
            )
        )
    return found


def _reminder(row: Earlier, patient: Json) -> Reminder:
    shown = row_of(row, patient)
    return Reminder(
        id=shown["examUid"],
        code=shown["dataCode"],
        name=shown["examItemName"],
        at=_compact(row.report.get("effectiveDateTime") or row.report.get("issued")),
        organization=shown["orgName"],
        decision=row.decision,
        valid_until=re.sub(r"\D", "", shown["validUntil"]),
        image=shown["imageUrl"],
    )


async def _organization(number: str, context: Context) -> str | None:
    found = (
        await Evidence(context).search("Organization", ("identifier", escape(number)), count=1)
        if number
        else []
    )
    return reference_of(found[0]) if found else None


def _compact(text: object) -> str:
    moment = read_approximately(text)
    return moment.astimezone(CHINA).strftime("%Y%m%d%H%M%S") if moment else ""


def _transaction(text: str | None) -> Transaction | None:
    found = re.search(r"RS\s*([123])\b", text or "", re.IGNORECASE)
    names: dict[str, Transaction] = {"1": "IST-RS1", "2": "IST-RS2", "3": "IST-RS3"}
    return names[found[1]] if found else None


def _of(body: Node) -> Transaction | None:
    """The kind by the document's name where nothing else tells."""
    name = body.name.lower()
    if "drug" in name or "medic" in name:
        return "IST-RS3"
    if "lab" in name or "test" in name:
        return "IST-RS2"
    return "IST-RS1" if "exam" in name or "check" in name else None


def _all(node: Node) -> list[Node]:
    found = [node]
    for child in node.children:
        found += _all(child)
    return found


def _find(body: Node, path: str) -> Node | None:
    """Return the first element at the end of a path of local names, wherever its first step stands."""
    first, *rest = path.split("/")
    for node in _all(body):
        if node.name != first:
            continue
        at: Node | None = node
        for step in rest:
            at = (
                next((child for child in at.children if child.name == step), None) if at is not None else None
            )
        if at is not None:
            return at
    return None


def _attribute(body: Node, path: str, name: str) -> str:
    found = _find(body, path)
    return found.attributes.get(name, "").strip() if found is not None else ""
