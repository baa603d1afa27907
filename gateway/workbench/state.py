"""States of a row of a mapping project, and who may move it (docs/terminology/mapping.md).

unmapped → draft → submitted → approved; two authors who differ make a conflict that a third person reconciles.
"""

from dataclasses import dataclass
from typing import Literal

from terminology.issues import BusinessRule, Forbidden

State = Literal["unmapped", "draft", "conflict", "submitted", "approved", "rejected", "stale"]
NAMES: dict[str, str] = {
    "unmapped": "未对码", "draft": "草稿", "conflict": "争议", "submitted": "待审", "approved": "已审",
    "rejected": "驳回", "stale": "目标已变",
}  # fmt: skip

OPEN_TO_PROPOSALS: frozenset[State] = frozenset(("unmapped", "draft", "rejected", "stale", "submitted"))
RELATIONSHIPS = ("equivalent", "equal", "wider", "narrower", "inexact", "relatedto", "unmatched")


# What people call them: of the target, as seen from the local code (R4's words); R5 turns the sentence round.
SPOKEN = {
    "broader": "wider", "source-is-narrower-than-target": "wider", "source-is-broader-than-target": "narrower",
    "related-to": "relatedto", "not-related-to": "unmatched", "no-target": "unmatched", "none": "unmatched",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one author says: a target code, or none with relationship unmatched (无对应)."""

    author: str
    target: str | None
    relationship: str
    note: str | None
    at: str


def state_after(proposals: tuple[Proposal, ...], *, is_blind: bool) -> State:
    """Return the state that the authors' proposals make: a blind project waits for two, and compares them."""
    if not is_blind:
        return "submitted"
    if len(proposals) < 2:
        return "draft"
    first, second = proposals[-2:]
    return (
        "submitted"
        if (first.target, first.relationship) == (second.target, second.relationship)
        else "conflict"
    )


def relationship_of(given: str, target: str | None) -> str:
    """Return the ConceptMap.equivalence of what was said; without a target it is unmatched."""
    return "unmatched" if target is None else SPOKEN.get(given, given)


def check_reviewer(code: str, state: State, authors: frozenset[str], who: str, *, wanted: State) -> None:
    """Raise BusinessRule HT-CAT-50 when the row is not there to be reviewed, Forbidden HT-CAT-51 for an author."""
    allowed = {"approved": ("submitted",), "rejected": ("submitted", "approved")}.get(wanted, ("conflict",))
    if state not in allowed:
        raise BusinessRule("HT-CAT-50", concept=code, state=NAMES[state], wanted=NAMES[wanted])
    if who in authors:
        raise Forbidden("HT-CAT-51", concept=code, who=who)
