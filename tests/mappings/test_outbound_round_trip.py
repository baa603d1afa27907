"""v2 → FHIR → v2: every text of a field that a map read stands in that field again, or is named as not kept.

Over all shipped samples and golden messages of the kinds that are written back (docs/adapters/outbound.md). What the
way in puts into another field of the same meaning (PID-2 → PID-3) counts as kept there.
"""

import re
import unicodedata
from collections import defaultdict
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest
import yaml

from mappings.hl7v2 import parse
from mappings.hl7v2.message import Message, Segment
from mappings.language.active import ActiveMaps
from mappings.language.sources.focus import Focus
from mappings.outbound.compile import Envelope
from terminology.issues import FhirError
from terminology.translate import Translator

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "data" / "hl7v2").rglob("*.hl7")) + sorted((ROOT / "golden").rglob("message.hl7"))
NOW = datetime.fromisoformat("2026-03-15T08:30:12+08:00")
# Texts that are no loss where they are missing: the patient's number in front of his name (code^name), a quality
# control's material, several values in one OBX-5 that become one text.
NO_LOSS = {
    "PID-5": {"P0001"},
    "OBR-4": {"Mindray", "00001"},
    "OBX-3": {"08001", "8867-4"},
    "OBX-5": {"27", "60", "O"},
}
# Kind of message → (map that writes it, what it starts from).
BACK = {
    "ORU": ("out-hl7v2-results", "DiagnosticReport"),
    "ORM": ("out-hl7v2-order", "ServiceRequest"),
    "OMG": ("out-hl7v2-order", "ServiceRequest"),
    "OML": ("out-hl7v2-order", "ServiceRequest"),
    "OMI": ("out-hl7v2-order", "ServiceRequest"),
    "MDM": ("out-hl7v2-documents", "DocumentReference"),
    "ADT": ("out-hl7v2-adt", "Encounter"),
}
RULES = yaml.safe_load((ROOT / "spec" / "outbound_round_trip.yaml").read_text("utf-8"))
NOT_KEPT: dict[str, str] = {field: reason for reason, fields in RULES["not_kept"].items() for field in fields}
PARTLY = {field for fields in RULES["partly_kept"].values() for field in fields}
SAME: dict[str, list[str]] = RULES["same_meaning"]
_DTM = re.compile(r"(\d{8})(\d{0,6})(?:\.\d+)?([+-]\d{4})?")


@cache
def maps() -> ActiveMaps:
    return ActiveMaps(translator=Translator())


def uniform(text: str) -> str:
    """A text as both directions write it: dates with seconds, local codes as L, digits of half width."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    found = _DTM.fullmatch(text)
    if found is not None:
        return f"{found[1]}{found[2].ljust(6, '0') if found[2] else ''}{found[3] or ''}"
    return {"LOCAL": "L", "I9M": "I9C"}.get(text, text)


def texts(segment: Segment, field: int, codec: str, *, is_first: bool = False) -> list[str]:
    if is_first:
        text = segment.get(field, codec=codec)
        return [uniform(text)] if text and text != '""' and text.strip() else []
    found = [
        segment.get(field, component, subcomponent, repetition, codec=codec)
        for repetition in range(1, len(segment.repetitions(field)) + 1)
        for component in range(1, 24)
        for subcomponent in range(1, 6)
    ]
    return [uniform(text) for text in found if text and text != '""' and text.strip()]


def written(message: Message) -> list[Message]:
    """What the maps of the way back make of what the message became."""
    result = maps().run(message)
    name, type = BACK[message.code]
    resources = [entry.resource for entry in result.entries]
    focuses = [
        entry.resource for entry in result.entries if entry.type == type and entry.rule.write != "status"
    ]
    if message.code == "ADT" and not focuses:
        name = "out-hl7v2-demographics"
        focuses = [one for one in resources if one["resourceType"] == "Patient"]
    return [
        parse(
            maps()
            .outbound(name)
            .write(
                Focus(one, [row for row in resources if row is not one]),
                Envelope(id="1", now=NOW),
                maps().translator,
            )
            .body
        )
        for one in focuses
    ]


def read_fields(message: Message) -> dict[str, set[int]]:
    map = maps().find(
        "hl7v2", f"{message.code}^{message.event}", message.get("MSH-3") or "", message.get("MSH-4") or ""
    )
    found: dict[str, set[int]] = defaultdict(set)
    for (_, segment), numbers in map.source.reads.items():  # type: ignore[attr-defined]  # a segment source
        found[segment] |= numbers
    return found


def lost(message: Message) -> tuple[dict[str, list[str]], int]:
    """Field → texts that are nowhere in that field of what is written; and how many texts there were."""
    sent = written(message)
    if not sent:
        return {}, 0
    kept: dict[str, set[str]] = defaultdict(set)
    for one in sent:
        for segment in one.segments:
            for field in range(1, len(segment.fields)):
                kept[f"{segment.name}-{field}"].update(texts(segment, field, one.codec))
    missing: dict[str, list[str]] = {}
    count = 0
    reads = read_fields(message)
    for segment in message.segments:
        if segment.name == "OBX" and segment.get(2) in ("ED", "RP"):
            # A file comes back as a file of its report, under one code for all (18748-4).
            continue
        for field in range(1, len(segment.fields)):
            name = f"{segment.name}-{field}"
            names = {name, segment.name, f"{message.code}/{segment.name}", f"{message.code}/{name}"}
            if field not in reads[segment.name] or not names.isdisjoint(NOT_KEPT):
                continue
            places = [name, *SAME.get(name, ())]
            for text in texts(segment, field, message.codec, is_first=name in PARTLY):
                count += 1
                if text not in NO_LOSS.get(name, ()) and not any(text in kept[place] for place in places):
                    missing.setdefault(name, []).append(text)
    return missing, count


def messages() -> list[Path]:
    found = []
    for path in FILES:
        try:
            message = parse(path.read_bytes())
        except FhirError:
            continue
        if message.code in BACK and maps().handles(message.code, message.event):
            found.append(path)
    return found


@pytest.mark.parametrize("path", messages(), ids=lambda path: "/".join(path.parts[-3:]))
def test_every_mapped_field_comes_back(path: Path) -> None:
    try:
        missing, _ = lost(parse(path.read_bytes()))
    except FhirError:
        pytest.skip("the message is refused on its way in")
    assert missing == {}


def test_enough_is_compared() -> None:
    total = 0
    for path in messages():
        try:
            total += lost(parse(path.read_bytes()))[1]
        except FhirError:
            continue
    assert total > 2000


def test_every_exception_names_its_reason_once() -> None:
    fields = [field for rows in RULES["not_kept"].values() for field in rows]
    assert len(fields) == len(set(fields))
    assert not PARTLY & set(fields)
    assert all(reason.strip() for reason in (*RULES["not_kept"], *RULES["partly_kept"]))
