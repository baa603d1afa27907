"""What a profile consists of: rules for elements and slices, in a tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.definitions import Binding, Constraint, Slicing, TypeRef


class Rule:
    """One element or slice of a profile.

    `value` is (fixed… or pattern…, value), `limits` minValue… and maxValue…; `own` says that the profile tells something
    that the base type does not. `slices` by name; a reslice stands below its slice.
    """

    __slots__ = (
        "binding",
        "children",
        "constraints",
        "content_reference",
        "has_min",
        "is_modifier",
        "limits",
        "max",
        "max_length",
        "max_value_set",
        "min",
        "name",
        "own",
        "path",
        "pattern",
        "slice_name",
        "slices",
        "slicing",
        "types",
        "value",
    )

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self.slice_name: str | None = None
        self.min = 0
        self.max: int | None = None
        self.has_min = False
        self.types: list[TypeRef] = []
        self.binding: Binding | None = None
        self.max_value_set: str | None = None
        self.constraints: list[Constraint] = []
        self.content_reference: str | None = None
        self.slicing: Slicing | None = None
        self.value: tuple[str, Any] | None = None
        self.limits: dict[str, Any] = {}
        self.max_length: int | None = None
        self.pattern: str | None = None
        self.is_modifier = False
        self.own = False
        self.children: dict[str, Rule] = {}
        self.slices: dict[str, Rule] = {}

    def copy(self) -> "Rule":
        new = Rule(self.path, self.name)
        for slot in Rule.__slots__:
            value = getattr(self, slot)
            if slot in ("children", "slices"):
                value = {key: row.copy() for key, row in value.items()}
            elif isinstance(value, list):
                value = list(value)
            elif isinstance(value, dict):
                value = dict(value)
            setattr(new, slot, value)
        return new

    def walk(self) -> Iterator["Rule"]:
        open_ = [self]
        while open_:
            row = open_.pop()
            yield row
            open_.extend(row.children.values())
            open_.extend(row.slices.values())


@dataclass
class Profile:
    """`context`: where an extension may stand. `imposed`: profiles that come with this one. `problems`: (code, values)."""

    url: str
    name: str
    type: str
    root: Rule
    version: str | None = None
    context: list[tuple[str, str]] = field(default_factory=list)
    context_invariants: list[str] = field(default_factory=list)
    imposed: list[str] = field(default_factory=list)
    problems: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def is_modifier(self) -> bool:
        return self.root.is_modifier

    @property
    def label(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url


def has_work(rule: Rule) -> bool:
    """Tell whether a rule or anything below it says more than the base type."""
    return rule.own or any(row.own or row.constraints or row.value is not None for row in rule.walk())
