"""A field of an HL7 v2 message by its path, as tests name it: `PID-3.1`, `OBX[2]-5`, `PID-3(2).4.1`.

Its own small reader, so that the suite's judgement does not rest on the reader that the gateway maps with.
"""

import re
from dataclasses import dataclass

from terminology.issues import InvalidInput

_PATH = re.compile(
    r"([A-Z][A-Z0-9]{2})(?:\[(\d{1,4}|\*)\])?(?:-(\d{1,3})(?:\((\d{1,3}|\*)\))?(?:\.(\d{1,2})(?:\.(\d{1,2}))?)?)?"
)
# MSH-18 (table 0211) → codec; what a Chinese sender writes there too.
CODECS = {
    "": "utf-8",
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "GB2312": "gb2312",
}


@dataclass(frozen=True, slots=True)
class Fields:
    """A message split into segments and fields. `charset_error`: why its bytes are not what MSH-18 says, or ""."""

    segments: tuple[tuple[str, ...], ...]
    component: str
    repetition: str
    subcomponent: str
    charset_error: str = ""

    def values(self, path: str) -> list[str]:
        """Return every value that the path finds, without the empty ones; a path without a field finds segments."""
        step = _PATH.fullmatch(path)
        if step is None:
            raise InvalidInput("HT-CT-20", path=path[:80])
        name, occurrence, field, repetition, component, sub = step.groups()
        rows = [row for row in self.segments if row[0] == name]
        if occurrence and occurrence != "*":
            rows = rows[int(occurrence) - 1 : int(occurrence)]
        if field is None:
            return [row[0] for row in rows]
        found = []
        for row in rows:
            text = row[int(field)] if int(field) < len(row) else ""
            is_delimiters = name == "MSH" and int(field) <= 2
            parts = [text] if is_delimiters else text.split(self.repetition)
            if repetition != "*":
                parts = parts[int(repetition or 1) - 1 : int(repetition or 1)]
            for part in parts:
                if component and not is_delimiters:
                    part = _nth(part, self.component, component)
                    part = _nth(part, self.subcomponent, sub) if sub else part
                if part and part != '""':
                    found.append(part)
        return found


def read_fields(raw: bytes) -> Fields:
    """Return the fields of one message; raises InvalidInput when the bytes do not begin with MSH."""
    raw = raw.strip(b"\x0b\x1c\r\n ")
    if not raw.startswith(b"MSH") or len(raw) < 9:
        raise InvalidInput("HT-CT-21", start=raw[:12].decode("latin-1"))
    head = raw.split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1")
    separator = head[3]
    columns = head.split(separator)
    declared = columns[17].split(head[5])[0].strip().upper() if len(columns) > 17 and len(head) > 5 else ""
    codec, wrong = CODECS.get(declared), ""
    if codec is None:
        codec, wrong = "utf-8", f"MSH-18 {declared!r}"
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError as error:
        text, wrong = raw.decode(codec, "replace"), f"byte {error.start} is not {codec}"
    segments = []
    for line in re.split(r"[\r\n]+", text):
        if line:
            parts = line.split(separator)
            if parts[0] == "MSH":
                # MSH-1 is the separator itself.
                parts = ["MSH", separator, *parts[1:]]
            segments.append(tuple(parts))
    marks = columns[1] if len(columns) > 1 else ""
    marks = marks if len(marks) >= 4 else "^~\\&"
    return Fields(tuple(segments), marks[0], marks[1], marks[3], wrong)


def _nth(text: str, mark: str, number: str) -> str:
    parts = text.split(mark)
    return parts[int(number) - 1] if int(number) <= len(parts) else ""
