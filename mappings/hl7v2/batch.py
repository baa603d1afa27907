"""Batch files: FHS BHS messages BTS FTS (HL7 v2.8 §2.10.3).

Split as bytes, because every message declares its own charset; 0x0D never occurs inside a GB 18030 or UTF-8 character.
"""

import re
from dataclasses import dataclass

from terminology.issues import Issue, MalformedMessage

_STARTS = re.compile(rb"(?:^|(?<=[\r\n]))[\x0b\x1c \t]*(FHS|BHS|MSH|BTS|FTS)(?=[^A-Za-z0-9\s])")
_ENVELOPE = re.compile(rb"^[\xef\xbb\xbf\x0b \t\r\n]*(FHS|BHS)[^A-Za-z0-9\s]")


@dataclass(frozen=True, slots=True)
class Batch:
    """`messages` as sent; `headers` and `trailers` (FHS, BHS, BTS, FTS lines) as sent; `issues`: wrong counts."""

    messages: tuple[bytes, ...]
    headers: tuple[bytes, ...] = ()
    trailers: tuple[bytes, ...] = ()
    issues: tuple[Issue, ...] = ()


def is_batch(raw: bytes) -> bool:
    """Tell whether `raw` begins with FHS or BHS, or holds more than one MSH."""
    if _ENVELOPE.match(raw):
        return True
    return sum(1 for match in _STARTS.finditer(raw) if match[1] == b"MSH") > 1


def split(raw: bytes, *, limit: int = 100_000) -> Batch:
    """Return the messages of a batch file, or the one message that `raw` is, each undecoded.

    Raises MalformedMessage when there is no message, or more than `limit` (HT-V2-06).
    """
    body = raw.removeprefix(b"\xef\xbb\xbf")
    starts = [(match.start(1), match[1]) for match in _STARTS.finditer(body)]
    if not starts:
        raise MalformedMessage("HT-V2-01", source="MSH", start=body[:20].decode("latin-1"))
    if sum(1 for _, name in starts if name == b"MSH") > limit:
        raise MalformedMessage("HT-V2-06", limit=limit)
    found: dict[bytes, list[bytes]] = {b"MSH": [], b"FHS": [], b"BHS": [], b"BTS": [], b"FTS": []}
    issues: list[Issue] = []
    in_batch = 0
    batches = 0
    ends = [place for place, _ in starts[1:]] + [len(body)]
    for (start, name), end in zip(starts, ends, strict=True):
        part = body[start:end].rstrip(b"\x0b\x1c\r\n \t")
        found[name].append(part)
        if name == b"MSH":
            in_batch += 1
        elif name == b"BTS":
            _check(part, in_batch, issues)
            in_batch, batches = 0, batches + 1
        elif name == b"FTS":
            _check(part, batches, issues)
    if not found[b"MSH"]:
        raise MalformedMessage("HT-V2-07", source="MSH")
    return Batch(
        tuple(found[b"MSH"]),
        (*found[b"FHS"], *found[b"BHS"]),
        (*found[b"BTS"], *found[b"FTS"]),
        tuple(issues),
    )


def _check(trailer: bytes, counted: int, issues: list[Issue]) -> None:
    """BTS-1 and FTS-1 tell how many there were; a difference means a cut file."""
    name = trailer[:3].decode("ascii")
    fields = trailer.split(trailer[3:4])
    stated = fields[1].strip() if len(fields) > 1 else b""
    if stated.isdigit() and len(stated) < 10 and int(stated) != counted:
        issues.append(
            Issue("HT-V2-18", {"stated": int(stated), "counted": counted}, "warning", source=f"{name}-1")
        )
