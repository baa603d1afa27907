"""FHIR resources as a source, for maps that run back: paths (resource_path.py) over a focus (focus.py)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.definitions import is_resource
from mappings.language.document import Document
from mappings.language.sources import Level, SourceError
from mappings.language.sources.focus import Focus
from mappings.language.sources.resource_path import (
    FACTS,
    Back,
    Follow,
    ResourcePath,
    Step,
    Where,
    read,
    types_after,
)
from mappings.language.sources.rows import ALL, to_text
from terminology.fhirjson import Json


@dataclass
class _Scope:
    """`variable`: what paths start at; `types`: the FHIR paths that it may be."""

    variable: str
    types: tuple[str, ...]


class ResourceSource:
    """The compile-time half. `reads`: the paths that some line reads; `referrers`: what must be searched beside it."""

    def __init__(self, document: Document, *, traced: bool) -> None:
        if document.groups:
            raise SourceError("groups are for hl7v2; resources are walked with `each`")
        self.traced = traced
        self.count = 0
        self.focus = document.source.get("focus", ())
        # `shape: document`: whatever the focus, paths start at the Composition that is made of it (mappings/cda/write.py).
        is_document = "document" in document.source.get("shape", ())
        self.start = ("Composition",) if is_document else tuple(self.focus)
        self.reads: set[str] = set()
        self.referrers: set[Back] = set()
        unknown = [type for type in self.focus if not is_resource(type)]
        if unknown or not self.focus:
            raise SourceError(f"source.focus names FHIR resource types; got {', '.join(self.focus) or '-'}")

    def read_path(self, text: str, at: int) -> tuple[ResourcePath, int] | None:
        return read(text, at)

    def root(self) -> Level:
        return Level((), None, "", _Scope("g0.resource", self.start))

    def open(self, parent: Level, each: str) -> Level:
        found = self.read_path(each, 0)
        if found is None or found[1] != len(each) or found[0].fact:
            raise SourceError(f"each: {each!r} is no path")
        if each in parent.children:
            return parent.children[each]
        path = found[0]
        scope, types = self._check(path, parent)
        self.count += 1
        variable = f"n{self.count}"
        header = f"for {variable} in items(g0, {scope.variable}, {_literal(path.steps)}):"
        level = Level((*parent.key, each), parent, header, _Scope(variable, types))
        parent.children[each] = level
        return level

    def prelude(self, level: Level) -> list[str]:
        return []

    def settle(self, code: str) -> str:
        return code

    def type_of(self, path: ResourcePath, level: Level) -> tuple[str, ...]:
        """Return the FHIR types or element paths that a path may lead to; ("string",) for a fact."""
        return ("string",) if path.fact else self._check(path, level)[1]

    def text(self, path: ResourcePath, level: Level) -> str:
        return f"text({self._value(path, level)})"

    def texts(self, path: ResourcePath, level: Level) -> str:
        return f"list(filter(None, map(text, {self._values(path, level)})))"

    def raw(self, path: ResourcePath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        return self._value(path, level)

    def raws(self, path: ResourcePath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        return self._values(path, level)

    def present(self, path: ResourcePath, level: Level) -> str:
        return f"({self._value(path, level)} is not None)"

    def anchor(self, path: ResourcePath, level: Level) -> str | None:
        return None

    def is_all(self, path: ResourcePath) -> bool:
        return ALL in path.steps

    def is_whole(self, path: ResourcePath) -> bool:
        return False

    def runtime(self, *, traced: bool) -> Any:
        return TracedResources if traced else Resources

    def _value(self, path: ResourcePath, level: Level) -> str:
        if path.fact:
            if path.fact.partition(".")[0] not in FACTS:
                raise SourceError(f"{path.text}: known are {', '.join('$' + name for name in FACTS)}")
            return f"fact(g0, {path.fact!r})"
        scope, _ = self._check(path, level)
        return f"value(g0, {scope.variable}, {_literal(path.steps)})"

    def _values(self, path: ResourcePath, level: Level) -> str:
        scope, _ = self._check(path, level)
        return f"values(g0, {scope.variable}, {_literal(path.steps)})"

    def _check(self, path: ResourcePath, level: Level) -> tuple[_Scope, tuple[str, ...]]:
        """Walk a path through the definitions; raises SourceError where FHIR R4 has no such element."""
        scope: _Scope = (level.chain()[-1] if path.from_root else level).state
        types: tuple[str, ...] = scope.types
        targets: tuple[str, ...] = ()
        for step in path.steps:
            if isinstance(step, Back):
                self.referrers.add(step)
            types, targets = types_after(step, types, targets, path.text)
        self.reads.add(path.text)
        return scope, types


class Resources:
    """The run-time half: what generated code calls to read resources."""

    def functions(self) -> dict[str, Any]:
        return {
            "text": to_text,
            "value": self.value,
            "values": self.values,
            "items": self.items,
            "fact": self.fact,
        }

    def fact(self, focus: Focus, name: str) -> Any:
        return focus.facts.get(name)

    def value(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> Any:
        """Return the first value at a path, None when there is none."""
        return next((found for found, _ in _walk(focus, node, steps, 0, "") if found is not None), None)

    def values(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(focus, node, steps, 0, "") if found is not None]

    def items(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(focus, node, steps, 0, "") if isinstance(found, dict)]


class TracedResources(Resources):
    """The same with a log of every element that is read."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._places: dict[int, str] = {}

    def plain(self, value: Any) -> Any:
        return value

    def fact(self, focus: Focus, name: str) -> Any:
        self.log.append(f"${name}")
        return super().fact(focus, name)

    def _place(self, node: Any) -> str:
        known = self._places.get(id(node), "")
        return known or (str(node.get("resourceType", "")) if isinstance(node, dict) else "")

    def value(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> Any:
        for found, place in _walk(focus, node, steps, 0, self._place(node)):
            if found is not None:
                self.log.append(place)
                return found
        return None

    def values(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        rows = [row for row in _walk(focus, node, steps, 0, self._place(node)) if row[0] is not None]
        self.log.extend(place for _, place in rows)
        return [value for value, _ in rows]

    def items(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        found = []
        for value, place in _walk(focus, node, steps, 0, self._place(node)):
            if isinstance(value, dict):
                self._places[id(value)] = place
                found.append(value)
        return found


def _literal(steps: tuple[Step, ...]) -> str:
    """Return the steps as a Python literal; what isn't a name or number becomes a tagged tuple."""
    return repr(tuple(_plain_step(step) for step in steps))


def _plain_step(step: Step) -> Any:
    if isinstance(step, Where):
        return ("where", step.path, step.value, step.is_not)
    if isinstance(step, Follow):
        return ("follow", step.type)
    return ("back", step.type, step.element) if isinstance(step, Back) else step


def _walk(focus: Focus, node: Any, steps: tuple[Any, ...], at: int, place: str) -> Iterator[tuple[Any, str]]:
    if at == len(steps):
        if isinstance(node, list):
            # The path ends at a list: its items, the first of which is the value.
            for number, item in enumerate(node, 1):
                yield item, f"{place}[{number}]"
        else:
            yield node, place
        return
    step = steps[at]
    if isinstance(step, int):
        rows = node if isinstance(node, list) else [node]
        for number, item in enumerate(rows, 1):
            if step in (ALL, number):
                yield from _walk(focus, item, steps, at + 1, f"{place}[{number}]")
    elif isinstance(node, list):
        if isinstance(step, tuple) and step[0] == "where":
            kept = [item for item in node if _has(item, step[1], step[2]) is not step[3]]
            yield from _walk(focus, kept, steps, at + 1, place)
            return
        for number, item in enumerate(node, 1):
            yield from _walk(focus, item, steps, at, f"{place}[{number}]")
    elif isinstance(node, dict):
        yield from _walk_block(focus, node, steps, at, place)


def _walk_block(
    focus: Focus, node: Json, steps: tuple[Any, ...], at: int, place: str
) -> Iterator[tuple[Any, str]]:
    step = steps[at]
    if isinstance(step, str):
        if step in node:
            yield from _walk(focus, node[step], steps, at + 1, f"{place}.{step}")
    elif step[0] == "where":
        if _has(node, step[1], step[2]) is not step[3]:
            yield from _walk(focus, node, steps, at + 1, place)
    elif step[0] == "follow":
        target = focus.resolve(node)
        if target is not None and step[1] in ("", target.get("resourceType")):
            shown = f"{target.get('resourceType')}/{target.get('id', '')}"
            yield from _walk(focus, target, steps, at + 1, shown)
    else:
        found = focus.referrers(Back(step[1], step[2]), node)
        yield from _walk(focus, found, steps, at + 1, step[1])


def _has(node: Any, path: tuple[str, ...], value: str) -> bool:
    if isinstance(node, list):
        return any(_has(item, path, value) for item in node)
    if not path:
        return to_text(node) == value
    return isinstance(node, dict) and path[0] in node and _has(node[path[0]], path[1:], value)
