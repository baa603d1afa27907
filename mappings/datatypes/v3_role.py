"""Roles of HL7 v3 → references: who (assignedEntity, assignedAuthor …), which organisation, which place.

The resources come with the message and are written only where nothing is stored (mappings/language/made.py).
"""

from mappings.datatypes.extension import filled
from mappings.datatypes.v3_ad import to_work_addresses
from mappings.datatypes.v3_cd import to_concept
from mappings.datatypes.v3_en import to_names, to_text
from mappings.datatypes.v3_ii import to_identifiers
from mappings.datatypes.v3_tel import to_office_points
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

# Between a participation and the role that it points to.
_ROLES = (
    "assignedEntity", "assignedAuthor", "assignedPerson", "assignedCustodian", "associatedEntity", "contactParty",
    "serviceProviderOrganization", "location", "serviceDeliveryLocation", "healthCareFacility", "agent",
)  # fmt: skip
_PERSONS = (
    "assignedPerson",
    "assignedPrincipalChoiceList",
    "agentPerson",
    "associatedPerson",
    "person",
    "informationRecipient",
)
_ORGANIZATIONS = (
    "representedOrganization", "representedCustodianOrganization", "scopingOrganization", "organization",
    "assignedOrganization", "wholeOrganization", "serviceProviderOrganization", "providerOrganization",
    "receivedOrganization", "manufacturerOrganization", "location",
)  # fmt: skip


@converter("v3_practitioner", returns="Reference")
def to_practitioner(value: Element | str, context: Context) -> Json | None:
    """The reference to a Practitioner: number and name of an assigned person."""
    value = _bare(value)
    if isinstance(value, str):
        return _practitioner([], value, context)
    role = _role(value)
    person = next((found for name in _PERSONS if (found := role.first(name)) is not None), role)
    inner = person.first("assignedPerson") if person.name == "assignedPrincipalChoiceList" else None
    name = (inner or person).first("name") if (inner or person) is not None else None
    name = name if name is not None else role.first("name")
    ids = [
        found
        for one in (*role.all("id"), *person.all("id"))
        for found in to_identifiers(one, context, "staff") or ()
    ]
    return _practitioner(list({str(row): row for row in ids}.values()), name, context)


@converter("v3_organization", returns="Reference")
def to_organization(value: Element | str, context: Context, kind: str = "") -> Json | None:
    """The reference to an Organization; `kind`: its type ("dept")."""
    value = _bare(value)
    if isinstance(value, str):
        return _organization([], value, {}, context, kind)
    role = _role(value)
    place = next((found for name in _ORGANIZATIONS if (found := role.first(name)) is not None), role)
    ids = [
        found for one in (place.all("id") or role.all("id")) for found in to_identifiers(one, context) or ()
    ]
    name_element = place.first("name") if place.first("name") is not None else role.first("name")
    name = to_text(name_element, context) or "" if name_element is not None else ""
    more: Json = {}
    if place.first("telecom") is not None:
        more["telecom"] = [
            point for one in place.all("telecom") for point in to_office_points(one, context) or ()
        ]
    if place.first("addr") is not None:
        more["address"] = [row for one in place.all("addr") for row in to_work_addresses(one, context) or ()]
    return _organization(ids, name, more, context, kind)


@converter("v3_location", returns="Reference")
def to_location(value: Element | str, context: Context) -> Json | None:
    """The reference to a Location: number and name of a place."""
    value = _bare(value)
    if isinstance(value, str):
        return context.make("Location", ("name", value), {"name": value}) | {"display": value}
    role = value.first("serviceDeliveryLocation") or value.first("healthCareFacility") or value
    inner = role.first("location")
    ids = [found for one in role.all("id") for found in to_identifiers(one, context) or ()]
    ids = ids or [
        found
        for one in (inner.all("id") if inner is not None else ())
        for found in to_identifiers(one, context) or ()
    ]
    named = inner.first("name") if inner is not None else role.first("name")
    name = to_text(named, context) if named is not None else None
    if not ids and not name:
        return None
    code = role.first("code")
    body = filled(
        {"identifier": ids, "name": name, "type": [to_concept(code, context)] if code is not None else None}
    )
    key = (ids[0].get("system") or "", ids[0]["value"]) if ids else ("name", name or "")
    return {**context.make("Location", key, body or {}), "display": name or ids[0]["value"]}


def _bare(value: Element | str) -> Element | str:
    """Return the text of an element that is nothing but a name: `<AuthorName>刘善</AuthorName>`."""
    if isinstance(value, str) or value.children or value.get("extension") or value.get("root"):
        return value
    return value.own_text() or value


def _role(participation: Element) -> Element:
    for name in _ROLES:
        found = participation.first(name)
        if found is not None and not participation.all("id"):
            return found
    return participation


def _practitioner(ids: list[Json], name: Element | str | None, context: Context) -> Json | None:
    names = to_names(name, context) if name is not None else None
    body = filled({"identifier": ids, "name": names})
    if body is None:
        return None
    text = names[0].get("text", "") if names else ids[0]["value"]
    first = next((row for row in ids if row.get("use") != "old"), None)
    key = (first.get("system") or "", first["value"]) if first else ("name", text)
    return {**context.make("Practitioner", key, body), "display": text}


def _organization(ids: list[Json], name: str, more: Json, context: Context, kind: str) -> Json | None:
    if not ids and not name:
        return None
    system = "http://terminology.hl7.org/CodeSystem/organization-type"
    body = filled(
        {
            "identifier": ids,
            "type": [{"coding": [{"system": system, "code": kind}]}] if kind else None,
            "name": name,
            **more,
        }
    )
    key = (ids[0].get("system") or "", ids[0]["value"]) if ids else ("name", name)
    return {**context.make("Organization", key, body or {}), "display": name or ids[0]["value"]}


@converter("v3_registrant", returns="Reference")
def to_registrant(value: Element | str, context: Context) -> Json | None:
    """The reference to the Organization of a document registration: `<Organization id="…"><Name>…</Name>…`."""
    if isinstance(value, str):
        return _organization([], value, {}, context, "")
    number, named = value.get("id"), value.first("Name")
    ids = to_identifiers(number, context) or [] if number else []
    phone = value.first("TelephoneNumber")
    more: Json = {}
    if phone is not None and (
        digits := "-".join(part for part in (phone.get("areaCode"), phone.get("number")) if part)
    ):
        more["telecom"] = [{"system": "phone", "value": digits, "use": "work"}]
    return _organization(ids, named.own_text() if named is not None else "", more, context, "")


@converter("v3_patient", returns="Reference")
def to_patient(value: Element | str, context: Context) -> Json | None:
    """The logical reference to a patient that a message only mentions: by identifier, nobody is made."""
    found = to_identifiers(value, context)
    return {"type": "Patient", "identifier": found[0]} if found else None


@converter("v3_request", returns="Reference")
def to_request(value: Element | str, context: Context) -> Json | None:
    """The logical reference to a request by its number."""
    found = to_identifiers(value, context, "request")
    return {"type": "ServiceRequest", "identifier": found[0]} if found else None


@converter("unknown_actor", returns="Reference")
def to_unknown_actor(value: str, context: Context) -> Json:
    """Somebody that FHIR demands and the sender left out."""
    return {"display": "-"}
