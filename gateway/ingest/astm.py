"""Messages of laboratory devices (ASTM E1394): admitted, mapped, answered in their own records."""

from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any

from gateway.ingest.hl7v2 import Maps
from gateway.ingest.kind import Admission, Level, Origin, Verdict
from mappings.astm import AstmMessage, parse
from mappings.astm.write import write_message
from mappings.language.result import Result
from terminology.issues import FhirError, Issue, MalformedMessage, UnmappableMessage

SENT = 14


class Astm:
    """A transmission may hold several messages; each is kept and processed on its own."""

    name = "astm"
    media_type = "text/plain"

    def __init__(
        self, maps: Maps, *, clock: Callable[[], datetime], fallback_charset: str | None = None
    ) -> None:
        self.maps, self.clock, self.fallback = maps, clock, fallback_charset

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        try:
            messages = parse(raw, fallback=self.fallback)
        except MalformedMessage as error:
            # What came over the line of a device is kept, whatever it is: the device will not say it again.
            incoming = origin.incoming(self.name, raw, source="", error=error)
            return [Admission(None, incoming, None, error, "error")]
        if len(messages) == 1:
            return [self._admission(messages[0], raw, origin)]
        return [self._admission(message, records_of(message), origin) for message in messages]

    def parse(self, raw: bytes) -> AstmMessage:
        return parse(raw, fallback=self.fallback)[0]

    def map(self, message: AstmMessage) -> Result:
        error = problem(message)
        if error is not None:
            raise error
        return self.maps.run(message)

    def wants(self, header: Any, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        """H, a comment for each issue (or `text`), L: N when all is well, R when the receiver refuses (§11.1.3)."""
        said = [f"{issue.code} {issue.text('zh')} / {issue.text('en')}" for issue in issues] or [text]
        now = self.clock().strftime("%Y%m%d%H%M%S")
        records: list[list[str]] = [
            ["H", "", "", "", "HUTONG", "", "", "", "", "", "", "P", "LIS2-A2", now],
            *(["C", str(number), "L", line, "G"] for number, line in enumerate(said, 1) if line),
            ["L", "1", "N" if verdict == "accept" else "R"],
        ]
        return write_message(records, codec=getattr(header, "codec", "gb18030"))

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        return b"".join(answers)

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return self.answer(None, "reject", level="original", issues=error.issues)

    def _admission(self, message: AstmMessage, raw: bytes, origin: Origin) -> Admission:
        error = problem(message)
        incoming = origin.incoming(
            self.name,
            raw,
            source=message.sender[:200],
            control_id=message.control_id or "",
            event=f"{message.code}^{message.event}",
            keys=keys(message),
            hash=content_hash(message),
            error=error,
        )
        return Admission(message, incoming, message, error, "error" if error is not None else "accept")


def problem(message: AstmMessage) -> FhirError | None:
    """Return why a readable message can't become resources, None when it can."""
    if not message.is_whole:
        return MalformedMessage("HT-ASTM-07", source="L")
    if message.code == "Q":
        return UnmappableMessage("HT-ASTM-08", source="Q")
    if message.code != "R":
        return UnmappableMessage("HT-ASTM-09", source="R")
    return None


def keys(message: AstmMessage) -> tuple[str, ...]:
    """Return what orders messages: the sample numbers (O-3, else O-4)."""
    found = (
        record.get(3, codec=message.codec) or record.get(4, codec=message.codec)
        for record in message.all("O")
    )
    return tuple(dict.fromkeys(number for number in found if number))


def content_hash(message: AstmMessage) -> bytes:
    """Return the hash of the records without H-14: a resend that only tells a newer sending time is the same message."""
    digest = blake2b(digest_size=16)
    for record in message.segments:
        fields = record.fields
        if record.name == "H" and len(fields) > SENT:
            fields = [*fields[:SENT], "", *fields[SENT + 1 :]]
        digest.update(("|".join(fields) + "\r").encode("utf-8", "surrogatepass"))
    return digest.digest()


def records_of(message: AstmMessage) -> bytes:
    """Return one message of a transmission as bare records in the charset that it came in."""
    return ("\r".join(record.line for record in message.segments) + "\r").encode(message.codec)
