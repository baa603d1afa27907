r"""One message: segments, fields, repetitions, components, subcomponents, each split when it is asked for.

HL7 v2.8 chapter 2. Paths are those of the standard with 1-based numbers: `PID-3[2].4.1` is the first subcomponent of
the fourth component of the second repetition of PID-3; `OBX[3]-5` the value of the third OBX. What a path leaves out
means "the first".
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from mappings.hl7v2.charset import Decoded, decode
from mappings.hl7v2.delimiters import STANDARD, Delimiters
from mappings.hl7v2.escapes import unescape
from terminology.issues import InvalidInput, Issue, MalformedMessage

__all__ = ["NULL", "STANDARD", "Delimiters", "Message", "Path", "Segment", "parse", "parse_path"]

# §2.5.3: two quotes delete the receiver's value; nothing between separators says nothing.
NULL = '""'

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LINES = re.compile(r"[\r\n]+")
_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<occurrence>\d+)\])?"
    r"(?:-(?P<field>\d+)(?:\[(?P<repetition>\d+)\])?(?:\.(?P<component>\d+)(?:\.(?P<subcomponent>\d+))?)?)?"
)


class Path(NamedTuple):
    """A parsed path; numbers are 1-based, 0 means that the path leaves this level out."""

    segment: str
    occurrence: int
    field: int
    repetition: int
    component: int
    subcomponent: int


class Segment:
    """One line. `number` is its 1-based place in the message, `occurrence` among the segments of its name."""

    __slots__ = ("_fields", "delimiters", "line", "name", "number", "occurrence")

    def __init__(self, name: str, line: str, delimiters: Delimiters, number: int, occurrence: int) -> None:
        self.name = name
        self.line = line
        self.delimiters = delimiters
        self.number = number
        self.occurrence = occurrence
        self._fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """The raw fields by their number of the standard; [0] is the segment's name."""
        found = self._fields
        if found is None:
            found = self.line.split(self.delimiters.field)
            if self.name in _HEADERS:
                # The separator itself is field 1 of a header segment.
                found.insert(1, self.delimiters.field)
            self._fields = found
        return found

    def raw(self, field: int) -> str:
        """Return a whole field as sent, "" when the segment is shorter."""
        fields = self.fields
        return fields[field] if field < len(fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """Return the repetitions of a field as sent, empty ones kept in place; none for an empty field."""
        text = self.raw(field)
        if not text:
            return []
        if self.name in _HEADERS and field <= 2:
            return [text]
        return text.split(self.delimiters.repetition)

    def get(
        self,
        field: int,
        component: int = 1,
        subcomponent: int = 1,
        repetition: int = 1,
        *,
        codec: str = "utf-8",
    ) -> str | None:
        """Return the unescaped text of one place; None when it is absent, NULL when the sender deletes it."""
        text = self.raw(field)
        if not text:
            return None
        if self.name in _HEADERS and field <= 2:
            return text
        marks = self.delimiters
        if text == NULL:
            return NULL
        if marks.repetition in text:
            text = _part(text, marks.repetition, repetition)
        elif repetition > 1:
            return None
        if marks.component in text:
            text = _part(text, marks.component, component)
        elif component > 1:
            return None
        if marks.subcomponent in text:
            text = _part(text, marks.subcomponent, subcomponent)
        elif subcomponent > 1:
            return None
        return unescape(text, marks, codec=codec) or None

    def __repr__(self) -> str:
        return f"<{self.name}[{self.occurrence}] {len(self.line)} characters>"


_HEADERS = frozenset({"MSH", "FHS", "BHS"})


class Message:
    """A message whose charset is known. `issues` are warnings of the charset ladder and of the header."""

    __slots__ = ("decoded", "delimiters", "issues", "segments")

    format = "hl7v2"

    def __init__(
        self, segments: list[Segment], delimiters: Delimiters, decoded: Decoded, issues: tuple[Issue, ...]
    ) -> None:
        self.segments = segments
        self.delimiters = delimiters
        self.decoded = decoded
        self.issues = issues

    @property
    def codec(self) -> str:
        return self.decoded.codec

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments of a name in the message's order."""
        return (segment for segment in self.segments if segment.name == name)

    def segment(self, name: str, occurrence: int = 1) -> Segment | None:
        for segment in self.segments:
            if segment.name == name:
                occurrence -= 1
                if not occurrence:
                    return segment
        return None

    def get(self, path: str) -> str | None:
        """Return the unescaped text at `path`; None when absent, NULL ('""') when the sender deletes the value.

        Raises InvalidInput when `path` isn't one.
        """
        where = parse_path(path)
        segment = self.segment(where.segment, where.occurrence or 1)
        if segment is None or not where.field:
            return segment.line if segment else None
        return segment.get(
            where.field,
            where.component or 1,
            where.subcomponent or 1,
            where.repetition or 1,
            codec=self.codec,
        )

    def get_all(self, path: str) -> list[str]:
        """Return the texts at `path` in every repetition of the field (absent ones left out)."""
        where = parse_path(path)
        segment = self.segment(where.segment, where.occurrence or 1)
        if segment is None:
            return []
        found = (
            segment.get(where.field, where.component or 1, where.subcomponent or 1, number, codec=self.codec)
            for number in range(1, len(segment.repetitions(where.field)) + 1)
        )
        return [text for text in found if text is not None]

    @property
    def code(self) -> str:
        """MSH-9.1: "ORU"."""
        return self.segments[0].get(9, 1) or ""

    @property
    def event(self) -> str:
        """MSH-9.2: "R01". Old senders leave it out and tell it in EVN-1."""
        return self.segments[0].get(9, 2) or self.get("EVN-1") or ""

    @property
    def control_id(self) -> str | None:
        """MSH-10."""
        return self.segments[0].get(10, codec=self.codec)

    @property
    def origin(self) -> tuple[str, str]:
        """Who sends: application and facility (MSH-3, MSH-4)."""
        return self.get("MSH-3") or "", self.get("MSH-4") or ""

    @property
    def sender(self) -> str:
        """MSH-3 and MSH-4 as sent: what tells one sender from another."""
        return "|".join(self.segments[0].fields[3:5])

    @property
    def sent(self) -> str | None:
        """MSH-7 as sent."""
        return self.get("MSH-7")


def parse(raw: bytes | str | Decoded, *, fallback: str | None = None) -> Message:
    """Return the message that `raw` is: with or without MLLP frame, byte-order mark, blank lines; CR, LF or CRLF.

    `fallback`: charset of this sender when neither declaration nor detection tells one. Raises MalformedMessage
    (HT-V2-01…10) when it isn't a message.
    """
    decoded = (
        raw
        if isinstance(raw, Decoded)
        else decode(raw, fallback=fallback)
        if isinstance(raw, bytes)
        else Decoded(raw, "utf-8")
    )
    text = decoded.text.lstrip("\ufeff\x0b \t\r\n")
    if text[:3] != "MSH":
        if text[:3] in ("FHS", "BHS"):
            raise MalformedMessage("HT-V2-03", source=text[:3])
        raise MalformedMessage("HT-V2-01", source="MSH", start=text[:20])
    delimiters, problems = _delimiters(text)
    segments: list[Segment] = []
    counts: dict[str, int] = {}
    separator = delimiters.field
    continued = 0
    for line in _LINES.split(text) if "\n" in text else text.split("\r"):
        name = line[:3]
        if line[3:4] != separator or (name not in counts and not _NAME.match(name)):
            if not line or line.isspace() or line == "\x1c":
                continue
            stripped = line.strip(" \t\x0b\x1c")
            if _NAME.fullmatch(stripped[:3]) and stripped[3:4] in (separator, ""):
                line, name = stripped, stripped[:3]
            else:
                # A raw line break inside a text: the sender did not escape it. The text goes on.
                segments[-1].line += "\n" + line
                continued += 1
                continue
        count = counts[name] = counts.get(name, 0) + 1
        segments.append(Segment(name, line, delimiters, len(segments) + 1, count))
    if counts["MSH"] > 1:
        raise MalformedMessage("HT-V2-04", source="MSH[2]", count=counts["MSH"])
    if continued:
        problems.append(Issue("HT-V2-16", {"count": continued}, "warning"))
    issues = decoded.issues if not problems else (*decoded.issues, *problems)
    return Message(segments, delimiters, decoded, issues)


def _delimiters(text: str) -> tuple[Delimiters, list[Issue]]:
    separator = text[3:4]
    if not separator or separator.isalnum() or separator.isspace():
        raise MalformedMessage("HT-V2-02", source="MSH-1", found=text[:8].splitlines()[0])
    line = _LINES.split(text, maxsplit=1)[0]
    marks = line[4:].split(separator, 1)[0]
    found = marks[:4]
    if marks == "^~\\&" and separator == "|":
        return STANDARD, []
    problems: list[Issue] = []
    if len(found) < 4:
        # §2.5.4: the recommended ones stand for those that a short MSH-2 leaves out.
        problems.append(Issue("HT-V2-17", {"found": marks}, "warning", source="MSH-2"))
        found += "^~\\&"[len(found) :]
    whole = separator + found
    if len(set(whole)) < 5 or any(mark.isalnum() or mark.isspace() for mark in whole):
        raise MalformedMessage("HT-V2-05", source="MSH-2", found=whole)
    return Delimiters(*whole), problems


@lru_cache(maxsize=4096)
def parse_path(path: str) -> Path:
    """Return the parts of `SEG[n]-F[r].C.S`; raises InvalidInput (HT-V2-20) when it isn't such a path."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise InvalidInput("HT-V2-20", path=path)
    return Path(match["segment"], *(int(match[part] or 0) for part in Path._fields[1:]))


def _part(text: str, mark: str, number: int) -> str:
    parts = text.split(mark, number)
    return parts[number - 1] if number <= len(parts) else ""
