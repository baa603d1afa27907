"""The rules' walk: every value that is present, once, with the rules of its type and of its place.

Each type's plan is built when its first value comes by. Values of the wrong shape are passed over: the structure check
has told about them.
"""

from functools import cache
from typing import Any

from conformance.definitions import is_resource
from conformance.validation.constraints import ConstraintCheck, checks_of_element, checks_of_type
from conformance.validation.path import Path
from conformance.validation.rules import ELEMENT_RULES, PLACE_RULES, RESOURCE_RULES, TYPE_RULES, VALUE_RULES
from conformance.validation.run import Node, Rule, Run, Scope, ValueRule
from conformance.validation.tables import COMPLEX, PRIMITIVE, Spec, Table, table
from terminology.fhirjson import Json


class Plan:
    """What to do with the values of one type or backbone element."""

    __slots__ = ("checks", "members", "rules", "table")

    def __init__(self, path: str) -> None:
        self.table: Table = table(path)
        self.rules: tuple[Rule, ...] = (*TYPE_RULES.get(path, ()), *ELEMENT_RULES.get(path, ()))
        self.checks: tuple[ConstraintCheck, ...] = checks_of_type(path)
        self.members: dict[str, Member] = {
            name: Member(spec, path) for name, spec in self.table.children.items()
        }


class Member:
    """What to do with one property: rules of its place (bindings) and, for primitives, of its value."""

    __slots__ = ("checks", "place_rules", "spec", "value_rules")

    def __init__(self, spec: Spec, owner: str) -> None:
        self.spec = spec
        own = f"{owner}.{spec.element.name}"
        self.value_rules: tuple[ValueRule, ...] = (*VALUE_RULES.get(spec.type, ()), *VALUE_RULES.get(own, ()))
        self.place_rules: tuple[Rule, ...] = tuple(
            rule for applies, rule in PLACE_RULES if spec.shape == COMPLEX and applies(spec)
        )
        self.checks: tuple[ConstraintCheck, ...] = checks_of_element(
            spec.element.constraints, spec.table_path, spec.type
        )


@cache
def plan(path: str) -> Plan:
    return Plan(path)


def visit_resource(
    value: Json, path: Path, parent: Scope | None, held: str, entry: Json | None, run: Run
) -> None:
    """Apply the rules to a resource and everything in it."""
    name = value.get("resourceType")
    if not isinstance(name, str) or not is_resource(name):
        return
    scope = Scope(value, path, parent, held, entry)
    node = Node(value, table(name), path, scope, None, None)
    for rule in RESOURCE_RULES:
        rule(node, run)
    _visit(node, plan(name), run)


def _visit(node: Node, steps: Plan, run: Run) -> None:
    for rule in steps.rules:
        rule(node, run)
    for check in steps.checks:
        check(node, run)
    members = steps.members
    for key, item in node.value.items():
        member = members.get(key)
        if member is None:
            if key.startswith("_") and key[1:] in members:
                _visit_siblings(item, members[key[1:]].spec, node, run)
            continue
        spec = member.spec
        if spec.shape == PRIMITIVE:
            if member.value_rules:
                _visit_values(item, member, node, run)
        elif spec.repeats:
            for index, one in enumerate(item if isinstance(item, list) else ()):
                if isinstance(one, dict):
                    _visit_member(one, Path(node.path, spec.name, index), member, node, run)
        elif isinstance(item, dict):
            _visit_member(item, Path(node.path, spec.stem or spec.name, None, spec.kind), member, node, run)


def _visit_member(value: Json, path: Path, member: Member, node: Node, run: Run) -> None:
    spec = member.spec
    if spec.shape != COMPLEX:
        held = "contained" if spec.name == "contained" else node.table.path.rpartition(".")[2]
        visit_resource(value, path, node.scope, held, node.value, run)
        return
    inner = Node(value, table(spec.table_path), path, node.scope, spec, node)
    for rule in member.place_rules:
        rule(inner, run)
    for check in member.checks:
        check(inner, run)
    _visit(inner, plan(spec.table_path), run)


def _visit_values(item: Any, member: Member, node: Node, run: Run) -> None:
    spec = member.spec
    if spec.repeats:
        for index, one in enumerate(item if isinstance(item, list) else ()):
            if one is not None and spec.check(one) is None:
                for rule in member.value_rules:
                    rule(one, Path(node.path, spec.name, index), node, spec, run)
    elif spec.check(item) is None:
        path = Path(node.path, spec.stem or spec.name, None, spec.kind)
        for rule in member.value_rules:
            rule(item, path, node, spec, run)


def _visit_siblings(item: Any, spec: Spec, node: Node, run: Run) -> None:
    """Visit what a primitive carries beside its value: its extensions."""
    rows = item if isinstance(item, list) else [item]
    for index, row in enumerate(rows):
        if isinstance(row, dict):
            path = Path(node.path, spec.stem or spec.name, index if spec.repeats else None, spec.kind)
            _visit(Node(row, table("Element"), path, node.scope, spec, node), plan("Element"), run)
