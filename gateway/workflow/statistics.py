"""Figures of the centres, recomputed from the Tasks themselves: counts, turnaround, time limits kept (workflows §2, §8)."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from gateway.workflow.coordination import TERMINAL, category_of
from gateway.workflow.draft import reference_of
from gateway.workflow.moment import read_moment
from terminology.fhirjson import Json

COLUMNS = (
    "month", "centre", "name", "category", "ordered", "completed", "rejected", "cancelled", "failed", "open", "overdue",
    "late", "median_minutes", "p90_minutes", "on_time_rate",
)  # fmt: skip
TITLES: dict[str, tuple[str, str]] = {
    "month": ("月份", "month"),
    "centre": ("中心", "centre"),
    "name": ("中心名称", "centre's name"),
    "category": ("类别", "category"),
    "ordered": ("申请", "ordered"),
    "completed": ("完成", "completed"),
    "rejected": ("退回", "rejected"),
    "cancelled": ("取消", "cancelled"),
    "failed": ("失败", "failed"),
    "open": ("未完", "open"),
    "overdue": ("超时未完", "overdue"),
    "late": ("超时完成", "completed late"),
    "median_minutes": ("用时中位数(分)", "median minutes"),
    "p90_minutes": ("用时九成(分)", "90 % within minutes"),
    "on_time_rate": ("按时率", "on time"),
}


@dataclass(slots=True)
class Figures:
    """One month of one centre and category. `minutes`: from the order to the report, pauses left out."""

    month: str
    centre: str
    category: str
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    minutes: list[float] = field(default_factory=list)

    def row(self, names: Mapping[str, str]) -> Json:
        """Return the columns; a figure without any case is None."""
        counts, minutes = self.counts, sorted(self.minutes)
        done = counts["completed"]
        return {
            "month": self.month,
            "centre": self.centre,
            "name": names.get(self.centre, ""),
            "category": self.category,
            **{name: counts[name] for name in ("ordered", "completed", "rejected", "cancelled", "failed", "open", "overdue", "late")},
            "median_minutes": round(median(minutes), 1) if minutes else None,
            "p90_minutes": round(minutes[max(0, -(-len(minutes) * 9 // 10) - 1)], 1) if minutes else None,
            "on_time_rate": round((done - counts["late"]) / done, 4) if done else None,
        }  # fmt: skip


Group = tuple[str, str, str]
"""Month, centre, category."""


def add(found: dict[Group, Figures], task: Json, *, now: datetime) -> None:
    """Count one coordination Task where it belongs: a year of a county is never held at once."""
    month = str(task.get("authoredOn") or "")[:7]
    centre = reference_of(task.get("owner"))
    category = category_of(task) or ""
    _count(found.setdefault((month, centre, category), Figures(month, centre, category)), task, now)


def in_order(found: Mapping[Group, Figures]) -> list[Figures]:
    """Return figures by month of the order, centre and category."""
    return [found[key] for key in sorted(found)]


def _count(group: Figures, task: Json, now: datetime) -> None:
    status = task.get("status")
    group.counts["ordered"] += 1
    limit = read_moment(((task.get("restriction") or {}).get("period") or {}).get("end"))
    if status not in TERMINAL:
        group.counts["open"] += 1
        group.counts["overdue"] += limit is not None and limit < now
        return
    group.counts[str(status)] += 1
    if status != "completed":
        return
    start, end = (
        read_moment(task.get("authoredOn")),
        read_moment((task.get("executionPeriod") or {}).get("end") or task.get("lastModified")),
    )
    if start is None or end is None:
        return
    paused = next(
        (
            row.get("valueInteger", 0)
            for row in task.get("extension") or ()
            if str(row.get("url", "")).endswith("/paused-seconds")
        ),
        0,
    )
    group.minutes.append(max(0.0, (end - start).total_seconds() - paused) / 60)
    group.counts["late"] += limit is not None and end > limit
