"""Working hours and holidays of the centres: a limit in working time ends while somebody works (workflows §1.6).

The pack `calendar` has hours by weekday, holidays, and days on which people work although it is a weekend (调休); a
centre's own hours stand beside them. Holidays are loaded once a year by a newer pack.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from gateway.workflow.packs import Packs

MOST_DAYS = 366
"""Further than a year ahead nobody's limit lies; a calendar without working hours must not loop."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """`hours`: spans by weekday (1 Monday … 7 Sunday); `holidays` and `workdays` are dates."""

    hours: Mapping[int, tuple[tuple[time, time], ...]]
    holidays: frozenset[date]
    workdays: frozenset[date]

    def spans(self, day: date) -> tuple[tuple[time, time], ...]:
        """Return when people work on a day; a working weekend has the hours of a Monday."""
        if day in self.holidays:
            return ()
        return self.hours.get(1 if day in self.workdays else day.isoweekday(), ())

    def is_open(self, moment: datetime) -> bool:
        return any(start <= moment.time() < end for start, end in self.spans(moment.date()))

    def after(self, start: datetime, minutes: float) -> datetime:
        """Return the moment at which so many working minutes have passed; plain time when nobody ever works."""
        left = timedelta(minutes=minutes)
        day = start.date()
        for _ in range(MOST_DAYS):
            for opens, closes in self.spans(day):
                begin = max(start, datetime.combine(day, opens, start.tzinfo))
                end = datetime.combine(day, closes, start.tzinfo)
                if begin >= end:
                    continue
                if begin + left <= end:
                    return begin + left
                left -= end - begin
            day += timedelta(days=1)
        return start + timedelta(minutes=minutes)


def calendar_of(packs: Packs, centre: str) -> Calendar:
    """Return the calendar of a centre ("Organization/1"), the county's where it has none of its own."""
    rules = packs.rules("calendar")
    own = (rules.get("centres") or {}).get(centre) or {}
    hours = own.get("hours") or rules["hours"]
    return Calendar(
        hours={int(day): tuple(_span(row) for row in rows) for day, rows in hours.items()},
        holidays=_days([*rules.get("holidays", ()), *own.get("closed", ())]),
        workdays=_days(rules.get("workdays", ())),
    )


def _span(row: Any) -> tuple[time, time]:
    start, end = str(row).split("-")
    return time.fromisoformat(start.strip()), time.max if end.strip() == "24:00" else time.fromisoformat(
        end.strip()
    )


def _days(rows: Any) -> frozenset[date]:
    return frozenset(row if isinstance(row, date) else date.fromisoformat(str(row)) for row in rows)
