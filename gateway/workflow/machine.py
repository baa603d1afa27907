"""State machines as data: which status may follow which, who may make it so, and what that needs.

The files of `machines/` name the source of each row (docs/workflow/README.md tells how to add one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from gateway.workflow.actor import CLINICAL, EVERY_ROLE
from gateway.workflow.packs import read_yaml
from terminology.fhirjson import Json

FOLDER = Path(__file__).parent / "machines"

UNKNOWN = "unknown"
"""The sender doesn't know the state (FHIR's code); whatever is learnt next may follow it."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: `who` by kind of resource ("" for all others), `needs` and `effects` by name.

    `channels`: where it may come from; empty: anywhere. `source`: the rule that it was taken from.
    """

    origin: str
    target: str
    who: Mapping[str, frozenset[str]]
    needs: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    channels: frozenset[str] = frozenset()
    source: str = ""

    def roles(self, kind: str) -> frozenset[str]:
        return self.who.get(kind, self.who[""])


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of one resource type. `element` is where the state stands; `kinds` the groups of roles by kind.

    `initial`: states that a resource may begin in, by kind ("" for all others; none: any state of the machine).
    `on_create`, `on_change`, `on_delete`: effects of these writes, whatever the transition. `is_free`: any state may
    follow any; the file is there for its effects. `quiet_without`: a new resource without this element sets nothing in
    motion. `needs_match`: a change over REST needs If-Match.
    """

    resource: str
    element: str
    version: str
    effective: date
    source: str
    states: tuple[str, ...]
    transitions: Mapping[tuple[str, str], Transition]
    initial: Mapping[str, frozenset[str]] = field(default_factory=dict)
    needs_match: bool = False
    is_free: bool = False
    quiet_without: tuple[str, ...] = ()
    loud_classes: tuple[str, ...] = ()
    on_create: tuple[str, ...] = ()
    on_change: tuple[str, ...] = ()
    on_delete: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.resource}.{self.element}"

    @property
    def path(self) -> str:
        """FHIRPath of the state in the resource."""
        return self.name

    def next(self, origin: str) -> list[Transition]:
        """Return the rows that lead out of a state, in the order of the file."""
        return [row for (start, _), row in self.transitions.items() if start == origin]

    def into(self, target: str) -> list[Transition]:
        return [row for (_, end), row in self.transitions.items() if end == target]

    def is_quiet(self, resource: Json) -> bool:
        """Whether a new resource needs no more than that its state may begin."""
        if self.on_create and (
            not self.quiet_without or any(name in resource for name in self.quiet_without)
        ):
            return False
        if self.loud_classes and _class_of(resource) in self.loud_classes:
            return False
        return self.is_free or (
            "" not in self.initial and (resource.get(self.element) in (None, *self.states))
        )

    def may_begin(self, state: str, kind: str) -> bool:
        if state not in self.states:
            return False
        allowed = self.initial.get(kind, self.initial.get(""))
        return allowed is None or state in allowed


@cache
def machines() -> Mapping[str, Machine]:
    """Return the shipped machines by resource type."""
    return {machine.resource: machine for machine in map(load_machine, sorted(FOLDER.glob("*.yaml")))}


def load_machine(path: Path) -> Machine:
    """Return the machine of a file; raises ValueError when it says what cannot be."""
    tree = read_yaml(path)
    kinds = {"": {}} | {str(name): groups or {} for name, groups in (tree.get("kinds") or {}).items()}
    states = tuple(str(state) for state in tree["states"])
    transitions: dict[tuple[str, str], Transition] = {}
    for row in tree["transitions"]:
        for origin in _states(row["from"], states, target=row["to"]):
            for target in _list(row["to"]):
                if origin not in states or target not in states:
                    raise ValueError(f"{path.name}: {origin} → {target} names no state")
                if (origin, target) in transitions:
                    raise ValueError(f"{path.name}: {origin} → {target} stands twice")
                transitions[origin, target] = Transition(
                    origin, target, _who(row["who"], kinds, path), tuple(row.get("needs", ())),
                    tuple(row.get("effects", ())), frozenset(row.get("channels", ())), str(row.get("source", "")),
                )  # fmt: skip
    if UNKNOWN in states:
        _leave_unknown(states, transitions)
    return Machine(
        resource=tree["resource"],
        element=tree.get("element", "status"),
        version=str(tree["version"]),
        effective=tree["effective"],
        source=tree["source"],
        states=states,
        transitions=transitions,
        initial={str(kind): frozenset(_list(row)) for kind, row in (tree.get("initial") or {}).items()},
        needs_match=bool(tree.get("needs_match")),
        is_free=bool(tree.get("is_free")),
        quiet_without=tuple(str(tree.get("quiet_without", "")).split()),
        loud_classes=tuple(tree.get("loud_classes", ())),
        on_create=tuple(tree.get("on_create", ())),
        on_change=tuple(tree.get("on_change", ())),
        on_delete=tuple(tree.get("on_delete", ())),
    )


def state_of(resource: Json | None, machine: Machine) -> str | None:
    value = resource.get(machine.element) if resource else None
    return value if isinstance(value, str) else None


def _class_of(resource: Json) -> object:
    coding = resource.get("class")
    return coding.get("code") if isinstance(coding, dict) else None


def _leave_unknown(states: Sequence[str], transitions: dict[tuple[str, str], Transition]) -> None:
    """What may be done to a resource in any way may be done to one whose state nobody knows."""
    everybody = {"": CLINICAL | {"gw", "ops"}}
    for state in states:
        if state != UNKNOWN and (UNKNOWN, state) not in transitions:
            rows = [row for row in transitions.values() if row.target == state]
            effects = rows[0].effects if rows else ()
            transitions[UNKNOWN, state] = Transition(
                UNKNOWN, state, everybody, effects=effects, source="FHIR: unknown"
            )


def _states(value: Any, states: Sequence[str], *, target: Any) -> list[str]:
    """Return the origins of a row; "any" is every other state."""
    if value != "any":
        return _list(value)
    targets = _list(target)
    return [state for state in states if state not in targets and state != UNKNOWN]


def _list(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(row) for row in value]


def _who(text: str, kinds: Mapping[str, Mapping[str, str]], path: Path) -> dict[str, frozenset[str]]:
    """Return the roles of a row by kind: its words are roles, "any", or groups that each kind fills."""
    found: dict[str, frozenset[str]] = {}
    for kind, groups in kinds.items():
        roles: set[str] = set()
        for word in text.split():
            filled = groups.get(word, kinds[""].get(word))
            if word == "any":
                roles |= CLINICAL
            elif filled is not None:
                roles.update(filled.split())
            elif word in EVERY_ROLE:
                roles.add(word)
            else:
                raise ValueError(f"{path.name}: “{word}” is neither a role nor a group")
        found[kind] = frozenset(roles)
    return found
