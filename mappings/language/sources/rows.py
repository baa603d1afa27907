"""JSON objects and table rows as a source: paths are keys, `data.patient.xm`, `items[]`, `$.data.code`.

A name that isn't a plain word stands in back quotes: `` `收缩压(mmHg)` ``. Inside an `each` over a list, paths start
at its item; `$.` starts at the whole body.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from mappings.language.document import Document
from mappings.language.expression import KEYWORDS
from mappings.language.sources import Level, SourceError

_NAME = r"(?:[^\W\d]\w*|`[^`\n]+`)"
_PATH = re.compile(rf"(?P<root>\$\.)?(?P<steps>{_NAME}(?:\[\d*\])?(?:\.{_NAME}(?:\[\d*\])?)*)")
_STEP = re.compile(rf"(?P<name>{_NAME})(?P<index>\[\d*\])?")

# A step is a key, a 1-based number, or ALL: every item of a list.
ALL = -1
Step = str | int


class RowPath(NamedTuple):
    steps: tuple[Step, ...]
    from_root: bool
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class _Scope:
    variable: str
    prefix: tuple[Step, ...]


class RowSource:
    def __init__(self, document: Document, *, traced: bool) -> None:
        if document.groups:
            raise SourceError("groups are for hl7v2; a JSON body or row is walked with `each`")
        self.traced = traced
        self.count = 0
        # Paths of keys that some line reads.
        self.reads: set[tuple[Step, ...]] = set()

    def read_path(self, text: str, at: int) -> tuple[RowPath, int] | None:
        match = _PATH.match(text, at)
        if match is None or match[0] in KEYWORDS:
            return None
        steps: list[Step] = []
        for step in _STEP.finditer(match["steps"]):
            steps.append(step["name"].strip("`"))
            if step["index"]:
                steps.append(int(step["index"][1:-1]) if step["index"] != "[]" else ALL)
        if 0 in steps:
            return None
        return RowPath(tuple(steps), match["root"] is not None, match[0]), match.end()

    def root(self) -> Level:
        return Level((), None, "", _Scope("g0", ()))

    def open(self, parent: Level, each: str) -> Level:
        found = self.read_path(each, 0)
        if found is None or found[1] != len(each):
            raise SourceError(f"each: {each!r} is no path")
        path = found[0]
        if each in parent.children:
            return parent.children[each]
        self.count += 1
        scope = self._scope(path, parent)
        steps = path.steps if path.steps[-1] == ALL else (*path.steps, ALL)
        variable = f"n{self.count}"
        header = f"for {variable} in items({scope.variable}, {steps!r}):"
        level = Level((*parent.key, each), parent, header, _Scope(variable, (*scope.prefix, *steps)))
        parent.children[each] = level
        return level

    def prelude(self, level: Level) -> list[str]:
        return []

    def settle(self, code: str) -> str:
        return code

    def _scope(self, path: RowPath, level: Level) -> _Scope:
        scope: _Scope = (level.chain()[-1] if path.from_root else level).state
        return scope

    def _node(self, path: RowPath, level: Level) -> tuple[str, str]:
        scope = self._scope(path, level)
        steps = tuple(ALL if isinstance(step, int) else step for step in path.steps)
        self.reads.add((*scope.prefix, *steps))
        return scope.variable, repr(path.steps)

    def text(self, path: RowPath, level: Level) -> str:
        node, steps = self._node(path, level)
        if len(path.steps) == 1 and not self.traced:
            return f"text({node}.get({path.steps[0]!r}))"
        return f"text(value({node}, {steps}))"

    def texts(self, path: RowPath, level: Level) -> str:
        node, steps = self._node(path, level)
        return f"list(filter(None, map(text, values({node}, {steps}))))"

    def raw(self, path: RowPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        node, steps = self._node(path, level)
        if len(path.steps) == 1 and not self.traced:
            return f"{node}.get({path.steps[0]!r})"
        return f"value({node}, {steps})"

    def raws(self, path: RowPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        node, steps = self._node(path, level)
        return f"values({node}, {steps})"

    def present(self, path: RowPath, level: Level) -> str:
        return self.text(path, level)

    def anchor(self, path: RowPath, level: Level) -> str | None:
        return None

    def is_all(self, path: RowPath) -> bool:
        return ALL in path.steps

    def is_whole(self, path: RowPath) -> bool:
        return False

    def runtime(self, *, traced: bool) -> Any:
        return TracedRows if traced else Rows


class Rows:
    """The run-time half: what generated code calls to read JSON values."""

    def functions(self) -> dict[str, Any]:
        return {"text": to_text, "value": self.value, "values": self.values, "items": self.items}

    def value(self, node: Any, steps: tuple[Step, ...]) -> Any:
        """Return the first value at a path that isn't empty, None when there is none."""
        return next((found for found, _ in _walk(node, steps, 0, "") if found not in (None, "")), None)

    def values(self, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(node, steps, 0, "") if found not in (None, "")]

    def items(self, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(node, steps, 0, "") if isinstance(found, dict)]


class TracedRows(Rows):
    """The same with a log of every key that is read."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._places: dict[int, str] = {}

    def plain(self, value: Any) -> Any:
        return value

    def value(self, node: Any, steps: tuple[Step, ...]) -> Any:
        for found, place in _walk(node, steps, 0, self._places.get(id(node), "")):
            if found not in (None, ""):
                self.log.append(place)
                return found
        return None

    def values(self, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        found = [
            (value, place)
            for value, place in _walk(node, steps, 0, self._places.get(id(node), ""))
            if value not in (None, "")
        ]
        self.log.extend(place for _, place in found)
        return [value for value, _ in found]

    def items(self, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        found = []
        for value, place in _walk(node, steps, 0, self._places.get(id(node), "")):
            if isinstance(value, dict):
                self._places[id(value)] = place
                found.append(value)
        return found


def to_text(value: Any) -> str:
    """Return a JSON value as text: null and blocks are "", numbers as written, texts without outer blanks."""
    if isinstance(value, str):
        return value.strip()
    if value is None or isinstance(value, (dict, list)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _walk(node: Any, steps: tuple[Step, ...], at: int, place: str) -> Iterator[tuple[Any, str]]:
    if at == len(steps):
        yield node, place
        return
    step = steps[at]
    if isinstance(step, str):
        if isinstance(node, dict) and step in node:
            yield from _walk(node[step], steps, at + 1, f"{place}.{step}" if place else step)
    elif step == ALL:
        # A lone object where a list is expected counts as a list of one: half of the senders do that.
        for number, item in enumerate(node if isinstance(node, list) else [node]):
            yield from _walk(item, steps, at + 1, f"{place}[{number}]")
    elif isinstance(node, list) and step <= len(node):
        yield from _walk(node[step - 1], steps, at + 1, f"{place}[{step - 1}]")
