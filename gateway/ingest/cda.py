"""Shared documents (CDA) at the door: one document a message, kept byte for byte, answered in JSON.

CDA has no acknowledgement of its own; a platform's SOAP answer is its kind's business (gateway/ingest/hl7v3.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.ingest.json_answer import JsonAnswer
from gateway.ingest.kind import Admission, Origin
from gateway.journal import Incoming
from mappings.language.result import Result
from terminology.issues import FhirError

if TYPE_CHECKING:
    from mappings.cda.receive import Received
    from mappings.language.active import ActiveMaps


class Cda(JsonAnswer):
    """`fallback_charset`: tried when a document's charset cannot be told."""

    name = "cda"

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

    def _incoming(
        self, raw: bytes, origin: Origin, received: "Received | None", error: FhirError | None
    ) -> Incoming:
        return origin.incoming(
            self.name,
            raw,
            source=received.source if received is not None else "CDA",
            event=received.title if received is not None else self.name,
            keys=received.keys if received is not None else (),
            error=error,
        )
