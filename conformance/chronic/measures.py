"""Observations as measured values: components too, in the unit that a pack writes its limits in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from conformance.chronic.packs import Disease, Measure
from terminology.fhirjson import Json
from terminology.ucum import convert

GOOD = frozenset({"final", "amended", "corrected"})


@dataclass(frozen=True, slots=True)
class Measured:
    """One value: `at` its day, `value` in the measure's unit, `source` the Observation it comes from."""

    measure: Measure
    value: Decimal
    at: date
    source: str


def measured(observations: Iterable[Json], disease: Disease) -> list[Measured]:
    """Return the values of a disease's measures, the newest first; what is not final, or in no such unit, is left out."""
    found: list[Measured] = []
    for observation in observations:
        day = _day(observation)
        if observation.get("status") not in GOOD or day is None:
            continue
        for part in (observation, *(observation.get("component") or ())):
            codes = {str(row.get("code")) for row in (part.get("code") or {}).get("coding") or ()}
            for measure in disease.measures.values():
                value = _value(part.get("valueQuantity"), measure) if codes & measure.codes else None
                if value is not None:
                    found.append(Measured(measure, value, day, f"Observation/{observation.get('id', '')}"))
    return sorted(found, key=lambda row: row.at, reverse=True)


def latest(values: Iterable[Measured]) -> dict[str, Measured]:
    """Return the newest value of each measure; of one day the first given counts."""
    found: dict[str, Measured] = {}
    for row in values:
        known = found.get(row.measure.name)
        if known is None or row.at > known.at:
            found[row.measure.name] = row
    return found


def _value(quantity: Any, measure: Measure) -> Decimal | None:
    if not isinstance(quantity, dict) or quantity.get("value") is None or quantity.get("comparator"):
        return None
    value = Decimal(str(quantity["value"]))
    unit = str(quantity.get("code") or quantity.get("unit") or "")
    return value if unit == measure.unit else convert(value, unit, measure.unit)


def _day(observation: Json) -> date | None:
    text = (
        observation.get("effectiveDateTime") or (observation.get("effectivePeriod") or {}).get("start") or ""
    )
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
