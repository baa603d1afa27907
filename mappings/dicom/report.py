"""A structured report's content tree, laid flat for maps: measurements, findings, text (PS3.3 §C.17.3, PS3.16 TID 300, 1500).

Whatever template a device uses, a NUM item is a measurement, CODE and TEXT items that it contains or that stand before
it in its group describe it: finding site, method, derivation, tracking identifier. The whole tree becomes readable text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from terminology.fhirjson import Json

DEPTH = 24
MOST_ITEMS = 5_000
INDENT = "  "

# Concepts (scheme, value) of PS3.16 that say something of the measurements around them → the key that a map reads.
_MODIFIERS = {
    "363698007": "FindingSiteSequence", "G-C0E3": "FindingSiteSequence",
    "272741003": "LateralitySequence", "G-C171": "LateralitySequence",
    "370129005": "MethodSequence", "G-C036": "MethodSequence",
    "121401": "DerivationSequence",
    "121071": "FindingSequence",
    "112039": "TrackingIdentifier",
    "112040": "TrackingUniqueIdentifier",
    "121069": "PreviousFinding",
}  # fmt: skip
# Sections and texts that hold what the reader concluded.
_CONCLUSIONS = frozenset({"121072", "121073", "121076", "121077", "18834-2", "19005-8", "55110-1"})


@dataclass(frozen=True)
class _Place:
    """Where in the tree an item stands: titles above it, and what holds for everything below."""

    titles: tuple[str, ...] = ()
    about: Json = field(default_factory=dict)
    time: str = ""
    concludes: bool = False


def flattened(record: Json) -> Json:
    """Return {"Measurements": […], "Findings": […], "Conclusions": […], "Narrative": text} of a report's record."""
    found: Json = {"Measurements": [], "Findings": [], "Conclusions": []}
    lines: list[str] = []
    title = _meaning(_first(record.get("ConceptNameCodeSequence")))
    if title:
        lines.append(title)
    start = _Place(concludes=_code(_first(record.get("ConceptNameCodeSequence"))) in _CONCLUSIONS)
    for number, (item, place) in enumerate(_walk(record, start, 0)):
        if number >= MOST_ITEMS:
            break
        _collect(item, place, found, lines)
    if lines:
        found["Narrative"] = "\n".join(lines)
    return {key: value for key, value in found.items() if value}


def _walk(node: Json, place: _Place, depth: int) -> Iterator[tuple[Json, _Place]]:
    items = _items(node.get("ContentSequence"))
    if depth >= DEPTH:
        return
    # What a group says of itself (site, tracking id) holds for all its measurements, wherever it stands among them.
    about = dict(place.about)
    for item in items:
        about |= _modifier(item)
    inner = replace(place, about=about)
    for item in items:
        concept = _first(item.get("ConceptNameCodeSequence"))
        own = replace(
            inner,
            time=str(item.get("ObservationDateTime") or inner.time),
            concludes=inner.concludes or _code(concept) in _CONCLUSIONS,
        )
        yield item, own
        title = _meaning(concept)
        below = replace(own, titles=(*own.titles, title) if title else own.titles)
        yield from _walk(item, below, depth + 1)


def _collect(item: Json, place: _Place, found: Json, lines: list[str]) -> None:
    kind = item.get("ValueType")
    concept = _first(item.get("ConceptNameCodeSequence"))
    shown = _shown(item)
    title = _meaning(concept)
    if title or shown:
        lines.append(INDENT * (len(place.titles) + 1) + ": ".join(part for part in (title, shown) if part))
    row: Json = {
        "ConceptNameCodeSequence": [concept] if concept else [],
        "ObservationDateTime": place.time,
        "Section": " / ".join(place.titles),
    }
    if kind == "NUM":
        own = {
            key: value
            for child in _items(item.get("ContentSequence"))
            for key, value in _modifier(child).items()
        }
        measured = _first(item.get("MeasuredValueSequence"))
        found["Measurements"].append({
            **row, **place.about, **own, "Place": len(found["Measurements"]) + 1,
            "MeasuredValueSequence": [{
                "NumericValue": _one(measured.get("NumericValue")),
                "MeasurementUnitsCodeSequence": _items(measured.get("MeasurementUnitsCodeSequence")),
                "NumericValueQualifierCodeSequence": _items(item.get("NumericValueQualifierCodeSequence")),
            }],
        })  # fmt: skip
        return
    if kind in ("TEXT", "CODE") and shown:
        if place.concludes:
            found["Conclusions"].append(shown)
        if not _modifier(item):
            value = (
                {"TextValue": shown}
                if kind == "TEXT"
                else {"ConceptCodeSequence": _items(item.get("ConceptCodeSequence"))}
            )
            found["Findings"].append({**row, **place.about, **value, "Place": len(found["Findings"]) + 1})


def _modifier(item: Json) -> Json:
    """Return what an item says of the measurements around it, {} for an item that stands for itself."""
    key = _MODIFIERS.get(_code(_first(item.get("ConceptNameCodeSequence"))))
    if key is None:
        return {}
    if item.get("ValueType") == "CODE":
        codes = _items(item.get("ConceptCodeSequence"))
        return {key: codes} if codes else {}
    value = item.get("TextValue") or item.get("UID")
    return {key: str(value)} if value else {}


def _shown(item: Json) -> str:
    """Return an item's value for people."""
    match item.get("ValueType"):
        case "NUM":
            measured = _first(item.get("MeasuredValueSequence"))
            unit = _first(measured.get("MeasurementUnitsCodeSequence"))
            return f"{_one(measured.get('NumericValue')) or '-'} {unit.get('CodeValue', '')}".strip()
        case "CODE":
            return _meaning(_first(item.get("ConceptCodeSequence")))
        case "TEXT":
            return str(item.get("TextValue") or "")
        case "PNAME":
            return str(item.get("PersonName") or "").replace("^", " ").strip()
        case "DATE" | "TIME" | "DATETIME" | "UIDREF" as kind:
            key = {"DATE": "Date", "TIME": "Time", "DATETIME": "DateTime", "UIDREF": "UID"}[kind]
            return str(item.get(key) or "")
    return ""


def _items(value: Any) -> list[Json]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _first(value: Any) -> Json:
    return next(iter(_items(value)), {})


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _meaning(code: Json) -> str:
    return str(_one(code.get("CodeMeaning")) or _code(code))


def _code(code: Json) -> str:
    found = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
    return str(_one(found))
