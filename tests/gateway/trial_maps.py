"""A small mapping written by hand: tests of the gateway don't depend on which maps ship."""

from collections.abc import Sequence
from hashlib import blake2b

from mappings.hl7v2 import Message
from mappings.language.result import Coverage, Entry, Result, Rule, Unmapped, Unread
from terminology.fhirjson import Json
from terminology.issues import Issue, UnmappableMessage

SYSTEM = "urn:test:mr"
ID_CARD = "urn:test:id-card"
PATIENT = Rule("patient", "Patient", write="merge", match_by_identifier=True)
RETIRED = Rule("retired", "Patient", write="link")
SURVIVOR = Rule("survivor", "Patient", write="link")
OBSERVATION = Rule(
    "obs", "Observation", ranks={"registered": 0, "preliminary": 1, "final": 3, "corrected": 4}
)
ORDER = Rule("request", "ServiceRequest")
CANCEL = Rule("request", "ServiceRequest", write="status")
STATUSES = {"P": "preliminary", "F": "final", "C": "corrected"}


class TrialMaps:
    """ORU^R01, ORM^O01 and ADT^A01/A08/A40. A code "BOOM" raises what nobody expects."""

    def __init__(self) -> None:
        self.runs = 0

    def handles(self, code: str, event: str) -> bool:
        return (code, event) in {
            ("ORU", "R01"), ("ORM", "O01"), ("ADT", "A01"), ("ADT", "A08"), ("ADT", "A40"), ("SIU", "S12")
        }  # fmt: skip

    def events(self) -> Sequence[str]:
        return ["ORU^R01", "ORM^O01", "ADT^A01"]

    def run(self, message: Message) -> Result:
        self.runs += 1
        facility = message.get("MSH-4") or ""
        made = {"ORU": observations, "ORM": orders}.get(message.code, lambda *_: [])(message, facility)
        entries = [*people(message, facility), *made]
        codes = [Unmapped("lab", "LOCAL", "WBC", "白细胞计数", "OBX[1]-3")] if message.code == "ORU" else []
        return Result(
            entries, "trial", "1", facility, message.control_id, f"{message.code}^{message.event}",
            message.decoded.declared, message.codec, message.decoded.is_guessed, message.issues, codes,
            measure=lambda: Coverage(9, (Unread("PID-11", 1, "x"),), tuple(row.line for row in message.segments if row.name[0] == "Z")),
        )  # fmt: skip


def people(message: Message, facility: str) -> list[Entry]:
    if message.event == "A40":
        old, new = patient_id(facility, message.get("MRG-1")), patient_id(facility, message.get("PID-3"))
        link = [{"other": {"reference": f"Patient/{new}"}, "type": "replaced-by"}]
        back = [{"other": {"reference": f"Patient/{old}"}, "type": "replaces"}]
        return [
            Entry({"resourceType": "Patient", "id": old, "active": False, "link": link}, RETIRED),
            Entry({"resourceType": "Patient", "id": new, "link": back}, SURVIVOR),
        ]
    number = message.get("PID-3")
    if not number:
        raise UnmappableMessage([Issue("HT-MSG-04", {"event": message.event}, source="PID-3")])
    identifiers = [{"system": f"{SYSTEM}:{facility}", "value": number}]
    card = message.get("PID-19")
    if card:
        identifiers.append({"system": ID_CARD, "value": card})
    resource: Json = {
        "resourceType": "Patient",
        "id": patient_id(facility, number),
        "identifier": identifiers,
        "name": [{"text": (message.get("PID-5.1") or "") + (message.get("PID-5.2") or "")}],
    }
    return [Entry(resource, PATIENT, recency(message))]


def observations(message: Message, facility: str) -> list[Entry]:
    subject = {"reference": f"Patient/{patient_id(facility, message.get('PID-3'))}"}
    made = []
    for segment in message.all("OBX"):
        code = segment.get(3) or ""
        if code == "BOOM":
            raise ZeroDivisionError
        resource: Json = {
            "resourceType": "Observation",
            "id": hashed(facility, message.get("OBR-3") or message.get("OBR-2") or "", code),
            "status": "made-up" if code == "INVALID" else STATUSES[segment.get(11) or "F"],
            "code": {"coding": [{"system": "urn:test:lab", "code": code}]},
            "subject": subject,
            "valueString": segment.get(5, codec=message.codec) or "",
        }
        made.append(Entry(resource, OBSERVATION, recency(message)))
    return made


def orders(message: Message, facility: str) -> list[Entry]:
    is_cancel = message.get("ORC-1") == "CA"
    resource: Json = {
        "resourceType": "ServiceRequest",
        "id": hashed(facility, "order", message.get("ORC-2") or ""),
        "status": "revoked" if is_cancel else "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient_id(facility, message.get('PID-3'))}"},
    }
    if not is_cancel:
        resource["code"] = {"text": message.get("OBR-4.2") or ""}
    return [Entry(resource, CANCEL if is_cancel else ORDER, recency(message))]


def recency(message: Message) -> str | None:
    text = message.get("MSH-7")
    return (
        f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}+08:00" if text else None
    )


def patient_id(facility: str, number: str | None) -> str:
    return hashed(facility, "patient", number or "")


def hashed(*parts: str) -> str:
    return blake2b("|".join(parts).encode(), digest_size=16).hexdigest()
