"""ECG files at the door: a readable one that passes the quality gate is taken, every other is kept for a person.

`aecg` and `scp` take their format only, `ecg` recognises all; the answer is JSON with verdict, reasons and cure.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.ingest.json_answer import JsonAnswer
from gateway.ingest.kind import Admission, Origin
from gateway.journal import Incoming
from mappings.language.result import Result
from terminology.issues import FhirError, Unavailable, UnmappableMessage

if TYPE_CHECKING:
    from mappings.ecg.convert import Examined
    from mappings.language.active import ActiveMaps


class Ecg(JsonAnswer):
    """`name`: the adapter, "aecg", "scp", "dicom" or "ecg"."""

    def __init__(self, maps: "ActiveMaps", name: str) -> None:
        self.maps, self.name = maps, name

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        from mappings.ecg.convert import examine

        try:
            examined = examine(raw, adapter=self.name)
        except Unavailable:
            # The reader isn't installed: nothing is wrong with the file, and the sender must keep it.
            raise
        except FhirError as error:
            return [Admission(None, self._incoming(raw, origin, None, error), None, error, "error")]
        problem = _refusal(examined)
        incoming = self._incoming(raw, origin, examined, problem)
        return [Admission(None, incoming, examined, problem, "error" if problem else "accept")]

    def parse(self, raw: bytes) -> "Examined":
        from mappings.ecg.convert import examine

        return examine(raw, adapter=self.name)

    def map(self, message: "Examined") -> Result:
        from mappings.ecg.convert import convert_ecg

        problem = _refusal(message)
        if problem is not None:
            raise problem
        return convert_ecg(message, self.maps)

    def _incoming(
        self, raw: bytes, origin: Origin, examined: "Examined | None", error: FhirError | None
    ) -> Incoming:
        recording = examined.recording if examined is not None else None
        source, event, keys = "ecg", self.name, []
        if recording is not None:
            machine = recording.machine
            source = f"{machine.model or machine.manufacturer or 'ECG'}|{machine.institution}"
            event = recording.title
            keys = [key for key in (recording.patient.id, recording.order) if key]
        return origin.incoming(
            self.name,
            raw,
            source=source,
            event=event,
            keys=tuple(keys),
            error=error,
        )


def _refusal(examined: "Examined") -> UnmappableMessage | None:
    """The gate's errors keep a recording from every worklist: nobody should read a tracing that misleads."""
    return UnmappableMessage(examined.errors) if examined.errors else None
