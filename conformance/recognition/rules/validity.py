"""MR-010 validity days, MR-011 plausible times."""

import math
from datetime import datetime

from conformance.recognition.case import Case
from conformance.recognition.moment import last_day_end, read_approximately, read_instant
from conformance.recognition.pack import CHINA
from conformance.recognition.verdict import RuleResult, judge

WARN_SHARE = 0.1
"""The last tenth of the days, rounded up, asks the physician."""


def within_validity(case: Case) -> RuleResult | None:
    days = case.item.validity_days if case.item else None
    if days is None:
        return judge("MR-010", "warn", "unknown", input=case.effective or "")
    base = base_moment(case)
    if base is None:
        return judge("MR-010", "warn", "undated")
    end = last_day_end(base, days)
    shown = {"input": base.astimezone(CHINA).isoformat(), "limit": end.isoformat()}
    today = case.question.at.astimezone(CHINA).date()
    if today > end.date():
        return judge("MR-010", "fail", "older", **shown)
    if (end.date() - today).days < math.ceil(days * WARN_SHARE):
        return judge("MR-010", "warn", "ending", **shown)
    return judge("MR-010", "pass", **shown)


def valid_until(case: Case) -> datetime | None:
    """Return the last second of validity in +08:00, None when it cannot be known."""
    days = case.item.validity_days if case.item else None
    base = base_moment(case)
    return last_day_end(base, days) if days is not None and base is not None else None


def base_moment(case: Case) -> datetime | None:
    """Return where the days count from: collection of the specimen, else the effective time; issued when the list says so."""
    base = (case.item.base if case.item else "") or case.packs.switch("validity_base") or "collection"
    if base == "report":
        return read_approximately((case.report or {}).get("issued") or case.result.get("issued"))
    for specimen in case.specimens:
        collection = specimen.get("collection") or {}
        period = collection.get("collectedPeriod") or {}
        collected = read_approximately(
            collection.get("collectedDateTime") or period.get("start") or period.get("end")
        )
        if collected is not None:
            return collected
    return case.effective_moment


def plausible_times(case: Case) -> RuleResult | None:
    issued_text = (case.report or {}).get("issued") or case.result.get("issued")
    for text in (case.effective, issued_text):
        if text is not None and read_instant(text) is None:
            return judge("MR-011", "block", "zone", input=text)
    effective, issued = read_instant(case.effective), read_instant(issued_text)
    if effective is not None and effective > case.question.at:
        return judge("MR-011", "block", "future", input=case.effective, limit=case.question.at.isoformat())
    if effective is not None and issued is not None and effective > issued:
        return judge("MR-011", "block", "order", input=case.effective, limit=issued_text)
    return judge("MR-011", "pass", input=case.effective or "")
