"""FHIR → the parts of HL7 v3 that query answers are made of: identifiers, codes, names, people, organisations."""

from mappings.datatypes.v3_cd import CANONICAL
from mappings.hl7v3.write import tag, text, value
from mappings.identifiers.kinds import KINDS
from terminology.fhirjson import Json

_OIDS = {uri: oid for oid, uri in CANONICAL.items()}
GENDERS = {
    "male": ("1", "男性"),
    "female": ("2", "女性"),
    "other": ("9", "未说明的性别"),
    "unknown": ("0", "未知的性别"),
}
PERSONAL = frozenset(
    kind.system for kind in KINDS.values() if kind.is_personal and kind.name == "resident" and kind.system
)


def root_of(system: str | None) -> str:
    """Return the OID of a URI, or the URI itself where it has none."""
    if not system:
        return ""
    if system in _OIDS:
        return _OIDS[system]
    return system.removeprefix("urn:oid:").removeprefix("urn:uuid:")


def identifier(name: str, row: Json) -> str:
    """Return an II of an Identifier."""
    return tag(name, {"root": root_of(row.get("system")) or None, "extension": str(row.get("value", ""))})


def identifiers(name: str, rows: list[Json] | None) -> str:
    return "".join(identifier(name, row) for row in rows or () if row.get("value"))


def coded(name: str, concept: Json | None, *, codes: tuple[str, ...] = ()) -> str:
    """Return a CD of a CodeableConcept: its first coding, further ones as translations; `codes`: systems preferred."""
    if not concept:
        return ""
    codings: list[Json] = sorted(concept.get("coding", ()), key=lambda row: row.get("system") not in codes)
    if not codings:
        said = concept.get("text")
        return tag(name, None, tag("originalText", None, text(str(said)))) if said else ""
    first, *others = codings
    translations = "".join(tag("translation", _code(row)) for row in others)
    shown = _code(first)
    if "displayName" not in shown and concept.get("text"):
        shown["displayName"] = str(concept["text"])
    return tag(name, shown, translations)


def _code(coding: Json) -> dict[str, str | None]:
    found: dict[str, str | None] = {"code": str(coding.get("code", ""))}
    if coding.get("system"):
        found["codeSystem"] = root_of(coding["system"])
    if coding.get("display"):
        found["displayName"] = str(coding["display"])
    return found


def name(element: str, rows: list[Json] | None) -> str:
    """Return the name of the first HumanName."""
    for row in rows or ():
        said = row.get("text") or "".join([row.get("family", ""), *row.get("given", ())])
        if said:
            return tag(element, {"use": "L"}, text(said))
    return ""


def moment(element: str, instant: str | None) -> str:
    """Return a TS of a FHIR date, dateTime or instant, with its precision, in the time it was told in."""
    return value(element, ts(instant)) if instant else ""


def ts(instant: str) -> str:
    """Return 2026-03-15T08:10:00+08:00 as 20260315081000; the offset of the county is left out."""
    day, _, clock = instant.partition("T")
    digits = day.replace("-", "")
    if not clock:
        return digits
    time, sign, offset = clock, "", ""
    for mark in ("+", "-"):
        if mark in clock:
            time, _, offset = clock.partition(mark)
            sign = mark
    shown = time.rstrip("Z").split(".")[0].replace(":", "")
    zone = (
        f"{sign}{offset.replace(':', '')}"
        if offset and offset != "08:00"
        else "+0000"
        if "Z" in clock
        else ""
    )
    return f"{digits}{shown}{zone}"


def period(element: str, found: Json | None) -> str:
    if not found:
        return ""
    return tag(element, None, moment("low", found.get("start")), moment("high", found.get("end")))


def telecoms(rows: list[Json] | None) -> str:
    return "".join(tag("telecom", {"value": row["value"]}) for row in rows or () if row.get("value"))


def address(rows: list[Json] | None) -> str:
    for row in rows or ():
        parts = [
            tag("streetAddressLine", None, text(row.get("text") or "".join(row.get("line", ())))),
            *(
                tag(to, None, text(row[of]))
                for of, to in (
                    ("state", "state"),
                    ("city", "city"),
                    ("district", "county"),
                    ("postalCode", "postalCode"),
                )
                if row.get(of)
            ),
        ]
        return tag("addr", None, *parts)
    return ""


def gender(code: str | None) -> str:
    if code not in GENDERS:
        return ""
    shown = GENDERS[code]
    return tag(
        "administrativeGenderCode",
        {"code": shown[0], "codeSystem": "2.16.156.10011.2.3.3.4", "displayName": shown[1]},
    )


def patient(resource: Json) -> str:
    """Return `patient` of a registration: local numbers, the person with the national number, further cards."""
    rows = [row for row in resource.get("identifier", ()) if row.get("value") and row.get("use") != "old"]
    own = [row for row in rows if row.get("system") in PERSONAL]
    others = [row for row in rows if row not in own]
    person = tag(
        "patientPerson",
        None,
        identifiers("id", own),
        name("name", resource.get("name")),
        telecoms(resource.get("telecom")),
        gender(resource.get("gender")),
        moment("birthTime", resource.get("birthDate")),
        address(resource.get("address")),
        coded("maritalStatusCode", resource.get("maritalStatus")),
    )
    status = tag("statusCode", {"code": "active" if resource.get("active", True) else "obsolete"})
    return tag("patient", {"classCode": "PAT"}, identifiers("id", others or own), status, person)


def practitioner(resource: Json) -> str:
    """Return `healthCareProvider`."""
    rows = resource.get("identifier", [])
    own = [row for row in rows if row.get("system") in PERSONAL]
    person = tag(
        "healthCarePrincipalPerson",
        None,
        identifiers("id", own),
        name("name", resource.get("name")),
        gender(resource.get("gender")),
        moment("birthTime", resource.get("birthDate")),
    )
    code = next((one.get("code") for one in resource.get("qualification", ())), None)
    return tag(
        "healthCareProvider",
        {"classCode": "PROV"},
        identifiers("id", [row for row in rows if row not in own] or own),
        coded("code", code),
        address(resource.get("address")),
        telecoms(resource.get("telecom")),
        tag("statusCode", {"code": "active" if resource.get("active", True) else "terminated"}),
        person,
    )


def organization(resource: Json) -> str:
    """Return `assignedEntity` of an organisation or department."""
    named = tag("name", None, text(resource.get("name", "")))
    return tag(
        "assignedEntity",
        {"classCode": "ASSIGNED"},
        identifiers("id", resource.get("identifier")),
        coded("code", next(iter(resource.get("type", ())), None)),
        named,
        address(resource.get("address")),
        telecoms(resource.get("telecom")),
        tag("statusCode", {"code": "active" if resource.get("active", True) else "terminated"}),
        tag("assignedPrincipalOrganization", {"classCode": "ORG", "determinerCode": "INSTANCE"}, named),
    )
