"""Who is this? PDQ (ITI-21), PIX (ITI-9) and the older A19: patients and their numbers, from the store."""

import re
from collections.abc import Sequence

from gateway.questions.reply import (
    ERROR,
    NOTHING,
    OK,
    Question,
    Reply,
    Segment,
    accepted,
    acknowledged,
    refused,
)
from gateway.search import parse
from gateway.search.query import Query
from mappings.datatypes.cx import to_identifier
from mappings.datatypes.dtm import to_date
from mappings.datatypes.hd import read, system_of
from mappings.datatypes.xpn import is_chinese
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, Issue

PAGE, MOST = 10, 100
K22, K23, A19 = "RSP^K22^RSP_K21", "RSP^K23^RSP_K23", "ADR^A19"
SEX = {
    "M": "male",
    "F": "female",
    "O": "other",
    "U": "unknown",
    "1": "male",
    "2": "female",
    "男": "male",
    "女": "female",
}
_FIELD = re.compile(r"@?PID\.?(\d+)(?:\.(\d+))?(?:\.(\d+))?", re.IGNORECASE)

# PID field and component → FHIR search parameter (ITI TF-2 3.21.4.1.2, table 3.21.4.1.2.2.3-1).
PARAMETERS = {
    (3, 1): "identifier",
    (11, 1): "address",
    (11, 3): "address-city",
    (11, 4): "address-state",
    (11, 5): "address-postalcode",
    (13, 1): "telecom",
    (13, 9): "telecom",
    (13, 12): "telecom",
    (18, 1): "identifier",
    (19, 1): "identifier",
}


async def demographics(question: Question) -> Sequence[Reply]:
    """QBP^Q22 → RSP^K22: the patients that all given fields fit, a page (RCP-2, DSC-1) at a time."""
    try:
        query = _query(question)
    except InvalidInput as error:
        return [_refusal(question, K22, error.issues[0], "QPD^1^3")]
    unknown = await _unknown_domain(question, 8)
    if unknown:
        return [_refusal(question, K22, Issue("HT-ASK-03", {"domain": unknown}), "QPD^1^8")]
    page = await question.store.search(query)
    people = _resources(page.matches)
    systems = _domains(question, 8)
    segments = [line for row in people for line in _person(question, row, systems)]
    more: list[Segment] = [("DSC", {"DSC-1": page.cursor, "DSC-2": "I"})] if page.cursor else []
    status = OK if people else NOTHING
    head = [accepted(question), acknowledged(question, status, page.total), question.echo("QPD")]
    return [Reply(K22, [*head, *segments, *more])]


async def cross_reference(question: Question) -> Sequence[Reply]:
    """QBP^Q23 → RSP^K23: the other numbers of the patient whom QPD-3 names, in the domains of QPD-4 or in all."""
    asked = question.message.segment("QPD")
    given = to_identifier(asked.raw(3), question.context) if asked is not None else None
    if given is None:
        return [_refusal(question, K23, Issue("HT-ASK-01", {"field": "QPD-3"}), "QPD^1^3")]
    unknown = await _unknown_domain(question, 4)
    if unknown:
        return [_refusal(question, K23, Issue("HT-ASK-03", {"domain": unknown}), "QPD^1^4")]
    people = await _identified(question, given)
    if not people:
        return [_refusal(question, K23, Issue("HT-ASK-02", {"number": given["value"][:40]}), "QPD^1^3^1^1")]
    systems = _domains(question, 4)
    own = (given.get("system"), given["value"])
    others = [
        row
        for person in people
        for row in person.get("identifier", ())
        if (row.get("system"), row.get("value")) != own
        and row.get("use") != "old"
        and (not systems or row.get("system") in systems)
    ]
    segments = (
        question.segments("out-hl7v2-person", {"resourceType": "Patient", "identifier": others})
        if others
        else []
    )
    status = OK if others else NOTHING
    return [Reply(K23, [accepted(question), acknowledged(question, status), question.echo("QPD"), *segments])]


async def one_patient(question: Question) -> Sequence[Reply]:
    """QRY^A19 → ADR^A19: the patient whose number stands in QRD-8."""
    asked = question.message.segment("QRD")
    given = to_identifier(asked.raw(8), question.context) if asked is not None else None
    if given is None:
        raise InvalidInput("HT-ASK-01", source="QRD-8", field="QRD-8")
    people = await _identified(question, given) or await _identified(question, {"value": given["value"]})
    segments = [line for row in people[:MOST] for line in _person(question, row, ())]
    status: Segment = ("QAK", {"QAK-1": question.get("QRD-4"), "QAK-2": OK if people else NOTHING})
    return [Reply(A19, [accepted(question), status, question.echo("QRD"), *segments])]


def _person(question: Question, patient: Json, systems: Sequence[str]) -> list[Segment]:
    if systems:
        rows = [row for row in patient.get("identifier", ()) if row.get("system") in systems]
        patient = {**patient, "identifier": rows}
    return question.segments("out-hl7v2-person", patient)


def _query(question: Question) -> Query:
    """Return the search for QPD-3; raises InvalidInput (HT-ASK-01, 04) for no field, or one that can't be asked for."""
    asked = question.message.segment("QPD")
    context = question.context
    given: dict[tuple[int, int], str] = {}
    for repetition in asked.repetitions(3) if asked is not None else ():
        name, value, *_ = [*context.components(repetition), ""]
        place = _FIELD.fullmatch(name.strip())
        if place is None:
            raise InvalidInput("HT-ASK-04", source="QPD-3", field=name[:40])
        if value.strip(" *"):
            given[int(place[1]), int(place[2] or 1)] = value.strip(" *")
    if not given:
        raise InvalidInput("HT-ASK-01", source="QPD-3", field="QPD-3")
    page = [("_count", str(_page_size(question))), ("_total", "accurate")]
    # Records that a merge retired are nobody's answer.
    params = [*page, ("active:not", "false"), *_criteria(given, question)]
    if question.get("DSC-1"):
        params.append(("_cursor", question.get("DSC-1")))
    return parse("Patient", params, strict=True, parameters=question.store.parameters, max_count=MOST)


def _criteria(given: dict[tuple[int, int], str], question: Question) -> list[tuple[str, str]]:
    rest = dict(given)
    params = _names(rest.pop((5, 1), ""), rest.pop((5, 2), ""))
    authority = read([rest.pop((3, part), "") for part in (4,)])
    for place, value in rest.items():
        if place == (7, 1):
            date = to_date(value, question.context)
            if date is None:
                raise InvalidInput("HT-ASK-05", source="QPD-3", field="PID.7", value=value[:40])
            params.append(("birthdate", date))
        elif place == (8, 1):
            params.append(("gender", SEX.get(value.upper(), "unknown")))
        elif place in PARAMETERS:
            system = system_of(authority, question.context) if place == (3, 1) else None
            text = _escaped(value)
            params.append((PARAMETERS[place], f"{_escaped(system)}|{text}" if system else text))
        else:
            raise InvalidInput("HT-ASK-04", source="QPD-3", field=f"PID.{place[0]}.{place[1]}")
    return params


def _names(family: str, given: str) -> list[tuple[str, str]]:
    """A Chinese name is one text, whether it comes whole or in two parts."""
    if is_chinese(family + given):
        return [("name", _escaped(family + given))]
    return [(name, _escaped(text)) for name, text in (("family", family), ("given", given)) if text]


def _page_size(question: Question) -> int:
    size = question.get("RCP-2.1")
    return max(1, min(MOST, int(size))) if size.isascii() and size.isdigit() else PAGE


async def _identified(question: Question, identifier: Json) -> list[Json]:
    """Return the patients with a number, a retired record's survivor in its place."""
    system = identifier.get("system")
    value = f"{_escaped(system)}|{_escaped(identifier['value'])}" if system else _escaped(identifier["value"])
    query = parse(
        "Patient", [("identifier", value)], strict=True, parameters=question.store.parameters, max_count=MOST
    )
    found = _resources((await question.store.search(query)).matches)
    people: dict[str, Json] = {}
    for row in found:
        survivor = next(
            (
                link["other"].get("reference", "")
                for link in row.get("link", ())
                if link.get("type") == "replaced-by"
            ),
            "",
        )
        version = await question.store.read("Patient", survivor.rpartition("/")[2]) if survivor else None
        if version is not None and version.body is not None:
            row = decode_resource(version.body)
        people[row["id"]] = row
    return list(people.values())


def _domains(question: Question, field: int) -> list[str]:
    """Return the systems of the domains whose numbers are wanted; none = all."""
    segment = question.message.segment("QPD")
    if segment is None:
        return []
    context = question.context
    rows = (read(context.components(part)[3:6]) for part in segment.repetitions(field))
    return [system for row in rows if not row.is_empty and (system := system_of(row, context))]


async def _unknown_domain(question: Question, field: int) -> str | None:
    """Return the first wanted domain of which nobody here has a number (ITI TF-2 3.9.4.2.2.6, case 4)."""
    for system in _domains(question, field):
        params = [("identifier", f"{_escaped(system)}|"), ("_count", "1")]
        query = parse("Patient", params, strict=True, parameters=question.store.parameters, max_count=1)
        if not (await question.store.search(query)).matches:
            return system
    return None


def _refusal(question: Question, kind: str, issue: Issue, place: str) -> Reply:
    status = acknowledged(question, ERROR)
    return Reply(kind, [*refused(question, issue, place=place), status, question.echo("QPD")])


def _resources(versions: Sequence[object]) -> list[Json]:
    return [
        decode_resource(body) for version in versions if (body := getattr(version, "body", None)) is not None
    ]


def _escaped(text: str | None) -> str:
    """Escape what separates values in a search (search.html#escaping)."""
    return re.sub(r"([\\|,$])", r"\\\1", text or "")
