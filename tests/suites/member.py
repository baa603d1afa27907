"""The reference member: a FHIR server, a sender and a receiver that do everything right, and seeded faults, one at a time.

The faults show what the suite catches; the clean member shows that it raises no false alarm.
"""

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from conformance.recognition import load_packs
from conformance.testing import Answer, Call, Unreachable
from conformance.testing.hl7 import CODECS, read_fields
from conformance.testing.listener import acknowledge
from conformance.testing.result import Run
from conformance.testing.run import run_tests
from conformance.testing.target import Target
from conformance.testing.yaml_test import SUITES, YamlTest, load_suites, select
from gateway.recognition.watch import RecognitionStore
from gateway.rest.context import Validation
from gateway.store.memory import MemoryStore
from terminology.issues import FhirError
from tests.gateway.server import Server
from tests.suites.caller import (
    CALLERS,
    DEVICES,
    DOCUMENT,
    Caller,
    SoapService,
    changes,
    device_faults,
    device_file,
    document_faults,
    sandbox,
    service_faults,
)
from tests.suites.testscripts import InMemory

NOW = datetime(2026, 3, 15, 8, 0, tzinfo=timezone(timedelta(hours=8)))
HEAD = "MSH|^~\\&|HIS|TOWN1|HUTONG|CENTRE|20260315080000||{event}|M{number}|P|2.4||||||UNICODE UTF-8"
PID = "PID|1||P001^^^TOWN1^MR||王^芳||19800229|F|||||13800000000||||||110101198002290026"
ORU_END = (
    "\rOBR|1|O1|R1|{code}^{text}^LN|||20260315070000|||||||||||||||20260315075000||{section}|F|||||||D1^李^明\r"
    "OBX|1|NM|{code}^{text}^LN||5.1|mmol/L|3.9-6.1|N|||F"
)
TEMPLATES = {
    "ADT^A01": "\rEVN|A01|20260315080000\r"
    + PID
    + "\rPV1|1|I|W1^R1^B1"
    + "|" * 16
    + "V1"
    + "|" * 25
    + "20260315075500",
    "ADT^A40": "\rEVN|A40|20260315080000\r" + PID + "\rMRG|P000^^^TOWN1^MR",
    "ORM^O01": "\r" + PID + "\rORC|NW|O1|||||||20260315080000|||D1^李^明\rOBR|1|O1||2345-7^葡萄糖^LN",
    "REF^I12": "\rRF1|P|R|GRF|||F1^TOWN1||||REASON^眩晕\rPRD|RP|李^明\r" + PID + "\rDG1|1||I10^高血压^ICD10",
    "ORU^R01": "\r" + PID + ORU_END,
}
SECTIONS = {"lis": "LAB", "imaging-centre": "RAD", "ecg-centre": "EC"}
SENDERS = ("his-sender", "order-placer", "lis", "referral-sender", "imaging-centre", "ecg-centre")
GOOD = ("pass", "attested")
ROLES = (
    "fhir-server",
    *SENDERS,
    "report-receiver",
    "recognition",
    *CALLERS,
    "interaction-service",
    "document-source",
    *DEVICES,
)
ATTESTED = dict.fromkeys(("TC-NEW", "TC-EXPIRED", "RF-LATE", "CC-OVERDUE"), "evidence")
PACKS = SUITES / "packs"

Change = Callable[[str], str]


@dataclass(frozen=True)
class Fault:
    """What one broken member does. Only the parts that are given differ from the clean one.

    `tests`: the requirements whose tests are played; none plays the whole role.
    """

    role: str
    name: str
    event: str = ""
    change: Change | None = None
    call: Callable[[Call], Call | Answer] | None = None
    answer: Callable[[Call, Answer], Answer] | None = None
    retry: str = "same"
    receive: Callable[[bytes, bytes], bytes] | None = None
    tests: tuple[str, ...] = ()
    leave: Callable[[Call], Call | None] | None = None
    document: str = ""
    file: bytes = b""


class Sender:
    """What a member sends; after a bad answer, or none, the same message again."""

    def __init__(self, role: str, fault: Fault | None) -> None:
        self.role, self.fault, self.number = role, fault, 0
        self.held: dict[str, bytes] = {}

    def take(self, event: str, *, answer: str, prompt: str) -> bytes:
        retry = self.fault.retry if self.fault is not None and self.fault.event == event else "same"
        raw = self.held.pop(event, None)
        if raw is None or retry == "new":
            raw = self._make(event)
        elif retry == "never":
            raise Unreachable("nothing was sent again")
        # A careful sender waits for a late answer and reads a split one; a hasty one sends again.
        if answer not in ("AA", "late", "split") or (retry == "hasty" and answer != "AA"):
            self.held[event] = raw
        return raw

    def _make(self, event: str) -> bytes:
        self.number += 1
        text = HEAD.format(event=event, number=self.number) + TEMPLATES[event]
        text = text.format(code="2345-7", text="葡萄糖", section=SECTIONS.get(self.role, "LAB")) + "\r"
        fault = self.fault
        if fault is not None and fault.change is not None and fault.event == event:
            text = fault.change(text)
        return text.encode("gb18030" if fault is not None and fault.name == "gb-as-utf8" else "utf-8")


class Receiver:
    """A receiver of reports that checks what it must."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault

    def exchange(self, raw: bytes, *, pieces: int = 1, is_framed: bool = True, pause: float = 0.0) -> bytes:
        code = self._judge(raw)
        answer = acknowledge(raw, code)
        if self.fault is not None and self.fault.receive is not None:
            answer = self.fault.receive(raw, answer)
            if (self.fault.name == "no-split" and pieces > 1) or (self.fault.name == "impatient" and pause):
                answer = b""
        if not answer:
            raise Unreachable("no answer")
        return answer

    def _judge(self, raw: bytes) -> str:
        try:
            fields = read_fields(raw)
        except FhirError:
            return "AR"
        kinds = fields.values("MSH-9.1")
        if kinds != ["ORU"] or not fields.values("MSH-12")[0].startswith("2."):
            return "AR"
        needed = ("MSH-10", "PID-3.1", "OBR-4.1", "OBX-3.1")
        declared = (fields.values("MSH-18") or [""])[0]
        is_whole = all(fields.values(path) for path in needed) and not fields.charset_error
        return "AA" if is_whole and declared in CODECS else "AE"


class Fhir(InMemory):
    """The FHIR server of this process with a fault at its door."""

    def __init__(self, server: Server, fault: Fault | None) -> None:
        super().__init__(server)
        self.fault = fault

    def send(self, call: Call) -> Answer:
        fault = self.fault
        if fault is not None and fault.call is not None:
            changed = fault.call(call)
            if isinstance(changed, Answer):
                return changed
            call = changed
        answer = super().send(call)
        return fault.answer(call, answer) if fault is not None and fault.answer is not None else answer


def examine(role: str, fault: Fault | None = None) -> Run:
    """Run the whole suite of a role against the member."""
    tests = select(load_suites(), roles=[role], ids=fault.tests if fault is not None else ())
    if role == "recognition":
        return _examine_recognition(tests, fault)
    if role in DEVICES:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "file.dcm").write_bytes(fault.file if fault is not None else device_file(role))
            target = Target("member", (role,), documents=Path(folder), counterpart=sandbox())
            return run_tests(tests, target, now=NOW)
    if role == "interaction-service":
        service = SoapService(fault.answer if fault is not None else None)
        return run_tests(tests, Target("member", (role,), http=service), now=NOW)
    if role == "document-source":
        with tempfile.TemporaryDirectory() as folder:
            content = fault.document if fault is not None else DOCUMENT
            (Path(folder) / "document.xml").write_text(content, "utf-8")
            return run_tests(tests, Target("member", (role,), documents=Path(folder)), now=NOW)
    if role in CALLERS:
        caller = Caller(role, fault.leave if fault else None, sends=fault is not None and fault.leave is None)
        target = Target("member", (role,), door=caller, counterpart=sandbox(), evidence=ATTESTED)
        return run_tests(tests, target, now=NOW)
    if role != "fhir-server":
        target = Target("member", (role,), outbox=Sender(role, fault), line=Receiver(fault))
        return run_tests(tests, target, now=NOW)
    server = Server(MemoryStore(), validation=Validation(default="full"))
    try:
        return run_tests(tests, Target("member", (role,), fhir=Fhir(server, fault)), now=NOW)
    finally:
        server.close()


def _examine_recognition(tests: tuple[YamlTest, ...], fault: Fault | None) -> Run:
    """The recognition service is the gateway's own, over a store that it watches, with the suite's items loaded."""
    store = RecognitionStore(MemoryStore())
    server = Server(store, validation=Validation(default="full"), packs=load_packs(PACKS))

    async def start() -> None:
        store.start(server.context)

    server.run(start())
    try:
        return run_tests(tests, Target("member", ("recognition",), fhir=Fhir(server, fault)), now=NOW)
    finally:
        server.run(store.stop())
        server.close()


def field(segment: str, number: int, value: str) -> Change:
    """Return a change that puts `value` into a field of the first such segment."""

    def change(text: str) -> str:
        rows = text.split("\r")
        for at, row in enumerate(rows):
            if row.startswith(segment + "|"):
                parts = row.split("|")
                index = number - 1 if segment == "MSH" else number
                parts += [""] * (index + 1 - len(parts))
                parts[index] = value
                rows[at] = "|".join(parts)
                break
        return "\r".join(rows)

    return change


def _sender_faults() -> list[Fault]:
    events = {
        "his-sender": ("ADT^A01", "ADT^A40"), "order-placer": ("ORM^O01",), "lis": ("ORU^R01",),
        "referral-sender": ("REF^I12",),
    }  # fmt: skip
    every = [
        ("MSH", 3, ""), ("MSH", 4, ""), ("MSH", 7, "2026-03-15 08:00"), ("MSH", 10, ""), ("MSH", 10, "0000"),
        ("MSH", 11, "X"), ("MSH", 12, "3.0"), ("PID", 3, ""), ("PID", 3, "P００１^^^TOWN1"), ("PID", 3, "0000^^^TOWN1"),
        ("PID", 3, "P001"), ("PID", 5, ""), ("PID", 5, "??^?"), ("PID", 5, "<b>王</b>"), ("PID", 5, "test"),
        ("PID", 7, "19800230"), ("PID", 7, "29800101"), ("PID", 8, "女"), ("PID", 19, "110101198002290025"),
    ]  # fmt: skip
    own = {
        "ADT^A01": [("PV1", 2, "X"), ("PV1", 3, ""), ("PV1", 19, ""), ("PV1", 44, "20261345"), ("PV1", 45, "20260316"),
                    ("EVN", 2, "")],
        "ADT^A40": [("MRG", 1, ""), ("EVN", 2, "8:00")],
        "ORM^O01": [("ORC", 1, "ZZ"), ("ORC", 2, ""), ("ORC", 3, "R1"), ("ORC", 9, "today"), ("ORC", 12, ""),
                    ("OBR", 4, ""), ("OBR", 4, "2345-7"), ("OBR", 25, "F")],
        "REF^I12": [("RF1", 1, "Q"), ("RF1", 3, ""), ("RF1", 6, ""), ("PRD", 1, ""), ("DG1", 3, "")],
        "ORU^R01": [("OBR", 3, ""), ("OBR", 4, ""), ("OBR", 7, "早上"), ("OBR", 22, ""), ("OBR", 25, "Z"),
                    ("OBX", 2, "XX"), ("OBX", 3, ""), ("OBX", 3, "2345-7^葡萄糖"), ("OBX", 3, "0^葡萄糖^L"), ("OBX", 5, ""),
                    ("OBX", 5, "5.1偏高"), ("OBX", 6, ""), ("OBX", 6, "ｍｍｏｌ/L"), ("OBX", 7, ""), ("OBX", 8, "高"),
                    ("OBX", 11, "")],
    }  # fmt: skip
    found = []
    for role, names in events.items():
        for event in names:
            for segment, number, value in (*every, *own[event]):
                name = f"{event} {segment}-{number} = {value!r}"
                found.append(Fault(role, name, event, field(segment, number, value)))
            found.append(Fault(role, f"{event} resent with a new control id", event, retry="new"))
            found.append(Fault(role, f"{event} never resent", event, retry="never"))
            if event != "ADT^A40":
                found.append(Fault(role, f"{event} resent in haste", event, retry="hasty"))
            found.append(Fault(role, "gb-as-utf8", event, str))
            found.append(Fault(role, f"{event} no MSH", event, lambda text: text[text.index("\r") + 1 :]))
            found.append(Fault(role, f"{event} two messages", event, lambda text: text + text))
    for role, section in (("imaging-centre", "LAB"), ("ecg-centre", "")):
        found.append(Fault(role, f"{role} OBR-24 = {section!r}", "ORU^R01", field("OBR", 24, section)))
        found.append(Fault(role, f"{role} no interpreter", "ORU^R01", field("OBR", 32, "")))
    return found


def _receiver_faults() -> list[Fault]:
    def swap(pattern: bytes, by: bytes) -> Callable[[bytes, bytes], bytes]:
        return lambda _raw, answer: re.sub(pattern, by, answer)

    always = swap(rb"MSA\|A[ER]", b"MSA|AA")
    changes: dict[str, Callable[[bytes, bytes], bytes]] = {
        "always AA": always,
        "always AE": swap(rb"MSA\|A[AR]", b"MSA|AE"),
        "wrong MSA-2": swap(rb"(MSA\|\w\w\|).*\r", rb"\g<1>X\r"),
        "empty MSA-2": swap(rb"(MSA\|\w\w\|).*\r", rb"\g<1>\r"),
        "echoes the message": lambda raw, _answer: raw,
        "silent": lambda _raw, _answer: b"",
        "garbage": lambda _raw, _answer: b"\x00\xffOK",
        "no MSH-7": swap(rb"(\|)\d{14}(\|\|ACK)", rb"\1\2"),
        "not ACK": swap(rb"ACK\^", b"ORR^"),
        "version 3": swap(rb"\|2\.4", b"|3.0"),
        "control id of the message": lambda raw, answer: re.sub(
            rb"\|A\d+\|P", b"|" + _control(raw) + b"|P", answer
        ),
        "no-split": lambda _raw, answer: answer,
        "impatient": lambda _raw, answer: answer,
        "refuses GB18030": lambda raw, answer: always_to(b"AE", answer) if b"GB 18030" in raw else answer,
        "refuses Z segments": lambda raw, answer: always_to(b"AE", answer) if b"\rZZZ" in raw else answer,
        "refuses preliminary": lambda raw, answer: always_to(b"AE", answer) if b"LAB|P" in raw else answer,
        "refuses corrections": lambda raw, answer: always_to(b"AE", answer) if b"LAB|C" in raw else answer,
        "refuses long reports": lambda raw, answer: always_to(b"AR", answer) if len(raw) > 5000 else answer,
        "takes unknown events": lambda raw, answer: always_to(b"AA", answer) if b"ZZZ^Z99" in raw else answer,
        "takes reports without PID": lambda raw, answer: (
            always_to(b"AA", answer) if b"\rPID" not in raw else answer
        ),
        "takes reports without OBR": lambda raw, answer: (
            always_to(b"AA", answer) if b"\rOBR" not in raw else answer
        ),
    }
    return [Fault("report-receiver", name, receive=change) for name, change in changes.items()]


def always_to(code: bytes, answer: bytes) -> bytes:
    return re.sub(rb"MSA\|A[AER]", b"MSA|" + code, answer)


def _control(raw: bytes) -> bytes:
    return raw.split(b"|")[9]


def _fhir_faults() -> list[Fault]:
    def on(name: str, change: Callable[[Call, Answer], Answer]) -> Fault:
        return Fault("fhir-server", name, answer=change)

    def asked(name: str, change: Callable[[Call], Call | Answer]) -> Fault:
        return Fault("fhir-server", name, call=change)

    def without(header: str) -> Fault:
        return on(
            f"no {header}",
            lambda _call, answer: replace(
                answer, headers={key: value for key, value in answer.headers.items() if key != header}
            ),
        )

    def ignoring(header: str) -> Fault:
        return asked(
            f"ignores {header}",
            lambda call: replace(
                call, headers={key: value for key, value in call.headers.items() if key != header}
            ),
        )

    def deaf(parameter: str) -> Fault:
        pattern = re.compile(rf"(?<=[?&]){parameter}=[^&]*&?")
        return asked(
            f"ignores the search by {parameter}",
            lambda call: replace(call, url=pattern.sub("", call.url).rstrip("?&")),
        )

    def status(old: int, new: int) -> Fault:
        return on(
            f"{new} instead of {old}",
            lambda _call, answer: replace(answer, status=new) if answer.status == old else answer,
        )

    def tree(name: str, change: Callable[[Any], None]) -> Fault:
        def changed(_call: Call, answer: Answer) -> Answer:
            found = answer.tree()
            if not isinstance(found, dict) or answer.body[:1] != b"{":
                return answer
            found = json.loads(answer.body)
            change(found)
            return replace(answer, body=json.dumps(found).encode())

        return on(name, changed)

    def dropping(key: str, kind: str = "") -> Fault:
        return tree(
            f"no {kind} {key}",
            lambda found: found.pop(key, None) if not kind or found.get("resourceType") == kind else None,
        )

    def nothing(method: str) -> Fault:
        return asked(
            f"{method} does nothing", lambda call: Answer(200, {}, b"") if call.method == method else call
        )

    return [
        without("etag"), without("location"), without("content-type"), without("last-modified"),
        ignoring("if-match"), ignoring("if-none-exist"), ignoring("if-none-match"), ignoring("prefer"),
        deaf("identifier"), deaf("birthdate"), deaf("code"), deaf("date"), deaf("patient"), deaf("_count"),
        deaf("_include"), deaf("name"),
        status(201, 200), status(404, 200), status(404, 500), status(400, 200), status(400, 500), status(422, 500),
        status(422, 201), status(412, 200), status(415, 200), status(410, 200), status(200, 202), status(304, 200),
        status(406, 200),
        nothing("DELETE"), nothing("PUT"),
        dropping("meta"), dropping("id"), dropping("issue", "OperationOutcome"), dropping("link", "Bundle"),
        dropping("type", "Bundle"), dropping("fhirVersion"), dropping("format"), dropping("rest"), dropping("total", "Bundle"),
        dropping("birthDate"), dropping("gender"), dropping("identifier"), dropping("subject"), dropping("name", "Patient"),
        tree("R5", lambda found: found.update(fhirVersion="5.0.0") if "fhirVersion" in found else None),
        tree("no fullUrl", lambda found: [row.pop("fullUrl", None) for row in found.get("entry", ())]),
        tree("no search mode", lambda found: [row.pop("search", None) for row in found.get("entry", ())]),
        tree("garbled names", lambda found: found.update(name=[{"family": "??", "text": "??"}]) if "name" in found else None),
        tree("another birth date", lambda found: found.update(birthDate="1980-03-01") if "birthDate" in found else None),
        tree("version 1 for ever", lambda found: found.get("meta", {}).update(versionId="1")),
        on("plain text errors", lambda _call, answer: replace(answer, body=b"error") if answer.status >= 400 else answer),
        on("stack traces", lambda _call, answer: replace(answer, body=answer.body + b"\tat java.lang") if answer.status >= 400 else answer),
        on("text/plain", lambda _call, answer: replace(answer, headers={**answer.headers, "content-type": "text/plain"})),
        on("GBK", lambda _call, answer: replace(answer, headers={**answer.headers, "content-type": "application/fhir+json; charset=GBK"})),
        on("garbage", lambda _call, answer: replace(answer, body=b"\x00\xff" * 50)),
        asked("no POST _search", lambda call: Answer(405, {}, b"") if "_search" in call.url else call),
        asked("no history", lambda call: Answer(501, {}, b"") if "_history" in call.url else call),
        asked("no transaction", lambda call: Answer(501, {}, b"") if call.method == "POST" and not call.url else call),
        asked("no XML", lambda call: replace(call, headers={**call.headers, "accept": "application/fhir+json"})),
    ]  # fmt: skip


RULE_NUMBERS = ("001", "002", "003", "004", "005", "006", "007", "008", "009", "010", "011", "012", "013", "014", "015",
                "016", "017", "018", "019", "020", "021", "022", "023", "024", "025", "026", "032")  # fmt: skip


def _recognition_faults() -> list[Fault]:
    def changed(name: str, requirement: str, change: Callable[[Any], None]) -> Fault:
        def altered(call: Call, answer: Answer) -> Answer:
            if "$recognize" not in call.url or answer.status != 200:
                return answer
            found = json.loads(answer.body)
            change(found["parameter"])
            return replace(answer, body=json.dumps(found).encode())

        return Fault("recognition", name, answer=altered, tests=(requirement,))

    def rules(rows: Any) -> list[Any]:
        parts = [part for row in rows if row["name"] == "candidate" for part in row["part"]]
        return [part["part"] for part in parts if part["name"] == "rule"]

    def is_rule(rule: Any, id: str) -> bool:
        return any(part.get("valueCode") == id for part in rule if part["name"] == "id")

    def passing(id: str) -> Callable[[Any], None]:
        def change(rows: Any) -> None:
            for rule in rules(rows):
                for part in rule if is_rule(rule, id) else ():
                    if part["name"] == "outcome":
                        part["valueCode"] = "pass"

        return change

    def without(name: str) -> Callable[[Any], None]:
        def change(rows: Any) -> None:
            rows[:] = [row for row in rows if row["name"] != name]
            for row in rows:
                row["part"] = [part for part in row.get("part", ()) if part["name"] != name]

        return change

    def deciding(word: str) -> Callable[[Any], None]:
        def change(rows: Any) -> None:
            for row in rows:
                if row["name"] == "decision":
                    row["valueCode"] = word

        return change

    def silent(name: str, requirement: str, part: str, answer: Answer) -> Fault:
        return Fault(
            "recognition", name, call=lambda call: answer if part in call.url else call, tests=(requirement,)
        )

    def english_only(rows: Any) -> None:
        for rule in rules(rows):
            for part in rule:
                part.pop("_valueString", None)

    def utc_day(call: Call) -> Call:
        """Reads +08:00 as UTC: eight hours late."""
        if "$recognize" not in call.url:
            return call
        return replace(call, body=re.sub(rb"T(\d\d:\d\d:\d\d)\+08:00\"}", rb"T\1Z\"}", call.body))

    empty = Answer(
        200,
        {"content-type": "application/fhir+json"},
        b'{"resourceType": "Bundle", "type": "searchset", "total": 0}',
    )
    return [
        *(changed(f"MR-{number} always passes", f"MR-{number}", passing(f"MR-{number}")) for number in RULE_NUMBERS),
        changed("always recognises", "MR-003", deciding("recognise")),
        changed("never recognises", "MR-008", deciding("repeat")),
        changed("no valid-until", "MR-ANSWER", without("validUntil")),
        changed("no bypass", "MR-022", without("bypass")),
        changed("nothing is missing", "MR-012", without("missing")),
        changed("no image address", "MR-015", without("image")),
        changed("no reasons", "MR-018", lambda rows: [rule.remove(part) for rule in rules(rows) for part in list(rule) if part["name"] == "reason"] and None),
        changed("one language", "MR-ANSWER", english_only),
        changed("withdrawn results are candidates", "MR-003", lambda rows: rows.append({"name": "candidate", "part": []})),
        Fault("recognition", "days in UTC", call=utc_day, tests=("MR-010",)),
        Fault("recognition", "takes any rejection", tests=("MR-028",),
              answer=lambda call, answer: replace(answer, status=201) if "$recognition-decision" in call.url else answer),
        Fault("recognition", "refuses free text", tests=("MR-028",),
              answer=lambda call, answer: replace(answer, status=422) if b"\xe6\x9c\xaf\xe5\x89\x8d" in call.body else answer),
        silent("no reminders", "MR-029", "Communication?", empty),
        silent("no statistics", "MR-034", "$evaluate-measure", Answer(200, {}, b'{"resourceType": "MeasureReport"}')),
        silent("no audit of charges", "MR-030", "$recognition-audit", Answer(200, {}, b'{"resourceType": "Parameters"}')),
        silent("decisions open for ever", "MR-004", "status=in-progress", empty),
        silent("500 to a wrong question", "MR-ASK", "$recognize", Answer(500, {}, b"error")),
    ]  # fmt: skip


def faults() -> list[Fault]:
    others = [Fault("interaction-service", name, answer=change) for name, change in service_faults()]
    others += [Fault("document-source", name, document=content) for name, content in document_faults()]
    others += [Fault(role, name, file=file) for role, name, file in device_faults()]
    callers = [Fault(role, name, leave=change) for role, name, change in changes()]
    return [
        *_fhir_faults(),
        *_receiver_faults(),
        *_sender_faults(),
        *_recognition_faults(),
        *callers,
        *others,
    ]


def is_caught(fault: Fault) -> bool:
    """Tell whether a test that the clean member passes doesn't pass because of the fault."""
    clean = {row.id for row in _clean(fault.role).results if row.state in GOOD}
    return any(row.state not in GOOD for row in examine(fault.role, fault).results if row.id in clean)


@cache
def _clean(role: str) -> Run:
    return examine(role)
