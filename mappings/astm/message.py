r"""One message of ASTM E1394 (LIS02-A2): records H P O R C Q M S L, fields numbered as in the standard, type = field 1.

`H|\^&` declares the delimiters: field, repetition, component, escape. Paths are those of the standard: `P-3` is the
practice-assigned patient number, `R[2]-3.4` the fourth component of the second result's test. Records are segments to
the mapping language, so groups, `each` and converters work as for HL7 v2.
"""

import re

from mappings.astm.frames import unframe
from mappings.hl7v2.charset import Decoded, decode
from mappings.hl7v2.delimiters import Delimiters
from mappings.hl7v2.message import Message, Segment
from terminology.issues import Issue, MalformedMessage

TYPES = frozenset("HPORCQMSL")
MOST_MESSAGES = 1_000
# E1394 knows no subcomponents; a character that no text has stands for their mark.
NO_MARK = "\ue0fe"

_LINES = re.compile(r"[\r\n]+")


class Record(Segment):
    """One record; `fields[1]` is its type, as the standard counts."""

    __slots__ = ()

    @property
    def fields(self) -> list[str]:
        found = self._fields
        if found is None:
            found = self._fields = [self.name, *self.line.split(self.delimiters.field)]
            if self.name == "H":
                # H-2 holds the delimiters themselves; nothing may split them.
                found[2] = ""
        return found


class AstmMessage(Message):
    """A message from its H to its L record. `code` is what it is about: R results, Q a question, O orders, else H."""

    __slots__ = ()

    format = "astm"

    @property
    def code(self) -> str:
        names = {segment.name for segment in self.segments}
        return next((name for name in ("R", "Q", "O") if name in names), "H")

    @property
    def event(self) -> str:
        """H-12: P production, Q quality control, T training, D debugging."""
        return self.header(12) or "P"

    @property
    def control_id(self) -> str | None:
        """H-3, which most devices leave empty."""
        return self.header(3) or None

    @property
    def origin(self) -> tuple[str, str]:
        """The device (H-5.1, its model) and what it is configured to report to (H-10)."""
        return self.header(5), self.header(10)

    @property
    def sender(self) -> str:
        """H-5: model, version, serial number as the device writes them."""
        return self.header(5, whole=True)

    @property
    def sent(self) -> str | None:
        """H-14 as sent."""
        return self.header(14) or None

    @property
    def is_whole(self) -> bool:
        return self.segments[-1].name == "L"

    def header(self, field: int, *, whole: bool = False) -> str:
        """Return a field of the H record: its first component, or all of it as sent."""
        segment = self.segments[0]
        return segment.raw(field) if whole else segment.get(field, codec=self.codec) or ""


def parse(raw: bytes, *, fallback: str | None = None) -> list[AstmMessage]:
    """Return the messages of a transmission, framed (checksums are checked) or bare records.

    Raises MalformedMessage (HT-ASTM-01 … 06). A message without L is returned; `is_whole` tells.
    """
    decoded = decode(unframe(raw), fallback=fallback)
    lines = [line for line in _LINES.split(decoded.text.strip("\ufeff\x00 ")) if line.strip()]
    if not lines or lines[0][:1] != "H":
        start = lines[0][:20] if lines else ""
        raise MalformedMessage("HT-ASTM-01", source="H", start=start)
    groups: list[list[str]] = []
    for line in lines:
        if line[0] == "H" and len(line) > 4 and not line[1].isalnum():
            groups.append([])
        groups[-1].append(line)
        if len(groups) > MOST_MESSAGES:
            raise MalformedMessage("HT-ASTM-06", source="H", limit=MOST_MESSAGES)
    return [_message(rows, decoded) for rows in groups]


def delimiters_of(header: str) -> Delimiters:
    r"""Return what `H|\^&` declares: field, repetition, component, escape (§5.4.6)."""
    marks = header[1:5]
    if len(set(marks)) < 4 or any(mark.isalnum() or mark.isspace() for mark in marks):
        raise MalformedMessage("HT-ASTM-04", source="H-2", found=header[:8])
    return Delimiters(marks[0], marks[2], marks[1], marks[3], NO_MARK)


def _message(lines: list[str], decoded: Decoded) -> AstmMessage:
    delimiters = delimiters_of(lines[0])
    segments: list[Segment] = []
    counts: dict[str, int] = {}
    issues = [issue for issue in decoded.issues if issue.severity != "information"]
    unknown: list[str] = []
    for line in lines:
        name = line[:1]
        if line[1:2] not in (delimiters.field, "") or not name.isalpha():
            if not segments:
                raise MalformedMessage("HT-ASTM-01", source="H", start=line[:20])
            # A line break inside a text that the device did not escape: the text goes on.
            segments[-1].line += "\n" + line
            continue
        if name not in TYPES:
            unknown.append(name)
        counts[name] = counts.get(name, 0) + 1
        segments.append(Record(name, line, delimiters, len(segments) + 1, counts[name]))
    if unknown:
        issues.append(
            Issue("HT-ASTM-05", {"types": ", ".join(sorted(set(unknown)))}, "warning", source=unknown[0])
        )
    return AstmMessage(segments, delimiters, decoded, tuple(issues))
