"""The left side of a map that runs back: fields of segments, elements of XML, members of JSON, checked and nested.

Everything is checked when the map is compiled: does the field or name exist in the target's form, does the path exist
in FHIR R4, is it a text that may stand there.
"""

import re
from dataclasses import dataclass, field

from mappings.language.converters import find_converter
from mappings.language.errors import problem
from mappings.language.expression import And, Compare, Either, Field, Node, Not, Or, Pipe, Sum, When
from mappings.language.sources import Level, SourceError
from mappings.language.sources.resource_path import ResourcePath, is_primitive
from mappings.language.sources.resources import ResourceSource
from mappings.language.targets import TEMPORAL, Checker, Items, Line, Object, Target, Value
from mappings.language.yaml_tree import Block, Listing, Text, Yaml, nest
from mappings.outbound.xml import is_name

FIELD_LIMIT = 199
DEPTH = 40
# Converter results whose empty value is None only: 0 and false are values of JSON.
_PLAIN = {"boolean", "integer", "decimal", "positiveInt", "unsignedInt"}


@dataclass
class ShapeChecker(Checker):
    """`format`: hl7v2, xml or json."""

    source: ResourceSource
    format: str = field(kw_only=True)

    def segment(self, block: Block, name: str, level: Level) -> Object:
        """Return the fields of a segment: `PID-3`, `PID-5.1`, each a line, a block of components or a list of either."""
        return self.block(nest(block, self.issues), level, re.compile(rf"{name}-([1-9]\d{{0,2}})"), 0)

    def tree(self, block: Block, level: Level) -> Object:
        """Return the elements of an XML or the members of a JSON body."""
        return self.block(nest(block, self.issues), level, None, 0)

    def block(self, block: Block, level: Level, fields: re.Pattern[str] | None, depth: int) -> Object:
        made = Object([], block.place)
        if depth > DEPTH:
            self.issues.append(problem("HT-MAP-08", block.place, reason=f"more than {DEPTH} levels"))
            return made
        inner = level
        each = block.entries.get("$each")
        if isinstance(each, Text):
            made.each = each.text
            inner = self._open(level, each)
        for name, value in block.entries.items():
            if name == "$each":
                continue
            if name == "$when":
                made.when = self.at(value, inner, is_condition=True) if isinstance(value, Text) else None
                continue
            key, repeats = (name[:-2], True) if name.endswith("[]") else (name, False)
            if not self._is_named(key, fields, depth):
                self.issues.append(
                    problem("HT-MAP-25", block.places[name], target=name, expected=_expected(fields, depth))
                )
                continue
            made.targets.append(self._one(key, value, inner, fields, depth, repeats=repeats))
        return made

    def _one(
        self,
        key: str,
        value: Yaml,
        level: Level,
        fields: re.Pattern[str] | None,
        depth: int,
        *,
        repeats: bool,
    ) -> Target:
        made, type = self._made(value, level, fields, depth)
        return Target(key, type, repeats or isinstance(made, Items), made, value.place)

    def _made(
        self, value: Yaml, level: Level, fields: re.Pattern[str] | None, depth: int
    ) -> tuple[Value, str]:
        if isinstance(value, Listing):
            items = [self._made(item, level, fields, depth)[0] for item in value.items]
            return Items(items, value.place), "string"
        if isinstance(value, Block):
            return self.block(value, level, fields, depth + 1), "string"
        node = self.at(value, level)
        if node is None:
            return Items([], value.place), "string"
        self._fits(node, value, level)
        return Line(node, value.place), _type(node)

    def at(self, text: Text, level: Level, *, is_condition: bool = False) -> Node | None:
        """Return the expression of a line whose paths start at `level`; problems are noted."""
        node = self.condition(text) if is_condition else self.expression(text)
        for path in _paths(node) if node is not None else ():
            try:
                self.source.text(path, level)
            except SourceError as error:
                self.issues.append(problem("HT-MAP-08", text.place, reason=str(error)))
        return node

    def _open(self, level: Level, each: Text) -> Level:
        try:
            return self.source.open(level, each.text)
        except SourceError as error:
            self.issues.append(problem("HT-MAP-08", each.place, reason=str(error)))
            return level

    def _is_named(self, key: str, fields: re.Pattern[str] | None, depth: int) -> bool:
        if fields is None:
            return self.format == "json" or key == "#text" or is_name(key.removeprefix("@"))
        if depth == 0:
            found = fields.fullmatch(key)
            return found is not None and int(found[1]) <= FIELD_LIMIT
        return key.isdigit() and 0 < int(key) < 100 and depth < 3

    def _fits(self, node: Node, text: Text, level: Level) -> None:
        """A bare path must lead to a text; a date in HL7 v2 needs its converter."""
        for path in _bare(node):
            try:
                types = self.source.type_of(path, level)
            except SourceError:
                continue
            wrong = [type for type in types if not is_primitive(type)]
            dates = [type for type in types if type in TEMPORAL] if self.format == "hl7v2" else []
            if wrong and len(wrong) == len(types):
                self.issues.append(
                    problem("HT-MAP-12", text.place, target=str(path), type="a text", got=wrong[0])
                )
            elif dates:
                self.issues.append(
                    problem("HT-MAP-12", text.place, target=str(path), type="| to_ts", got=dates[0])
                )


def _expected(fields: re.Pattern[str] | None, depth: int) -> str:
    if fields is None:
        return "XML: element, @attribute, #text"
    return f"{fields.pattern[:3]}-1 … {fields.pattern[:3]}-{FIELD_LIMIT}" if depth == 0 else "1, 2, 3 …"


def _type(node: Node) -> str:
    """Return "decimal" for what may be 0 or false, "string" for everything else."""
    inner = node.value if isinstance(node, When) else node
    if isinstance(inner, Pipe):
        found = find_converter(inner.converter)
        if found is not None and set(found.types) & _PLAIN:
            return "decimal"
    return "string"


def _bare(node: Node) -> list[ResourcePath]:
    """Return the paths whose text stands in the target as it is."""
    if isinstance(node, Field):
        return [node.path]
    if isinstance(node, Either | Sum):
        return [path for part in node.parts for path in _bare(part)]
    return _bare(node.value) if isinstance(node, When) else []


def _paths(node: Node) -> list[ResourcePath]:
    """Return every path of an expression, those of conditions too."""
    if isinstance(node, Field):
        return [node.path]
    if isinstance(node, Either | Sum | And | Or):
        return [path for part in node.parts for path in _paths(part)]
    if isinstance(node, Pipe):
        return _paths(node.subject)
    if isinstance(node, When):
        return _paths(node.value) + _paths(node.condition)
    if isinstance(node, Not):
        return _paths(node.part)
    if isinstance(node, Compare):
        return _paths(node.subject) + [path for part in node.operands for path in _paths(part)]
    return []
