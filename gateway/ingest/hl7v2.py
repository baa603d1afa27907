"""HL7 v2 messages at the door: what is taken, what is kept for a person, what is refused, and the answer."""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Protocol

from gateway.gate import Gate, refusal
from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from mappings.hl7v2 import Message, parse
from mappings.hl7v2.ack import Header, acknowledge, batch_of, guess_header, read_header
from mappings.hl7v2.batch import is_batch, split
from mappings.language.result import Result
from terminology.issues import FhirError, Forbidden, Issue, MalformedMessage, UnmappableMessage

# Message types about a patient: without PID they say nothing that can be kept (HL7 v2.8 chapters 3, 4, 7, 11, 12).
ABOUT_A_PATIENT = frozenset(
    {"ADT", "BAR", "DFT", "MDM", "OMG", "OML", "OMP", "ORM", "ORU", "OUL", "PPR", "RDE", "REF", "VXU"}
)
NEVER_DECODED = "HT-V2-10"

_HEADER_LINE = re.compile(rb"[\r\n]")


class Maps(Protocol):
    """The active maps of HL7 v2."""

    def handles(self, code: str, event: str) -> bool: ...

    def events(self) -> Sequence[str]: ...

    def run(self, message: Message) -> Result: ...


class Hl7v2:
    """`clock` gives the current time with its offset."""

    name = "hl7v2"
    media_type = "application/hl7-v2"

    def __init__(
        self,
        maps: Maps,
        *,
        clock: Callable[[], datetime],
        fallback_charset: str | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.maps, self.clock, self.fallback, self.gate = maps, clock, fallback_charset, gate

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        if not is_batch(raw):
            return [self._admit_one(raw, origin)]
        batch = split(raw)
        if batch.issues:
            stated = batch.issues[0].values
            raise MalformedMessage("HT-MSG-09", source=batch.issues[0].source, **stated)
        return [self._admit_one(message, origin) for message in batch.messages]

    def parse(self, raw: bytes) -> Message:
        return parse(raw, fallback=self.fallback)

    def map(self, message: Message) -> Result:
        lacking = _without_patient(message, message.code, message.event)
        if lacking is not None:
            raise lacking
        return self.maps.run(message)

    def wants(self, header: Header, level: Level, verdict: Verdict) -> bool:
        return header.wants(level, verdict)

    def answer(
        self, header: Header, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        return acknowledge(
            header, verdict, level=level, id=new_control_id(), now=self.clock(), issues=issues, text=text
        )

    def join(self, answers: Sequence[bytes], header: Header) -> bytes:
        return answers[0] if len(answers) == 1 else batch_of(answers, header)

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        header = guess_header(raw)
        level: Level = "accept" if header.is_enhanced else "original"
        if not header.wants(level, "reject"):
            return None
        return self.answer(header, "reject", level=level, issues=error.issues)

    def _admit_one(self, raw: bytes, origin: Origin) -> Admission:
        try:
            message = self.parse(raw)
        except MalformedMessage as error:
            header = guess_header(raw)
            if error.issues[0].code != NEVER_DECODED:
                return Admission(header, None, None, error, "reject")
            # It is a message, only its text is unreadable: keep it until somebody knows the charset.
            return Admission(header, self._incoming(raw, header, (), origin, error), None, error, "error")
        header = read_header(message)
        if self.gate is not None:
            event = f"{header.code}^{header.event}".rstrip("^")
            issue = refusal(self.gate, header.sending[1].partition("^")[0], event)
            if issue is not None:
                # Nothing of an uncertified member is kept: the sandbox is the place for its messages.
                return Admission(header, None, None, Forbidden([replace(issue, source="MSH-4")]), "reject")
        problem, verdict = self._problem(header, message)
        incoming = self._incoming(raw, header, keys(message), origin, problem)
        return Admission(header, incoming, message, problem, verdict)

    def _problem(self, header: Header, message: Message) -> tuple[FhirError | None, Verdict]:
        if not header.control_id:
            return UnmappableMessage("HT-MSG-01", source="MSH-10"), "error"
        if not header.code:
            return UnmappableMessage("HT-MSG-02", source="MSH-9"), "error"
        event = f"{header.code}^{header.event}".rstrip("^")
        if not self.maps.handles(header.code, header.event):
            known = ", ".join(self.maps.events()) or "-"
            return UnmappableMessage("HT-MSG-03", source="MSH-9", event=event[:40], known=known), "reject"
        lacking = _without_patient(message, header.code, header.event)
        return (lacking, "error") if lacking is not None else (None, "accept")

    def _incoming(
        self, raw: bytes, header: Header, keys: tuple[str, ...], origin: Origin, error: FhirError | None
    ) -> Incoming:
        return origin.incoming(
            self.name,
            raw,
            source="|".join(header.sending),
            control_id=header.control_id,
            event=f"{header.code}^{header.event}".rstrip("^"),
            keys=keys,
            hash=content_hash(raw),
            error=error,
        )


def _without_patient(message: Message, code: str, event: str) -> UnmappableMessage | None:
    if code not in ABOUT_A_PATIENT or message.segment("PID") is not None or _is_of_device(message):
        return None
    return UnmappableMessage("HT-MSG-04", source="PID", event=f"{code}^{event}".rstrip("^"))


def _is_of_device(message: Message) -> bool:
    """Quality control and calibration are about the analyser: MSH-11 Q, or a result type 1 or 2 in MSH-16."""
    return message.get("MSH-11") == "Q" or message.get("MSH-16") in ("1", "2")


def keys(message: Message) -> tuple[str, ...]:
    """Return what orders messages: the patient's first identifier, and that of the record merged into it (A40)."""
    found: list[str] = []
    for name, field in (("PID", 3), ("MRG", 1)):
        for segment in message.all(name):
            text = segment.raw(field) or (segment.raw(2) if name == "PID" else "")
            first = text.split(message.delimiters.repetition)[0].split(message.delimiters.component)[0]
            if first and first not in found:
                found.append(first)
    return tuple(found)


def content_hash(raw: bytes) -> bytes:
    """Return the hash of a message without MSH-7: a resend that only tells a newer sending time is the same message."""
    body = raw.strip(b"\x0b\x1c\r\n \x00")
    separator = body[3:4]
    line = _HEADER_LINE.split(body, maxsplit=1)[0]
    fields = line.split(separator) if separator else []
    digest = blake2b(digest_size=16)
    if len(fields) > 7:
        fields[6] = b""
        digest.update(separator.join(fields))
        digest.update(body[len(line) :])
    else:
        digest.update(body)
    return digest.digest()


def new_control_id() -> str:
    """MSH-10 of our own messages: 20 characters at most in v2.3 (§2.16.9.10)."""
    return f"HT{secrets.token_hex(9)}".upper()
