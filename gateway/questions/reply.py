"""A question with what its answer needs, and an answer as segments (HL7 v2.8 chapter 5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.store.protocol import Store
from mappings.hl7v2.message import Message
from mappings.language.active import ActiveMaps
from mappings.language.converters import Context
from mappings.language.sources.focus import Focus
from mappings.outbound.compile import Envelope
from mappings.outbound.hl7v2 import encode_message
from terminology.fhirjson import Json
from terminology.issues import Issue

Segment = tuple[str, Mapping[str, Any]]

# Table 0208, query response status.
OK, NOTHING, ERROR = "OK", "NF", "AE"


@dataclass(frozen=True, slots=True)
class Question:
    """`new_id`: MSH-10 of an answer."""

    message: Message
    store: Store
    maps: ActiveMaps
    now: datetime
    new_id: Callable[[], str]

    def get(self, path: str) -> str:
        """Return the unescaped text at a path of the question, "" when it is absent."""
        return self.message.get(path) or ""

    @property
    def context(self) -> Context:
        """What the data type converters ask of the question's sender."""
        message = self.message
        sender = self.maps.sender_of(*message.origin)
        return Context(
            sender, self.maps.translator, delimiters=message.delimiters, codec=message.codec, message=message
        )

    def segments(self, map: str, resource: Json, around: Sequence[Json] = ()) -> list[Segment]:
        """Return what an outbound map writes about a resource, without the header."""
        written = self.maps.outbound(map).write(
            Focus(resource, around),
            self._envelope(),
            self.maps.translator,
            sender=self.maps.sender_of(*self.message.origin),
        )
        return [(name, fields) for name, fields in written.content if name != "MSH"]

    def echo(self, name: str) -> Segment:
        """Return a segment of the question as it came; raw fields are written again with the standard delimiters."""
        segment = self.message.segment(name)
        if segment is None:
            return name, {}
        context = self.context
        fields = {
            f"{name}-{number}": [tuple(context.components(part)) for part in segment.repetitions(number)]
            for number in range(1, len(segment.fields))
            if segment.raw(number)
        }
        return name, fields

    def _envelope(self) -> Envelope:
        application, facility = self.get("MSH-5"), self.get("MSH-6")
        return Envelope(
            id=self.new_id(),
            now=self.now,
            sender=(application or "HUTONG", facility),
            receiver=self.message.origin,
            charset=self.charset,
            processing=self.get("MSH-11") or "P",
        )

    @property
    def charset(self) -> str:
        """The asker's word for its charset; UTF-8 when it told none and wrote plain ASCII."""
        declared = self.message.decoded.declared
        if declared:
            return declared
        return "GBK" if self.message.codec == "gb18030" else "UNICODE UTF-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of an answer. `kind`: MSH-9, "RSP^K22^RSP_K21"; `version`: MSH-12, the question's when empty."""

    kind: str
    segments: Sequence[Segment]
    version: str = ""

    def encoded(self, question: Question) -> bytes:
        envelope = question._envelope()
        version = self.version or question.get("MSH-12") or "2.5"
        return encode_message(
            self.segments, envelope.facts(), kind=self.kind, version=version, charset=envelope.charset
        )


def accepted(question: Question) -> Segment:
    return "MSA", {"MSA-1": "AA", "MSA-2": question.get("MSH-10")}


def refused(question: Question, issue: Issue, *, place: str) -> list[Segment]:
    """Return MSA AE and ERR for a question that can't be answered; `place`: "QPD^1^3^1^4" (ERL)."""
    return [
        ("MSA", {"MSA-1": "AE", "MSA-2": question.get("MSH-10")}),
        (
            "ERR",
            {
                "ERR-2": tuple(place.split("^")),
                "ERR-3": ("204", "Unknown key identifier", "HL70357"),
                "ERR-4": "E",
                "ERR-5": (issue.code, issue.text("en"), "HUTONG"),
                "ERR-7": issue.fix("en"),
                "ERR-8": f"{issue.text('zh')} / {issue.text('en')}",
            },
        ),
    ]


def acknowledged(question: Question, status: str, total: int | None = None) -> Segment:
    """QAK: the tag of the question, what came of it, its name, and how many there are."""
    name = question.message.segment("QPD")
    fields: dict[str, Any] = {"QAK-1": question.get("QPD-2"), "QAK-2": status}
    if name is not None:
        fields["QAK-3"] = tuple(question.context.components(name.raw(1)))
    if total is not None:
        fields["QAK-4"] = str(total)
    return "QAK", fields
