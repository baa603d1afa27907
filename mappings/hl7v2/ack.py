"""Acknowledgements: what a sender hears about its message, in its own delimiters and charset.

HL7 v2.8 §2.9.2 (original mode: AA AE AR), §2.9.3 (enhanced mode: CA CE CR by MSH-15 and MSH-16), §2.15.5 (ERR),
§2.15.8 (MSA). AE: something in the message is wrong; AR: it cannot be taken whatever it holds (wrong type, not a
message, the receiver is unwell), so the same bytes may succeed later.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mappings.hl7v2.delimiters import STANDARD, Delimiters
from mappings.hl7v2.escapes import escape
from mappings.hl7v2.message import Message, parse_path
from terminology.issues import InvalidInput, Issue

Verdict = Literal["accept", "error", "reject"]
Level = Literal["original", "accept", "application"]

CODES: dict[Level, dict[Verdict, str]] = {
    "original": {"accept": "AA", "error": "AE", "reject": "AR"},
    "application": {"accept": "AA", "error": "AE", "reject": "AR"},
    "accept": {"accept": "CA", "error": "CE", "reject": "CR"},
}

# Table 0155: on which verdicts an acknowledgement is wanted.
WANTED: dict[str, frozenset[Verdict]] = {
    "AL": frozenset({"accept", "error", "reject"}),
    "NE": frozenset(),
    "ER": frozenset({"error", "reject"}),
    "SU": frozenset({"accept"}),
}

# FHIR issue type → table 0357 (message error condition).
CONDITIONS = {
    "required": ("101", "Required field missing"),
    "value": ("102", "Data type error"),
    "code-invalid": ("103", "Table value not found"),
    "not-found": ("204", "Unknown key identifier"),
    "duplicate": ("205", "Duplicate key identifier"),
    "conflict": ("205", "Duplicate key identifier"),
    "not-supported": ("200", "Unsupported message type"),
    "structure": ("100", "Segment sequence error"),
    "incomplete": ("100", "Segment sequence error"),
}
OTHER_CONDITION = ("207", "Application internal error")
MOST_ERRORS = 50

_CUT = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class Header:
    """What an answer needs of the message's MSH. `charset` is the sender's word of MSH-18, "" when it tells none."""

    delimiters: Delimiters = STANDARD
    codec: str = "utf-8"
    charset: str = ""
    sending: tuple[str, str] = ("", "")
    receiving: tuple[str, str] = ("", "")
    code: str = ""
    event: str = ""
    control_id: str = ""
    processing: str = ""
    version: str = ""
    accept: str = ""
    application: str = ""

    @property
    def is_enhanced(self) -> bool:
        """§2.9.1: original mode when MSH-15 and MSH-16 are both empty.

        Analysers put a result type into MSH-16 (0 sample, 1 calibration, 2 control): no word of table 0155, so they wait
        for the ordinary acknowledgement.
        """
        return self.accept in WANTED or self.application in WANTED

    def wants(self, level: Level, verdict: Verdict) -> bool:
        """Whether the sender asked for this acknowledgement; an unknown or absent word of enhanced mode is NE."""
        if level == "original":
            return not self.is_enhanced
        word = self.accept if level == "accept" else self.application
        return verdict in WANTED.get(word, WANTED["NE"])


def read_header(message: Message) -> Header:
    """Return the header of a readable message. Fields stay as sent: the answer echoes them unchanged."""
    line = message.segments[0]
    component = message.delimiters.component
    kind = line.raw(9).split(component)
    # A text that came undeclared and plain may be anything: only ASCII is sure to be read.
    codec = "ascii" if message.decoded.declared is None and message.decoded.text.isascii() else message.codec
    return Header(
        delimiters=message.delimiters,
        codec=codec,
        charset=line.raw(18) or message.decoded.declared or "",
        sending=(line.raw(3), line.raw(4)),
        receiving=(line.raw(5), line.raw(6)),
        code=kind[0],
        event=kind[1] if len(kind) > 1 else message.event,
        control_id=line.raw(10),
        processing=line.raw(11),
        version=line.raw(12),
        accept=line.raw(15),
        application=line.raw(16),
    )


def guess_header(raw: bytes) -> Header:
    """Return what can be told of bytes that are no readable message, so that even their sender gets an answer."""
    start = raw.find(b"MSH", 0, 1024)
    if start < 0 or len(raw) < start + 8:
        return Header(codec="ascii")
    line = (
        _CUT.split(raw[start : start + 2048], maxsplit=1)[0].decode("ascii", "replace").replace("\ufffd", "?")
    )
    separator, marks = line[3], line[4:8]
    if len({separator, *marks}) < 5 or any(mark.isalnum() or mark.isspace() for mark in separator + marks):
        return Header(codec="ascii")
    delimiters = Delimiters(separator, *marks)
    fields = [*line.split(separator), *[""] * 20]
    kind = [*fields[8].split(delimiters.component), ""]
    return Header(
        delimiters=delimiters,
        codec="ascii",
        sending=(fields[2], fields[3]),
        receiving=(fields[4], fields[5]),
        code=kind[0],
        event=kind[1],
        control_id=fields[9],
        processing=fields[10],
        version=fields[11],
        accept=fields[14],
        application=fields[15],
    )


def acknowledge(
    header: Header,
    verdict: Verdict,
    *,
    level: Level,
    id: str,
    now: datetime,
    issues: Sequence[Issue] = (),
    text: str = "",
) -> bytes:
    """Return the ACK message: MSH, MSA and an ERR for each issue, in the sender's delimiters and charset.

    `now` carries its offset. `text` goes to MSA-3 when there is no issue to put there.
    """
    marks = header.delimiters
    kind = (
        ["ACK", header.event, "ACK"]
        if header.version >= "2.4" or not header.version
        else ["ACK", header.event]
    )
    fields = [
        "MSH" + marks.field + "".join(marks[1:]),
        *header.receiving,
        *header.sending,
        now.strftime("%Y%m%d%H%M%S%z"),
        "",
        marks.component.join(kind).rstrip(marks.component) if header.event else "ACK",
        id,
        header.processing or "P",
        header.version or "2.4",
        *[""] * 5,
        header.charset,
    ]
    lines = [marks.field.join(fields).rstrip(marks.field)]
    first = _spoken(issues[0], header) if issues else text
    msa = ["MSA", CODES[level][verdict], header.control_id, _escaped(first, header)]
    lines.append(marks.field.join(msa).rstrip(marks.field))
    lines += [_err(issue, header) for issue in issues[:MOST_ERRORS]]
    return ("\r".join(lines) + "\r").encode(header.codec, "replace")


def batch_of(answers: Sequence[bytes], header: Header) -> bytes:
    """Return acknowledgements of a batch as a batch (§2.10.3.3)."""
    marks = header.delimiters
    start = f"BHS{marks.field}{''.join(marks[1:])}\r".encode("ascii")
    return start + b"".join(answers) + f"BTS{marks.field}{len(answers)}\r".encode("ascii")


def _err(issue: Issue, header: Header) -> str:
    """ERR as of v2.5; senders of older versions find place and code in ERR-1 too, where those versions have it."""
    marks = header.delimiters
    condition = CONDITIONS.get(issue.type, OTHER_CONDITION)
    place = _place(issue.source)
    old = ""
    if header.version and header.version < "2.5":
        coded = marks.subcomponent.join((*condition, "HL70357"))
        old = marks.component.join([*[*place, "", "", ""][:3], coded])
    fields = [
        "ERR",
        old,
        marks.component.join(place),
        marks.component.join((*condition, "HL70357")),
        {"warning": "W", "information": "I"}.get(issue.severity, "E"),
        marks.component.join((issue.code, _escaped(issue.text("en"), header), "HUTONG")),
        "",
        _escaped(issue.fix("en"), header),
        _escaped(_spoken(issue, header), header),
    ]
    return marks.field.join(fields)


def _place(source: str | None) -> list[str]:
    """ERL: segment, sequence, field, repetition, component, subcomponent (§2.A.28)."""
    if not source:
        return []
    try:
        path = parse_path(source)
    except InvalidInput:
        return [source] if source.isalnum() else []
    numbers = [path.occurrence or 1, path.field, path.repetition, path.component, path.subcomponent]
    while numbers and not numbers[-1]:
        numbers.pop()
    return [path.segment, *(str(number) if number else "" for number in numbers)]


def _spoken(issue: Issue, header: Header) -> str:
    """Chinese and English; English alone where the sender's charset has no Chinese."""
    both = f"{issue.text('zh')} / {issue.text('en')}"
    try:
        both.encode(header.codec)
    except UnicodeEncodeError:
        return issue.text("en")
    return both


def _escaped(text: str, header: Header) -> str:
    return escape(text, header.delimiters, codec=header.codec) if text else ""
