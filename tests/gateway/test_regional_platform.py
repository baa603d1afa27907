"""The regional platform over the wire: `rhin:` messages by transaction or by root, at /soap and /messages/rhin."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from mappings.hl7v3.actions import region
from tests.gateway.running import run
from tests.gateway.test_hospital_platform import SOAP_12, V3, found, serving

CARD = "11010519491231002X"


def rhin(root: str, inside: str, *, id: str = "R1", sender: str = "TOWN1") -> str:
    return (
        f'<rhin:{root} xmlns:rhin="urn:rhin"><rhin:id extension="{id}"/><rhin:creationTime value="20260315081000"/>'
        f'<rhin:sender><rhin:device><rhin:id extension="{sender}"/></rhin:device></rhin:sender>{inside}</rhin:{root}>'
    )


REFERRAL = rhin(
    "TwoWayReferralRequest",
    "<rhin:referral><rhin:referralId>ZZ0001</rhin:referralId><rhin:referralType>1</rhin:referralType>"
    "<rhin:transferOutOrgCode>WSY01</rhin:transferOutOrgCode><rhin:transferOutOrgName>某镇卫生院</rhin:transferOutOrgName>"
    "<rhin:transferInOrgCode>XYY01</rhin:transferInOrgCode><rhin:transferInOrgName>某县人民医院</rhin:transferInOrgName>"
    "<rhin:referralReason>血压控制不佳</rhin:referralReason></rhin:referral>"
    "<rhin:submitObjectList><rhin:submissionSet><rhin:uniqueId>S1</rhin:uniqueId><rhin:patientId>"
    f'<rhin:value root="2.16.156.10011.1.3" extension="{CARD}"/></rhin:patientId><rhin:patientName>李明</rhin:patientName>'
    '</rhin:submissionSet><rhin:documentEntry mimeType="text/xml"><rhin:uniqueId>D1</rhin:uniqueId>'
    "<rhin:title>转诊记录</rhin:title><rhin:content>PGE+5bGx5rC0PC9hPg==</rhin:content></rhin:documentEntry>"
    "</rhin:submitObjectList>",
)


async def call(client: httpx.AsyncClient, action: str, text: str) -> ElementTree.Element:
    envelope = (
        f'<s:Envelope xmlns:s="{SOAP_12}"><s:Body><HIPMessageServer xmlns="urn:hl7-org:v3"><action>{action}</action>'
        f"<message><![CDATA[{text}]]></message></HIPMessageServer></s:Body></s:Envelope>"
    )
    answer = await client.post(
        "/soap/RHINMessageServer",
        content=envelope.encode(),
        headers={"Content-Type": "application/soap+xml"},
    )
    assert answer.status_code == 200, answer.text
    result = ElementTree.fromstring(answer.content).find(f".//{V3}HIPMessageServerResult")
    assert result is not None
    assert result.text
    return ElementTree.fromstring(result.text)


def name(answer: ElementTree.Element) -> str:
    return answer.tag.rpartition("}")[2]


def texts(answer: ElementTree.Element, wanted: str) -> list[str]:
    return [one.get("extension") or one.text or "" for one in answer.iter() if name(one) == wanted]


class TestReferral:
    def test_there_and_back(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await call(client, "IST-TRS1", REFERRAL)
                assert (name(answer), answer.get("status")) == ("TwoWayReferralRequestResponse", "AA")
                (request,) = await found(client, "ServiceRequest")
                assert request["category"][0]["coding"][0]["code"] == "referral"
                assert request["performer"][0]["display"] == "某县人民医院"
                (document,) = await found(client, "DocumentReference")
                assert request["supportingInfo"][0]["reference"] == f"DocumentReference/{document['id']}"
                (task,) = await found(client, f"Task?focus=ServiceRequest/{request['id']}")
                assert task["status"] == "requested"
                # The hospital answers from its own system.
                receipt = rhin(
                    "TwoWayReferralReceipt",
                    "<rhin:referralId>ZZ0001</rhin:referralId><rhin:receiptResult>接收</rhin:receiptResult>",
                    id="R2",
                    sender="XYY",
                )
                answer = await call(client, "IST-TRS4", receipt)
                assert answer.get("status") == "AA", ElementTree.tostring(answer, "unicode")
                (task,) = await found(client, f"Task?_id={task['id']}")
                assert task["status"] == "accepted"
                asked = rhin(
                    "TwoWayReferralRetrieveDocumentSet", f"<rhin:idCardNo>{CARD}</rhin:idCardNo>", id="R3"
                )
                answer = await call(client, "IST-TRS3", asked)
                assert answer.get("status") == "AA"
                assert "ZZ0001" in texts(answer, "id")

        run(body())

    def test_taken_back(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                await call(client, "IST-TRS1", REFERRAL)
                abort = rhin(
                    "TwoWayReferralRequestAbort",
                    "<rhin:referralId>ZZ0001</rhin:referralId><rhin:abortReason>患者放弃</rhin:abortReason>",
                    id="R2",
                )
                answer = await call(client, "IST-TRS2", abort)
                assert answer.get("status") == "AA", ElementTree.tostring(answer, "unicode")
                (request,) = await found(client, "ServiceRequest")
                assert request["status"] == "revoked"
                (task,) = await found(client, f"Task?focus=ServiceRequest/{request['id']}")
                assert task["status"] == "cancelled"

        run(body())

    def test_a_receipt_for_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                receipt = rhin(
                    "TwoWayReferralReceipt",
                    "<rhin:referralId>NONE</rhin:referralId><rhin:receiptResult>1</rhin:receiptResult>",
                )
                answer = await call(client, "IST-TRS4", receipt)
                assert answer.get("status") == "AE"
                assert [one.get("code") for one in answer.iter() if name(one) == "error"] == ["HT-XML-18"]

        run(body())


CONTRACT = (
    f"<contractNo>Q1</contractNo><patientId extension='{CARD}'/><signDate value='20260101'/>"
    "<endDate value='20261231'/><doctorId>D01</doctorId><doctorName>李建国</doctorName>"
)
MESSAGES: list[tuple[str, str, str]] = [
    ("IST-PR1", f"<person><idCardNo>{CARD}</idCardNo><name>李明</name></person>", "Patient"),
    ("IST-HC1", f"<idCardNo>{CARD}</idCardNo><healthCardId>6222022320001571462</healthCardId>", "Patient"),
    (
        "IST-EHRR1",
        f"<submitObjectList><submissionSet><patientId extension='{CARD}'/></submissionSet><documentEntry>"
        "<uniqueId>D1</uniqueId><content>PGE+5bGx5rC0PC9hPg==</content></documentEntry></submitObjectList>",
        "DocumentReference",
    ),
    ("IST-CS1", "<team><teamId>T1</teamId><teamName>团队</teamName></team>", "CareTeam"),
    ("IST-CS3", "<doctorId>D01</doctorId><doctorName>李建国</doctorName>", "Practitioner"),
    (
        "IST-CS5",
        CONTRACT,
        "EpisodeOfCare?type=family-doctor&status=active",
    ),
    ("IST-CS7", "<itemCode>F1</itemCode><itemName>随访包</itemName>", "PlanDefinition"),
    (
        "IST-CS9",
        f"<recordNo>J1</recordNo><patientId extension='{CARD}'/><serviceDate value='20260101'/>",
        "Encounter",
    ),
    ("IST-RC1", f"<consultationId>H1</consultationId><patientId extension='{CARD}'/>", "ServiceRequest"),
    (
        "IST-RC4",
        f"<consultationId>H1</consultationId><patientId extension='{CARD}'/><expertId>Z1</expertId><opinion>意见</opinion>",
        "DiagnosticReport",
    ),
    ("IST-RC5", "<consultationId>H1</consultationId><text>请看</text>", "Communication"),
    (
        "IST-YY1",
        f"<appointmentNo>Y1</appointmentNo><patientId extension='{CARD}'/><startTime value='20260316080000'/>"
        "<endTime value='20260316083000'/>",
        "Appointment",
    ),
    (
        "IST-YY5",
        "<schedule><scheduleId>P1</scheduleId><doctorName>李建国</doctorName><slot><slotId>S1</slotId>"
        "<startTime value='20260316080000'/><endTime value='20260316083000'/></slot></schedule>",
        "Slot",
    ),
]


class TestEveryFamily:
    @pytest.mark.parametrize(("action", "inside", "type"), MESSAGES, ids=[row[0] for row in MESSAGES])
    def test_stored_and_answered_in_kind(self, tmp_path: Path, action: str, inside: str, type: str) -> None:
        row = next(one for one in region().actions if one.name == action)

        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await call(client, action, rhin(row.requests[0], inside))
                assert (name(answer), answer.get("status")) == (row.accept, "AA"), ElementTree.tostring(
                    answer, "unicode"
                )
                assert await found(client, type)

        run(body())

    @pytest.mark.parametrize(
        ("first", "inside", "query", "asked", "expected"),
        [
            (
                "IST-PR1",
                f"<person><idCardNo>{CARD}</idCardNo><name>李明</name></person>",
                "IST-PR2",
                f"<idCardNo>{CARD}</idCardNo>",
                CARD,
            ),
            (
                "IST-CS1",
                "<teamId>T1</teamId><teamName>团队</teamName>",
                "IST-CS2",
                "<teamId>T1</teamId>",
                "T1",
            ),
            (
                "IST-CS5",
                CONTRACT,
                "IST-CS6",
                f"<idCardNo>{CARD}</idCardNo>",
                "Q1",
            ),
            (
                "IST-YY1",
                f"<appointmentNo>Y1</appointmentNo><patientId extension='{CARD}'/><startTime value='20260316080000'/><endTime value='20260316083000'/>",
                "IST-YY3",
                "<appointmentNo>Y1</appointmentNo>",
                "Y1",
            ),
        ],
    )
    def test_found_again(
        self, tmp_path: Path, first: str, inside: str, query: str, asked: str, expected: str
    ) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                await call(client, first, rhin("Anything", inside))
                answer = await call(client, query, rhin("Query", asked, id="Q1"))
                assert answer.get("status") == "AA"
                assert expected in texts(answer, "id")

        run(body())


class TestReminders:
    @pytest.mark.parametrize("action", ["IST-RS1", "IST-RS2", "IST-RS3"])
    def test_read_only(self, tmp_path: Path, action: str) -> None:
        asked = rhin(
            "RepeatTestReminder",
            f'<rhin:patientId><rhin:value extension="{CARD}"/></rhin:patientId>'
            '<rhin:subjectId><rhin:value extension="WBC"/></rhin:subjectId>'
            '<rhin:versionTimestamp><rhin:value value="20260101000000"/></rhin:versionTimestamp>',
        )

        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await call(client, action, asked)
                assert [one.get("typeCode") for one in answer.iter() if name(one) == "acknowledgement"] == [
                    "AA"
                ]
                assert [one.get("value") for one in answer.iter() if name(one) == "reminderCount"] == ["0"]
                assert await found(client, "Patient") == []

        run(body())

    def test_what_is_missing_is_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await call(client, "IST-RS1", rhin("RepeatExaminationReminder", ""))
                assert answer.get("status") == "AE"

        run(body())


class TestRefusals:
    @pytest.mark.parametrize(
        ("action", "text", "status", "code"),
        [
            ("IST-XX9", rhin("Anything", ""), "AR", "HT-XML-15"),
            ("IST-PR1", rhin("PersonRecordFeed", "<person><name>李明</name></person>"), "AE", "HT-XML-12"),
            (
                "IST-EHRR1",
                rhin("ProvideAndRegisterDocumentSet", f"<idCardNo>{CARD}</idCardNo>"),
                "AE",
                "HT-XML-12",
            ),
            ("IST-TRS2", rhin("TwoWayReferralRequestAbort", ""), "AE", "HT-XML-12"),
        ],
    )
    def test_told(self, tmp_path: Path, action: str, text: str, status: str, code: str) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await call(client, action, text)
                told: Any = answer.get("status") or next(
                    one.get("typeCode") for one in answer.iter() if name(one) == "acknowledgement"
                )
                codes = [one.get("code") for one in answer.iter() if name(one) in ("error", "code")]
                assert (told, codes) == (status, [code])
                (kept,) = (await client.get("/messages?state=parked")).json()["messages"]
                assert text.encode() in (await client.get(f"/messages/{kept['id']}/raw")).content

        run(body())

    def test_bare_at_messages(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post("/messages/rhin", content=REFERRAL.encode("gb18030"))
                assert answer.status_code == 200, answer.text
                (request,) = await found(client, "ServiceRequest")
                assert {"text": "血压控制不佳"} in request["reasonCode"]

        run(body())


class TestContract:
    def test_from_signing_to_its_end(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                for number in ("R1", "R2"):
                    told = rhin("ContractRelationFeed", CONTRACT, id=number)
                    answer = await call(client, "IST-CS5", told)
                    assert answer.get("status") == "AA", ElementTree.tostring(answer, "unicode")
                (contract,) = await found(client, "Contract")
                assert {row["party"]["reference"].split("/")[0] for row in contract["signer"]} == {
                    "Patient",
                    "Practitioner",
                }
                second = CONTRACT.replace("Q1", "Q2")
                answer = await call(client, "IST-CS5", rhin("ContractRelationFeed", second, id="R3"))
                assert [one.get("code") for one in answer.iter() if name(one) == "error"] == ["HT-CTR-03"]
                ended = rhin("ContractRelationAbort", "<contractNo>Q1</contractNo>", id="R4")
                answer = await call(client, "IST-CS11", ended)
                assert answer.get("status") == "AA", ElementTree.tostring(answer, "unicode")
                (contract,) = await found(client, "Contract")
                assert contract["status"] == "terminated"
                (episode,) = await found(client, "EpisodeOfCare")
                assert episode["status"] == "finished"

        run(body())


def test_a_merge_links_and_deletes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as (_, client):
            for letter in "AB":
                told = f"<person><patientId root='1.2.3' extension='{letter}'/><name>李明</name></person>"
                answer = await call(client, "IST-PR1", rhin("PersonRecordFeed", told, id=letter))
                assert answer.get("status") == "AA"
            merged = (
                "<survivingPatientId root='1.2.3' extension='A'/><priorPatientId root='1.2.3' extension='B'/>"
            )
            answer = await call(client, "IST-PR7", rhin("PersonIdentifierMergeNotification", merged, id="C"))
            assert answer.get("status") == "AA", ElementTree.tostring(answer, "unicode")
            (old,) = await found(client, "Patient?identifier=urn:oid:1.2.3|B")
            assert old["active"] is False
            assert old["link"][0]["type"] == "replaced-by"

    run(body())
