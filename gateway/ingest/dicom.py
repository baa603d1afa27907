"""DICOM objects as messages: one file a message; structured reports that came over the network take this way too.

The bytes are kept before they are mapped. Where the gateway has an object folder the object is filed there as well,
so that its study is whole (gateway/imaging).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from gateway.ingest.json_answer import JsonAnswer
from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from gateway.journal.detail import issue_row
from mappings.dicom import Instance, read_instance
from mappings.dicom.read import require_uids
from mappings.dicom.study import alone
from mappings.ecg.dicom import is_electrocardiogram, refusal_of, with_electrocardiogram
from mappings.language.result import Result
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, Issue, UnmappableMessage

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

NOT_DICOM = "HT-DCM-01"


File = Callable[[bytes, Instance], tuple[Json, Callable[[Result], Result]]]


class Maps(Protocol):
    """The active maps of DICOM."""

    def run_dicom(self, instance: Instance, record: Json) -> Result: ...


class Dicom(JsonAnswer):
    """`file`: files an object that came as a message; returns its record with its study, and what the study makes of the
    result. None: each object on its own. `check` raises what speaks against an object beside its own content.
    """

    name = "dicom"

    def __init__(
        self, maps: Maps, *, file: File | None = None, check: Callable[[Instance], None] | None = None
    ) -> None:
        self.maps, self.file, self.check = maps, file, check

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        instance: Instance | None = None
        error: FhirError | None = None
        try:
            instance = read_instance(raw)
            require_uids(instance)
            if self.check is not None:
                self.check(instance)
            if is_electrocardiogram(instance) and (refusal := refusal_of(raw)):
                raise UnmappableMessage(refusal)
        except FhirError as problem:
            if problem.issues[0].code == NOT_DICOM:
                raise
            # It is DICOM, only not as it should be: keep it until somebody has looked at it.
            error = problem
        incoming = self._incoming(raw, instance, origin, error)
        return [Admission(instance, incoming, instance, error, "error" if error is not None else "accept")]

    def parse(self, raw: bytes) -> tuple[bytes, Instance]:
        instance = read_instance(raw)
        require_uids(instance)
        return raw, instance

    def map(self, message: Any) -> Result:
        # The admission hands on the instance alone: its buffer is the file.
        raw, instance = message if isinstance(message, tuple) else (message.buffer, message)
        record, place = self.file(raw, instance) if self.file is not None else (alone(instance), None)
        result = self.maps.run_dicom(instance, record)
        if is_electrocardiogram(instance):
            result = with_electrocardiogram(result, bytes(raw), cast("ActiveMaps", self.maps))
        return place(result) if place is not None else result

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        said: Json = {"answer": verdict, "text": text, "issues": [issue_row(issue) for issue in issues]}
        if isinstance(header, Instance):
            said |= {"SOPInstanceUID": header.uid, "StudyInstanceUID": header.study}
        return encode(said)

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return None

    def _incoming(
        self, raw: bytes, instance: Instance | None, origin: Origin, error: FhirError | None
    ) -> Incoming:
        source = uid = study = modality = ""
        if instance is not None:
            institution = instance.text(0x00080080)
            source = "|".join((instance.source or instance.text(0x00081010), institution)).strip("|")
            uid, study, modality = instance.uid, instance.study, instance.modality
        return origin.incoming(
            self.name,
            raw,
            source=source or "dicom",
            control_id=uid,
            event=modality,
            # Objects of one study are processed in their order.
            keys=(f"study {study}",) if study else (),
            error=error,
        )
