"""Queries of the hospital and regional platforms: read the question, search the store, write what was found."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.search import parse
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource
from terminology.issues import UnmappableMessage

if TYPE_CHECKING:
    from mappings.hl7v3.actions import Action
    from mappings.hl7v3.envelope import Interaction
    from mappings.hl7v3.question import Question
    from mappings.language.active import ActiveMaps

MOST = 50
MOST_LINKS = 8
DAY = 8
STAFF = {
    "Encounter": "practitioner",
    "ServiceRequest": "requester",
    "MedicationRequest": "requester",
    "Appointment": "actor",
}
"""The search parameter of a type that names who works on it."""
Params = list[tuple[str, str]]
Found = list[Json]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: what it names, in which message, by which action."""

    question: "Question"
    interaction: "Interaction"
    action: "Action"


class Enquiry:
    """Answers queries; called with a message and its action, returns the XML inside the answer.

    Raises UnmappableMessage (HT-XML-16) when the question names nothing to look for.
    """

    def __init__(self, store: Store, maps: "ActiveMaps") -> None:
        self.store, self.maps = store, maps

    async def __call__(self, interaction: "Interaction", action: "Action") -> str:
        from mappings.hl7v3.question import read_question
        from mappings.language.converters import Context

        application, _, facility = interaction.source.partition("|")
        context = Context(self.maps.sender_of(application, facility), self.maps.translator)
        question = read_question(interaction.root, context)
        if question.is_empty:
            raise UnmappableMessage("HT-XML-16", source="queryByParameter")
        return await FINDERS[action.finds](self, Asked(question, interaction, action))

    async def search(self, type: str, params: Params) -> Found:
        query = parse(
            type,
            [*params, ("_count", str(MOST))],
            strict=True,
            parameters=self.store.parameters,
            max_count=MOST,
        )
        page = await self.store.search(query)
        return [decode_resource(version.body) for version in page.matches if version.body is not None]

    async def people(self, question: "Question") -> Found:
        """Return the patients that a question names by number, else by name and birth date; survivors of merges only."""
        found: Found = []
        if question.people:
            found = await self.search("Patient", [("identifier", tokens(question.people))])
        elif question.name:
            params = [("name", escaped(question.name))]
            if question.birth:
                params.append(("birthdate", _day(question.birth)))
            if question.gender:
                params.append(("gender", question.gender))
            found = await self.search("Patient", params)
        survivors = [await self._survivor(one) for one in found]
        return list({one["id"]: one for one in survivors}.values())

    async def _survivor(self, resource: Json) -> Json:
        for _ in range(MOST_LINKS):
            target = next(
                (
                    row["other"]["reference"]
                    for row in resource.get("link", ())
                    if row.get("type") == "replaced-by"
                ),
                None,
            )
            following = await self.known([target]) if target else {}
            if not following:
                return resource
            resource = next(iter(following.values()))
        return resource

    async def known(self, references: Sequence[str]) -> dict[str, Json]:
        """Return the resources behind references, those that are there."""
        keys = {tuple(reference.split("/")[-2:]) for reference in references if "/" in reference}
        pairs = [(type, id) for type, id in keys]
        found = await self.store.read_many(pairs) if pairs else {}
        return {
            f"{type}/{id}": decode_resource(version.body)
            for (type, id), version in found.items()
            if version.body is not None
        }

    async def about(self, type: str, question: "Question", more: Params) -> Found:
        """Return the resources of a type by their own number, else of the patients, else of the staff that are named."""
        if question.things:
            return await self.search(type, [("identifier", tokens(question.things)), *more])
        people = await self.people(question)
        if not people:
            staff = await self.agents(question, ("Practitioner",)) if not question.people else []
            return (
                await self.search(type, [(STAFF[type], ",".join(staff)), *more])
                if staff and type in STAFF
                else []
            )
        name = "actor" if type == "Appointment" else "subject"
        who = ",".join(f"Patient/{one['id']}" for one in people)
        return await self.search(type, [(name, who), *more])

    async def agents(self, question: "Question", types: Sequence[str]) -> list[str]:
        """Return references to who and what works there, by the numbers that the question names."""
        numbers = question.agents or question.things or question.people
        if not numbers:
            return []
        found = [(type, await self.search(type, [("identifier", tokens(numbers))])) for type in types]
        return [f"{type}/{one['id']}" for type, rows in found for one in rows]


def tokens(pairs: Sequence[tuple[str | None, str]]) -> str:
    """Return a token parameter for numbers; without a system the number alone counts."""
    return ",".join(
        f"{escaped(system)}|{escaped(number)}" if system else escaped(number) for system, number in pairs
    )


def escaped(text: str) -> str:
    for mark in ("\\", "|", ",", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _day(digits: str) -> str:
    return "-".join(part for part in (digits[:4], digits[4:6], digits[6:8]) if part)


async def _patients(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.render import patient
    from mappings.hl7v3.write import tag

    question = asked.question
    if not question.people and question.things:
        question = replace(question, people=question.things, things=())
    found = await enquiry.people(question)
    rows = [
        tag(
            "subject",
            {"typeCode": "SUBJ"},
            tag(
                "registrationEvent",
                {"classCode": "REG", "moodCode": "EVN"},
                tag("statusCode", {"code": "active"}),
                tag("subject1", {"typeCode": "SBJ"}, patient(one)),
            ),
        )
        for one in found
    ]
    return controlled(rows, asked.interaction)


async def _registered(enquiry: Enquiry, asked: Asked, type: str, render: Callable[[Json], str]) -> str:
    from mappings.hl7v3.write import tag

    question = asked.question
    numbers = question.things or question.agents or question.people
    params = (
        [("identifier", tokens(numbers))]
        if numbers
        else [("name", escaped(question.name or question.codes[0]))]
    )
    found = await enquiry.search(type, params)
    rows = [
        tag(
            "subject",
            {"typeCode": "SUBJ"},
            tag(
                "registrationEvent",
                {"classCode": "REG", "moodCode": "EVN"},
                tag("statusCode", {"code": "active"}),
                tag("subject1", {"typeCode": "SBJ"}, render(one)),
            ),
        )
        for one in found
    ]
    return controlled(rows, asked.interaction)


async def _practitioners(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.render import practitioner

    return await _registered(enquiry, asked, "Practitioner", practitioner)


async def _organizations(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.render import organization

    return await _registered(enquiry, asked, "Organization", organization)


async def _acts(enquiry: Enquiry, asked: Asked, types: Sequence[str], more: Params) -> str:
    from mappings.hl7v3.acts import RENDER
    from mappings.hl7v3.write import tag

    found = [one for type in types for one in await enquiry.about(type, asked.question, more)]
    known = await enquiry.known([reference for one in found for reference in references(one)])
    rows = [tag("subject", {"typeCode": "SUBJ"}, RENDER[one["resourceType"]](one, known)) for one in found]
    return controlled(rows, asked.interaction)


async def _encounters(enquiry: Enquiry, asked: Asked) -> str:
    more: Params = []
    if asked.action.filters.get("class"):
        system = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
        more.append(("class", ",".join(f"{system}|{code}" for code in asked.action.filters["class"])))
    if asked.action.filters.get("status"):
        more.append(("status", ",".join(asked.action.filters["status"])))
    return await _acts(enquiry, asked, ("Encounter",), more)


async def _orders(enquiry: Enquiry, asked: Asked) -> str:
    return await _acts(enquiry, asked, ("MedicationRequest", "ServiceRequest"), [])


async def _requests(enquiry: Enquiry, asked: Asked) -> str:
    return await _acts(enquiry, asked, ("ServiceRequest",), [])


async def _appointments(enquiry: Enquiry, asked: Asked) -> str:
    return await _acts(enquiry, asked, ("Appointment",), [])


async def _slots(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.acts import slot
    from mappings.hl7v3.write import tag

    question = asked.question
    numbers = question.things or question.people
    schedules = await enquiry.search("Schedule", [("identifier", tokens(numbers))]) if numbers else []
    if not schedules and (actors := await enquiry.agents(question, ("Practitioner", "Location"))):
        schedules = await enquiry.search("Schedule", [("actor", ",".join(actors))])
    days: Params = [
        ("start", f"{mark}{_day(day[:8])}")
        for mark, day in (("ge", question.since), ("le", question.until))
        if len(day) >= DAY and day[:DAY].isdigit()
    ]
    found = [
        one
        for row in schedules
        for one in await enquiry.search("Slot", [("schedule", f"Schedule/{row['id']}"), *days])
    ]
    return controlled(
        [tag("subject", {"typeCode": "SUBJ"}, slot(one, {})) for one in found], asked.interaction
    )


async def _document_list(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.acts import document_entry

    found = await enquiry.about("DocumentReference", asked.question, [])
    if asked.question.title:
        found = [one for one in found if asked.question.title in _titles(one)]
    known = await enquiry.known([reference for one in found for reference in references(one)])
    return "".join(document_entry(one, known) for one in found)


async def _documents(enquiry: Enquiry, asked: Asked) -> str:
    from mappings.hl7v3.acts import document_response

    rows = []
    for one in await enquiry.about("DocumentReference", asked.question, []):
        attachment: Json = next(
            (row["attachment"] for row in one.get("content", ()) if "attachment" in row), {}
        )
        data = attachment.get("data", "")
        if not data and attachment.get("url"):
            binaries = await enquiry.known([attachment["url"]])
            data = next((binary.get("data", "") for binary in binaries.values()), "")
        rows.append(document_response(one, data, attachment.get("contentType", "text/xml")))
    if not rows:
        raise UnmappableMessage("HT-XML-17", source="DocumentUniqueId")
    return "".join(rows)


def _titles(resource: Json) -> str:
    kind = resource.get("type") or {}
    titles = [row.get("attachment", {}).get("title", "") for row in resource.get("content", ())]
    return "\n".join([resource.get("description", ""), kind.get("text", ""), *titles])


def controlled(rows: Sequence[str], interaction: "Interaction") -> str:
    """Return controlActProcess with what was found and the query acknowledgement (OK, or NF for nothing)."""
    from mappings.hl7v3.envelope import identifier
    from mappings.hl7v3.write import ii, tag

    asked = interaction.root.down("controlActProcess", "queryByParameter")
    query = identifier(asked.first("queryId")) if asked is not None else ("", "")
    acknowledgement = tag(
        "queryAck",
        None,
        ii("queryId", *query) if any(query) else "",
        tag("queryResponseCode", {"code": "OK" if rows else "NF"}),
        tag("resultTotalQuantity", {"value": str(len(rows))}),
    )
    return tag("controlActProcess", {"classCode": "CACT", "moodCode": "EVN"}, *rows, acknowledgement)


def references(resource: Json) -> list[str]:
    """Return what a resource refers to directly."""
    found = []
    for name in ("subject", "requester", "serviceProvider", "encounter", "custodian"):
        reference = (
            (resource.get(name) or {}).get("reference") if isinstance(resource.get(name), dict) else None
        )
        if reference:
            found.append(str(reference))
    found += [
        str(row["actor"]["reference"])
        for row in resource.get("participant", ())
        if "reference" in row.get("actor", {})
    ]
    return found


async def _referrals(enquiry: Enquiry, asked: Asked) -> str:
    category = "https://hutong.health/fhir/CodeSystem/order-category|referral"
    return await _acts(enquiry, asked, ("ServiceRequest",), [("category", category)])


async def _teams(enquiry: Enquiry, asked: Asked) -> str:
    return await _records(enquiry, asked, "CareTeam", "team")


async def _contracts(enquiry: Enquiry, asked: Asked) -> str:
    return await _records(enquiry, asked, "Contract", "contract")


async def _contract_items(enquiry: Enquiry, asked: Asked) -> str:
    return await _records(enquiry, asked, "PlanDefinition", "item")


async def _records(enquiry: Enquiry, asked: Asked, type: str, name: str) -> str:
    from mappings.hl7v3.acts import record

    question = asked.question
    if question.things or type in ("CareTeam", "PlanDefinition"):
        numbers = question.things or question.people or question.agents
        params = [("identifier", tokens(numbers))] if numbers else [("name", escaped(question.name))]
        found = await enquiry.search(type, params)
    else:
        found = await enquiry.about(type, question, [])
    return controlled([record(name, one) for one in found], asked.interaction)


FINDERS: dict[str, Callable[[Enquiry, Asked], Awaitable[str]]] = {
    "patient": _patients,
    "practitioner": _practitioners,
    "organization": _organizations,
    "encounter": _encounters,
    "order": _orders,
    "request": _requests,
    "appointment": _appointments,
    "slot": _slots,
    "referral": _referrals,
    "team": _teams,
    "contract": _contracts,
    "contract-item": _contract_items,
    "contract-service": _encounters,
    "document-list": _document_list,
    "document": _documents,
}
