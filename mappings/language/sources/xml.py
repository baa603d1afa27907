"""XML messages as a source: XPath-lite (mappings/language/sources/xml_path.py) to calls that walk the tree.

`each: a/b[]/c[]` opens a loop for every `[]`, one inside the other, so that `ref` finds the resource of the outer one;
inside, paths start at the innermost element, `/a` at the root and `../a` outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mappings.language.document import Document
from mappings.language.fitting import WhereError, condition
from mappings.language.sources import Level, SourceError
from mappings.language.sources.elements import Elements, TracedElements
from mappings.language.sources.xml_path import Choice, Steps, XmlPath, read

WHOLE = "*"
"""Stands for the leaf of an element that a converter gets: everything below it was read."""


@dataclass
class _Scope:
    variable: str
    prefix: tuple[str, ...]


@dataclass
class Reads:
    """What lines read: (names from the root, leaf); a leaf is "@name", "" for a text, WHOLE for all below."""

    places: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    # Names that a converter looks for anywhere, in small letters (mappings/datatypes/anywhere.py).
    names: set[str] = field(default_factory=set)


class XmlSource:
    def __init__(self, document: Document, *, traced: bool) -> None:
        if document.groups:
            raise SourceError("groups are for hl7v2; XML is walked with `each`")
        for text in document.source.get("where", ()):
            try:
                condition(text)
            except WhereError as error:
                raise SourceError(str(error)) from None
        self.traced = traced
        self.count = 0
        self.reads = Reads()

    def read_path(self, text: str, at: int) -> tuple[XmlPath, int] | None:
        return read(text, at)

    def root(self) -> Level:
        return Level((), None, "", _Scope("g0", ()))

    def open(self, parent: Level, each: str) -> Level:
        found = read(each, 0)
        if found is None or found[1] != len(each) or found[0].leaf:
            raise SourceError(f"each: {each!r} is no path to elements")
        path = found[0]
        level = parent.chain()[-1] if path.from_root else parent
        ends = (
            path.marks if path.marks and path.marks[-1] == len(path.steps) else (*path.marks, len(path.steps))
        )
        start = 0
        for end in ends:
            level = self._loop(level, path.steps[start:end])
            start = end
        return level

    def _loop(self, parent: Level, steps: Steps) -> Level:
        name = _literal(steps)
        if name in parent.children:
            return parent.children[name]
        self.count += 1
        scope: _Scope = parent.state
        variable = f"n{self.count}"
        walk = "loop" if self.traced else "elements"
        header = f"for {variable} in {walk}({scope.variable}, {name}):"
        level = Level((*parent.key, name), parent, header, _Scope(variable, _names(scope.prefix, steps)))
        parent.children[name] = level
        return level

    def prelude(self, level: Level) -> list[str]:
        return []

    def settle(self, code: str) -> str:
        return code

    def text(self, path: XmlPath, level: Level) -> str:
        node, steps = self._node(path, level, _leaf(path))
        if path.leaf not in ("", "text()"):
            return f"attribute({node}, {steps}, {path.leaf!r})"
        return f"content({node}, {steps}, {path.leaf == 'text()'})"

    def texts(self, path: XmlPath, level: Level) -> str:
        node, steps = self._node(path, level, _leaf(path))
        if path.leaf not in ("", "text()"):
            return f"attributes({node}, {steps}, {path.leaf!r})"
        return f"contents({node}, {steps}, {path.leaf == 'text()'})"

    def raw(self, path: XmlPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        if path.leaf:
            return self.text(path, level)
        node, steps = self._node(path, level, WHOLE)
        return f"element({node}, {steps})"

    def raws(self, path: XmlPath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        if path.leaf:
            return self.texts(path, level)
        node, steps = self._node(path, level, WHOLE)
        return f"elements({node}, {steps})"

    def present(self, path: XmlPath, level: Level) -> str:
        if path.leaf:
            return self.text(path, level)
        node, steps = self._node(path, level, None)
        return f"exists({node}, {steps})"

    def anchor(self, path: XmlPath, level: Level) -> str | None:
        """The element around the one that a key names: a patient without number is a patient, no patient is none."""
        steps = path.steps if path.leaf == "" else path.steps[:-1]
        if not steps:
            return "True"
        node = self._scope(path, level).variable
        return f"exists({node}, {_literal(steps)})"

    def is_all(self, path: XmlPath) -> bool:
        return path.is_all

    def is_whole(self, path: XmlPath) -> bool:
        return False

    def runtime(self, *, traced: bool) -> Any:
        return TracedElements if traced else Elements

    def note(self, converter: str, arguments: tuple[Any, ...]) -> None:
        """Remember the names that a converter finds wherever they stand."""
        if converter.endswith("anywhere"):
            self.reads.names |= {word for text in arguments for word in str(text).casefold().split()}

    def _scope(self, path: XmlPath, level: Level) -> _Scope:
        scope: _Scope = (level.chain()[-1] if path.from_root else level).state
        return scope

    def _node(self, path: XmlPath, level: Level, leaf: str | None) -> tuple[str, str]:
        scope = self._scope(path, level)
        if leaf is not None and (path.steps or scope.prefix or leaf != WHOLE):
            # The root as a whole is read by name only (`note`).
            self.reads.places.add((_names(scope.prefix, path.steps), leaf))
        here = scope.prefix
        for step in path.steps:
            here = _names(here, (step,))
            for test in step.tests if isinstance(step, Choice) else ():
                self.reads.places.add(((*here, *test.names), f"@{test.attribute}" if test.attribute else ""))
        return scope.variable, _literal(path.steps)


def _leaf(path: XmlPath) -> str:
    return WHOLE if path.leaf == "text()" else f"@{path.leaf}" if path.leaf else ""


def _names(prefix: tuple[str, ...], steps: Steps) -> tuple[str, ...]:
    names = list(prefix)
    for step in steps:
        name = step if isinstance(step, str) else step.name
        if name == "..":
            del names[-1:]
        else:
            names.append(name)
    return tuple(names)


def _literal(steps: Steps) -> str:
    """Return the steps as source text of plain tuples, which Python keeps as one constant."""
    plain = (
        step if isinstance(step, str) else (step.name, tuple(tuple(test) for test in step.tests), step.number)
        for step in steps
    )
    return repr(tuple(plain))
