"""The reference member that calls the centre: terminology consumer, referral receiver, chronic care, FHIR client.

The centre is the gateway itself in a sandbox. Each request that a test waits for is made by a member that does it right;
a fault changes it, leaves it out, or sends what must not be sent.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from conformance.testing import Answer, Call, Unreachable
from conformance.testing.client import Exchange
from conformance.testing.doorway import matches
from gateway.members.sandbox import Sandbox
from terminology.fhirjson import Json

ITEMS = "https://hutong.health/fhir/CodeSystem/suite-items"
FHIR = {"accept": "application/fhir+json"}
SENDING = FHIR | {"content-type": "application/fhir+json; charset=utf-8"}
CALLERS = ("terminology-consumer", "referral-receiver", "chronic-care", "fhir-client")


@cache
def sandbox() -> Sandbox:
    """One for the whole session; every test brings its own patients."""
    return Sandbox()


class Caller:
    """The door with the member behind it: what a test waits for is called when it waits.

    `change` alters a call (None: it isn't made), `sends`: also what must not be sent.
    """

    base = "http://sandbox/fhir"

    def __init__(
        self, role: str, change: Callable[[Call], Call | None] | None = None, *, sends: bool = False
    ) -> None:
        self.role, self.change, self.sends = role, change, sends
        self._next = ""

    def take(self, wanted: str, *, prompt: str, answer: int = 0, seconds: float | None = None) -> Exchange:
        if seconds is not None and not self.sends:
            raise Unreachable("nothing was sent")
        call: Call | None = self._call(wanted, prompt)
        if self.change is not None and call is not None:
            call = self.change(call)
        if call is None or not matches(wanted, call):
            raise Unreachable(f"no {wanted}")
        if answer:
            return Exchange(call, Answer(answer, {}, b""))
        reply = sandbox().answer(replace(call, url=f"fhir/{call.url}"))
        self._follow(reply)
        return Exchange(call, reply)

    def _follow(self, reply: Answer) -> None:
        tree = reply.tree()
        links = tree.get("link", ()) if isinstance(tree, dict) else ()
        self._next = next(
            (row["url"].partition("/fhir/")[2] for row in links if row.get("relation") == "next"), ""
        )

    def _call(self, wanted: str, prompt: str) -> Call:
        unique = next(iter(re.findall(r"[0-9a-f]{12}", prompt)), "")
        return getattr(self, f"_{self.role.replace('-', '_')}")(wanted, prompt, unique)

    def _terminology_consumer(self, wanted: str, prompt: str, _unique: str) -> Call:
        if "translate" in wanted:
            return Call(
                "GET",
                "ConceptMap/$translate?url=https://hutong.health/fhir/ConceptMap/suite-local&system=urn:suite:local&code=K",
                FHIR,
            )
        if "ServiceRequest" in wanted:
            body = {
                "resourceType": "ServiceRequest",
                "status": "active",
                "intent": "order",
                "subject": {"display": "x"},
            }
            return _sent("POST", "ServiceRequest", body)
        code = next((code for code in ("OLD", "X99", "A02") if code in prompt), "A01")
        if code in ("OLD", "X99"):
            return Call("GET", f"CodeSystem/$validate-code?url={ITEMS}&code={code}&version=2026-01", FHIR)
        if "lookup" in wanted:
            return Call("GET", f"CodeSystem/$lookup?system={ITEMS}&code={code}&version=2026-01", FHIR)
        return Call("GET", f"CodeSystem?url={ITEMS}", FHIR)

    def _referral_receiver(self, wanted: str, prompt: str, unique: str) -> Call:
        if wanted.startswith("GET Task\\?"):
            return Call("GET", "Task?owner=Organization/receiver&status=requested", FHIR)
        if wanted.startswith("GET"):
            return Call("GET", f"Task/t-{self._held or unique}", FHIR)
        if wanted.startswith("POST"):
            body = {
                "resourceType": "DocumentReference",
                "status": "current",
                "subject": {"reference": f"Patient/p-{unique}"},
                "content": [
                    {"attachment": {"contentType": "text/plain", "data": "5Ye66Zmi", "title": "出院小结"}}
                ],
                "context": {"related": [{"reference": f"ServiceRequest/r-{unique}"}]},
            }
            return _sent("POST", "DocumentReference", body)
        id = f"{'x' if wanted.startswith('(PUT|PATCH) Task/x') else 't'}-{unique}"
        self._held = unique
        task: Json = sandbox().answer(Call("GET", f"fhir/Task/{id}", FHIR)).tree()
        changed = {"status": "accepted"}
        if "拒绝" in prompt:
            changed = {"status": "rejected", "statusReason": {"text": "无床位"}}  # type: ignore[dict-item]  # a concept
        return _sent("PUT", f"Task/{id}", task | changed, **{"if-match": f'W/"{task["meta"]["versionId"]}"'})

    _held = ""

    def _chronic_care(self, wanted: str, _prompt: str, unique: str) -> Call:
        if wanted.startswith("GET"):
            return Call("GET", f"CarePlan?subject=Patient/p-{unique or self._held}", FHIR)
        if "Appointment" in wanted:
            body: Json = {
                "resourceType": "Appointment",
                "status": "booked",
                "start": _soon(days=7),
                "end": _soon(days=7),
                "participant": [{"actor": {"reference": f"Patient/p-{unique}"}, "status": "accepted"}],
            }
            return _sent("POST", "Appointment", body)
        self._held = unique or self._held
        return _sent("POST", "Observation", _pressure(self._held))

    def _fhir_client(self, wanted: str, _prompt: str, unique: str) -> Call:
        if "metadata" in wanted:
            return Call("GET", "metadata", FHIR)
        if "_cursor" in wanted:
            return Call("GET", self._next, FHIR)
        if wanted.startswith("GET Observation"):
            for _ in range(2):
                sandbox().answer(
                    replace(_sent("POST", "Observation", _pressure(unique)), url="fhir/Observation")
                )
            return Call("GET", f"Observation?subject=Patient/p-{unique}&_count=1", FHIR)
        if wanted.startswith("GET Patient/p-"):
            return Call("GET", f"Patient/p-{unique or self._held}", FHIR)
        if "_search" in wanted:
            return Call("GET", f"Patient?identifier=urn:suite:ids|{unique}", FHIR)
        if wanted.startswith("PUT"):
            self._held = unique
            held: Json = sandbox().answer(Call("GET", f"fhir/Patient/p-{unique}", FHIR)).tree()
            changed = held | {"telecom": [{"system": "phone", "value": "13800000000"}]}
            return _sent(
                "PUT", f"Patient/p-{unique}", changed, **{"if-match": f'W/"{held["meta"]["versionId"]}"'}
            )
        self._held = unique or self._held
        resource = _pressure(self._held) | {
            "identifier": [{"system": "urn:suite:results", "value": self._held}]
        }
        return _sent(
            "POST", "Observation", resource, **{"if-none-exist": f"identifier=urn:suite:results|{self._held}"}
        )


class SoapService:
    """The reference provider of interaction services: the gateway's own HIPMessageServer, with a fault at its door."""

    base = "http://sandbox/soap/HIPMessageServer"

    def __init__(self, change: Callable[[Call, Answer], Answer] | None) -> None:
        self.change = change

    def send(self, call: Call) -> Answer:
        answer = sandbox().answer(replace(call, url=f"soap/HIPMessageServer{call.url}"))
        return self.change(call, answer) if self.change is not None else answer

    def close(self) -> None: ...


def service_faults() -> list[tuple[str, Callable[[Call, Answer], Answer]]]:
    """Return (name, change) of every fault of a provider."""

    def swap(old: bytes, new: bytes) -> Callable[[Call, Answer], Answer]:
        return lambda _call, answer: replace(answer, body=re.sub(old, new, answer.body))

    def on_garbage(new: Callable[[Answer], Answer]) -> Callable[[Call, Answer], Answer]:
        return lambda _call, answer: new(answer) if answer.status >= 400 else answer

    return [
        ("no WSDL", lambda call, answer: replace(answer, status=404) if "wsdl" in call.url else answer),
        ("another operation", swap(b"HIPMessageServer", b"Receive")),
        ("always AA", swap(rb"(typeCode=[^A-Z]{1,8})(AE|AR)", rb"\1AA")),
        ("never AA", swap(rb"(typeCode=[^A-Z]{1,8})AA", rb"\1AE")),
        ("one SOAP version", swap(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope")),
        ("names no message", lambda _call, answer: replace(answer, body=re.sub(rb"[0-9a-f]{12}", b"", answer.body))),
        ("GBK", lambda _call, answer: replace(answer, headers={**answer.headers, "content-type": "text/xml; charset=GBK"})),
        ("plain text faults", on_garbage(lambda answer: replace(answer, body=b"error"))),
        ("stack traces", on_garbage(lambda answer: replace(answer, body=answer.body.replace(b"</", b"\tat java.lang.</", 1)))),
        ("200 to garbage", on_garbage(lambda answer: replace(answer, status=200))),
        ("silence", lambda _call, answer: replace(answer, body=b"")),
        ("reads entities", lambda call, answer: replace(answer, body=answer.body + b"<!-- root:x:0 -->") if b"DOCTYPE" in call.body else answer),
    ]  # fmt: skip


DOCUMENT = (Path(__file__).parent.parent / "data" / "documents" / "laboratory-report.xml").read_text("utf-8")


def document_faults() -> list[tuple[str, str]]:
    """Return (name, document) of every faulty document."""

    def without(pattern: str) -> str:
        return re.sub(pattern, "", DOCUMENT, count=1, flags=re.DOTALL)

    return [
        ("cut short", DOCUMENT[:900]),
        ("a DTD", DOCUMENT.replace("<ClinicalDocument", "<!DOCTYPE ClinicalDocument><ClinicalDocument", 1)),
        ("another root", DOCUMENT.replace("ClinicalDocument", "Document")),
        ("no namespace", DOCUMENT.replace(' xmlns="urn:hl7-org:v3"', "")),
        ("no type", without(r"<typeId[^>]*/>")),
        ("no number", DOCUMENT.replace('<id root="2.16.156.10011.1.1" extension="DOC-0001"/>', "")),
        ("no kind", without(r'<code code="C0007"[^>]*/>')),
        ("no title", without(r"<title>.*?</title>")),
        ("no time", without(r"<effectiveTime[^>]*/>")),
        ("a time in words", DOCUMENT.replace("20260315083000", "2026年3月15日")),
        ("no confidentiality", without(r"<confidentialityCode[^>]*/>")),
        ("no language", without(r"<languageCode[^>]*/>")),
        ("no patient number", re.sub(r'<id root="[^"]*" extension="(MZ|JYBG|SQD|BB)0001"/>', "", DOCUMENT)),
        ("no citizen number", DOCUMENT.replace("2.16.156.10011.1.3", "1.2.3")),
        ("garbled name", DOCUMENT.replace("张三丰", "???")),
        (
            "sex in words",
            DOCUMENT.replace('administrativeGenderCode code="1"', 'administrativeGenderCode code="男"'),
        ),
        ("no author", without(r"<author .*?</author>")),
        ("no custodian", without(r"<custodian .*?</custodian>")),
        ("no coded section", DOCUMENT.replace("<section><code ", "<section><id ")),
    ]


DEVICES = ("image-source", "ecg-source")
ECG_FILE = Path(__file__).parent.parent / "data" / "ecg" / "waveform_ecg.dcm"
CT_FILE = Path(__file__).parent.parent / "data" / "dicom" / "CT_small.dcm"


def device_file(role: str, change: Callable[[Any], None] | None = None) -> bytes:
    """Return the file of a device that does it right, or with one thing changed."""
    import io

    import pydicom

    found = pydicom.dcmread(ECG_FILE if role == "ecg-source" else CT_FILE)
    if role == "image-source":
        found.AccessionNumber, found.PatientBirthDate, found.PatientSex = "A1", "19800229", "F"
        found.SpecificCharacterSet, found.PatientName = "ISO_IR 192", "Wang^Fang=王^芳"
    if change is not None:
        change(found)
    held = io.BytesIO()
    found.save_as(held)
    return held.getvalue()


def device_faults() -> list[tuple[str, str, bytes]]:
    """Return (role, name, file) of every fault of a device."""

    def without(*names: str) -> Callable[[Any], None]:
        def change(found: Any) -> None:
            for name in names:
                if name in found:
                    delattr(found, name)

        return change

    def given(name: str, value: str) -> Callable[[Any], None]:
        return lambda found: setattr(found, name, value)

    images = {
        "no patient number": without("PatientID", "OtherPatientIDsSequence", "OtherPatientIDs"),
        "a garbled name": given("PatientName", "??^??"),
        "no name": without("PatientName"),
        "no birth date": without("PatientBirthDate"),
        "no sex": without("PatientSex"),
        "no accession number": without("AccessionNumber"),
        "no time": without(
            "StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"
        ),
    }
    ecgs = {
        "no patient number": without("PatientID"),
        "no time": without(
            "AcquisitionDateTime",
            "StudyDate",
            "StudyTime",
            "ContentDate",
            "ContentTime",
            "SeriesDate",
            "SeriesTime",
        ),
        "no device": without("Manufacturer"),
        "a low sample rate": lambda found: [
            setattr(row, "SamplingFrequency", "100") for row in found.WaveformSequence
        ],
    }
    found = [("image-source", name, device_file("image-source", change)) for name, change in images.items()]
    found += [("ecg-source", name, device_file("ecg-source", change)) for name, change in ecgs.items()]
    return [
        *found,
        ("image-source", "no DICOM", b"GIF89a" * 100),
        ("image-source", "cut short", device_file("image-source")[:200]),
        ("ecg-source", "no ECG", b"%PDF-1.7" * 100),
        ("ecg-source", "cut short", device_file("ecg-source")[:3000]),
    ]


def _sent(method: str, url: str, body: Json, **headers: str) -> Call:
    return Call(method, url, SENDING | headers, json.dumps(body, ensure_ascii=False, default=str).encode())


def _pressure(unique: str) -> Json:
    def part(code: str, value: int) -> Json:
        return {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {
                "value": value,
                "unit": "mmHg",
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        }

    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "vital-signs",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "血压"},
        "subject": {"reference": f"Patient/p-{unique}"},
        "effectiveDateTime": _soon(days=-1),
        "component": [part("8480-6", 150), part("8462-4", 95)],
    }


def _soon(*, days: int) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")


def changes() -> list[tuple[str, str, Callable[[Call], Call | None] | None]]:
    """Return (role, name, change) of every fault of a caller; no change: it sends what must not be sent."""

    def without(header: str) -> Callable[[Call], Call]:
        return lambda call: replace(
            call, headers={name: value for name, value in call.headers.items() if name != header}
        )

    def body(change: Callable[[Json], None], method: str = "") -> Callable[[Call], Call]:
        def changed(call: Call) -> Call:
            if not call.body or (method and call.method != method):
                return call
            tree = json.loads(call.body)
            change(tree)
            return replace(call, body=json.dumps(tree, ensure_ascii=False).encode())

        return changed

    def never(pattern: str) -> Callable[[Call], Call | None]:
        return lambda call: None if re.search(pattern, f"{call.method} {call.url}") else call

    def url(pattern: str, by: str) -> Callable[[Call], Call]:
        return lambda call: replace(call, url=re.sub(pattern, by, call.url))

    def as_json(call: Call) -> Call:
        return (
            replace(call, headers={**call.headers, "content-type": "application/json"}) if call.body else call
        )

    def in_gbk(call: Call) -> Call:
        if not call.body:
            return call
        headers = {**call.headers, "content-type": "application/fhir+json; charset=GBK"}
        return replace(call, headers=headers, body=call.body.decode().encode("gbk"))

    def ascii_only(call: Call) -> Call:
        return replace(call, body=re.sub(r"[^\x00-\x7f]+", "?", call.body.decode()).encode())

    return [
        ("terminology-consumer", "loads nothing", never(r"GET CodeSystem\?")),
        ("terminology-consumer", "never looks up", never(r"lookup")),
        ("terminology-consumer", "names no version", url(r"&version=[^&]*", "")),
        ("terminology-consumer", "asks for another code", url(r"code=A01", "code=A09")),
        ("terminology-consumer", "asks without a system", url(r"system=[^&]*&", "")),
        ("terminology-consumer", "checks no code", never(r"validate-code")),
        ("terminology-consumer", "checks another code", url(r"code=(OLD|X99)", "code=A01")),
        ("terminology-consumer", "translates nothing", never(r"translate")),
        ("terminology-consumer", "translates by name", url(r"code=K", "code=血钾")),
        ("terminology-consumer", "orders what is retired", None),
        ("referral-receiver", "has no worklist", never(r"GET Task\?")),
        ("referral-receiver", "asks for everybody's referrals", url(r"owner=Organization/receiver&", "")),
        ("referral-receiver", "never accepts", never(r"PUT Task")),
        ("referral-receiver", "accepts in words only", body(lambda tree: tree.update(status="requested"), "PUT")),
        ("referral-receiver", "accepts as completed", body(lambda tree: tree.update(status="completed"), "PUT")),
        ("referral-receiver", "overwrites", without("if-match")),
        ("referral-receiver", "declines without a reason", body(lambda tree: tree.pop("statusReason", None), "PUT")),
        ("referral-receiver", "returns no summary", never(r"POST")),
        ("referral-receiver", "the summary names no referral", body(lambda tree: tree.pop("context", None), "POST")),
        ("referral-receiver", "the summary names no patient", body(lambda tree: tree.pop("subject", None), "POST")),
        ("referral-receiver", "does not read after a conflict", never(r"GET Task/")),
        ("referral-receiver", "takes another's referral", None),
        ("chronic-care", "reads no plan", never(r"CarePlan")),
        ("chronic-care", "uploads nothing", never(r"POST Observation")),
        ("chronic-care", "a wrong status", body(lambda tree: tree.update(status="done"))),
        ("chronic-care", "another patient", body(lambda tree: tree.update(subject={"reference": "Patient/nobody"}))),
        ("chronic-care", "no components", body(lambda tree: tree.pop("component", None))),
        ("chronic-care", "no units", body(lambda tree: [row["valueQuantity"].pop("code") for row in tree.get("component", ())])),
        ("chronic-care", "local codes", body(lambda tree: [row["code"]["coding"][0].update(code="SBP") for row in tree.get("component", ())])),
        ("chronic-care", "no time", body(lambda tree: tree.pop("effectiveDateTime", None))),
        ("chronic-care", "a time to come", body(lambda tree: tree.update(effectiveDateTime=_soon(days=3)) if "component" in tree else None)),
        ("chronic-care", "follows up too late", body(lambda tree: tree.update(start=_soon(days=30), end=_soon(days=30)) if "start" in tree else None)),
        ("chronic-care", "plans no follow-up", never(r"Appointment")),
        ("chronic-care", "sends what is out of range", None),
        ("fhir-client", "reads no capabilities", never(r"metadata")),
        ("fhir-client", "asks for HTML", lambda call: replace(call, headers={**call.headers, "accept": "text/html"})),
        ("fhir-client", "searches by name", url(r"identifier=", "name=")),
        ("fhir-client", "stops at the first page", never(r"_cursor")),
        ("fhir-client", "sends application/json", as_json),
        ("fhir-client", "sends GBK", in_gbk),
        ("fhir-client", "loses Chinese", ascii_only),
        ("fhir-client", "creates what is wrong", body(lambda tree: tree.pop("code", None), "POST")),
        ("fhir-client", "creates doubles", without("if-none-exist")),
        ("fhir-client", "overwrites", without("if-match")),
        ("fhir-client", "forgets identifiers", body(lambda tree: tree.pop("identifier", None), "PUT")),
        ("fhir-client", "forgets birth dates", body(lambda tree: tree.pop("birthDate", None), "PUT")),
        ("fhir-client", "never updates", never(r"PUT")),
    ]  # fmt: skip
