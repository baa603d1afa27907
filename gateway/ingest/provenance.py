"""The Provenance of a message: which bytes became these resources, by which map, read in which charset.

https://hl7.org/fhir/R4/provenance.html
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from hashlib import blake2b

from gateway.ingest.plan import CANONICAL
from gateway.journal import Entry as Message
from mappings.language.result import Result
from terminology.fhirjson import Json

EXTENSION = f"{CANONICAL}/StructureDefinition"
MESSAGE_SYSTEM = "urn:hutong:message"
TARGETS = 1_000


def provenance_id(message: Message) -> str:
    """The same message always has the same Provenance, also after a restart or a replay."""
    text = "\n".join(
        (message.kind, message.source, message.control_id, str(message.id), str(message.received))
    )
    return blake2b(text.encode(), digest_size=16).hexdigest()


def provenance(message: Message, result: Result, targets: Sequence[str], *, zone: tzinfo) -> Json:
    """Return the Provenance of `targets`; its time is when the message arrived, so a replay says the same."""
    recorded = datetime.fromtimestamp(message.received / 1000, zone).isoformat(timespec="milliseconds")
    extensions: list[Json] = [
        {"url": f"{EXTENSION}/request-id", "valueString": message.request_id},
        {"url": f"{EXTENSION}/map", "valueString": f"{result.mapping}|{result.version}"},
        {"url": f"{EXTENSION}/charset", "valueCode": result.codec},
        {"url": f"{EXTENSION}/charset-guessed", "valueBoolean": result.is_guessed},
    ]
    if result.declared:
        extensions.append({"url": f"{EXTENSION}/charset-declared", "valueString": result.declared})
    extensions += [
        {"url": f"{EXTENSION}/unmapped-segment", "valueString": line}
        for line in result.coverage.kept
        if line.strip()
    ]
    identifiers = (
        {"system": MESSAGE_SYSTEM, "value": str(message.id)}
        if message.id
        else {"system": "urn:dicom:uid", "value": f"urn:oid:{message.control_id}"}
    )
    return {
        "resourceType": "Provenance",
        "id": provenance_id(message),
        "extension": extensions,
        "target": [{"reference": reference} for reference in targets[:TARGETS]],
        "recorded": recorded,
        "activity": {"text": message.event or message.kind},
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "code": "author",
                        }
                    ]
                },
                "who": {"display": message.source.replace("|", " ").strip() or message.peer or "-"},
            }
        ],
        "entity": [
            {
                "role": "source",
                "what": {
                    "identifier": identifiers,
                    "display": f"{message.event} {message.control_id}".strip() or message.kind,
                },
            }
        ],
    }
