"""Risk of pregnancies and young children in five colours (五色管理). Pure: the pack `maternal-child` and resources in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from conformance.chronic.grading import COMPARE, WORDS, active_codes
from conformance.recognition.record import codings
from gateway.public_health.infectious import GOOD, detect
from terminology.fhirjson import Json
from terminology.ucum import convert


@dataclass(frozen=True, slots=True)
class Factor:
    """One risk factor that holds, in words, with the resource that shows it."""

    zh: str
    en: str
    source: str


@dataclass(frozen=True, slots=True)
class Risk:
    programme: str
    zh: str
    colour: str
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class _Value:
    value: Decimal
    day: str
    source: str


def programme_of(episodes: Iterable[Json], rules: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the programme that an active EpisodeOfCare puts the patient into."""
    codes = {
        str(row.get("code"))
        for episode in episodes
        if episode.get("status") in ("active", "onhold")
        for concept in episode.get("type") or ()
        for row in codings(concept)
    }
    found: Iterable[Mapping[str, Any]] = rules["programmes"]
    return next((row for row in found if codes & set(row["episodes"])), None)


def grade(
    programme: Mapping[str, Any],
    patient: Json,
    conditions: Iterable[Json],
    observations: Iterable[Json],
    infectious: Mapping[str, Any],
    *,
    on: date,
) -> Risk:
    """Return the colour with all factors of that colour; green without any."""
    held = list(observations)
    values = {name: _newest(row, held) for name, row in programme["measures"].items() if row.get("codes")}
    values["age"] = _age(patient, on)
    diagnoses = active_codes(conditions)
    positives: dict[str, str] = {}
    for row in held:
        found = detect(row, infectious)
        if found is not None:
            positives.setdefault(found.id, f"Observation/{row.get('id')}")
    for row in programme["colours"]:
        factors = [
            factor
            for one in row["any"]
            for factor in _factors(one, programme["measures"], values, diagnoses, positives, infectious)
        ]
        if factors:
            return Risk(programme["id"], programme["zh"], row["colour"], tuple(factors))
    return Risk(programme["id"], programme["zh"], "green", ())


def _factors(
    row: Mapping[str, Any],
    measures: Mapping[str, Any],
    values: Mapping[str, _Value | None],
    diagnoses: Mapping[str, str],
    positives: Mapping[str, str],
    infectious: Mapping[str, Any],
) -> list[Factor]:
    if "diagnoses" in row:
        hit = [code for code in diagnoses if code.upper().startswith(tuple(row["diagnoses"]))]
        return [Factor(f"{row['zh']}（{code}）", f"{row['en']} ({code})", diagnoses[code]) for code in hit]
    if "positive" in row:
        names = {one["id"]: one for one in infectious["diseases"]}
        return [
            Factor(f"{names[id]['zh']}检测阳性", f"positive for {names[id]['en']}", positives[id])
            for id in row["positive"]
            if id in positives
        ]
    measure, value = measures[row["measure"]], values.get(row["measure"])
    limits = [(word, Decimal(str(row[word]))) for word in COMPARE if word in row]
    if value is None or not all(COMPARE[word](value.value, limit) for word, limit in limits):
        return []
    zh = "".join(f"{WORDS[word][0]}{limit}" for word, limit in limits)
    en = " ".join(f"{WORDS[word][1]} {limit}" for word, limit in limits)
    return [
        Factor(
            f"{measure['zh']} {value.value}（{zh}）", f"{measure['en']} {value.value} ({en})", value.source
        )
    ]


def _newest(measure: Mapping[str, Any], observations: list[Json]) -> _Value | None:
    codes, found = set(measure["codes"]), None
    for row in observations:
        day = str(row.get("effectiveDateTime") or (row.get("effectivePeriod") or {}).get("start") or "")
        if row.get("status") not in GOOD or not day:
            continue
        for part in (row, *(row.get("component") or ())):
            if not codes & {str(one.get("code")) for one in codings(part.get("code"))}:
                continue
            value = _in_unit(part, measure["unit"])
            if value is not None and (found is None or day > found.day):
                found = _Value(value, day, f"Observation/{row.get('id')}")
    return found


def _in_unit(part: Json, unit: str) -> Decimal | None:
    quantity = part.get("valueQuantity") or {}
    if "valueInteger" in part:
        return Decimal(part["valueInteger"])
    if quantity.get("value") is None or quantity.get("comparator"):
        return None
    value, given = Decimal(str(quantity["value"])), str(quantity.get("code") or quantity.get("unit") or "")
    return value if given in (unit, "{score}") else convert(value, given, unit)


def _age(patient: Json, on: date) -> _Value | None:
    try:
        born = date.fromisoformat(str(patient.get("birthDate")))
    except ValueError:
        return None
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return _Value(Decimal(years), on.isoformat(), f"Patient/{patient.get('id')}")
