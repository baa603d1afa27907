"""Questions in HL7 v2 over a real MLLP line: PDQ, PIX, A19, LAW and Mindray's own (gateway/questions)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.settings import Settings
from gateway.store.protocol import Commit, Put
from mappings.hl7v2 import parse
from mappings.hl7v2.message import Message
from terminology.fhirjson import Json
from tests.gateway.running import Sender, running

PDQ = "QPD|IHE PDQ Query^^IHE|T1|{criteria}|||||{domains}\rRCP|I|{size}^RD"


def question(event: str, *segments: str, charset: str = "UNICODE UTF-8", source: str = "HIS|H1") -> bytes:
    head = f"MSH|^~\\&|{source}|GW|X|20260315083012||{event}|Q1|P|2.5||||||{charset}"
    return "\r".join((head, *segments)).encode("gb18030" if "GB" in charset else "utf-8") + b"\r"


def person(id: str, name: str, *numbers: tuple[str, str], **more: Any) -> Json:
    rows = [{"system": system, "value": value} for system, value in numbers]
    return {
        "resourceType": "Patient",
        "id": id,
        "name": [{"text": name}],
        "identifier": rows,
        "active": True,
        **more,
    }


async def fill(gateway: Gateway) -> None:
    rows: list[Json] = [
        person("p1", "张三丰", ("urn:id:H1", "A1"), ("urn:id:H2", "B1"), gender="male", birthDate="1985-01-01"),
        person("p2", "张三", ("urn:id:H1", "A2"), gender="female", birthDate="1990-05-05"),
        person("p3", "李四", ("urn:id:H1", "A3"), gender="male", birthDate="1985-01-01"),
        {**person("p4", "张三", ("urn:id:H1", "A4")), "active": False,
         "link": [{"other": {"reference": "Patient/p2"}, "type": "replaced-by"}]},
        {"resourceType": "ServiceRequest", "id": "r1", "status": "active", "intent": "order", "priority": "stat",
         "subject": {"reference": "Patient/p1"}, "identifier": [{"system": "urn:id:H1", "value": "REQ1"}],
         "code": {"text": "血常规", "coding": [{"code": "XCG", "display": "血常规"}]}},
        {"resourceType": "ServiceRequest", "id": "r2", "status": "revoked", "intent": "order",
         "subject": {"reference": "Patient/p1"}, "code": {"coding": [{"code": "CRP"}]}},
        {"resourceType": "Specimen", "id": "s1", "subject": {"reference": "Patient/p1"},
         "accessionIdentifier": {"value": "S0001"}, "collection": {"collectedDateTime": "2026-03-15T08:00:00+08:00"},
         "request": [{"reference": "ServiceRequest/r1"}, {"reference": "ServiceRequest/r2"}]},
    ]  # fmt: skip
    await gateway.store.commit(Commit([Put(row) for row in rows]))


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[tuple[Gateway, Sender]]:
    settings = Settings(data=folder, store="memory")
    async with running(folder, maps=active_maps(settings)) as gateway:
        await fill(gateway)
        sender = await Sender.connect(gateway.mllp_port)
        try:
            yield gateway, sender
        finally:
            await sender.close()


async def ask(sender: Sender, message: bytes, codec: str = "utf-8") -> Message:
    return parse((await sender.ask(message, codec)).encode(codec))


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(coroutine, 60))


def told(folder: Path, message: bytes, check: Any, codec: str = "utf-8") -> None:
    async def body() -> None:
        async with asking(folder) as (gateway, sender):
            check(await ask(sender, message, codec))
            assert gateway.journal.last_id() == 0

    run(body())


def pdq(criteria: str, domains: str = "", size: int = 10, charset: str = "UNICODE UTF-8") -> bytes:
    return question(
        "QBP^Q22^QBP_Q21", PDQ.format(criteria=criteria, domains=domains, size=size), charset=charset
    )


class TestDemographics:
    """ITI-21"""

    @pytest.mark.parametrize(
        ("criteria", "numbers"),
        [
            ("@PID.5.1^张三", ["A1", "A2"]),
            ("@PID.5.1^张~@PID.5.2^三丰", ["A1"]),
            ("@PID.7^19850101", ["A1", "A3"]),
            ("@PID.7^1985~@PID.8^M~@PID.5^李*", ["A3"]),
            ("@PID.3.1^A2~@PID.3.4^H1", ["A2"]),
            ("@PID.3.1^B1", ["A1"]),
            ("@PID.5.1^王五", []),
        ],
    )
    def test_all_given_fields_must_fit(self, tmp_path: Path, criteria: str, numbers: list[str]) -> None:
        def check(answer: Message) -> None:
            assert (answer.code, answer.event) == ("RSP", "K22")
            assert (answer.get("MSA-1"), answer.get("MSA-2")) == ("AA", "Q1")
            assert (answer.get("QAK-1"), answer.get("QAK-2")) == ("T1", "OK" if numbers else "NF")
            assert sorted(row.get(3) or "" for row in answer.all("PID")) == numbers
            assert answer.get("QPD-3.1") == criteria.split("^")[0]

        told(tmp_path, pdq(criteria), check)

    def test_the_answer_speaks_the_askers_charset(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert answer.get("PID-5") == "李四"
            assert answer.get("MSH-18") == "GBK"

        told(tmp_path, pdq("@PID.5.1^李四", charset="GBK"), check, "gb18030")

    def test_only_the_numbers_of_the_wanted_domain(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert answer.get_all("PID-3") == ["B1"]

        told(tmp_path, pdq("@PID.5.1^张三丰", domains="^^^H2"), check)

    def test_a_page_and_the_next(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with asking(tmp_path) as (_, sender):
                first = await ask(sender, pdq("@PID.5.1^张三", size=1))
                pointer = first.get("DSC-1")
                assert pointer
                again = pdq("@PID.5.1^张三", size=1).rstrip(b"\r") + f"\rDSC|{pointer}|I\r".encode()
                second = await ask(sender, again)
                names = [answer.get("PID-5") for answer in (first, second)]
                assert sorted(str(name) for name in names) == ["张三", "张三丰"]

        run(body())

    @pytest.mark.parametrize(
        ("criteria", "domains", "code"),
        [
            ("", "", "HT-ASK-01"),
            ("@PID.99^x", "", "HT-ASK-04"),
            ("nonsense", "", "HT-ASK-04"),
            ("@PID.7^tomorrow", "", "HT-ASK-05"),
            ("@PID.5.1^张三", "^^^NOWHERE", "HT-ASK-03"),
        ],
    )
    def test_what_can_not_be_asked_is_refused(
        self, tmp_path: Path, criteria: str, domains: str, code: str
    ) -> None:
        def check(answer: Message) -> None:
            assert (answer.get("MSA-1"), answer.get("QAK-2"), answer.get("ERR-5.1")) == ("AE", "AE", code)

        told(tmp_path, pdq(criteria, domains), check)


class TestCrossReference:
    """ITI-9"""

    def test_the_other_numbers(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.code, answer.event, answer.get("QAK-2")) == ("RSP", "K23", "OK")
            assert (answer.get("PID-3"), answer.get("PID-3.4")) == ("B1", "H2")

        told(tmp_path, question("QBP^Q23^QBP_Q21", "QPD|IHE PIX Query|T1|A1^^^H1"), check)

    def test_a_retired_number_leads_to_its_survivor(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert answer.get_all("PID-3") == ["A2"]

        told(tmp_path, question("QBP^Q23^QBP_Q21", "QPD|IHE PIX Query|T1|A4^^^H1"), check)

    def test_no_other_number_is_no_error(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.get("MSA-1"), answer.get("QAK-2")) == ("AA", "NF")
            assert answer.segment("PID") is None

        told(tmp_path, question("QBP^Q23^QBP_Q21", "QPD|IHE PIX Query|T1|A3^^^H1"), check)

    def test_an_unknown_number_is_an_error(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.get("MSA-1"), answer.get("QAK-2"), answer.get("ERR-5.1")) == (
                "AE",
                "AE",
                "HT-ASK-02",
            )
            assert (answer.get("ERR-2.1"), answer.get("ERR-3.1")) == ("QPD", "204")

        told(tmp_path, question("QBP^Q23^QBP_Q21", "QPD|IHE PIX Query|T1|X^^^H1"), check)

    def test_the_older_question(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.code, answer.event, answer.get("PID-5")) == ("ADR", "A19", "李四")

        told(tmp_path, question("QRY^A19", "QRD|20260315|R|I|Q1|||1^RD|A3^^^^^^^^H1|DEM"), check)


class TestDevices:
    def test_law_hears_the_answer_and_then_the_orders(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with asking(tmp_path) as (_, sender):
                message = question("QBP^Q11^QBP_Q11", "QPD|WOS^Work Order Step^IHELAW|T9|S0001")
                answer = await ask(sender, message)
                assert (answer.event, answer.get("QAK-2"), answer.get("QPD-1.2")) == (
                    "K11",
                    "OK",
                    "Work Order Step",
                )
                work = parse((await sender.answer()).encode())
                assert (work.code, work.event) == ("OML", "O33")
                assert (work.get("SAC-3"), work.get("OBR-4"), work.get("TQ1-9"), work.get("PID-5")) == (
                    "S0001", "XCG", "S", "张三丰",
                )  # fmt: skip
                assert len(list(work.all("OBR"))) == 1

        run(body())

    def test_law_without_work(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.event, answer.get("QAK-2")) == ("K11", "NF")

        told(tmp_path, question("QBP^Q11^QBP_Q11", "QPD|WOS^Work Order Step^IHELAW|T9|none"), check)

    def test_mindray_chemistry(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with asking(tmp_path) as (_, sender):
                asked = question(
                    "QRY^Q02", "QRD|20260315|R|D|4|||RD|S0001|OTH|||T|", "QRF|BS-430||||RCT|COR|ALL||",
                    source="Mindray|BS-430",
                )  # fmt: skip
                answer = await ask(sender, asked)
                assert (answer.code, answer.event, answer.get("QAK-2")) == ("QCK", "Q02", "OK")
                data = parse((await sender.answer()).encode())
                lines = {row.get(1): row.get(3) for row in data.all("DSP")}
                assert (data.event, lines["3"], lines["5"], lines["21"], lines["24"], lines["29"]) == (
                    "Q03", "张三丰", "M", "S0001", "Y", "XCG^血常规^^",
                )  # fmt: skip

        run(body())

    def test_mindray_haematology(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.code, answer.event, answer.get("ORC-1")) == ("ORR", "O02", "AF")
            assert (answer.get("ORC-2"), answer.get("PID-5.2"), answer.get("OBR-4")) == (
                "S0001",
                "张三丰",
                "XCG",
            )

        told(tmp_path, question("ORM^O01", "ORC|RF||S0001||IP", source="Mindray|BC-5380"), check)

    def test_an_unknown_sample(self, tmp_path: Path) -> None:
        def check(answer: Message) -> None:
            assert (answer.code, answer.get("MSA-1")) == ("ORR", "AR")

        told(tmp_path, question("ORM^O01", "ORC|RF||none||IP", source="Mindray|BC-5380"), check)
