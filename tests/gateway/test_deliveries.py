"""The way out: real receivers over MLLP, HTTP, SOAP and folders get what the outbox says, in order, once in effect."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.app import Gateway
from gateway.outbound.reader import Filter
from gateway.store.protocol import Commit, OutboxRow, Put
from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from terminology.fhirjson import Json
from tests.gateway.receivers import Receiver, ack, http_receiver, mllp_receiver
from tests.gateway.running import run, running

FAST = {"first_seconds": 0.02, "longest_seconds": 0.1, "refusals": 3}


def destination(name: str, **more: Any) -> Json:
    row: Json = {
        "name": name,
        "maps": {"report-final": "out-hl7v2-results", "report-corrected": "out-hl7v2-results"},
        "sender": ["HUTONG", "XYLYGT"],
        "receiver": ["HIS", "H1"],
        "retry": FAST,
        "timeout_seconds": 5,
    }
    return row | more


def config(folder: Path, *rows: Json) -> Path:
    path = folder / "destinations.yaml"
    path.write_text(yaml.safe_dump({"destinations": list(rows)}, allow_unicode=True))
    return path


def report(number: int, *, status: str = "final", patient: str = "p1") -> list[Json]:
    return [
        {"resourceType": "Patient", "id": patient, "name": [{"text": "张三丰"}], "gender": "male"},
        {
            "resourceType": "ServiceRequest",
            "id": f"s{number}",
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/{patient}"},
            "identifier": [
                {"type": {"coding": [{"code": "PLAC"}]}, "system": "urn:id:HIS1", "value": f"REQ{number}"}
            ],
        },
        {
            "resourceType": "DiagnosticReport",
            "id": f"r{number}",
            "status": status,
            "code": {"text": "血常规"},
            "subject": {"reference": f"Patient/{patient}"},
            "basedOn": [{"reference": f"ServiceRequest/s{number}"}],
            "conclusion": f"结论{number}",
        },
    ]


async def publish(
    gateway: Gateway, number: int, *, topic: str = "report-final", key: str = "k", **more: Any
) -> None:
    """Write a report and its outbox row as the workflow does, beneath the state machines."""
    rows = [
        OutboxRow(
            topic, key, {"focus": f"DiagnosticReport/r{number}", "receivers": more.pop("receivers", [])}
        )
    ]
    await gateway.post._watched.commit(Commit([Put(one) for one in report(number, **more)], outbox=rows))


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (what is waited for is in a database)
            await asyncio.sleep(0.01)


def orders_of(receiver: Receiver) -> list[str]:
    return [parse(body).get("OBR-2.1") or "" for body in receiver.effects.values()]


async def states(gateway: Gateway) -> list[str]:
    rows = await gateway.post.ledger.deliveries(Filter(), count=500)
    return [row.state for row in reversed(rows)]


class TestMllp:
    def test_a_report_reaches_the_placers_his_in_his_charset(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with mllp_receiver() as his:
                path = config(
                    tmp_path,
                    destination("his", channel="mllp", address=f"127.0.0.1:{his.port}", charset="GBK"),
                )
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=path
                ) as gateway:
                    await publish(gateway, 1)
                    await his.wait(1)
                    await until(lambda: gateway.post.ledger.counts() == {})
                    assert await states(gateway) == ["delivered"]
                    row = gateway.post.ledger.delivery(1, with_bodies=True)
                    assert row is not None
                    assert row.sent == his.taken[0]
                    assert row.detail["answer"] == "AA"
                    assert b"MSA|AA|" in (row.answer or b"")
                raw = his.taken[0]
                assert "张三丰".encode("gbk") in raw
                message = parse(raw)
                assert message.get("MSH-18") == "GB 18030-2000" or message.get("MSH-18") == "GBK"
                assert message.control_id == row.control_id
                assert [message.get(f"MSH-{n}") for n in (3, 4, 5, 6)] == ["HUTONG", "XYLYGT", "HIS", "H1"]
                assert message.get("OBR-2.1") == "REQ1"
                assert message.get("ORC-2.1") == "REQ1"

        run(go())

    def test_a_receiver_that_was_down_gets_everything_in_order_and_once(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with mllp_receiver() as first:
                port = first.port
            path = config(
                tmp_path, destination("his", channel="mllp", address=f"127.0.0.1:{port}", order="destination")
            )
            async with running(tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=path) as gateway:
                for number in range(1, 21):
                    await publish(gateway, number, key=f"k{number % 3}")
                await until(lambda: bool(gateway.post.lanes["his"].is_down))
                standing = gateway.post.ledger.standing("his")
                assert standing is not None
                assert standing.state == "down"
                assert "connection" in standing.reason
                async with mllp_receiver(port=port) as his:
                    gateway.post.wake()
                    await his.wait(20)
                    await until(lambda: gateway.post.ledger.counts() == {})
                    assert orders_of(his) == [f"REQ{number}" for number in range(1, 21)]
                    assert gateway.post.lanes["his"].is_down is False
                changes = gateway.metrics.destination_changes.values
                assert changes == {("his", "down"): 1.0, ("his", "up"): 1.0}

        run(go())

    def test_a_lost_acknowledgement_sends_the_same_bytes_again(self, tmp_path: Path) -> None:
        lost = iter([None])

        def reply(control_id: str, _: bytes) -> bytes | None:
            return next(lost, ack("AA", control_id))

        async def go() -> None:
            async with mllp_receiver(reply) as his:
                path = config(tmp_path, destination("his", channel="mllp", address=f"127.0.0.1:{his.port}"))
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=path
                ) as gateway:
                    await publish(gateway, 1)
                    await his.wait(2)
                    await until(lambda: gateway.post.ledger.counts() == {})
                assert his.taken[0] == his.taken[1]
                assert len(his.effects) == 1

        run(go())

    def test_a_refused_message_is_parked_and_the_others_go_on(self, tmp_path: Path) -> None:
        answers: dict[str, str] = {}

        def reply(control_id: str, body: bytes) -> bytes:
            code = answers.get(parse(body).get("OBR-2.1") or "", "AA")
            return ack(code, control_id, "unknown item")

        async def go() -> None:
            answers["REQ1"] = "AE"
            async with mllp_receiver(reply) as his:
                path = config(tmp_path, destination("his", channel="mllp", address=f"127.0.0.1:{his.port}"))
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=path
                ) as gateway:
                    for number in (1, 2, 3):
                        await publish(gateway, number, key="one patient")
                    await until(lambda: gateway.post.ledger.counts() == {"parked": 1})
                    assert await states(gateway) == ["parked", "delivered", "delivered"]
                    row = gateway.post.ledger.delivery(1)
                    assert row is not None
                    assert (row.attempts, row.detail["answer"], row.detail["reason"]) == (
                        3,
                        "AE",
                        "unknown item",
                    )
                    assert gateway.metrics.deliveries.values[("his", "parked")] == 1
                    answers.clear()
                    await gateway.post.ledger.resend([1])
                    gateway.post.wake()
                    await until(lambda: gateway.post.ledger.counts() == {})
                    again = gateway.post.ledger.delivery(1)
                    assert again is not None
                    assert again.state == "delivered"
                    assert again.control_id == row.control_id

        run(go())

    def test_enhanced_mode_waits_for_both_acknowledgements(self, tmp_path: Path) -> None:
        def reply(control_id: str, body: bytes) -> list[bytes]:
            message = parse(body)
            assert (message.get("MSH-15"), message.get("MSH-16")) == ("AL", "AL")
            return [ack("AA", "another"), ack("CA", control_id), ack("AA", control_id)]

        async def go() -> None:
            async with mllp_receiver(reply) as his:
                row = destination("his", channel="mllp", address=f"127.0.0.1:{his.port}", ack="both")
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    await publish(gateway, 1)
                    await his.wait(1)
                    await until(lambda: gateway.post.ledger.counts() == {})
                    found = gateway.post.ledger.delivery(1)
                    assert found is not None
                    assert (found.state, found.detail["answer"], found.attempts) == ("delivered", "AA", 1)

        run(go())

    def test_accept_mode_ends_with_the_accept_acknowledgement(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with mllp_receiver(lambda control_id, _: ack("CA", control_id)) as his:
                row = destination("his", channel="mllp", address=f"127.0.0.1:{his.port}", ack="accept")
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    await publish(gateway, 1)
                    await until(lambda: bool(his.taken) and gateway.post.ledger.counts() == {})
                    assert (parse(his.taken[0]).get("MSH-15"), parse(his.taken[0]).get("MSH-16")) == (
                        "AL",
                        "NE",
                    )
                    assert await states(gateway) == ["delivered"]

        run(go())

    def test_tls_checks_the_receivers_certificate(self, tmp_path: Path) -> None:
        import ssl

        import trustme

        authority, other = trustme.CA(), trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        for name, one in (("ca", authority), ("other", other)):
            one.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))

        async def go() -> None:
            async with mllp_receiver(tls=context) as his:
                rows = [
                    destination(
                        name,
                        channel="mllp",
                        address=f"127.0.0.1:{his.port}",
                        tls={"ca": str(tmp_path / f"{name}.pem")},
                    )
                    for name in ("ca", "other")
                ]
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, *rows)
                ) as gateway:
                    await publish(gateway, 1)
                    await his.wait(1)
                    await until(lambda: gateway.post.lanes["other"].is_down)
                    assert not gateway.post.lanes["ca"].is_down
                    standing = gateway.post.ledger.standing("other")
                    assert standing is not None
                    assert "certificate" in standing.reason.lower()

        run(go())


class TestHttpAndSoap:
    def test_json_with_a_code_envelope(self, tmp_path: Path) -> None:
        answers = iter([(200, b'{"code": 500, "msg": "busy"}'), (200, b'{"code": 0, "msg": "ok"}')])

        async def go() -> None:
            async with http_receiver(lambda *_: next(answers)) as vendor:
                row = destination(
                    "vendor",
                    channel="http",
                    url=f"http://127.0.0.1:{vendor.port}/report",
                    maps={"report-final": "out-vendor-result"},
                    success={"path": "code", "values": [0, 200]},
                    headers={"X-Key": "secret"},
                )
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    await publish(gateway, 1)
                    await vendor.wait(2)
                    await until(lambda: gateway.post.ledger.counts() == {})
                    found = gateway.post.ledger.delivery(1)
                    assert found is not None
                    assert (found.state, found.detail["answer"], found.attempts) == ("delivered", "0", 2)
                assert vendor.headers[0]["content-type"] == "application/json"
                assert vendor.headers[0]["x-key"] == "secret"
                assert vendor.headers[0]["idempotency-key"] == vendor.headers[1]["idempotency-key"]
                assert json.loads(vendor.taken[0])["data"]["xm"] == "张三丰"

        run(go())

    def test_https_with_a_certificate_on_both_sides(self, tmp_path: Path) -> None:
        import ssl

        import trustme

        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        mine = authority.issue_cert("hutong.example.org")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        mine.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        for number, blob in enumerate(mine.cert_chain_pems):
            blob.write_to_path(str(tmp_path / "cert.pem"), append=number > 0)

        async def go() -> None:
            async with http_receiver(tls=context) as vendor:
                files = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
                rows = [
                    destination(name, channel="http", url=f"https://localhost:{vendor.port}/", tls=tls)
                    for name, tls in (("both", files), ("one", {"ca": files["ca"]}))
                ]
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, *rows)
                ) as gateway:
                    await publish(gateway, 1)
                    await vendor.wait(1)
                    await until(lambda: gateway.post.lanes["one"].is_down)
                    assert not gateway.post.lanes["both"].is_down
                    assert vendor.headers[0]["content-type"] == "x-application/hl7-v2+er7; charset=UTF-8"

        run(go())

    def test_a_busy_receiver_is_asked_again_when_he_says(self, tmp_path: Path) -> None:
        answers = iter([(503, b"", {"Retry-After": "1"}), (200, b"")])

        async def go() -> None:
            async with http_receiver(lambda *_: next(answers)) as vendor:
                row = destination("v", channel="http", url=f"http://127.0.0.1:{vendor.port}/")
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    started = asyncio.get_running_loop().time()
                    await publish(gateway, 1)
                    await vendor.wait(2)
                    assert asyncio.get_running_loop().time() - started >= 0.9
                    await until(lambda: gateway.post.ledger.counts() == {})

        run(go())

    def test_platform_xml_within_soap(self, tmp_path: Path) -> None:
        answer = (
            '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"><soap:Body><HIPMessageServerResponse'
            " xmlns=\"urn:hl7-org:v3\"><HIPMessageServerResult>&lt;MCCI_IN000002UV01&gt;&lt;acknowledgement typeCode='{}'/&gt;"
            "&lt;/MCCI_IN000002UV01&gt;</HIPMessageServerResult></HIPMessageServerResponse></soap:Body></soap:Envelope>"
        )
        codes = iter(["AE", "AA"])

        async def go() -> None:
            async with http_receiver(lambda *_: (200, answer.format(next(codes)).encode())) as platform:
                row = destination(
                    "platform",
                    channel="soap",
                    url=f"http://127.0.0.1:{platform.port}/services/HIPMessageServer",
                    maps={"report-final": "out-platform-result"},
                    action="ResultNotification",
                )
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    await publish(gateway, 1)
                    await platform.wait(2)
                    await until(lambda: gateway.post.ledger.counts() == {})
                    assert await states(gateway) == ["delivered"]
                from lxml import etree

                assert platform.headers[0]["content-type"].startswith(
                    "application/soap+xml; charset=utf-8; action="
                )
                envelope = etree.fromstring(platform.taken[0])
                call = envelope[0][0]
                assert etree.QName(call).localname == "HIPMessageServer"
                assert call[0].text == "ResultNotification"
                message = etree.fromstring(call[1].text.encode())
                assert "张三丰" in "".join(message.itertext()) + call[1].text

        run(go())

    def test_a_fault_is_a_refusal_with_its_reason(self, tmp_path: Path) -> None:
        fault = (
            b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Sender'
            b"</s:Value></s:Code><s:Reason><s:Text>no such action</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"
        )

        async def go() -> None:
            async with http_receiver(lambda *_: (500, fault)) as platform:
                row = destination("p", channel="soap", url=f"http://127.0.0.1:{platform.port}/")
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
                ) as gateway:
                    await publish(gateway, 1)
                    await until(lambda: gateway.post.ledger.counts() == {"parked": 1})
                    found = gateway.post.ledger.delivery(1)
                    assert found is not None
                    assert found.detail["answer"] == "Fault Sender"
                    assert "no such action" in found.detail["reason"]

        run(go())


class TestFolder:
    def test_a_file_appears_whole_under_its_control_id(self, tmp_path: Path) -> None:
        async def go() -> None:
            row = destination("drop", channel="folder", folder=str(tmp_path / "drop"))
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
            ) as gateway:
                await publish(gateway, 1)
                await until(lambda: bool(list((tmp_path / "drop").glob("*.hl7"))))
                await until(lambda: gateway.post.ledger.counts() == {})
                found = gateway.post.ledger.delivery(1)
                assert found is not None
                [file] = (tmp_path / "drop").iterdir()
                assert file.name == f"{found.control_id}.hl7"
                assert parse(file.read_bytes()).get("OBR-2.1") == "REQ1"

        run(go())


class TestWrongData:
    """What nobody foresaw holds up nobody else."""

    def test_a_message_that_cannot_be_written_is_parked(self, tmp_path: Path) -> None:
        async def go() -> None:
            row = destination("a", channel="folder", folder=str(tmp_path / "a"))
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
            ) as gateway:
                bad = report(1)
                bad[0]["name"] = "no list"
                bad[2]["result"] = [{"reference": "Observation/o"}]
                bad.append(
                    {"resourceType": "Observation", "id": "o", "status": "final", "valueQuantity": [7]}
                )
                rows = [OutboxRow("report-final", "k", {"focus": "DiagnosticReport/r1"})]
                store = gateway.post._store
                await store.commit(Commit([Put(one) for one in bad], outbox=rows))
                await publish(gateway, 2)
                await until(lambda: gateway.post.ledger.counts() == {"parked": 1})
                assert await states(gateway) == ["parked", "delivered"]
                found = gateway.post.ledger.delivery(1)
                assert found is not None
                assert found.detail["issues"][0]["code"] == "HT-OUT-19"

        run(go())


class TestFormats:
    def test_one_report_in_every_shipped_form(self, tmp_path: Path) -> None:
        async def go() -> None:
            rows = []
            for format in ("hl7v2", "platform-xml", "json", "cda"):
                row = destination(format, channel="folder", folder=str(tmp_path / format), format=format)
                del row["maps"]
                rows.append(row)
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, *rows)
            ) as gateway:
                await publish(gateway, 1)
                await until(lambda: len(list(tmp_path.glob("*/HT*"))) == 4)
                await until(lambda: gateway.post.ledger.counts() == {})
                files = {file.parent.name: file for file in tmp_path.glob("*/HT*")}  # noqa: ASYNC240
                assert {name: file.suffix for name, file in files.items()} == {
                    "hl7v2": ".hl7", "platform-xml": ".xml", "json": ".json", "cda": ".xml",
                }  # fmt: skip
                assert b"<ClinicalDocument" in files["cda"].read_bytes()
                for file in files.values():
                    assert "张三丰" in file.read_text("utf-8")

        run(go())


class TestWhoIsTold:
    def test_destinations_are_independent_and_chosen_by_organisation(self, tmp_path: Path) -> None:
        async def go() -> None:
            async with mllp_receiver() as one, mllp_receiver() as two:
                rows = [
                    destination(
                        "by-reference",
                        channel="mllp",
                        address=f"127.0.0.1:{one.port}",
                        organization="Organization/h1",
                    ),
                    destination(
                        "by-number", channel="mllp", address=f"127.0.0.1:{two.port}", organization=["HIS1"]
                    ),
                    destination(
                        "nobody", channel="mllp", address="127.0.0.1:1", organization="Organization/other"
                    ),
                    destination("down", channel="mllp", address="127.0.0.1:1"),
                ]
                async with running(
                    tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, *rows)
                ) as gateway:
                    await publish(gateway, 1, receivers=["Organization/h1"])
                    await one.wait(1)
                    await two.wait(1)
                    await until(lambda: gateway.post.lanes["down"].is_down)
                    rows = await gateway.post.ledger.deliveries(Filter())
                    assert sorted(row.destination for row in rows) == ["by-number", "by-reference", "down"]

    def test_a_recall_finds_whom_a_report_was_sent_to(self, tmp_path: Path) -> None:
        from gateway.workflow.access import readers_of

        async def go() -> None:
            row = destination(
                "a", channel="folder", folder=str(tmp_path / "a"), organization="Organization/h1"
            )
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
            ) as gateway:
                await publish(gateway, 1, receivers=["Organization/h1"])
                await until(lambda: gateway.post.ledger.counts() == {} and (tmp_path / "a").exists())
                async with asyncio.timeout(10):
                    while not await readers_of(gateway.store, "DiagnosticReport/r1"):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                assert await readers_of(gateway.store, "DiagnosticReport/r1") == ["Organization/h1"]

        run(go())

        run(go())

    def test_a_new_destination_needs_no_restart_and_a_broken_file_is_told(self, tmp_path: Path) -> None:
        async def go() -> None:
            path = config(tmp_path, destination("a", channel="folder", folder=str(tmp_path / "a")))
            async with running(tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=path) as gateway:
                config(
                    tmp_path,
                    destination("a", channel="folder", folder=str(tmp_path / "a")),
                    destination("b", channel="folder", folder=str(tmp_path / "b")),
                )
                await until(lambda: "b" in gateway.post.lanes)
                path.write_text("destinations: [{name: c, channel: pigeon}]")
                await until(lambda: bool(gateway.post.destinations.problems))
                codes = [issue.code for issue in gateway.post.destinations.problems["destinations.yaml"]]
                assert set(codes) == {"HT-OUT-01"}
                assert set(gateway.post.lanes) == {"a", "b"}

        run(go())

    def test_a_report_that_is_gone_is_parked_with_its_reason(self, tmp_path: Path) -> None:
        async def go() -> None:
            row = destination("a", channel="folder", folder=str(tmp_path / "a"))
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row)
            ) as gateway:
                rows = [OutboxRow("report-final", "k", {"focus": "DiagnosticReport/none"})]
                await gateway.post._watched.commit(Commit([Put(report(1)[0])], outbox=rows))
                await until(lambda: gateway.post.ledger.counts() == {"parked": 1})
                found = gateway.post.ledger.delivery(1)
                assert found is not None
                assert found.detail["issues"][0]["code"] == "HT-OUT-11"

        run(go())


class TestRegisters:
    """Systems with their own register hear of people, visits and documents as they are written."""

    def test_visits_people_and_documents(self, tmp_path: Path) -> None:
        async def go() -> None:
            topics = {
                "encounter-changed": "out-hl7v2-adt",
                "patient-changed": "out-hl7v2-demographics",
                "document-final": "out-hl7v2-documents",
            }
            row = destination("register", channel="folder", folder=str(tmp_path / "r"), maps=topics)
            async with running(
                tmp_path / "d",
                maps=ActiveMaps(),
                mllp=False,
                workflow=False,
                destinations=config(tmp_path, row),
            ) as gateway:
                patient = {"resourceType": "Patient", "id": "p", "name": [{"text": "张三"}]}
                subject = {"subject": {"reference": "Patient/p"}}
                visit = {
                    "resourceType": "Encounter", "id": "e", "status": "in-progress", "class": {"code": "IMP"}, **subject
                }  # fmt: skip
                content = [{"attachment": {"contentType": "text/plain", "data": "5aW9"}}]
                draft = {
                    "resourceType": "DocumentReference",
                    "id": "d",
                    "status": "current",
                    "content": content,
                    **subject,
                }
                await gateway.store.commit(Commit([Put(patient), Put(visit)]))
                await until(
                    lambda: gateway.post.ledger.counts() == {} and len(list((tmp_path / "r").glob("*"))) == 2
                )
                await gateway.store.commit(Commit([Put({**visit, "status": "finished"})]))
                await gateway.store.commit(Commit([Put({**draft, "docStatus": "preliminary"})]))
                await gateway.store.commit(Commit([Put({**draft, "docStatus": "final"})]))
                await gateway.store.commit(Commit([Put({**patient, "active": True}, unless_same=True)]))
                await gateway.store.commit(Commit([Put({**patient, "active": True}, unless_same=True)]))
                await until(lambda: len(list((tmp_path / "r").glob("*"))) == 5)
                await until(lambda: gateway.post.ledger.counts() == {})
                await asyncio.sleep(0.2)
                rows = await gateway.post.ledger.deliveries(Filter())
                sent = [
                    parse(gateway.post.ledger.delivery(one.id, with_bodies=True).sent)
                    for one in reversed(rows)
                ]  # type: ignore[union-attr,arg-type]
                assert sorted(f"{one.code}^{one.event}" for one in sent) == sorted(
                    ["ADT^A28", "ADT^A01", "ADT^A03", "MDM^T02", "ADT^A31"]
                )

        run(go())


class TestOverHttp:
    def test_the_log_is_listed_shown_replayed_and_set_aside(self, tmp_path: Path) -> None:
        async def go() -> None:
            row = destination("drop", channel="folder", folder=str(tmp_path / "drop"))
            down = destination("down", channel="mllp", address="127.0.0.1:1")
            async with running(
                tmp_path / "d", maps=ActiveMaps(), mllp=False, destinations=config(tmp_path, row, down)
            ) as gateway:
                transport = httpx.ASGITransport(app=gateway.asgi)
                async with httpx.AsyncClient(transport=transport, base_url="http://gw") as client:
                    for number in (1, 2, 3):
                        await publish(gateway, number)
                    await until(lambda: len(list((tmp_path / "drop").glob("*.hl7"))) == 3)
                    await until(lambda: gateway.post.ledger.counts() == {"failed": 1, "waiting": 2})
                    page = (await client.get("/deliveries?destination=drop&count=2")).json()
                    assert [one["state"] for one in page["deliveries"]] == ["delivered", "delivered"]
                    rest = (await client.get(page["next"])).json()
                    assert len(rest["deliveries"]) == 1
                    assert "next" not in rest
                    trouble = (await client.get("/deliveries?state=trouble")).json()["deliveries"]
                    assert {one["destination"] for one in trouble} == {"down"}
                    id = rest["deliveries"][0]["id"]
                    shown = (await client.get(f"/deliveries/{id}")).json()
                    assert shown["focus"] == "DiagnosticReport/r1"
                    raw = await client.get(f"/deliveries/{id}/raw")
                    assert raw.content.startswith(b"MSH|")
                    assert raw.headers["content-type"].startswith("x-application/hl7-v2+er7")
                    again = await client.post(f"/deliveries/{id}/replay")
                    assert again.status_code == 202
                    await until(lambda: gateway.post.ledger.delivery(id).state == "delivered")  # type: ignore[union-attr]
                    waiting = trouble[0]["id"]
                    assert (await client.post(f"/deliveries/{waiting}/park?reason=later")).json()[
                        "state"
                    ] == "parked"
                    assert (await client.post(f"/deliveries/{waiting}/unpark")).json()["state"] in (
                        "waiting",
                        "failed",
                    )
                    assert (await client.post(f"/deliveries/{waiting}/discard")).json()[
                        "state"
                    ] == "discarded"
                    refused = await client.post(f"/deliveries/{id}/park")
                    assert refused.status_code == 400
                    assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-OUT-16"
                    counted = await client.post("/deliveries/replay?destination=down&dry_run=true")
                    assert counted.json() == {"replayed": 3, "complete": True}
                    assert (await client.post("/deliveries/replay")).status_code == 400
                    listed = (await client.get("/deliveries/destinations")).json()["destinations"]
                    found = {one["name"]: one for one in listed}
                    assert found["down"]["state"] == "down"
                    assert found["drop"]["state"] == "up"
                    tried = (await client.post("/deliveries/destinations/down/test")).json()
                    assert tried["ok"] is False
                    assert (await client.post("/deliveries/destinations/drop/test")).json()["ok"] is True
                    for path, status in (
                        ("/deliveries/999999", 404),
                        ("/deliveries?state=wrong", 400),
                        ("/deliveries?since=soon", 400),
                        ("/deliveries/destinations/none", 404),
                    ):
                        assert (await client.get(path)).status_code == status, path
                    assert (await client.delete("/deliveries/1")).status_code == 405

        run(go())
