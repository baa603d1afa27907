"""Whether a result is a critical value, by the pack's limits or by what the sender flags. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from terminology.fhirjson import Json
from terminology.ucum import convert

GOOD = frozenset({"preliminary", "final", "amended", "corrected"})
TICK = "critical-value"
"""Code of Observation.interpretation or category by which a reader says so himself."""


@dataclass(frozen=True, slots=True)
class Critical:
    """`value` as it is shown ("6.9 mmol/L"); `number` for the repeat-back, None for a result in words; `rule` why."""

    item: str
    names: tuple[str, ...]
    value: str
    number: Decimal | None
    unit: str
    rule: str


def detect(observation: Json, rules: Mapping[str, Any]) -> Critical | None:
    """Return why a result is critical, None when it isn't; components count too (a panel's worst part)."""
    if observation.get("status") not in GOOD:
        return None
    for part in (observation, *(observation.get("component") or ())):
        found = _by_limit(part, rules) or _by_flag(part, rules)
        if found is not None:
            return found
    return None


def _by_limit(part: Json, rules: Mapping[str, Any]) -> Critical | None:
    quantity = part.get("valueQuantity")
    if not isinstance(quantity, Mapping) or quantity.get("value") is None:
        return None
    codes = {str(row.get("code")) for row in (part.get("code") or {}).get("coding") or ()}
    for row in rules["values"]:
        if not codes & set(map(str, row["codes"])):
            continue
        value = Decimal(str(quantity["value"]))
        unit = str(quantity.get("code") or quantity.get("unit") or "")
        in_unit = value if unit == row["unit"] else convert(value, unit, str(row["unit"]))
        if in_unit is None:
            continue
        limit = _beyond(in_unit, row, str(quantity.get("comparator") or ""))
        if limit:
            names = tuple(dict.fromkeys((row["zh"], row["en"], *_names(part))))
            return Critical(
                str(row["zh"]), names, shown(quantity), value, unit, f"{row['item']} {limit} {row['unit']}"
            )
    return None


def _beyond(value: Decimal, row: Mapping[str, Any], comparator: str) -> str:
    """Return the limit that a value is beyond; "<2.0" is below 2.5, ">20" above 22.2 is not known."""
    if "below" in row and value < Decimal(str(row["below"])) and comparator not in (">", ">="):
        return f"< {row['below']}"
    if "above" in row and value > Decimal(str(row["above"])) and comparator not in ("<", "<="):
        return f"> {row['above']}"
    return ""


def _by_flag(part: Json, rules: Mapping[str, Any]) -> Critical | None:
    flags = {
        str(row.get("code"))
        for concept in (*(part.get("interpretation") or ()), *(part.get("category") or ()))
        for row in concept.get("coding") or ()
    }
    hit = next((flag for flag in (*rules["flags"], TICK) if flag in flags), None)
    if hit is None:
        return None
    quantity = part.get("valueQuantity")
    names = _names(part)
    item = names[0] if names else "-"
    if isinstance(quantity, Mapping) and quantity.get("value") is not None:
        unit = str(quantity.get("code") or quantity.get("unit") or "")
        return Critical(item, names, shown(quantity), Decimal(str(quantity["value"])), unit, f"flag {hit}")
    concept = part.get("valueCodeableConcept") or {}
    text = str(part.get("valueString") or concept.get("text") or _display(concept) or "")
    return Critical(item, names, text, None, "", f"flag {hit}")


def shown(quantity: Mapping[str, Any]) -> str:
    """Return a quantity as people read it: ">6.9 mmol/L"."""
    return f"{quantity.get('comparator') or ''}{quantity['value']} {quantity.get('unit') or quantity.get('code') or ''}".strip()


def _names(part: Json) -> tuple[str, ...]:
    concept = part.get("code") or {}
    rows = [
        concept.get("text"),
        *(row.get(key) for row in concept.get("coding") or () for key in ("display", "code")),
    ]
    return tuple(dict.fromkeys(str(row) for row in rows if row))


def _display(concept: Mapping[str, Any]) -> str:
    return next((str(row.get("display")) for row in concept.get("coding") or () if row.get("display")), "")
