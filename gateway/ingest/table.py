"""Rows of a sheet (CSV in any charset, JSON): each row is a message of its own, so a bad one never holds the others up."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.ingest.json_answer import JsonAnswer
from gateway.ingest.kind import Admission, Origin, hash_of
from mappings.language.result import Result
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, MalformedMessage, TooLarge, UnmappableMessage

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps
    from mappings.rows import Rows

MOST_ROWS = 10_000
# Columns by which sheets and views tell who a row is about: rows of one person keep their order, others need not wait.
PERSON = (
    "身份证号", "居民身份号码", "城乡居民健康档案编号", "健康档案编号", "患者编号", "患者ID", "住院号", "门诊号", "sfzh", "sfzhm", "zjhm",
    "jkdabh", "hzbh", "brid", "brbh", "patid", "patient_id", "patientid", "patientId", "idCardNo", "idcard", "id_card",
)  # fmt: skip


class Table(JsonAnswer):
    """The map of a row is the one that knows most of its columns."""

    name = "table"

    def __init__(self, maps: "ActiveMaps") -> None:
        self.maps = maps

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        from mappings.rows import read_sheets

        # What is far too large isn't read to its end first.
        sheets = read_sheets(raw, most=2 * MOST_ROWS)
        count = sum(len(sheet.rows) for sheet in sheets)
        if count > MOST_ROWS:
            raise TooLarge("HT-MSG-16", limit=MOST_ROWS, count=count)
        return [row for sheet in sheets for row in self.admit_sheet(sheet, origin)]

    def admit_sheet(self, sheet: "Rows", origin: Origin) -> Sequence[Admission]:
        """Return a message for each row of one sheet."""
        from mappings.convert import choose_map, folded

        error: FhirError | None = None
        event, is_folded = origin.map, False
        try:
            named = self.maps.get(origin.map) if origin.map else None
            map, is_folded = choose_map(self.maps, "table", sheet.columns, named)
            event = map.name
        except UnmappableMessage as unknown:
            error = unknown
        facts = {"map": event, "charset": sheet.codec, "guessed": sheet.is_guessed}
        return [
            self._admission(
                {**facts, "row": folded(row) if is_folded else row},
                origin,
                UnmappableMessage([sheet.problems[number]]) if number in sheet.problems else error,
            )
            for number, row in enumerate(sheet.rows)
        ]

    def parse(self, raw: bytes) -> Json:
        found = decode(raw)
        if not isinstance(found, dict):
            raise MalformedMessage("HT-MAP-36", format="JSON", reason="not a row")
        return found

    def map(self, message: Json) -> Result:
        extra = [name for name in message["row"] if name[:1] == "#" and name[1:].isdigit()]
        if extra:
            # Also when it is processed again: its cells stand under the wrong names.
            count = int(extra[-1][1:])
            raise UnmappableMessage("HT-TAB-04", line="-", count=count, columns=int(extra[0][1:]) - 1)
        if not message["map"]:
            # It was parked when no map knew its columns; there may be one now.
            from mappings.convert import choose_map, folded

            map, is_folded = choose_map(self.maps, "table", tuple(message["row"]))
            row = folded(message["row"]) if is_folded else message["row"]
            message = {**message, "map": map.name, "row": row}
        result = self.maps.run_row(message["row"], message["map"])
        result.codec, result.is_guessed = message["charset"], message["guessed"]
        return result

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        return b"[" + b",\n".join(answers) + b"]"

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return None

    def _admission(self, message: Json, origin: Origin, error: FhirError | None) -> Admission:
        raw = encode(message)
        incoming = origin.incoming(
            self.name,
            raw,
            source=origin.source or "table",
            event=message["map"],
            keys=keys_of(message["row"]),
            hash=hash_of(encode(message["row"])),
            error=error,
        )
        return Admission(None, incoming, message, error, "error" if error is not None else "accept")


def keys_of(row: Json) -> tuple[str, ...]:
    """Return what orders rows among each other: the person, as far as a column tells."""
    for name in PERSON:
        value = row.get(name)
        if isinstance(value, (str, int)) and value:
            return (str(value),)
    return ()
