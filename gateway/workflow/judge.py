"""May this status follow that one, for this caller? Pure: the machine, two states and who asks."""

from collections.abc import Iterable

from gateway.workflow.actor import ROLES, Actor
from gateway.workflow.machine import UNKNOWN, Machine, Transition
from terminology.issues import BusinessRule

NOBODY = ("没有人", "nobody")
NOTHING = ("无", "none")


def judge(
    machine: Machine, kind: str, before: str | None, after: str | None, actor: Actor, *, reference: str
) -> Transition | None:
    """Return the row that allows the change, None when the state stays or begins.

    Raises BusinessRule: HT-WF-01 no such transition, HT-WF-02 not for this caller's roles, HT-WF-04 no state to begin in.
    """
    if machine.is_free:
        return None
    if before is None:
        if after is not None and not machine.may_begin(after, kind):
            begin = machine.initial.get(kind) or machine.initial.get("") or frozenset(machine.states)
            allowed = [state for state in machine.states if state in begin]
            raise BusinessRule(
                "HT-WF-04", reference=reference, wanted=after, allowed=", ".join(allowed), expression=machine.path
            )  # fmt: skip
        return None
    if after == before:
        return None
    row = machine.transitions.get((before, after or ""))
    if row is not None and row.channels and actor.channel not in row.channels:
        row = None
    if row is None or not actor.may(row.roles(kind)):
        raise BusinessRule(
            "HT-WF-01" if row is None else "HT-WF-02",
            reference=reference,
            current=before,
            wanted=after or "-",
            **_allowed(machine, kind, before, actor),
            **_who(machine, kind, after or "", actor, row),
            expression=machine.path,
        )
    return row


def allowed_next(machine: Machine, kind: str, before: str, actor: Actor) -> list[str]:
    """Return the states that this caller may set now, in the order of the machine."""
    found = {
        row.target
        for row in machine.next(before)
        if actor.may(row.roles(kind)) and (not row.channels or actor.channel in row.channels)
    }
    return [state for state in machine.states if state in found]


def role_names(roles: Iterable[str]) -> tuple[str, str]:
    """Return role codes with their names, in Chinese and English."""
    known = [role for role in ROLES if role in set(roles)]
    if not known:
        return NOBODY
    return tuple(", ".join(f"{role} {ROLES[role][n]}" for role in known) for n in (0, 1))  # type: ignore[return-value]  # two of them


def _allowed(machine: Machine, kind: str, before: str, actor: Actor) -> dict[str, str]:
    allowed = ", ".join(allowed_next(machine, kind, before, actor))
    return {"allowed": allowed or NOTHING[1], "allowed_zh": allowed or NOTHING[0]}


def _who(machine: Machine, kind: str, wanted: str, actor: Actor, row: Transition | None) -> dict[str, str]:
    """Tell who can do the wanted transition: from here, else from which states and by whom."""
    if row is not None:
        zh, en = role_names(row.roles(kind))
        return {"who": en, "who_zh": zh}
    rows = [
        other
        for other in machine.into(wanted)
        if other.origin != UNKNOWN and (not other.channels or actor.channel in other.channels)
    ]
    if not rows:
        return {"who": NOBODY[1], "who_zh": NOBODY[0]}
    zh, en = role_names({role for other in rows for role in other.roles(kind)})
    origins = ", ".join(dict.fromkeys(other.origin for other in rows))
    return {"who": f"from {origins} only, by {en}", "who_zh": f"只能由 {origins} 变更,岗位:{zh}"}
