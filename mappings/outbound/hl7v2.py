"""Segments with their fields → the bytes of an HL7 v2 message: header, set ids, charset, delimiters escaped."""

from collections.abc import Iterable, Mapping
from typing import Any

from mappings.hl7v2.write import Component, Field, Repetition, write
from mappings.outbound.charset import declared_name, writing_codec
from mappings.outbound.xml import shown

# Segments whose field 1 counts them, and the segments after which the count begins again (v2.8 chapters 3 and 4).
_COUNTED = {
    "PID": frozenset[str](),
    "PV1": frozenset({"PID"}),
    "NK1": frozenset({"PID"}),
    "AL1": frozenset({"PID"}),
    "DG1": frozenset({"PID", "OBR", "ORC"}),
    "IN1": frozenset({"PID"}),
    "OBR": frozenset({"PID"}),
    "OBX": frozenset({"PID", "OBR", "ORC", "TXA"}),
    "TXA": frozenset({"PID"}),
    "SPM": frozenset({"PID"}),
}
Pieces = Iterable[tuple[str, Mapping[str, Any]]]


def encode_message(
    pieces: Pieces, facts: Mapping[str, Any], *, kind: str = "", version: str = "", charset: str = "UTF-8"
) -> bytes:
    """Return the message. MSH is filled where the map leaves it: 3–6 from `facts`, 7 now, 9 `kind`, 10 id, 11 P, 12, 18.

    `charset`: as the receiver names it ("GBK", "UNICODE UTF-8"); MSH-18 says the same word.
    """
    codec = writing_codec(charset) or "utf-8"
    header: dict[int, Field] = {}
    segments: list[tuple[str, dict[int, Field]]] = []
    counts: dict[str, int] = {}
    last = ""
    for name, fields in pieces:
        made = {int(key.partition("-")[2]): to_field(value) for key, value in fields.items()}
        if name == "MSH":
            header = made
            continue
        _count(name, last, counts)
        if 1 not in made and (name in _COUNTED or name == "NTE"):
            made[1] = str(counts[name])
        segments.append((name, made))
        last = name
    return write([("MSH", _header(header, facts, kind, version, charset)), *segments], codec=codec)


def _header(
    given: dict[int, Field], facts: Mapping[str, Any], kind: str, version: str, charset: str
) -> dict[int, Field]:
    standard: dict[int, Field] = {
        3: str(facts.get("sender.application") or ""),
        4: str(facts.get("sender.facility") or ""),
        5: str(facts.get("receiver.application") or ""),
        6: str(facts.get("receiver.facility") or ""),
        7: str(facts.get("stamp") or ""),
        9: tuple(kind.split("^")) if kind else "",
        10: str(facts.get("id") or ""),
        11: str(facts.get("processing") or "P"),
        12: version or "2.4",
        15: str(facts.get("accept") or ""),
        16: str(facts.get("application") or ""),
        18: declared_name(charset),
    }
    return {**standard, **given}


def _count(name: str, last: str, counts: dict[str, int]) -> None:
    if name == "NTE":
        counts["NTE"] = counts.get("NTE", 0) + 1 if last == "NTE" else 1
        return
    for counted, after in _COUNTED.items():
        if name in after:
            counts[counted] = 0
    counts[name] = counts.get(name, 0) + 1


def to_field(value: Any) -> Field:
    """Return a field of nested values: a text, a block of components, a converter's tuple, or a list of repetitions."""
    if isinstance(value, list):
        return [_repetition(item) for item in value]
    return _repetition(value)


def _repetition(value: Any) -> Repetition:
    if isinstance(value, Mapping):
        return tuple(_component(value.get(str(number))) for number in range(1, _top(value) + 1))
    if isinstance(value, tuple):
        return tuple(_component(part) for part in value)
    return shown(value)


def _component(value: Any) -> Component:
    if isinstance(value, Mapping):
        return tuple(shown(value.get(str(number))) for number in range(1, _top(value) + 1))
    if isinstance(value, tuple):
        return tuple(shown(part) for part in value)
    if isinstance(value, list):
        # A component doesn't repeat: the first one stands.
        return _component(value[0]) if value else None
    return shown(value)


def _top(value: Mapping[str, Any]) -> int:
    return max(map(int, value), default=0)
