"""Time points of chest pain, stroke and trauma (胸痛、卒中、创伤中心时间节点): which are there, late, out of order, missing.

Pure; the points are the pack `time-points` (china §5, row 26). A point is an Observation of the visit with a code of
CodeSystem/time-point and a valueDateTime; without one the visit's start is `door`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from terminology.fhirjson import Json

POINT = "https://hutong.health/fhir/CodeSystem/time-point"
UNUSABLE = frozenset({"entered-in-error", "cancelled", "registered"})


@dataclass(frozen=True, slots=True)
class Point:
    """`minutes`: since the point that it is measured from; None where either is missing. `state`: met, late, early, recorded, missing, not-needed."""

    code: str
    zh: str
    en: str
    at: datetime | None
    evidence: str
    state: str
    minutes: float | None = None
    limit: float | None = None


def pathway_of(codes: Sequence[str], rules: dict[str, Any]) -> str:
    """Return the pathway whose diagnoses one of the codes begins with; "" for none."""
    upper = [code.upper() for code in codes]
    for name, row in rules["pathways"].items():
        if any(code.startswith(tuple(row["diagnoses"])) for code in upper):
            return str(name)
    return ""


def points_of(pathway: dict[str, Any], encounter: Json, observations: Sequence[Json]) -> list[Point]:
    """Return every point of a pathway in its order."""
    times = _times(observations)
    start = _moment((encounter.get("period") or {}).get("start"))
    if "door" not in times and start is not None:
        times["door"] = (start, f"Encounter/{encounter.get('id')}")
    return [_point(row, times) for row in pathway["points"]]


def missing(points: Sequence[Point]) -> list[Point]:
    return [row for row in points if row.state == "missing"]


def _point(row: dict[str, Any], times: dict[str, tuple[datetime, str]]) -> Point:
    at, evidence = times.get(row["code"], (None, ""))
    base = times.get(row.get("after", ""))
    limit = float(row["minutes"]) if "minutes" in row else None
    minutes = (at - base[0]).total_seconds() / 60 if at is not None and base is not None else None
    if at is None:
        state = "missing" if row.get("needed") else "not-needed"
    elif minutes is None or limit is None:
        state = "recorded"
    else:
        state = "early" if minutes < 0 else "met" if minutes <= limit else "late"
    return Point(row["code"], row["zh"], row["en"], at, evidence, state, minutes, limit)


def _times(observations: Sequence[Json]) -> dict[str, tuple[datetime, str]]:
    """Return the first usable time of each point: what was noted later of the same point does not move it forward."""
    found: dict[str, tuple[datetime, str]] = {}
    for row in observations:
        at = _moment(row.get("valueDateTime"))
        if at is None or row.get("status") in UNUSABLE:
            continue
        for coding in (row.get("code") or {}).get("coding") or ():
            code = coding.get("code")
            if coding.get("system") == POINT and code and (code not in found or at < found[code][0]):
                found[code] = (at, f"Observation/{row.get('id')}")
    return found


def _moment(value: object) -> datetime | None:
    """Return an instant; a date alone, or a time without a zone, measures no minutes."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
