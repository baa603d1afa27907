"""`hutong deliveries` and `hutong destinations`: also while the gateway does not run."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.cli import FINDINGS, OK
from gateway.cli.commands import run as command
from gateway.outbound.delivery import Letter, Order
from gateway.outbound.ledger import Ledger
from terminology.issues import InvalidInput, NotFound, Unavailable
from tests.gateway.test_deliveries import config, destination


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three deliveries: one delivered, one parked after a refusal, one waiting."""

    async def fill() -> None:
        ledger = Ledger(tmp_path)
        payload = {"focus": "DiagnosticReport/r1", "at": "2026-03-15T08:00:00+08:00"}
        orders = [
            Order("his", number, "report-final", f"k{number}", f"DiagnosticReport/r{number}", payload)
            for number in (1, 2, 3)
        ]
        ids = await ledger.take(orders)
        for id in ids[:2]:
            await ledger.written(id, Letter(b"MSH|^~\\&|x\r", "x-application/hl7-v2+er7", f"C{id}"))
        await ledger.ended(ids[0], "delivered", {"answer": "AA"}, answer=b"MSA|AA|C1\r")
        await ledger.ended(ids[1], "parked", {"answer": "AE", "reason": "unknown item"}, is_refusal=True)
        ledger.close()

    asyncio.run(fill())
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


class TestDeliveries:
    def test_list_and_filter(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert command(["deliveries", "list", "--data", str(data)]) == OK
        shown = said(capsys)
        assert "DiagnosticReport/r3" in shown
        assert "AE unknown item" in shown
        assert (
            command(
                ["deliveries", "list", "--data", str(data), "--state", "trouble", "--count", "1", "--json"]
            )
            == OK
        )
        page = json.loads(said(capsys))
        assert [row["state"] for row in page["deliveries"]] == ["waiting"]
        assert page["next"] == 3

    def test_show_bytes_and_answer(self, data: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        assert command(["deliveries", "show", "1", "--data", str(data), "--raw"]) == OK
        assert capsysbinary.readouterr().out == b"MSH|^~\\&|x\r"
        assert command(["deliveries", "show", "1", "--data", str(data), "--answer"]) == OK
        assert capsysbinary.readouterr().out == b"MSA|AA|C1\r"
        assert command(["deliveries", "show", "1", "--data", str(data)]) == OK
        assert "report-final → his" in capsysbinary.readouterr().out.decode()

    def test_a_replay_without_gateway_waits_for_the_next_start(
        self, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command(["deliveries", "replay", "--state", "parked", "--data", str(data), "--json"]) == OK
        [row] = json.loads(said(capsys))["deliveries"]
        assert (row["id"], row["state"], row["attempts"]) == (2, "waiting", 0)
        # What was refused is written anew: its map or code table was the cause.
        with pytest.raises(NotFound):
            command(["deliveries", "show", "2", "--data", str(data), "--raw"])

    def test_park_and_discard(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert command(["deliveries", "park", "3", "--data", str(data), "--json"]) == OK
        assert json.loads(said(capsys))["deliveries"][0]["state"] == "parked"
        assert command(["deliveries", "discard", "3", "--data", str(data), "--json"]) == OK
        assert json.loads(said(capsys))["deliveries"][0]["state"] == "discarded"

    def test_what_is_not_there(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            command(["deliveries", "show", "99", "--data", str(data)])
        with pytest.raises(InvalidInput):
            command(["deliveries", "replay", "--data", str(data)])
        with pytest.raises(Unavailable):
            command(["deliveries", "list", "--data", str(tmp_path / "none")])


class TestDestinations:
    def test_list_and_test(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = (
            destination("drop", channel="folder", folder=str(tmp_path / "drop")),
            destination("down", channel="mllp", address="127.0.0.1:1", maps={"report-final": "no-such-map"}),
        )
        monkeypatch.setenv("HUTONG_DESTINATIONS", str(config(tmp_path, *rows)))
        assert command(["destinations", "list", "--data", str(tmp_path)]) == OK
        assert "127.0.0.1:1" in said(capsys)
        assert command(["destinations", "test", "drop", "--data", str(tmp_path)]) == OK
        assert command(["destinations", "test", "--data", str(tmp_path), "--json"]) == FINDINGS
        found = {
            row["name"]: row
            for row in json.loads(said(capsys).partition("{")[2].join(["{", ""]))["destinations"]
        }
        assert found["drop"]["ok"] is True
        assert found["down"]["ok"] is False
        assert "no-such-map" in found["down"]["maps"][0]

    def test_a_wrong_file_is_told_with_every_mistake(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "destinations.yaml"
        path.write_text(
            "destinations: [{name: a, channel: mllp, address: nowhere, charset: X9, maps: {x: y}, colour: red}]"
        )
        monkeypatch.setenv("HUTONG_DESTINATIONS", str(path))
        assert command(["destinations", "list", "--data", str(tmp_path), "--json"]) == FINDINGS
        problems = json.loads(said(capsys))["problems"]
        assert len(problems) == 4
        for word in ("colour", "address", "charset", "topics"):
            assert any(word in text for text in problems), word
