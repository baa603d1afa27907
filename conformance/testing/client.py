"""What the engine asks of a transport: one call, one answer. HTTP to a URL is one, an application in memory another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from conformance.formats.xml import to_json
from terminology.fhirjson import decode
from terminology.issues import FhirError


class Unreachable(Exception):
    """Nobody answered, or the answer broke a bound (time, size). Not a verdict on the target: not evaluated."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `url` is relative to the target's base, or whole. Header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names in lower case; `url`: the one that was asked, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def tree(self) -> Any:
        """Return the body as FHIR JSON, or None when it is neither JSON nor FHIR XML."""
        return read_tree(self.body)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went out and what came back, kept as evidence."""

    call: Call
    answer: Answer | None


class Client(Protocol):
    """`base` is what relative URLs are relative to, without its last slash."""

    base: str

    def send(self, call: Call) -> Answer:
        """Return the answer whatever its status; raises Unreachable."""


def read_tree(body: bytes) -> Any:
    """Return the FHIR JSON of JSON or XML bytes, None for anything else."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        body = _utf8(body)
    start = body.lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    try:
        if start in (b"{", b"["):
            return decode(body.removeprefix(b"\xef\xbb\xbf"))
        return to_json(body) if start == b"<" else None
    except (FhirError, ValueError, RecursionError):
        return None


def _utf8(body: bytes) -> bytes:
    """Return UTF-16 as UTF-8, without the declaration that would say otherwise."""
    try:
        text = body.decode("utf-16")
    except UnicodeDecodeError:
        return b""
    return re.sub(r"^<\?xml[^>]*\?>", "", text).encode()
