"""Search expressions as walkers: from `Observation.value.as(Quantity)` to a function that emits index values.

Nearly all expressions of the specification are straight paths. They become closures that touch only what is present
and know the type of what they find from the definitions; the rest is left to the FHIRPath engine.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from conformance.definitions import Child, base_types, children

Emit = Callable[[Any, int, Any], None]
"""(value, repetition, index) → appends to the index."""
Walk = Callable[[Any, int, Any], None]
Leaf = Callable[[Child], Emit | None]
"""Gives the reader for an element of this type, None when such an element has no values for the parameter."""

STEP = re.compile(
    r"(?P<as>(?:as|ofType)\((?P<type>\w+)\))"
    r"|(?P<is>where\(resolve\(\) is (?P<target>\w+)\))"
    r"|(?P<where>where\((?P<key>\w+)\s*=\s*'(?P<literal>[^']*)'\))"
    r"|(?P<extension>extension\('(?P<url>[^']*)'\))"
    r"|(?P<name>\w+)(?:\[(?P<at>\d+)\])?"
)


@dataclass(frozen=True, slots=True)
class Step:
    """`kind`: name | as | where | extension; `value` and `literal` as the kind needs, `at` an index or None."""

    kind: str
    value: str
    literal: str = ""
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """One member of a search expression's union: what index rows are named after.

    `steps` None: not a straight path. `target`: the type demanded by `where(resolve() is …)`, "" for any.
    """

    root: str
    text: str
    steps: tuple[Step, ...] | None
    target: str = ""


def split_union(expression: str) -> list[str]:
    """Return the members of a top-level union."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, character in enumerate(expression):
        if character == "'":
            quoted = not quoted
        elif not quoted and character in "([":
            depth += 1
        elif not quoted and character in ")]":
            depth -= 1
        elif not quoted and character == "|" and depth == 0:
            parts.append(expression[start:at].strip())
            start = at + 1
    return [part for part in (*parts, expression[start:].strip()) if part]


def read_path(member: str) -> Path:
    """Return a union member in one spelling: `(A.b as Quantity)` and `A.b.as(Quantity)` are the same path."""
    member = member.strip()
    cast = re.fullmatch(r"\(\s*([\w.]+)\s+as\s+(\w+)\s*\)(.*)", member, re.S)
    if cast is not None:
        member = f"{cast[1]}.as({cast[2]}){cast[3]}"
    root = re.match(r"\w+", member)
    name = root.group() if root else ""
    steps: list[Step] = []
    target, position = "", len(name)
    while position < len(member):
        found = STEP.match(member, position + 1) if member[position] == "." else None
        if found is None:
            return Path(name, member, None)
        if found["as"]:
            # The specification writes as(DateTime) once; the type is dateTime.
            steps.append(Step("as", "dateTime" if found["type"] == "DateTime" else found["type"]))
        elif found["is"]:
            target = found["target"]
        elif found["where"]:
            steps.append(Step("where", found["key"], found["literal"]))
        elif found["extension"]:
            steps.append(Step("extension", found["url"]))
        else:
            steps.append(Step("name", found["name"], at=int(found["at"]) if found["at"] else None))
        position = found.end()
    if steps and steps[-1].kind == "extension":
        steps.append(Step("name", "value"))
    return Path(name, ".".join([name, *map(_spell, steps)]), tuple(steps), target)


def _spell(step: Step) -> str:
    if step.kind == "as":
        return f"as({step.value})"
    if step.kind == "where":
        return f"where({step.value}='{step.literal}')"
    if step.kind == "extension":
        return f"extension('{step.value}')"
    return step.value if step.at is None else f"{step.value}[{step.at}]"


def applies(path: Path, resource_type: str) -> bool:
    return path.root in base_types(resource_type)


def walkers(path: Path, resource_type: str, leaf: Leaf) -> dict[str, Walk]:
    """Return for each top-level JSON property that the path starts from the walk below it."""
    assert path.steps is not None
    return _walks(resource_type, path.steps, leaf, False)


def element_types(path: Path, resource_type: str) -> set[str]:
    """Return the FHIR types that the path can end in."""
    found: set[str] = set()

    def note(child: Child) -> None:
        found.add(child.type)

    if path.steps is not None:
        _walks(resource_type, path.steps, note, False)
    return found


def _walks(context: str, steps: tuple[Step, ...], leaf: Leaf, is_repeated: bool) -> dict[str, Walk]:
    """Walks by property name for the first step, which is a name (or an extension)."""
    first, rest = steps[0], steps[1:]
    if first.kind == "extension":
        inner = _extension(rest, leaf)
        return {"extension": _each(_with_url(first.value, inner), not is_repeated)}
    wanted = ""
    if rest and rest[0].kind == "as":
        wanted, rest = rest[0].value.lower(), rest[1:]
    found: dict[str, Walk] = {}
    for name, child in children(context).items():
        is_choice = child.element.is_choice and child.element.name == f"{first.value}[x]"
        if name != first.value and not is_choice:
            continue
        if wanted and child.type.lower() != wanted:
            continue
        repeats = child.element.repeats
        walk = _below(child, rest, leaf, is_repeated or repeats)
        if walk is None:
            continue
        if first.at is not None:
            found[name] = _at(walk, first.at)
        elif repeats:
            found[name] = _each(walk, not is_repeated and bool(rest))
        else:
            found[name] = walk
    return found


def _below(child: Child, steps: tuple[Step, ...], leaf: Leaf, is_repeated: bool) -> Walk | None:
    if not steps:
        return leaf(child)
    if steps[0].kind == "where":
        inner = _below(child, steps[1:], leaf, is_repeated)
        return _where(steps[0].value, steps[0].literal, inner) if inner is not None else None
    if steps[0].kind == "as":
        return (
            _below(child, steps[1:], leaf, is_repeated)
            if child.type.lower() == steps[0].value.lower()
            else None
        )
    # A name in one piece (HumanName.text) still has a family and a given name: the reader of the whole decides.
    if child.type == "HumanName" and len(steps) == 1 and steps[0].value in ("family", "given"):
        return leaf(Child(child.name, child.element, f"HumanName.{steps[0].value}", child.path))
    walks = _walks(child.path, steps, leaf, is_repeated)
    if not walks:
        return None
    if len(walks) == 1:
        return _property(*next(iter(walks.items())))
    return _properties(walks)


def _property(name: str, walk: Walk) -> Walk:
    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, dict):
            inner = value.get(name)
            if inner is not None:
                walk(inner, n, index)

    return step


def _properties(walks: dict[str, Walk]) -> Walk:
    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, dict):
            for name, walk in walks.items():
                inner = value.get(name)
                if inner is not None:
                    walk(inner, n, index)

    return step


def _each(walk: Walk, counts: bool) -> Walk:
    """Walk every item of an array; the outermost array numbers what is found in it, from 1."""

    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, list):
            for at, item in enumerate(value, 1):
                if item is not None:
                    walk(item, at if counts else n, index)
        else:
            walk(value, n, index)

    return step


def _at(walk: Walk, position: int) -> Walk:
    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, list) and len(value) > position:
            walk(value[position], n, index)

    return step


def _where(key: str, literal: str, walk: Walk) -> Walk:
    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, dict) and value.get(key) == literal:
            walk(value, n, index)

    return step


def _with_url(url: str, walk: Walk) -> Walk:
    def step(value: Any, n: int, index: Any) -> None:
        if isinstance(value, dict) and value.get("url") == url:
            walk(value, n, index)

    return step


def _extension(steps: tuple[Step, ...], leaf: Leaf) -> Walk:
    walks = _walks("Extension", steps or (Step("name", "value"),), leaf, True)
    return _properties(walks)
