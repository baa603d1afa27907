"""JSON bodies of vendors, answered as vendors do: `{"code": 0, "msg": "成功", "data": …}`; each item is a message."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.ingest.kind import Admission, Level, Origin, Verdict, hash_of
from gateway.journal import Incoming
from gateway.journal.detail import issue_row
from mappings.hl7v2.charset import decode as decode_text
from mappings.language.result import Result
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, Issue, MalformedMessage

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

CODES: dict[Verdict, int] = {"accept": 0, "error": 422, "reject": 400}
_NUMBER = re.compile(r"\d+")


class JsonBody:
    """The map of an item is the one that reads most of it (mappings/json_bodies.py)."""

    name = "json"
    media_type = "application/json; charset=utf-8"

    def __init__(self, maps: "ActiveMaps") -> None:
        self.maps = maps

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        from mappings.json_bodies import read_body

        tree: Any = None
        try:
            text = decode_text(raw)
            tree = _tree(text.text)
            body = read_body(tree, self.maps)
        except FhirError as error:
            verdict: Verdict = "reject" if isinstance(error, MalformedMessage) else "error"
            # What is no JSON at all is kept as it came, for a person.
            kept = encode({"map": "", "row": tree}) if tree is not None else raw
            return [Admission(None, self._incoming(kept, "", kept, origin, error), None, error, verdict)]
        name, guessed = body.map.name, text.is_guessed
        return [
            self._admission({"map": name, "charset": text.codec, "guessed": guessed, "row": item}, origin)
            for item in body.items
        ]

    def parse(self, raw: bytes) -> Json:
        try:
            found = decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedMessage("HT-MAP-36", format="JSON", reason=str(error)[:200]) from None
        if not isinstance(found, dict) or "row" not in found:
            raise MalformedMessage("HT-MAP-36", format="JSON", reason="not a message")
        return found

    def map(self, message: Json) -> Result:
        from mappings.json_bodies import read_body

        row, name = message["row"], message["map"]
        if not name:
            # It was parked when no map knew it; there may be one now.
            body = read_body(row, self.maps)
            row, name = body.items[0], body.map.name
        result = self.maps.run_row(row, name)
        result.codec = message.get("charset", "utf-8")
        result.is_guessed = bool(message.get("guessed"))
        return result

    def wants(self, header: Any, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        number = _NUMBER.search(text)
        data: Json = {"id": int(number[0])} if number else {}
        if issues:
            data["issues"] = [issue_row(issue) for issue in issues]
        said = issues[0].text("zh") if issues else "成功"
        return encode({"code": CODES[verdict], "msg": said, "data": data})

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        if len(answers) == 1:
            return answers[0]
        rows = [decode(answer) for answer in answers]
        worst = max(rows, key=lambda row: row["code"])
        data = [{"code": row["code"], "msg": row["msg"], **row["data"]} for row in rows]
        return encode({"code": worst["code"], "msg": worst["msg"], "data": data})

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return self.answer(None, "reject", level="original", issues=error.issues)

    def _admission(self, message: Json, origin: Origin) -> Admission:
        raw = encode(message)
        return Admission(
            None, self._incoming(raw, message["map"], encode(message["row"]), origin, None), message
        )

    def _incoming(
        self, raw: bytes, event: str, content: bytes, origin: Origin, error: FhirError | None
    ) -> Incoming:
        return origin.incoming(
            self.name,
            raw,
            source="json",
            event=event,
            hash=hash_of(content),
            error=error,
        )


def _tree(text: str) -> Any:
    try:
        return decode(text.strip().lstrip("\ufeff"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedMessage("HT-MAP-36", format="JSON", reason=str(error)[:200]) from None
