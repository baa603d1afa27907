"""The suites, the register, and what they catch in the reference member."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from conformance.reports import compare, from_document, to_document
from conformance.reports.machine import to_junit, to_sarif, to_test_report
from conformance.reports.mask import mask
from conformance.reports.matrix import to_xlsx
from conformance.reports.page import to_html
from conformance.testing import Call, Unreachable
from conformance.testing.listener import MllpLine
from conformance.testing.requirements import coverage, load_register
from conformance.testing.run import run_tests
from conformance.testing.target import Target
from conformance.testing.verdict import verdicts
from conformance.testing.wire import HttpClient
from conformance.testing.yaml_test import load_suites, load_tests, select
from conformance.validation import validate
from terminology.issues import InvalidInput
from tests.suites.caller import CALLERS, DEVICES, sandbox
from tests.suites.member import GOOD, NOW, ROLES, Fault, examine, faults, is_caught


@pytest.fixture(autouse=True, scope="module")
def _ends() -> Iterator[None]:
    yield
    if sandbox.cache_info().currsize:
        sandbox().close()
        sandbox.cache_clear()


def test_the_bars_of_the_suites() -> None:
    tests = load_suites()
    assert len(tests) >= 150
    assert sum(row.is_negative for row in tests) / len(tests) >= 0.4
    assert len(load_register()) >= 200


def test_every_must_has_a_test_and_every_test_a_known_requirement() -> None:
    found = coverage(load_register(), load_suites())
    assert found.is_complete
    assert found.untested == ()


def test_coverage_fails_when_a_must_has_no_test() -> None:
    assert not coverage(load_register(), load_suites()[1:]).is_complete


@pytest.mark.parametrize("role", ROLES)
def test_the_clean_member_raises_no_alarm(role: str) -> None:
    wrong = {
        row.id: [one.text("en") for one in row.issues]
        for row in examine(role).results
        if row.state not in GOOD
    }
    assert not wrong


# A fault of the FHIR server takes a second; `scripts/bench conformance` runs all of them.
SCHEME = ("interaction-service", "document-source", *DEVICES)
SEEDED = [row for row in faults() if row.role not in ("fhir-server", "recognition", *CALLERS, *SCHEME)]


def test_faults_of_senders_and_receivers_are_caught() -> None:
    missed = [f"{row.role}: {row.name}" for row in SEEDED if not is_caught(row)]
    assert len(SEEDED) >= 120
    assert len(missed) / len(SEEDED) <= 0.05, missed


@pytest.mark.parametrize("name", ["no etag", "404 instead of 200", "200 instead of 404", "ignores if-match"])
def test_a_fault_of_a_server_is_caught(name: str) -> None:
    known = {row.name: row for row in faults() if row.role == "fhir-server"}
    assert name not in known or is_caught(known[name])


CALLED = [row for row in faults() if row.role in (*CALLERS, *SCHEME)]


@pytest.mark.parametrize("fault", CALLED, ids=lambda row: f"{row.role} {row.name}")
def test_a_fault_of_a_caller_is_caught(fault: Fault) -> None:
    assert is_caught(fault)


RULES = {row.name: row for row in faults() if row.role == "recognition"}


@pytest.mark.parametrize("name", RULES)
def test_a_fault_of_recognition_is_caught(name: str) -> None:
    assert is_caught(RULES[name])


class TestBadInput:
    @pytest.mark.parametrize("wanted", [{"roles": ["nobody"]}, {"ids": ["FS-NONE"]}], ids=str)
    def test_an_unknown_name_is_an_error_not_an_empty_pass(self, wanted: dict[str, list[str]]) -> None:
        with pytest.raises(InvalidInput) as caught:
            select(load_suites(), **wanted)
        assert caught.value.issues[0].code == "HT-CT-31"

    def test_a_target_without_ports_is_not_evaluated(self) -> None:
        run = run_tests(load_suites(), Target("nothing", ()), now=NOW)
        assert run.count("not-evaluated") == len(run.results)

    def test_an_unreachable_target_is_not_evaluated(self) -> None:
        client = HttpClient("http://127.0.0.1:9/fhir", seconds=1)
        run = run_tests(select(load_suites(), roles=["fhir-server"])[:3], Target("x", (), client), now=NOW)
        assert {row.state for row in run.results} == {"not-evaluated"}

    @pytest.mark.parametrize(
        "content",
        ["[]", "tests: []", "suite: x\nroles: [a]\ntests: [{id: lower case}]", "{", "suite: x\nroles: [a]\ntests:\n - {id: A, "
         "zh: 甲乙, en: ab, requirements: [], steps: [{fly: 1}]}"],
    )  # fmt: skip
    def test_a_bad_test_file_is_refused_with_its_place(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "bad.yaml"
        path.write_text(content, "utf-8")
        with pytest.raises(InvalidInput) as caught:
            load_tests([path])
        assert caught.value.issues[0].code == "HT-CT-32"

    @pytest.mark.parametrize("kind", ["endless", "hangs"])
    def test_a_target_that_never_ends_is_bounded(self, kind: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                try:
                    while kind == "endless":
                        self.wfile.write(b"x" * 65536)
                    stop.wait(5)
                except OSError:
                    pass

            def log_message(self, *_: object) -> None: ...

        stop = threading.Event()
        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with (
                HttpClient(
                    f"http://127.0.0.1:{server.server_port}", seconds=0.5, max_bytes=1 << 20
                ) as client,
                pytest.raises(Unreachable),
            ):
                client.send(Call("GET", ""))
        finally:
            stop.set()
            server.shutdown()
            server.server_close()


class TestBadReceivers:
    """A receiver of HL7 v2 that hangs, talks nonsense or never stops."""

    @pytest.mark.parametrize("kind", ["hangs", "garbage", "endless", "closes"])
    def test_it_is_bounded_and_not_evaluated(self, kind: str) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        stop = threading.Event()

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.recv(4096)
                try:
                    if kind == "garbage":
                        line.sendall(b"\x00\xff" * 1000)
                    while kind == "endless" and not stop.is_set():
                        line.sendall(b"x" * 65536)
                except OSError:
                    return
                if kind in ("hangs", "garbage"):
                    stop.wait(5)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        started = time.monotonic()
        line = MllpLine("127.0.0.1", server.getsockname()[1], seconds=0.5)
        [test] = select(load_suites(), ids=["RR-ACCEPT"])
        run = run_tests([test], Target("x", (), line=line), now=NOW)
        stop.set()
        thread.join(5)
        server.close()
        assert time.monotonic() - started < 4
        assert run.results[0].state == "fail"
        assert run.results[0].issues[0].code == "HT-CT-19"


class TestReports:
    run = examine("lis", next(row for row in faults() if row.role == "lis" and "OBX-6 = ''" in row.name))
    document = json.loads(json.dumps(to_document(run)))

    def test_every_form_tells_the_failure(self) -> None:
        assert 'failures="1"' in to_junit(self.document)
        assert json.loads(to_sarif(self.document))["runs"][0]["results"][0]["ruleId"] == "LI-OBX-6"
        for language in ("zh", "en"):
            page = to_html(self.document, language)  # type: ignore[arg-type]
            assert "LI-OBX-6" in page
            assert "<script" not in page
        report = to_test_report(self.document)
        assert report["result"] == "fail"
        assert [row for row in validate(report) if row.severity == "error"] == []

    def test_the_matrix_is_a_workbook(self) -> None:
        rows = verdicts(load_register(), from_document(self.document).results, role="lis", today=NOW.date())
        assert to_xlsx(load_register(), {"member": rows})[:2] == b"PK"

    def test_a_comparison_tells_what_got_worse(self) -> None:
        clean = to_document(examine("lis"))
        found = compare(clean, self.document)
        assert [row["id"] for row in found["worse"]] == ["LI-OBX-6"]
        assert compare(self.document, clean)["better"][0]["id"] == "LI-OBX-6"

    @pytest.mark.parametrize(
        ("text", "hidden"),
        [
            ("PID|1||P1||王^芳||19800229|F|||济南市历下区1号||053188888888", ("王", "济南", "053188888888")),
            ("MSH|^~\\&|A\rNK1|1|王^强|FTH|济南市|053188888888\rOBX|1|NM|K||4.1", ("王", "济南")),
            ('<Patient xmlns="http://hl7.org/fhir"><name><family value="王"/></name></Patient>', ("王",)),
            (
                "<patient><name>张三丰</name><addr><streetAddressLine>济南</streetAddressLine></addr></patient>",
                ("张三丰", "济南"),
            ),
            ('<name><item><part value="张三丰"/></item></name>', ("张三丰",)),
            ('{"patientName": "张三丰", "idCardNo": "11010519491231002X"}', ("张三丰", "19491231")),
            ("POST https://x/token?client_secret=abc&sign=def", ("abc", "def")),
            ('{"refresh_token": "abc", "password":"def"}', ("abc", "def")),
        ],
    )
    def test_what_names_a_person_or_opens_a_door_is_hidden(self, text: str, hidden: tuple[str, ...]) -> None:
        told = mask(text)
        assert not [word for word in hidden if word in told]

    def test_results_stay_readable(self) -> None:
        assert "OBX|1|NM|2823-3^钾^LN||4.1|mmol/L" in mask(
            "PID|1||P1||王^芳\rOBX|1|NM|2823-3^钾^LN||4.1|mmol/L"
        )

    def test_a_strict_policy_shows_no_content(self) -> None:
        text = json.dumps(to_document(self.run, masking="strict"), ensure_ascii=False)
        assert "葡萄糖" not in text
        assert "sha256" in text

    def test_patients_and_secrets_are_masked(self) -> None:
        text = json.dumps(self.document, ensure_ascii=False)
        assert "110101198002290026" not in text
        assert "王^芳" not in text
        assert "13800000000" not in text
        assert mask("Authorization: Bearer abc.def") == "Authorization: Bearer ***"
        assert mask('{"family":"王","client_secret":"x1"}') == '{"family":"***","client_secret":"***"}'
