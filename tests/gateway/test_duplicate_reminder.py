"""Reminders of the regional platform: IST-RS1, IST-RS2, IST-RS3."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import Server

from conformance.formats.xml_tree import parse_tree
from gateway.recognition.duplicate import answer_query, read_query
from gateway.store.memory import MemoryStore
from terminology.issues import InvalidInput

sys.path.append(str(Path(__file__).parent.parent / "conformance" / "recognition"))

from county import CHEST_CT, County

QUERY = """<rhin:{root} xmlns:rhin="urn:rhin">
<rhin:id extension="Q1"/><rhin:creationTime value="20260320100000"/>
<rhin:interactionId extension="{transaction}"/>
<rhin:patientId><rhin:value extension="11010519491231002X"/></rhin:patientId>
<rhin:subjectId><rhin:value extension="{code}"/></rhin:subjectId>
<rhin:versionTimestamp><rhin:value value="{since}"/></rhin:versionTimestamp>
<rhin:requestOrganization><rhin:value extension="12345678937010211A1001"/></rhin:requestOrganization>
</rhin:{root}>"""


def query(transaction: str = "IST-RS2", code: str = "2823-3", since: str = "20260301000000") -> bytes:
    return QUERY.format(root="DuplicateQuery", transaction=transaction, code=code, since=since).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    county = County()
    # One licence number names one institution.
    for other in (county.community, county.hospital, county.neighbour, county.other_community):
        other["identifier"] = [{**other["identifier"][0], "value": f"{other['id']}-1"}]
    rows = [
        county.patient, county.community, county.hospital, county.township, county.neighbour, county.other_community,
        county.specimen, county.observation, county.report,
        {
            "resourceType": "MedicationRequest", "id": "rx", "status": "active", "intent": "order",
            "subject": {"reference": "Patient/zhang"}, "authoredOn": "2026-03-10T09:00:00+08:00",
            "medicationCodeableConcept": {"coding": [{"system": "urn:drugs", "code": "XC07AB02", "display": "美托洛尔"}]},
        },
    ]  # fmt: skip
    for resource in rows:
        resource.pop("meta", None)
        answer = made.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code == 201, answer.text
    yield made
    made.close()


def ask(server: Server, xml: bytes, transaction: str | None = None) -> list[dict[str, str]]:
    root = parse_tree(server.run(answer_query(xml, server.context, transaction)))
    rows = []
    for reminder in (node for node in root.children if node.name == "reminder"):
        values = {node.name: node for node in reminder.children}
        rows.append(
            {
                "id": values["id"].attributes["extension"],
                "code": values["subjectId"].children[0].attributes["extension"],
                "at": values["effectiveTime"].attributes["value"],
                "decision": values["decision"].attributes["code"] if "decision" in values else "",
            }
        )
    [count] = [node for node in root.children if node.name == "reminderCount"]
    assert int(count.attributes["value"]) == len(rows)
    return rows


def test_a_laboratory_report_is_found(server: Server) -> None:
    assert ask(server, query()) == [
        {"id": "chemistry", "code": "2823-3", "at": "20260318081500", "decision": "recognise"}
    ]


def test_it_is_no_examination(server: Server) -> None:
    assert ask(server, query("IST-RS1")) == []


def test_an_examination_is_found(server: Server) -> None:
    county = County()
    county.imaging()
    for resource in (*county.more, county.report):
        resource.pop("meta", None)
        if resource["resourceType"] == "ImagingStudy":
            resource["subject"] = {"reference": "Patient/zhang"}
        if resource["resourceType"] == "Endpoint":
            resource |= {
                "connectionType": {"code": "dicom-wado-rs"}, "payloadType": [{"text": "DICOM"}],
            }  # fmt: skip
        answer = server.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code in (200, 201), answer.text
    assert [row["id"] for row in ask(server, query("IST-RS1", CHEST_CT["code"]))] == ["chemistry"]


def test_a_prescription_is_found(server: Server) -> None:
    assert ask(server, query("IST-RS3", "XC07AB02")) == [
        {"id": "rx", "code": "XC07AB02", "at": "20260310090000", "decision": ""}
    ]


@pytest.mark.parametrize(("transaction", "code"), [("IST-RS2", "2823-3"), ("IST-RS3", "XC07AB02")])
def test_not_further_back_than_asked(server: Server, transaction: str, code: str) -> None:
    assert ask(server, query(transaction, code, "20260319000000")) == []


def test_inside_soap_and_by_the_transaction_of_the_envelope(server: Server) -> None:
    inner = query("").decode()
    soap = (
        f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{inner}</s:Body></s:Envelope>'
    )
    assert len(ask(server, soap.encode(), "IST-RS2")) == 1


def test_asking_is_a_reminder_of_record(server: Server) -> None:
    ask(server, query())
    ask(server, query())
    assert server.request("GET", "Communication?category=recognition-reminder").json()["total"] == 1


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"<a/>", "HT-MR-20"),
        (b"not xml", "HT-FMT-06"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "HT-FMT-07"),
        (query("IST-RS9"), "HT-MR-20"),
        (query(since="20261399"), "HT-MR-20"),
        (query(code=""), "HT-MR-20"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(xml: bytes, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_query(xml)
    assert caught.value.issues[0].code == code


def test_a_stranger_is_an_empty_answer(server: Server) -> None:
    xml = query().replace(b"11010519491231002X", b"110101198002290026")
    assert ask(server, xml) == []


@pytest.mark.parametrize("created", ["99991231235959", "20280229235959"])
def test_long_after_nothing_is_valid_any_more(server: Server, created: str) -> None:
    assert ask(server, query(since="20270101000000").replace(b"20260320100000", created.encode())) == []


def test_the_first_day_of_the_calendar_is_no_time_to_count_from() -> None:
    assert read_query(query().replace(b"20260320100000", b"00010101000000")).created is None
