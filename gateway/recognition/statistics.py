"""Figures of mutual recognition, recomputed from the decisions themselves (MR-034).

A decision that was revoked later in the period counts as revoked, not as accepted or rejected. Reasons 98 and 99 are
recorded and left out of the rate; reminders are Communications of the category `recognition-reminder`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from conformance.recognition import Packs
from conformance.recognition.moment import read_approximately
from conformance.recognition.pack import CHINA
from conformance.recognition.record import code_value, codings, references
from terminology.fhirjson import Json

MEASURE = "https://hutong.health/fhir/Measure/mutual-recognition"
COUNT = "https://hutong.health/fhir/CodeSystem/recognition-count"
STRATA = ("month", "organization", "item", "practitioner")


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it stood at the end of the period: `action` accept | reject | revoke | viewed | reminder."""

    action: str
    month: str
    organization: str
    item: str
    practitioner: str
    reason: str = ""
    saved: Decimal = Decimal(0)
    task: str = ""
    at: str = ""
    patient: str = ""


@dataclass(slots=True)
class Figures:
    """Counts of one group; `rate` leaves out rejections whose reason does not count (98, 99)."""

    reminders: int = 0
    viewed: int = 0
    accepted: int = 0
    rejected: int = 0
    excluded: int = 0
    revoked: int = 0
    saved: Decimal = Decimal(0)
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> Decimal | None:
        """Return accepted ÷ (accepted + counted rejections) with four digits, None without any decision."""
        total = self.accepted + self.rejected - self.excluded
        return (Decimal(self.accepted) / total).quantize(Decimal("0.0001")) if total else None


def decided(
    tasks: Iterable[Json], reminders: Iterable[Json], *, item_of: Callable[[str], tuple[str, Decimal]]
) -> list[Decided]:
    """Return one row a decision; `item_of` gives code and price of the item behind a result's reference."""
    newest: dict[tuple[str, str, str], list[Json]] = {}
    rows: list[Decided] = []
    for task in sorted(tasks, key=lambda task: str(task.get("authoredOn", ""))):
        action = code_value(task.get("businessStatus")) or ""
        if action == "viewed":
            rows.append(_row(task, "viewed", item_of))
            continue
        if action == "reopened":
            # A question that waits is no decision; what was decided before it stays counted.
            continue
        key = (
            _plain(task.get("focus")),
            _plain(next(iter(task.get("basedOn") or ()), None)),
            _plain(task.get("owner")),
        )
        newest.setdefault(key, []).append(task)
    for history in newest.values():
        for task, following in zip(history, [*history[1:], None], strict=True):
            is_revoked = following is not None and code_value(following.get("businessStatus")) == "revoke"
            action = code_value(task.get("businessStatus")) or ""
            if action == "revoke" or not is_revoked:
                rows.append(_row(task, action, item_of))
    rows += [_reminded(row, item_of) for row in reminders]
    return rows


def _reminded(reminder: Json, item_of: Callable[[str], tuple[str, Decimal]]) -> Decided:
    """A reminder counts for the organisation and doctor that it went to, and the first result that it is about."""
    to = references(reminder, "recipient")
    organization = next((held for held in to if held.startswith("Organization/")), to[0] if to else "")
    doctor = next((held for held in to if held.startswith(("Practitioner/", "PractitionerRole/"))), "")
    about = references(reminder, "about")
    item = item_of(about[0])[0] if about else ""
    return Decided("reminder", _month(reminder.get("sent")), organization, item, doctor)


def _row(task: Json, action: str, item_of: Callable[[str], tuple[str, Decimal]]) -> Decided:
    item, price = item_of(_plain(task.get("focus")))
    reason = next((coding.get("code", "") for coding in codings(task.get("statusReason"))), "")
    return Decided(
        action,
        _month(task.get("authoredOn")),
        _plain(task.get("owner")),
        item,
        _plain(task.get("requester")),
        reason if action == "reject" else "",
        price if action == "accept" else Decimal(0),
        task=f"Task/{task.get('id', '')}",
        at=str(task.get("authoredOn", "")),
        patient=_plain(task.get("for")),
    )


def count(rows: Iterable[Decided], packs: Packs) -> Figures:
    """Add rows up."""
    found = Figures()
    for row in rows:
        if row.action == "accept":
            found.accepted += 1
            found.saved += row.saved
        elif row.action == "reject":
            found.rejected += 1
            found.reasons[row.reason] = found.reasons.get(row.reason, 0) + 1
            listed: Mapping[str, object] = packs.reason(row.reason) or {}
            found.excluded += listed.get("counts") is False
        elif row.action == "revoke":
            found.revoked += 1
        elif row.action == "viewed":
            found.viewed += 1
        elif row.action == "reminder":
            found.reminders += 1
    return found


def to_measure_report(rows: list[Decided], packs: Packs, *, start: str, end: str, now: str) -> Json:
    """Return the MeasureReport: all counts as populations, the rate as score, strata by month, organisation, item, doctor."""
    return {
        "resourceType": "MeasureReport",
        "status": "complete",
        "type": "summary",
        "measure": MEASURE,
        "date": now,
        "period": {"start": start, "end": end},
        "group": [
            _group(count(rows, packs)) | {"stratifier": [_stratifier(name, rows, packs) for name in STRATA]}
        ],
    }


def _stratifier(name: str, rows: list[Decided], packs: Packs) -> Json:
    values = sorted({getattr(row, name) for row in rows} - {""})
    strata = [
        {"value": {"text": value}}
        | _group(count((row for row in rows if getattr(row, name) == value), packs))
        for value in values
    ]
    stratifier: Json = {"code": [{"text": name}]}
    return stratifier | {"stratum": strata} if strata else stratifier


def _group(figures: Figures) -> Json:
    counts = {
        "reminders": figures.reminders,
        "viewed": figures.viewed,
        "accepted": figures.accepted,
        "rejected": figures.rejected,
        "rejected-not-counted": figures.excluded,
        "revoked": figures.revoked,
        **{f"reason-{reason or 'none'}": number for reason, number in sorted(figures.reasons.items())},
    }
    populations = [
        {"code": {"coding": [{"system": COUNT, "code": code}]}, "count": number}
        for code, number in counts.items()
    ]
    group: Json = {"population": populations}
    if figures.rate is not None:
        group["measureScore"] = {"value": figures.rate, "system": "http://unitsofmeasure.org", "code": "1"}
    if figures.saved:
        group["extension"] = [
            {
                "url": "https://hutong.health/fhir/StructureDefinition/saved-amount",
                "valueMoney": {"value": figures.saved, "currency": "CNY"},
            }
        ]
    return group


def _plain(reference: Json | None) -> str:
    return ((reference or {}).get("reference") or "").partition("/_history/")[0]


def _month(text: object) -> str:
    moment = read_approximately(text)
    return moment.astimezone(CHINA).strftime("%Y-%m") if moment else ""
