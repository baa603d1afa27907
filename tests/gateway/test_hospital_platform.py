"""The hospital platform over the wire: SOAP and /messages/hl7v3, every action of the table, its answers, its refusals."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx
import pytest

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.settings import Settings
from tests.gateway.running import run, running

V3 = "{urn:hl7-org:v3}"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SAMPLE = Path(__file__).parent.parent / "data" / "hl7v3" / "v3_POOR_IN200901UV.xml"


@asynccontextmanager
async def serving(folder: Path, **chosen: Any) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    settings = Settings(data=folder, min_free_mib=0, **chosen)
    chosen.pop("maps", None)
    async with running(folder, mllp=False, maps=active_maps(settings), **chosen) as gateway:
        transport = httpx.ASGITransport(app=gateway.asgi)  # type: ignore[arg-type]  # an ASGI application
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield gateway, client


def message(root: str, inside: str, *, id: str = "M1", service: str = "") -> str:
    return (
        f'<{root} xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ITSVersion="XML_1.0">'
        f'<id root="2.16.156.10011.0" extension="{id}"/><creationTime value="20260315081000"/>'
        f'<interactionId root="2.16.840.1.113883.1.6" extension="{service or root}"/>'
        '<processingCode code="P"/><processingModeCode code="R"/><acceptAckCode code="AL"/>'
        '<receiver typeCode="RCV"><device><id root="2.16.156.10011.0.1.1" extension="HIP"/></device></receiver>'
        '<sender typeCode="SND"><device><id root="2.16.156.10011.0.1.2" extension="HIS"/></device></sender>'
        f"<controlActProcess>{inside}</controlActProcess></{root}>"
    )


def person(number: str = "P0001", name: str = "李明", *, card: str = "11010519491231002X") -> str:
    return (
        f'<patient classCode="PAT"><id root="2.16.156.10011.0.2.2" extension="{number}"/>'
        f'<patientPerson><id root="2.16.156.10011.1.3" extension="{card}"/><name use="L">{name}</name>'
        '<administrativeGenderCode code="2" codeSystem="2.16.156.10011.2.3.3.4"/><birthTime value="19491231"/>'
        "</patientPerson></patient>"
    )


def registration(root: str = "PRPA_IN201311UV02", who: str = "", *, id: str = "M1") -> str:
    inner = f"<subject><registrationRequest><subject1>{who or person()}</subject1></registrationRequest></subject>"
    return message(root, inner, id=id)


def query(root: str, name: str, value: str, *, id: str = "Q1") -> str:
    return message(
        root,
        f"<queryByParameter><queryId root='1.2' extension='q'/><parameterList><{name}>{value}</{name}></parameterList>"
        "</queryByParameter>",
        id=id,
    )


async def soap(
    client: httpx.AsyncClient, action: str, text: str, *, space: str = SOAP_12, cdata: bool = True
) -> ElementTree.Element:
    """Call HIPMessageServer and return the root of the message it answers."""
    inner = f"<![CDATA[{text}]]>" if cdata else escape(text)
    envelope = (
        f'<s:Envelope xmlns:s="{space}"><s:Body><urn:HIPMessageServer xmlns:urn="urn:hl7-org:v3">'
        f"<action>{action}</action><message>{inner}</message></urn:HIPMessageServer></s:Body></s:Envelope>"
    )
    media = "application/soap+xml" if space == SOAP_12 else "text/xml"
    answer = await client.post(
        "/soap/HIPMessageServer", content=envelope.encode(), headers={"Content-Type": media}
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(media)
    outer = ElementTree.fromstring(answer.content)
    assert outer.tag == f"{{{space}}}Envelope"
    result = outer.find(f".//{V3}HIPMessageServerResult")
    assert result is not None
    assert result.text
    return ElementTree.fromstring(result.text)


def code(answer: ElementTree.Element) -> str:
    found = answer.find(f"{V3}acknowledgement")
    return found.get("typeCode", "") if found is not None else answer.get("status", "")


def root(answer: ElementTree.Element) -> str:
    return answer.tag.removeprefix(V3)


async def found(client: httpx.AsyncClient, search: str) -> list[dict[str, Any]]:
    bundle = (await client.get(f"/fhir/{search}")).json()
    return [row["resource"] for row in bundle.get("entry", ())]


class TestPatients:
    @pytest.mark.parametrize("space", [SOAP_12, SOAP_11])
    @pytest.mark.parametrize("cdata", [True, False])
    def test_register_and_find(self, tmp_path: Path, space: str, cdata: bool) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await soap(
                    client, "PatientRegistryAddRequest", registration(), space=space, cdata=cdata
                )
                assert (root(answer), code(answer)) == ("PRPA_IN201312UV02", "AA")
                target = answer.find(f"{V3}acknowledgement/{V3}targetMessage/{V3}id")
                assert target is not None
                assert target.get("extension") == "M1"
                (patient,) = await found(
                    client, "Patient?identifier=urn:oid:2.16.156.10011.1.3|11010519491231002X"
                )
                assert patient["name"][0]["text"] == "李明"
                asked = query(
                    "PRPA_IN201305UV02",
                    "livingSubjectId",
                    '<value root="2.16.156.10011.0.2.2" extension="P0001"/>',
                )
                answer = await soap(client, "PatientRegistryFindCandidatesQuery", asked, space=space)
                assert (root(answer), code(answer)) == ("PRPA_IN201306UV02", "AA")
                name = answer.find(f".//{V3}patientPerson/{V3}name")
                assert name is not None
                assert name.text == "李明"
                response = answer.find(f".//{V3}queryResponseCode")
                assert response is not None
                assert response.get("code") == "OK"

        run(body())

    def test_nobody_is_found(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                asked = query(
                    "PRPA_IN201305UV02", "livingSubjectId", '<value root="1.2.3" extension="none"/>'
                )
                answer = await soap(client, "PatientRegistryFindCandidatesQuery", asked)
                response = answer.find(f".//{V3}queryResponseCode")
                assert (code(answer), response.get("code") if response is not None else "") == ("AA", "NF")

        run(body())

    def test_revise(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                await soap(client, "PatientRegistryAddRequest", registration())
                changed = registration("PRPA_IN201314UV02", person(name="李明远"), id="M2")
                answer = await soap(client, "PatientRegistryReviseRequest", changed)
                assert (root(answer), code(answer)) == ("PRPA_IN201315UV02", "AA")
                (patient,) = await found(client, "Patient")
                assert patient["name"][0]["text"] == "李明远"

        run(body())

    def test_a_merge_links_and_deletes_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                await soap(client, "PatientRegistryAddRequest", registration())
                second = person("P0002", "李明", card="110105194912310039")
                await soap(client, "PatientRegistryAddRequest", registration(who=second, id="M2"))
                merge = message(
                    "PRPA_IN201304UV02",
                    f"<subject><registrationEvent><subject1>{person()}</subject1><replacementOf><priorRegistration>"
                    '<subject1><priorRegisteredRole><id root="2.16.156.10011.0.2.2" extension="P0002"/>'
                    "</priorRegisteredRole></subject1></priorRegistration></replacementOf></registrationEvent></subject>",
                    id="M3",
                )
                answer = await soap(client, "PatientRegistryDuplicatesResolved", merge)
                assert (root(answer), code(answer)) == ("MCCI_IN000002UV01", "AA")
                patients = await found(client, "Patient")
                assert len(patients) == 2
                (retired,) = [one for one in patients if one.get("active") is False]
                assert retired["link"][0]["type"] == "replaced-by"
                asked = query(
                    "PRPA_IN201305UV02",
                    "livingSubjectId",
                    '<value root="2.16.156.10011.0.2.2" extension="P0002"/>',
                )
                answer = await soap(client, "PatientRegistryFindCandidatesQuery", asked)
                # The answer is the survivor's record.
                numbers = [one.get("extension") for one in answer.iterfind(f".//{V3}patient/{V3}id")]
                assert "P0001" in numbers

        run(body())


class TestRequests:
    def test_the_sample_order(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post("/messages/hl7v3", content=SAMPLE.read_bytes())
                assert answer.status_code == 200
                told = ElementTree.fromstring(answer.content)
                assert (root(told), code(told)) == ("MCCI_IN000002UV01", "AA")
                (request,) = await found(client, "ServiceRequest")
                assert request["identifier"][0]["value"] == "SQD0001"
                (task,) = await found(client, "Task")
                assert task["focus"]["reference"] == f"ServiceRequest/{request['id']}"
                asked = query(
                    "QUMT_IN020030PL",
                    "requestId",
                    '<value><item root="2.16.156.10011.1.24" extension="SQD0001"/></value>',
                )
                answer = await soap(client, "ActRequestQuery", asked)
                assert (root(answer), code(answer)) == ("QUMT_IN020040PL", "AA")
                numbers = [
                    one.get("extension") for one in answer.iterfind(f".//{V3}observationRequest/{V3}id")
                ]
                assert numbers == ["SQD0001"]

        run(body())

    def test_the_same_message_twice_is_one_order(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (gateway, client):
                first = await client.post("/messages/hl7v3", content=SAMPLE.read_bytes())
                second = await client.post("/messages/hl7v3", content=SAMPLE.read_bytes())
                assert (first.status_code, second.status_code) == (200, 200)
                assert code(ElementTree.fromstring(second.content)) == "AA"
                await gateway.intake.drained()
                assert [one["meta"]["versionId"] for one in await found(client, "ServiceRequest")] == ["1"]

        run(body())


class TestDocuments:
    def test_a_replaced_one_is_superseded(self, tmp_path: Path) -> None:
        def text(number: str, parent: str = "") -> str:
            return (
                f'<ProvideAndRegisterDocumentSetRequest xmlns="urn:hl7-org:v3"><ID root="1.2" extension="M{number}"/>'
                "<SourcePatientID>P0001</SourcePatientID><Organization id='H1'><Name>某县人民医院</Name></Organization>"
                f"<RegistryPackage><SubmissionSet><UniqueId>{number}</UniqueId><Title>会诊记录</Title></SubmissionSet>"
                f'</RegistryPackage><Document id="Document.1" mimeType="text/xml"{parent}><Content>PGE+5bGx5rC0PC9hPg==</Content>'
                "</Document></ProvideAndRegisterDocumentSetRequest>"
            )

        async def body() -> None:
            async with serving(tmp_path) as (gateway, client):
                await soap(client, "ProvideAndRegisterDocumentSet-b", text("U1"))
                relation = ' parentDocumentRelationship="RPLC" parentDocumentId="U1"'
                await soap(client, "ProvideAndRegisterDocumentSet-b", text("U2", relation))
                await gateway.intake.drained()
                rows = await found(client, "DocumentReference")
                states = {row["masterIdentifier"]["value"]: row["status"] for row in rows}
                assert states == {"U1": "superseded", "U2": "current"}

        run(body())

    def test_kept_byte_for_byte(self, tmp_path: Path) -> None:
        document = '<?xml version="1.0" encoding="GBK"?><record>门诊病历 ﹁</record>'.encode("gb18030")
        data = base64.b64encode(document).decode()
        text = (
            '<ProvideAndRegisterDocumentSetRequest xmlns="urn:hl7-org:v3"><ID root="1.2" extension="D1"/>'
            "<SourcePatientID>P0001</SourcePatientID><SourcePatientName>李明</SourcePatientName>"
            "<IdentityId>11010519491231002X</IdentityId><Organization id='H1'><Name>某县人民医院</Name></Organization>"
            "<RegistryPackage><SubmissionSet><UniqueId>U1</UniqueId><Title>会诊记录</Title>"
            "<CreateTime>2026-03-15T11:32:15Z</CreateTime><Author><AuthorName>刘善</AuthorName></Author>"
            "</SubmissionSet></RegistryPackage>"
            f'<Document id="Document.1" mimeType="text/xml"><Content>{data}</Content></Document>'
            "</ProvideAndRegisterDocumentSetRequest>"
        )

        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await soap(client, "ProvideAndRegisterDocumentSet-b", text)
                assert (root(answer), code(answer)) == ("ProvideAndRegisterDocumentSetResponse", "AA")
                asked = (
                    '<GetDocumentStroedInfoRequest xmlns="urn:hl7-org:v3"><Id extension="G1"/>'
                    "<IdentityId>11010519491231002X</IdentityId><DocumentTitle>会诊</DocumentTitle>"
                    "</GetDocumentStroedInfoRequest>"
                )
                answer = await soap(client, "GetDocumentSetRetrieveInfo", asked)
                unique = answer.find(f".//{V3}DocumentUniqueId")
                assert unique is not None
                assert unique.text
                retrieve = (
                    '<RetrieveDocumentSetRequest xmlns="urn:hl7-org:v3"><Id extension="R1"/><DocumentRequest>'
                    f"<DocumentUniqueId>{unique.text}</DocumentUniqueId></DocumentRequest></RetrieveDocumentSetRequest>"
                )
                answer = await soap(client, "RetrieveDocumentSet", retrieve)
                kept = answer.find(f".//{V3}Document")
                assert kept is not None
                assert base64.b64decode(kept.text or "") == document
                (binary,) = [
                    one
                    for one in await found(client, "DocumentReference")
                    if one["content"][0]["attachment"]["title"] == "会诊记录"
                ]
                url = binary["content"][0]["attachment"]["url"]
                raw = await client.get(f"/fhir/{url}", headers={"Accept": "text/xml"})
                assert raw.content == document

        run(body())


class TestRefusals:
    @pytest.mark.parametrize(
        ("action", "text", "typed", "said"),
        [
            ("NoSuchAction", registration(), "AR", "HT-XML-15"),
            ("PatientRegistryAddRequest", registration()[:-9], "AR", "HT-XML-02"),
            ("AddActRequest", "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "AR", "HT-XML-03"),
            ("PatientRegistryAddRequest", registration("PRPA_IN201314UV02"), "AE", "HT-XML-11"),
            ("PatientRegistryAddRequest", message("PRPA_IN201311UV02", "<subject/>"), "AE", "HT-XML-12"),
            (
                "PatientRegistryAddRequest",
                registration(who=person() + person("P2")),
                "AE",
                "HT-XML-14",
            ),
            ("AddActRequest", SAMPLE.read_text("utf-8").split("?>")[1].replace("<patient ", "<x ").replace("</patient>", "</x>"), "AE", "HT-XML-12"),
            (
                "PatientRegistryFindCandidatesQuery",
                message("PRPA_IN201305UV02", "<queryByParameter><parameterList><a/></parameterList></queryByParameter>"),
                "AE",
                "HT-XML-16",
            ),
        ],
    )  # fmt: skip
    def test_told_in_the_form_of_the_question(
        self, tmp_path: Path, action: str, text: str, typed: str, said: str
    ) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await soap(client, action, text)
                assert code(answer) == typed
                details = answer.findall(f"{V3}acknowledgement/{V3}acknowledgementDetail")
                codes = [one.find(f"{V3}code").get("code") for one in details]  # type: ignore[union-attr]
                assert said in codes
                words = details[0].find(f"{V3}text").get("value", "")  # type: ignore[union-attr]
                assert any("\u4e00" <= mark <= "\u9fff" for mark in words)
                assert any("a" <= mark <= "z" for mark in words)
                (kept,) = (await client.get("/messages?state=parked")).json()["messages"]
                raw = await client.get(f"/messages/{kept['id']}/raw")
                assert text.encode() in raw.content

        run(body())

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"nonsense",
            b"<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body/></s:Envelope>",
            f"<s:Envelope xmlns:s='{SOAP_12}'><s:Body><HIPMessageServer><action>x</action></HIPMessageServer></s:Body></s:Envelope>".encode(),
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        ],
    )
    def test_an_envelope_that_can_t_be_read_is_a_fault(self, tmp_path: Path, raw: bytes) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post(
                    "/soap/HIPMessageServer", content=raw, headers={"Content-Type": "application/soap+xml"}
                )
                assert answer.status_code == 400
                assert ElementTree.fromstring(answer.content).find(f".//{{{SOAP_12}}}Fault") is not None
                assert b"root:" not in answer.content
                parked = (await client.get("/messages?state=parked")).json()["messages"]
                assert len(parked) == (1 if raw else 0)

        run(body())

    def test_over_messages_a_refusal_has_a_status(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.post("/messages/hl7v3", content=b"<PRPA_IN201311UV02><id")
                assert answer.status_code == 400
                assert code(ElementTree.fromstring(answer.content)) == "AR"
                answer = await client.post(
                    "/messages/hl7v3", content=message("PRPA_IN201311UV02", "").encode()
                )
                assert answer.status_code == 422

        run(body())


class TestService:
    def test_the_contract(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await client.get("/soap/HIPMessageServer?wsdl")
                assert answer.status_code == 200
                tree = ElementTree.fromstring(answer.content)
                wsdl = "{http://schemas.xmlsoap.org/wsdl/}"
                assert tree.tag == f"{wsdl}definitions"
                operations = {one.get("name") for one in tree.iter(f"{wsdl}operation")}
                assert operations == {"HIPMessageServer"}
                assert (await client.get("/soap/Other?wsdl")).status_code == 404

        run(body())

    def test_calls_at_once_lose_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                texts = [
                    registration(who=person(f"P{number}", card=""), id=f"M{number}") for number in range(20)
                ]
                answers = await asyncio.gather(
                    *(soap(client, "PatientRegistryAddRequest", text) for text in texts)
                )
                assert {code(answer) for answer in answers} == {"AA"}
                assert len(await found(client, "Patient?_count=50")) == 20

        run(body())


GOLDEN = Path(__file__).parent.parent / "golden"
PATIENT = '<patientId><value root="2.16.156.10011.0.2.2" extension="P0001"/></patientId>'
LABORATORY = (
    '<location><serviceDeliveryLocation><serviceProviderOrganization><id root="2.16.156.10011.1.5" extension="LAB1"/>'
    "<name>检验中心</name></serviceProviderOrganization></serviceDeliveryLocation></location></observationRequest>"
)
# What is told, by which action; then the question about it, its parameter, and what the answer says.
TOLD: list[tuple[str, str, str, str, str, str]] = [
    ("AddProviderRequest", "hl7v3-provider/draft", "ProviderDetailsQuery", "PRPM_IN306010UV01",
     '<providerID><value root="2.16.156.10011.1.4" extension="D01"/></providerID>', "D01"),
    ("AddOrganizationRequest", "hl7v3-organization/draft", "OrganizationDetailQuery", "PRPM_IN406010UV01",
     '<organizationID><value root="2.16.156.10011.1.26" extension="HX01"/></organizationID>', "HX01"),
    ("AmbulatoryEncounterStarted", "hl7v3-encounter/draft", "FindAmbulatoryEncountersQuery",
     "PRPA_IN900300UV02", PATIENT, "JZ0001"),
    ("InpatientEncounterStarted", "hl7v3-inpatient/draft", "FindEncountersStartedQuery", "PRPA_IN900300UV02",
     PATIENT, "ZY0001"),
    ("InpatientEncounterCompleted", "hl7v3-discharge/draft", "FindEncountersCompletedQuery",
     "PRPA_IN900300UV02", PATIENT, "ZY0001"),
    ("AddActOrder", "hl7v3-order/draft", "ActOrderQuery", "QUMT_IN020030PL", PATIENT, "YZ1"),
    ("AddActRequest", "hl7v3-request/draft", "ActRequestQuery", "QUMT_IN020030PL", PATIENT, "SQD0001"),
    ("AddAppointment", "hl7v3-appointment/draft", "AppointmentQuery", "PRPA_IN900300UV02", PATIENT, "YY1"),
    ("AddSchedule", "hl7v3-schedule/draft", "ScheduleQuery", "PRSC_IN100000UV",
     '<providerID><value root="2.16.156.10011.1.4" extension="D01"/></providerID>', "PB1"),
]  # fmt: skip


class TestEveryAction:
    @pytest.mark.parametrize(
        ("told", "file", "asked", "root_asked", "about", "expected"), TOLD, ids=[row[0] for row in TOLD]
    )
    def test_told_and_asked_for(
        self, tmp_path: Path, told: str, file: str, asked: str, root_asked: str, about: str, expected: str
    ) -> None:
        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                answer = await soap(client, told, (GOLDEN / file / "message.xml").read_text("utf-8"))
                assert code(answer) == "AA", ElementTree.tostring(answer, "unicode")
                inner = f"<queryByParameter><queryId root='1.2' extension='q'/>{about}</queryByParameter>"
                answer = await soap(client, asked, message(root_asked, inner, id="Q1"))
                assert code(answer) == "AA", ElementTree.tostring(answer, "unicode")
                numbers = [one.get("extension") for one in answer.iter()]
                assert expected in numbers, ElementTree.tostring(answer, "unicode")

        run(body())

    def test_a_request_is_asked_for_done_and_reported(self, tmp_path: Path) -> None:
        def text(name: str) -> str:
            return (GOLDEN / name / "draft" / "message.xml").read_text("utf-8")

        async def body() -> None:
            async with serving(tmp_path) as (_, client):
                early = await soap(client, "ActStatusUpdate", text("hl7v3-status"))
                assert code(early) == "AE"
                asked = text("hl7v3-request").replace("</observationRequest>", LABORATORY)
                assert code(await soap(client, "AddActRequest", asked)) == "AA"
                (request,) = await found(client, "ServiceRequest?identifier=SQD0001")
                (task,) = await found(client, f"Task?focus=ServiceRequest/{request['id']}")
                assert task["status"] == "requested"
                answer = await soap(client, "ActStatusUpdate", text("hl7v3-status"))
                assert code(answer) == "AA", ElementTree.tostring(answer, "unicode")
                (task,) = await found(client, f"Task?_id={task['id']}")
                assert task["status"] == "in-progress"
                answer = await soap(client, "AddActResult", text("hl7v3-result"))
                assert code(answer) == "AA", ElementTree.tostring(answer, "unicode")
                (report,) = await found(client, "DiagnosticReport")
                assert report["basedOn"][0]["reference"] == f"ServiceRequest/{request['id']}"
                (task,) = await found(client, f"Task?_id={task['id']}")
                assert task["status"] == "completed"

        run(body())
