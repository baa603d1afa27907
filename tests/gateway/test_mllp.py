"""The MLLP listener: order, limits, back-pressure, TLS, acknowledgement modes."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from gateway.journal import Filter
from tests.gateway.running import Sender, err, hl7, msa, run, running


def test_answers_come_in_the_order_of_the_messages(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            await sender.send(*(hl7(control_id=f"C{number}", patient=f"P{number}") for number in range(150)))
            assert [msa(await sender.answer())[1:3] for _ in range(150)] == [
                ["AA", f"C{number}"] for number in range(150)
            ]
            await sender.close()

    run(body())


def test_a_message_byte_by_byte(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            for byte in b"\x0b" + hl7() + b"\x1c\r":
                sender.writer.write(bytes([byte]))
                await asyncio.sleep(0)
            assert msa(await sender.answer())[1] == "AA"
            await sender.close()

    run(body())


def test_enhanced_mode_accepts_at_once_and_tells_the_end(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            first = await sender.ask(hl7(control_id="E1", tail="|||AL|AL||UNICODE UTF-8"))
            assert msa(first)[1:3] == ["CA", "E1"]
            assert msa(await sender.answer())[1:3] == ["AA", "E1"]
            await sender.close()

    run(body())


def test_enhanced_mode_tells_a_failed_processing(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            raw = hl7(control_id="E2", patient="", tail="|||AL|ER||UNICODE UTF-8")
            assert msa(await sender.ask(raw))[1] == "CA"
            last = await sender.answer()
            assert msa(last)[1:3] == ["AE", "E2"]
            assert err(last)[0][5].startswith("HT-MSG-04")
            await sender.close()

    run(body())


def test_no_answer_where_none_is_wanted(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            await sender.send(hl7(control_id="N1", tail="|||NE|NE||UNICODE UTF-8"), hl7(control_id="N2"))
            assert msa(await sender.answer())[1:3] == ["AA", "N2"]
            await gateway.intake.drained()
            assert gateway.journal.entry(1).state == "stored"  # type: ignore[union-attr]
            await sender.close()

    run(body())


def test_a_batch_in_one_frame_is_answered_by_a_batch(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            batch = (
                b"BHS|^~\\&|LIS|H1\r" + hl7(control_id="B1") + hl7(control_id="B2", patient="P2") + b"BTS|2\r"
            )
            answer = await sender.ask(batch)
            assert answer.startswith("BHS|")
            assert [line.split("|")[1:3] for line in answer.split("\r") if line.startswith("MSA")] == [
                ["AA", "B1"],
                ["AA", "B2"],
            ]
            await sender.close()

    run(body())


def test_a_silent_sender_is_hung_up(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, mllp_idle_seconds=0.2) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            assert await sender.hung_up() == b""
            assert gateway.metrics.connections.values == {("idle",): 1.0}

    run(body())


def test_a_frame_that_never_ends_is_refused_and_hung_up(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, mllp_frame_seconds=0.2) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            sender.writer.write(b"\x0b" + hl7(control_id="SLOW")[:80])
            answer = (await sender.hung_up()).decode()
            assert msa(answer)[1:3] == ["AR", "SLOW"]
            assert "HT-MSG-07" in answer
            assert gateway.journal.entry(1) is None

    run(body())


def test_too_many_connections(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path, mllp_connections=1) as gateway:
            first = await Sender.connect(gateway.mllp_port)
            await first.ask(hl7())
            second = await Sender.connect(gateway.mllp_port)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await second.ask(hl7(control_id="M2"))
            await second.close()
            assert msa(await first.ask(hl7(control_id="M3")))[1] == "AA"
            await first.close()

    run(body())


def test_a_sender_that_does_not_read_is_not_read_either(tmp_path: Path) -> None:
    """Back-pressure: unanswered messages of one connection are bounded by mllp_pending."""

    async def body() -> None:
        async with running(tmp_path, mllp_pending=4) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            await sender.send(*(hl7(control_id=f"C{number}") for number in range(40)))
            answers = [msa(await sender.answer())[2] for _ in range(40)]
            assert answers == [f"C{number}" for number in range(40)]
            await sender.close()

    run(body())


def test_stopping_sends_the_answers_that_are_due(tmp_path: Path) -> None:
    async def body() -> None:
        async with running(tmp_path) as gateway:
            sender = await Sender.connect(gateway.mllp_port)
            await sender.send(*(hl7(control_id=f"C{number}") for number in range(20)))
            await asyncio.sleep(0.05)
            await gateway.mllp.stop()  # type: ignore[union-attr]
            answered = (await sender.hung_up()).count(b"MSA|AA")
            kept = len((await gateway.journal.entries(Filter())).entries)
            assert answered == kept > 0

    run(body())


class TestTls:
    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Path:
        make_certificates(tmp_path)
        return tmp_path

    def test_mutual_tls_names_the_sender(self, certificates: Path) -> None:
        async def body() -> None:
            async with running(
                certificates / "data", mllp_tls_cert=certificates / "server.pem", mllp_tls_key=certificates / "server.key",
                mllp_tls_client_ca=certificates / "ca.pem",
            ) as gateway:  # fmt: skip
                context = ssl.create_default_context(cafile=certificates / "ca.pem")
                context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
                sender = await Sender.connect(gateway.mllp_port, ssl=context, server_hostname="localhost")
                assert msa(await sender.ask(hl7()))[1] == "AA"
                assert gateway.journal.entry(1).peer.startswith("lis-of-h1@127.0.0.1:")  # type: ignore[union-attr]
                await sender.close()

        run(body())

    def test_without_a_certificate_nothing_is_read(self, certificates: Path) -> None:
        async def body() -> None:
            async with running(
                certificates / "data", mllp_tls_cert=certificates / "server.pem", mllp_tls_key=certificates / "server.key",
                mllp_tls_client_ca=certificates / "ca.pem",
            ) as gateway:  # fmt: skip
                context = ssl.create_default_context(cafile=certificates / "ca.pem")
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    await ask_once(gateway.mllp_port, context)
                assert gateway.journal.entry(1) is None

        run(body())


async def ask_once(port: int | None, context: ssl.SSLContext) -> None:
    sender = await Sender.connect(port, ssl=context, server_hostname="localhost")
    try:
        await sender.ask(hl7())
    finally:
        await sender.close()


def make_certificates(folder: Path) -> None:
    """A CA, a server and a client certificate."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, certificate in (
        ("server", authority.issue_cert("localhost")),
        ("client", authority.issue_cert("client.test", common_name="lis-of-h1")),
    ):
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
