"""The right side of a line as Python: parsed expressions to source text."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mappings.language.converters import Converter, find_converter
from mappings.language.expression import (
    And,
    Compare,
    Constant,
    Either,
    Field,
    Node,
    Not,
    Or,
    Pipe,
    Ref,
    Sum,
    When,
)
from mappings.language.sources import Level, Source, SourceError
from mappings.language.yaml_tree import Place


@dataclass
class Site:
    """One use of a converter: what the run time binds to the name `c3` of the generated code."""

    converter: Converter
    arguments: tuple[Any, ...]
    label: str
    place: Place | None = None


@dataclass
class Generated:
    code: str
    sites: list[Site] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)


class ExpressionWriter:
    """Writes expressions for one map; `label` and `place` tell which line is being written."""

    def __init__(self, source: Source, *, traced: bool) -> None:
        self.source = source
        self.traced = traced
        self.made = Generated("")
        self.label = ""
        self.place: Place | None = None

    def where(self, ref: Ref, level: Level) -> str:
        """Return the variable that a `ref` or `refs` reads at `level`."""
        raise NotImplementedError

    def constant(self, node: Constant) -> str:
        if isinstance(node.value, Decimal):
            self.made.constants.append(node.value)
            return f"k{len(self.made.constants) - 1}"
        return repr(node.value)

    def is_list(self, node: Node) -> bool:
        if isinstance(node, Field):
            return self.source.is_all(node.path)
        if isinstance(node, Ref):
            return node.is_all
        if isinstance(node, Pipe):
            converter = _converter(node)
            return converter.returns_list or (self.is_list(node.subject) and not converter.takes_all)
        if isinstance(node, When):
            return self.is_list(node.value)
        return isinstance(node, Either) and any(self.is_list(part) for part in node.parts)

    def code(self, node: Node, level: Level) -> str:
        """Return the expression of a value: falsy or None when there is none."""
        if isinstance(node, Constant):
            return self.constant(node)
        if isinstance(node, Field):
            if self.source.is_all(node.path):
                return self.source.texts(node.path, level)
            return self.source.text(node.path, level)
        if isinstance(node, Ref):
            return self._ref(node, level)
        if isinstance(node, Either):
            return "(" + " or ".join(self.code(part, level) for part in node.parts) + ")"
        if isinstance(node, Sum):
            return self.text(node, level)
        if isinstance(node, When):
            empty = "()" if self.is_list(node.value) else "None"
            return f"({self.code(node.value, level)} if {self.condition(node.condition, level)} else {empty})"
        if isinstance(node, Pipe):
            return self._pipe(node, level)
        return self.condition(node, level)

    def _ref(self, node: Ref, level: Level) -> str:
        variable = self.where(node, level)
        if node.is_all:
            return f"told_all({variable})" if self.traced else variable
        code = variable if variable.startswith("ref_") else f"({variable}[0] if {variable} else None)"
        return f"told({code})" if self.traced else code

    def text(self, node: Node, level: Level) -> str:
        """Return the expression of a text: "" when there is none."""
        if isinstance(node, Constant):
            return repr(str(node.value))
        if isinstance(node, Field):
            return self.source.text(node.path, level)
        if isinstance(node, Either):
            return "(" + " or ".join(self.text(part, level) for part in node.parts) + ")"
        if isinstance(node, Sum):
            parts = "".join(f"{self.text(part, level)}, " for part in node.parts)
            return f"joined(({parts}), {tuple(not isinstance(part, Constant) for part in node.parts)!r})"
        if isinstance(node, When):
            return f"({self.text(node.value, level)} if {self.condition(node.condition, level)} else '')"
        if isinstance(node, Pipe):
            return f"as_text({self._pipe(node, level)})"
        raise SourceError("a condition or reference has no text")

    def _pipe(self, node: Pipe, level: Level) -> str:
        converter = _converter(node)
        self.made.sites.append(Site(converter, node.arguments, self.label, self.place))
        call = f"c{len(self.made.sites) - 1}"
        site = self.made.sites[-1]
        site.label = label_of(node, self.label)
        subject = node.subject
        if self.is_list(subject) or converter.takes_all:
            values = self._list(subject, level, converter)
            if converter.takes_all:
                return f"{call}({values}, x)"
            helper = "flattened" if converter.returns_list else "converted"
            if self.traced:
                return f"{helper}({call}, {values}, x)"
            return f"({helper}({call}, p, x) if (p := {values}) else ())"
        value = self._input(subject, level, converter)
        return f"{call}({value}, x)" if self.traced else f"({call}(p, x) if (p := {value}) else None)"

    def _input(self, node: Node, level: Level, converter: Converter) -> str:
        """Return what one call of a converter gets: raw for datatype converters, text for those that take text."""
        if isinstance(node, Field) and (not converter.takes_text or self.source.is_whole(node.path)):
            return self.source.raw(node.path, level, converter.reads)
        if isinstance(node, Either):
            return "(" + " or ".join(self._input(part, level, converter) for part in node.parts) + ")"
        if isinstance(node, When):
            value = self._input(node.value, level, converter)
            return f"({value} if {self.condition(node.condition, level)} else None)"
        return self.code(node, level)

    def _list(self, node: Node, level: Level, converter: Converter) -> str:
        if isinstance(node, Field):
            if converter.takes_text and not self.source.is_whole(node.path):
                return self.source.texts(node.path, level)
            return self.source.raws(node.path, level, converter.reads)
        if isinstance(node, Either):
            return "(" + " or ".join(self._list(part, level, converter) for part in node.parts) + ")"
        if isinstance(node, When):
            value = self._list(node.value, level, converter)
            return f"({value} if {self.condition(node.condition, level)} else ())"
        code = self.code(node, level)
        return code if self.is_list(node) else f"as_list({code})"

    def condition(self, node: Node, level: Level) -> str:
        if isinstance(node, And):
            return "(" + " and ".join(self.condition(part, level) for part in node.parts) + ")"
        if isinstance(node, Or):
            return "(" + " or ".join(self.condition(part, level) for part in node.parts) + ")"
        if isinstance(node, Not):
            return f"(not {self.condition(node.part, level)})"
        if isinstance(node, Compare):
            operands = "(" + "".join(f"{self.text(part, level)}, " for part in node.operands) + ")"
            if self.is_list(node.subject):
                return f"any_in({self.code(node.subject, level)}, {operands})"
            return f"({self.text(node.subject, level)} in {operands})"
        if isinstance(node, Field):
            return self.source.present(node.path, level)
        return self.code(node, level)


def _converter(node: Pipe) -> Converter:
    found = find_converter(node.converter)
    assert found is not None, "checked when the map was compiled"
    return found


def fields_of(node: Node) -> list[Any]:
    """Return the paths of an expression."""
    if isinstance(node, Field):
        return [node.path]
    if isinstance(node, Either | Sum | And | Or):
        return [path for part in node.parts for path in fields_of(part)]
    if isinstance(node, Pipe):
        return fields_of(node.subject)
    if isinstance(node, When):
        return fields_of(node.value)
    return []


def label_of(node: Node, otherwise: str) -> str:
    """Return the source fields of an expression for messages: "OBX-14 or OBR-7"."""
    return " or ".join(dict.fromkeys(str(path) for path in fields_of(node))) or otherwise
