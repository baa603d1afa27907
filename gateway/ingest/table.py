"""Rows of a sheet (CSV in any charset, JSON): each row is a message of its own, so a bad one never holds the others up."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from gateway.journal.detail import issue_row
from mappings.language.result import Result
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, Issue, MalformedMessage, TooLarge, UnmappableMessage

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

MOST_ROWS = 10_000


class Table:
    """The map of a row is the one that knows most of its columns."""

    name = "table"
    media_type = "application/json; charset=utf-8"

    def __init__(self, maps: "ActiveMaps") -> None:
        self.maps = maps

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        from mappings.convert import find_by_columns
        from mappings.rows import read_rows

        sheet = read_rows(raw)
        if len(sheet.rows) > MOST_ROWS:
            raise TooLarge("HT-MSG-16", limit=MOST_ROWS, count=len(sheet.rows))
        error: FhirError | None = None
        event = ""
        try:
            event = find_by_columns(self.maps, "table", sheet.columns).name
        except UnmappableMessage as unknown:
            error = unknown
        return [
            self._admission(
                {"map": event, "charset": sheet.codec, "guessed": sheet.is_guessed, "row": row}, origin, error
            )
            for row in sheet.rows
        ]

    def parse(self, raw: bytes) -> Json:
        found = decode(raw)
        if not isinstance(found, dict):
            raise MalformedMessage("HT-MAP-36", format="JSON", reason="not a row")
        return found

    def map(self, message: Json) -> Result:
        if not message["map"]:
            # It was parked when no map knew its columns; there may be one now.
            from mappings.convert import find_by_columns

            message = {**message, "map": find_by_columns(self.maps, "table", tuple(message["row"])).name}
        result = self.maps.run_row(message["row"], message["map"])
        result.codec, result.is_guessed = message["charset"], message["guessed"]
        return result

    def wants(self, header: Any, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        return encode({"answer": verdict, "text": text, "issues": [issue_row(issue) for issue in issues]})

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        return b"[" + b",\n".join(answers) + b"]"

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return None

    def _admission(self, message: Json, origin: Origin, error: FhirError | None) -> Admission:
        raw = encode(message)
        incoming = Incoming(
            kind=self.name,
            channel=origin.channel,
            peer=origin.peer,
            source="table",
            control_id="",
            event=message["map"],
            keys=(),
            hash=blake2b(encode(message["row"]), digest_size=16).digest(),
            request_id=origin.request_id,
            received=origin.received,
            raw=raw,
            problem=issue_row(error.issues[0]) if error is not None else None,
        )
        return Admission(None, incoming, message, error, "error" if error is not None else "accept")
