"""Shared documents (CDA) at the door: one document a message, kept byte for byte, answered in JSON.

CDA has no acknowledgement of its own; a platform's SOAP answer is its kind's business (gateway/ingest/hl7v3.py).
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from gateway.journal.detail import issue_row
from mappings.language.result import Result
from terminology.fhirjson import encode
from terminology.issues import FhirError, Issue

if TYPE_CHECKING:
    from mappings.cda.receive import Received
    from mappings.language.active import ActiveMaps


class Cda:
    """`fallback_charset`: tried when a document's charset cannot be told."""

    name = "cda"
    media_type = "application/json; charset=utf-8"

    def __init__(self, maps: "ActiveMaps", *, fallback_charset: str | None = None) -> None:
        self.maps, self.fallback = maps, fallback_charset

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        """Whatever was sent is kept: what cannot be read or belongs to nobody is parked for a person."""
        try:
            received = self.parse(raw)
        except FhirError as error:
            return [Admission(None, self._incoming(raw, origin, None, error), None, error, "error")]
        problem: FhirError | None = None
        try:
            received.find(self.maps)
        except FhirError as error:
            problem = error
        incoming = self._incoming(raw, origin, received, problem)
        return [Admission(None, incoming, received, problem, "error" if problem else "accept")]

    def parse(self, raw: bytes) -> "Received":
        from mappings.cda.receive import receive

        return receive(raw, fallback=self.fallback)

    def map(self, message: "Received") -> Result:
        return message.convert(self.maps)

    def wants(self, header: object, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        return encode({"answer": verdict, "text": text, "issues": [issue_row(issue) for issue in issues]})

    def join(self, answers: Sequence[bytes], header: object) -> bytes:
        return answers[0]

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return self.answer(None, "reject", level="original", issues=error.issues)

    def _incoming(
        self, raw: bytes, origin: Origin, received: "Received | None", error: FhirError | None
    ) -> Incoming:
        return Incoming(
            kind=self.name,
            channel=origin.channel,
            peer=origin.peer,
            source=received.source if received is not None else "CDA",
            control_id="",
            event=received.title if received is not None else self.name,
            keys=received.keys if received is not None else (),
            hash=blake2b(raw, digest_size=16).digest(),
            request_id=origin.request_id,
            received=origin.received,
            raw=raw,
            problem=issue_row(error.issues[0]) if error is not None else None,
        )
