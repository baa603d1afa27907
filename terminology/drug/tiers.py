"""Which tier of the community may use which drug, and whether the three lists link (三级目录衔接).

Policy: county, township and village use one catalogue (docs/design.md; S4 «县、乡、村三级统一目录»). A drug that a village
has and the township or county above it lacks breaks the chain: a referred patient could not go on with it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from terminology.catalogue.row import Row
from terminology.issues import Issue

Tier = Literal["county", "township", "village"]
TIERS: tuple[Tier, ...] = ("county", "township", "village")
AVAILABLE = "tiers"
"""Property of a drug row: the tiers that have it, e.g. ["county", "township"]."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A member's own exception: `is_available` false drops a drug there, true adds it; `reason` is required."""

    member: str
    code: str
    is_available: bool
    reason: str


def tiers_of(row: Row) -> tuple[Tier, ...]:
    """Return the tiers of a drug row in the order county, township, village."""
    held = row.properties.get(AVAILABLE, ())
    named = held.replace("、", ",").split(",") if isinstance(held, str) else held
    wanted = {_NAMES.get(str(name).strip(), str(name).strip()) for name in named}
    return tuple(tier for tier in TIERS if tier in wanted)


_NAMES: Mapping[str, str] = {
    "县": "county",
    "县级": "county",
    "乡": "township",
    "乡镇": "township",
    "乡级": "township",
    "镇": "township",
    "村": "village",
    "村级": "village",
}


def broken_links(rows: Iterable[Row]) -> list[Issue]:
    """Return an error for each drug that a lower tier has and a higher one lacks (HT-CAT-30)."""
    found: list[Issue] = []
    for row in rows:
        held = tiers_of(row)
        missing = [
            tier
            for at, tier in enumerate(TIERS)
            if tier not in held and any(lower in held for lower in TIERS[at + 1 :])
        ]
        found.extend(
            Issue(
                "HT-CAT-30",
                {"concept": row.code, "name": row.display, "tier": tier, "held": ", ".join(held)},
                source=f"line {row.line}" if row.line else None,
            )
            for tier in missing
        )
    return found


def is_available(
    row: Row, *, tier: Tier, member: str | None = None, deviations: Iterable[Deviation] = ()
) -> bool:
    """Return whether a tier, or a member with its deviations, may prescribe the drug."""
    for deviation in deviations:
        if deviation.member == member and deviation.code == row.code:
            return deviation.is_available
    return tier in tiers_of(row)
