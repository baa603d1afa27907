"""The doors of a run: members that call over HTTP, members that send over MLLP, files; the centre is the gateway itself."""

import socket
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from conformance.testing import Call, Unreachable
from conformance.testing.expect import expect
from conformance.testing.hl7 import read_fields
from conformance.testing.ports import open_target
from conformance.testing.run import run_tests
from conformance.testing.yaml_test import load_suites, load_tests, select
from gateway.members.sandbox import Sandbox
from terminology.issues import InvalidInput
from tests.suites.member import Sender

ADT = Sender("his-sender", None)._make("ADT^A01")


@pytest.fixture(scope="module")
def centre() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.close()


class _Kept:
    """A sandbox that several targets share."""

    def __init__(self, centre: Sandbox) -> None:
        self.fhir, self.answer, self.acknowledge = centre.fhir, centre.answer, centre.acknowledge

    def close(self) -> None: ...


def test_a_member_calls_over_http(centre: Sandbox, tmp_path: Path) -> None:
    given = {"member": "H1", "roles": ["fhir-client"], "serve": {"seconds": 5}}
    target = open_target(given, tmp_path, counterpart=lambda: _Kept(centre))
    assert target.door is not None
    try:
        answers: list[int] = []

        def call() -> None:
            base = target.door.base if target.door is not None else ""
            answers.append(
                httpx.get(f"{base}/metadata", headers={"accept": "application/fhir+json"}).status_code
            )

        caller = threading.Thread(target=call)
        caller.start()
        [test] = select(load_suites(), ids=["FC-METADATA"])
        run = run_tests([test], target, now=datetime.now().astimezone())
        caller.join()
        assert answers == [200]
        assert run.results[0].state == "pass"
    finally:
        target.close()


def test_a_refusal_is_given_once(centre: Sandbox, tmp_path: Path) -> None:
    target = open_target(
        {"member": "H1", "serve": {"seconds": 5}}, tmp_path, counterpart=lambda: _Kept(centre)
    )
    assert target.door is not None
    door, statuses = target.door, []
    try:

        def call() -> None:
            for _ in range(2):
                statuses.append(httpx.get(f"{door.base}/metadata").status_code)

        caller = threading.Timer(0.2, call)
        caller.start()
        assert door.take("GET metadata", prompt="x", answer=503).answer is not None
        door.take("GET metadata", prompt="x")
        caller.join()
        assert statuses == [503, 200]
        with pytest.raises(Unreachable):
            door.take("GET metadata", prompt="x", seconds=0.1)
    finally:
        target.close()


def test_the_acknowledgement_is_productions(centre: Sandbox, tmp_path: Path) -> None:
    target = open_target(
        {"member": "H1", "listen": {"seconds": 5}}, tmp_path, counterpart=lambda: _Kept(centre)
    )
    assert target.outbox is not None
    try:
        port = target.ports[0].port  # type: ignore[attr-defined]  # the listener
        answers: list[bytes] = []

        def send() -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                line.sendall(b"\x0b" + ADT + b"\x1c\r")
                answers.append(line.recv(65536))

        sender = threading.Thread(target=send)
        sender.start()
        assert target.outbox.take("ADT^A01", answer="AA", prompt="x") == ADT
        sender.join()
        fields = read_fields(answers[0])
        assert fields.values("MSA-1") == ["AA"]
        assert fields.values("MSH-3") == ["HUTONG"]
        found = centre.fhir.send(_get("Patient?identifier=110101198002290026")).tree()
        assert found["total"] == 1
    finally:
        target.close()


def _get(url: str) -> Call:
    return Call("GET", url, {"accept": "application/fhir+json"})


DOCUMENT = '<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2" extension="D1"/><title>出院小结</title></ClinicalDocument>'
TEST = """suite: documents
roles: [documents]
tests:
- id: CD-ID
  zh: 文档编号
  en: the number
  requirements: []
  steps:
  - upload: {document: "*.xml"}
  - expect: {xpath: "/v3:ClinicalDocument/v3:id/@extension", equals: D1}
  - expect: {xpath: "count(//v3:title)", equals: "1"}
"""


@pytest.mark.parametrize(
    ("content", "state"),
    [
        (DOCUMENT, "pass"),
        (DOCUMENT.replace("D1", "D2"), "fail"),
        ("<a", "fail"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "fail"),
        (None, "not-evaluated"),
    ],
)
def test_shared_documents_are_files(tmp_path: Path, content: str | None, state: str) -> None:
    (tmp_path / "suite.yaml").write_text(TEST, "utf-8")
    (tmp_path / "documents").mkdir()
    if content is not None:
        (tmp_path / "documents" / "d.xml").write_text(content, "utf-8")
    target = open_target({"member": "H1", "documents": "documents"}, tmp_path)
    run = run_tests(load_tests([tmp_path / "suite.yaml"]), target, now=datetime.now().astimezone())
    assert run.results[0].state == state, [issue.text("en") for issue in run.results[0].issues]


@pytest.mark.parametrize(("is_there", "state"), [(True, "pass"), (False, "not-evaluated")])
def test_evidence_is_a_file_that_is_there(tmp_path: Path, is_there: bool, state: str) -> None:
    if is_there:
        (tmp_path / "new.png").write_bytes(b"png")
    target = open_target({"member": "H1", "evidence": {"TC-NEW": "new.png"}}, tmp_path)
    run = run_tests(select(load_suites(), ids=["TC-NEW"]), target, now=datetime.now().astimezone())
    assert run.results[0].state == state
    if is_there:
        exchange = run.results[0].steps[0].exchange
        assert exchange is not None
        assert "sha256:" in exchange.call.url


@pytest.mark.parametrize(
    "given",
    [{}, {"member": "H1", "mllp": {}}, {"member": "H1", "serve": {"port": "x"}}, {"member": "H1", "fhir": 5}],
)
def test_a_target_that_cannot_be_is_an_error(
    given: dict[str, object], centre: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="HT-CT-34"):
        open_target(given, tmp_path, counterpart=lambda: _Kept(centre))


def test_expecting_of_nothing_is_an_error() -> None:
    with pytest.raises(InvalidInput):
        expect({"url": True, "matches": "x"}, answer=None, message=None)
