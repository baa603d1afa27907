"""The life of a change set, as data: who may take it where.

draft → submitted → approved → scheduled → in-force → superseded; two persons, never one (docs/design.md §1).
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from terminology.issues import BusinessRule, Forbidden

State = Literal["draft", "submitted", "approved", "scheduled", "in-force", "superseded", "rejected"]

NEXT: dict[str, tuple[str, ...]] = {
    "draft": ("submitted", "rejected"),
    "submitted": ("approved", "rejected"),
    "approved": ("scheduled", "in-force", "rejected"),
    "scheduled": ("in-force", "rejected"),
    "in-force": ("superseded",),
    "superseded": (),
    "rejected": (),
}


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """`base`: number of the version it was drafted against (0: none yet). `version`: what it became."""

    id: int
    catalogue: str
    title: str
    state: State
    author: str
    approver: str | None
    base: int
    version: int | None
    effective: date | None
    note: str | None


def check_transition(change_set: ChangeSet, state: State, who: str) -> None:
    """Raise BusinessRule HT-CAT-40 for a wrong step, Forbidden HT-CAT-41 when the author would approve himself."""
    allowed = NEXT[change_set.state]
    if state not in allowed:
        raise BusinessRule(
            "HT-CAT-40",
            id=change_set.id,
            state=change_set.state,
            wanted=state,
            allowed=", ".join(allowed) or "—",
        )
    if state == "approved" and who == change_set.author:
        raise Forbidden("HT-CAT-41", id=change_set.id, who=who)
