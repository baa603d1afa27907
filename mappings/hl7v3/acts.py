"""FHIR → the acts of query answers: visits, orders, requests, appointments, slots, documents."""

from collections.abc import Callable, Mapping

from mappings.hl7v3.render import coded, identifiers, moment, patient, period, telecoms
from mappings.hl7v3.write import leaf, tag, text, value
from terminology.fhirjson import Json

Known = Mapping[str, Json]
"""Resources that others refer to, by reference."""

CLASSES = {"AMB": ("1", "门诊"), "EMER": ("2", "急诊"), "IMP": ("3", "住院")}


def encounter(resource: Json, known: Known) -> str:
    """Return `encounterEvent`."""
    shown = CLASSES.get(resource.get("class", {}).get("code", ""), ("9", "其他"))
    code = tag("code", {"code": shown[0], "codeSystem": "2.16.156.10011.2.3.1.271", "displayName": shown[1]})
    reason = next((row.get("text") for row in resource.get("reasonCode", ()) if row.get("text")), None)
    return tag(
        "encounterEvent",
        {"classCode": "ENC", "moodCode": "EVN"},
        identifiers("id", resource.get("identifier")),
        code,
        tag("statusCode", {"code": "completed" if resource.get("status") == "finished" else "active"}),
        period("effectiveTime", resource.get("period")),
        tag("reasonCode", None, leaf("originalText", reason)) if reason else "",
        _subject(resource, known),
        _organization("location", resource.get("serviceProvider"), known),
    )


def request(resource: Json, known: Known) -> str:
    """Return `observationRequest`."""
    return tag(
        "observationRequest",
        {"classCode": "OBS", "moodCode": "RQO"},
        identifiers("id", resource.get("identifier")),
        coded("code", resource.get("code")),
        value("text", (resource.get("code") or {}).get("text")),
        tag("statusCode", {"code": _status(resource.get("status"))}),
        moment("effectiveTime", resource.get("authoredOn")),
        _author(resource.get("requester"), known),
        _subject(resource, known),
    )


def order(resource: Json, known: Known) -> str:
    """Return `substanceAdministrationRequest` of a MedicationRequest; other orders as their observationRequest."""
    if resource["resourceType"] != "MedicationRequest":
        return request(resource, known)
    drug = resource.get("medicationCodeableConcept")
    product = tag("manufacturedProduct", None, coded("code", drug), leaf("name", (drug or {}).get("text")))
    dosage: Json = next(iter(resource.get("dosageInstruction", ())), {})
    dose = next((row.get("doseQuantity") for row in dosage.get("doseAndRate", ())), None)
    return tag(
        "substanceAdministrationRequest",
        {"classCode": "SBADM", "moodCode": "RQO"},
        identifiers("id", resource.get("identifier")),
        value("text", dosage.get("text") or (drug or {}).get("text")),
        tag("statusCode", {"code": _status(resource.get("status"))}),
        moment("effectiveTime", resource.get("authoredOn")),
        coded("routeCode", dosage.get("route")),
        _quantity("doseQuantity", dose),
        tag("consumable", None, tag("manufacturedProduct", None, product)) if drug else "",
        _author(resource.get("requester"), known),
        _subject(resource, known),
    )


def appointment(resource: Json, known: Known) -> str:
    """Return `actAppointment`."""
    people = [row.get("actor", {}).get("reference", "") for row in resource.get("participant", ())]
    who = next((known[one] for one in people if one.startswith("Patient/") and one in known), None)
    return tag(
        "actAppointment",
        {"classCode": "ACT", "moodCode": "APT"},
        identifiers("id", resource.get("identifier")),
        coded("code", resource.get("appointmentType") or next(iter(resource.get("serviceType", ())), None)),
        tag("statusCode", {"code": resource.get("status", "")}),
        period("effectiveTime", resource),
        tag("subject", {"typeCode": "SBJ"}, patient(who)) if who else "",
    )


def slot(resource: Json, _known: Known) -> str:
    """Return `slot` of a schedule."""
    return tag(
        "slot",
        None,
        identifiers("id", resource.get("identifier")),
        tag("statusCode", {"code": resource.get("status", "")}),
        period("effectiveTime", resource),
    )


def record(name: str, resource: Json) -> str:
    """Return a team, contract or service item of the regional platform."""
    period_of = resource.get("applies") or resource.get("period")
    title = resource.get("name") or resource.get("title")
    people = [row.get("member", {}).get("display") for row in resource.get("participant", ())]
    people += [row.get("display") for row in resource.get("subject", ()) if isinstance(row, dict)]
    return tag(
        name,
        None,
        identifiers("id", resource.get("identifier")),
        leaf("name", title if isinstance(title, str) else None),
        tag("statusCode", {"code": resource.get("status", "")}),
        period("effectiveTime", period_of),
        *(leaf("member", one) for one in people if one),
    )


def document_entry(resource: Json, known: Known) -> str:
    """Return `DocumentSet`: what the registry knows of one document."""
    unique = _unique(resource)
    who = known.get((resource.get("subject") or {}).get("reference", ""), {})
    numbers = who.get("identifier", [])
    author: Json = next(iter(resource.get("author", ())), {})
    context = resource.get("context") or {}
    return tag(
        "DocumentSet",
        None,
        leaf("DocumentUniqueId", unique),
        leaf("RepositoryUniqueId", "HUTONG"),
        leaf("DocumentTitle", resource.get("description") or (resource.get("type") or {}).get("text")),
        leaf("CreateTime", resource.get("date")),
        leaf("AuthorName", author.get("display")),
        leaf("PatientID", str(numbers[0]["value"]) if numbers else None),
        leaf("PatientName", next((row.get("text") for row in who.get("name", ())), None)),
        leaf("ServerOrganization", (resource.get("custodian") or {}).get("display")),
        leaf("InTime", (context.get("period") or {}).get("start")),
        leaf("OutTime", (context.get("period") or {}).get("end")),
        leaf(
            "DocumentType",
            next((row.get("code") for row in (resource.get("type") or {}).get("coding", ())), None),
        ),
    )


def document_response(resource: Json, data: str, media: str) -> str:
    """Return `DocumentResponse` with the document as it was registered, in Base64."""
    unique = _unique(resource)
    return tag(
        "DocumentResponse",
        None,
        leaf("RepositoryUniqueId", "HUTONG"),
        leaf("DocumentUniqueId", unique),
        leaf("MimeType", media),
        leaf("Document", data),
    )


def _unique(resource: Json) -> str:
    """Return the unique id of a document as its sender wrote it."""
    found = str((resource.get("masterIdentifier") or {}).get("value") or resource["id"])
    return found.removeprefix("urn:oid:").removeprefix("urn:uuid:")


def _subject(resource: Json, known: Known) -> str:
    reference = (resource.get("subject") or {}).get("reference", "")
    return tag("subject", {"typeCode": "SBJ"}, patient(known[reference])) if reference in known else ""


def _author(reference: Json | None, known: Known) -> str:
    if not reference:
        return ""
    who = known.get(reference.get("reference", ""), {})
    named = reference.get("display") or next((row.get("text") for row in who.get("name", ())), None)
    person = tag("assignedPerson", None, tag("name", None, text(named))) if named else ""
    return tag(
        "author",
        {"typeCode": "AUT"},
        tag("assignedEntity", None, identifiers("id", who.get("identifier")), person),
    )


def _organization(element: str, reference: Json | None, known: Known) -> str:
    if not reference:
        return ""
    found = known.get(reference.get("reference", ""), {})
    named = found.get("name") or reference.get("display")
    inner = tag(
        "serviceProviderOrganization",
        None,
        identifiers("id", found.get("identifier")),
        leaf("name", named),
        telecoms(found.get("telecom")),
    )
    return tag(element, None, tag("serviceDeliveryLocation", {"classCode": "SDLOC"}, inner))


def _status(status: str | None) -> str:
    return {"revoked": "aborted", "cancelled": "aborted", "on-hold": "suspended", "draft": "new"}.get(
        status or "", status or "active"
    )


def _quantity(element: str, found: Json | None) -> str:
    if not found or "value" not in found:
        return ""
    return tag(element, {"value": str(found["value"]), "unit": found.get("unit") or found.get("code")})


RENDER: dict[str, Callable[[Json, Known], str]] = {
    "Encounter": encounter,
    "ServiceRequest": request,
    "MedicationRequest": order,
    "Appointment": appointment,
    "Slot": slot,
}
