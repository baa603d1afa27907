"""How long something may take: the pack `limits` (workflows §1.6), each row with its source."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.workflow.calendar import calendar_of
from gateway.workflow.draft import codes_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json

URGENT = frozenset({"stat", "asap", "urgent"})


def due(
    packs: Packs,
    kind: str,
    *,
    start: datetime,
    category: str | None,
    priority: str,
    order: Json | None = None,
    centre: str = "",
) -> datetime:
    """Return when a Task of a kind must be done: the first row that fits its category, priority and item.

    A row with `working: true` counts the working time of the `centre` (gateway/workflow/calendar.py).
    """
    for row in packs.rules("limits"):
        if _fits(row, kind, category, priority, order or {}):
            if row.get("working"):
                return calendar_of(packs, centre).after(start, float(row["minutes"]))
            return start + timedelta(minutes=float(row["minutes"]))
    return start + timedelta(hours=24)


def _fits(row: Mapping[str, Any], kind: str, category: str | None, priority: str, order: Json) -> bool:
    if row.get("kind", kind) != kind or row.get("category", category) != category:
        return False
    if "urgent" in row and bool(row["urgent"]) != (priority in URGENT):
        return False
    if "priorities" in row and priority not in row["priorities"]:
        return False
    words = row.get("words")
    if not words:
        return True
    concept = order.get("code") or {}
    names = [str(concept.get("text") or ""), *codes_of(concept)]
    names += [str(coding.get("display") or "") for coding in concept.get("coding") or ()]
    return any(word in name for word in words for name in names)
