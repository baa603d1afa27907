"""docs/workflow/machines.md: every machine as a table, from the files that the store enforces."""

from gateway.workflow.actor import CLINICAL, ROLES
from gateway.workflow.machine import UNKNOWN, Machine, Transition, machines

HEAD = """# State machines 状态机
<!-- Written by scripts/build_workflow_docs from gateway/workflow/machines; do not edit. -->

Who may take what from which state to which; everything else is refused (409). `clinical`: every clinical role; `gw`: the gateway by itself, after data or a clock. Sources named workflows §… are sections of the county's workflow specification, from which the tables were taken; “ours” marks what it leaves open. Roles: """
COLUMNS = "| from | to | who 岗位 | needs | only by | source |\n|---|---|---|---|---|---|"


def machines_page() -> str:
    """Return the page in Markdown."""
    roles = ", ".join(f"`{code}` {zh} {en}" for code, (zh, en) in ROLES.items())
    parts = [f"{HEAD}{roles}.\n"]
    parts += [_section(machine) for _, machine in sorted(machines().items()) if not machine.is_free]
    return "\n".join(parts)


def _section(machine: Machine) -> str:
    lines = [
        f"## {machine.name}",
        f"Version {machine.version}, in force from {machine.effective}. Source: {machine.source}."
        + (" A change over REST needs `If-Match`." if machine.needs_match else ""),
        "",
    ]
    if machine.initial:
        lines += _begins(machine)
    else:
        lines.append(f"Begins in any of: {', '.join(machine.states)}.")
    rows = [row for row in machine.transitions.values() if row.origin != UNKNOWN]
    lines += ["", COLUMNS, *(_row(row) for row in rows)]
    if UNKNOWN in machine.states:
        lines += ["", "From `unknown` (the sender does not know) to any state."]
    return "\n".join(lines) + "\n"


def _begins(machine: Machine) -> list[str]:
    own = sorted(kind for kind in machine.initial if kind)
    lines = []
    if own:
        states = ", ".join(state for state in machine.states if state in machine.initial[own[0]])
        lines.append(f"{', '.join(f'`{kind}`' for kind in own)} begin as: {states}.")
    others = ", ".join(state for state in machine.states if state in machine.initial.get("", ()))
    lines.append(f"{'Others begin' if own else 'Begins'} as: {others}.")
    return lines


def _row(row: Transition) -> str:
    who = _who(row.roles(""))
    special = {kind: _who(roles) for kind, roles in row.who.items() if kind and roles != row.roles("")}
    for text in dict.fromkeys(special.values()):
        kinds = ", ".join(kind for kind, other in special.items() if other == text)
        who += f"<br>{kinds}: {text}"
    needs = ", ".join(row.needs)
    return f"| {row.origin} | {row.target} | {who} | {needs} | {', '.join(sorted(row.channels))} | {row.source} |"


def _who(roles: frozenset[str]) -> str:
    if roles >= CLINICAL:
        return " ".join(["clinical", *(role for role in ROLES if role in roles - CLINICAL)])
    return " ".join(role for role in ROLES if role in roles)
