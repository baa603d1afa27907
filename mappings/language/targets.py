"""The left side of a map: its elements checked against FHIR R4 and put into shape.

Every line is checked when the map is compiled: does the element exist, may it repeat, does its type take what the
line gives, is a constant one of the codes of a required binding, may the reference point to that resource type.
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal

from conformance.definitions import children, is_subtype, required_codes, structure
from conformance.definitions.structures import Child, Element
from mappings.language.converters import converter_names, find_converter
from mappings.language.document import ResourceRule
from mappings.language.errors import problem
from mappings.language.expression import (
    And,
    Compare,
    Constant,
    Either,
    ExpressionError,
    Field,
    Node,
    Not,
    Or,
    Pipe,
    Ref,
    Sum,
    When,
    parse_condition,
    parse_expression,
)
from mappings.language.sources import Source
from mappings.language.yaml_tree import Block, Listing, Place, Text, Yaml, nest
from terminology.issues import Issue
from terminology.tables import domain_names

TEXTUAL = frozenset(
    {"string", "code", "id", "uri", "url", "canonical", "markdown", "oid", "uuid", "base64Binary"}
)
NUMERIC = frozenset({"integer", "decimal", "positiveInt", "unsignedInt"})
TEMPORAL = {
    "date": re.compile(r"\d{4}(-\d\d(-\d\d)?)?"),
    "dateTime": re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?"),
    "instant": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "time": re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"),
}
_SYSTEM = "http://hl7.org/fhirpath/System."
_NO_REQUIRED = {"merge", "status", "retire", "link", "unlink", "gather"}


@dataclass
class Target:
    """One element of an object. `name`: its JSON name, ending in `[x]` when the converter chooses the type.

    `type` is "" for a choice that the converter makes; `value` is one of Line, Object, Items.
    """

    name: str
    type: str
    repeats: bool
    value: "Value"
    place: Place


@dataclass
class Line:
    node: Node
    place: Place


@dataclass
class Object:
    targets: list[Target]
    place: Place
    when: Node | None = None
    each: str | None = None


@dataclass
class Items:
    values: list["Value"]
    place: Place


Value = Line | Object | Items


@dataclass
class Checker:
    """What one map offers to its lines. `types`: resource id → resource type; `tables`: name → values."""

    source: Source
    types: dict[str, str]
    tables: dict[str, list[object]]
    issues: list[Issue] = field(default_factory=list)

    def resource(self, rule: ResourceRule, type: str, write: str) -> Object:
        """Return the elements of a resource, checked."""
        nested = nest(rule.set, self.issues)
        return self._object(nested, type, type, check_required=write not in _NO_REQUIRED)

    def condition(self, text: Text) -> Node | None:
        try:
            node = parse_condition(text.text, self.source.read_path)
        except ExpressionError as error:
            self._grammar(text, error)
            return None
        self.result(node, text.place)
        return node

    def expression(self, text: Text) -> Node | None:
        value = text.value
        if value is not None and not isinstance(value, str):
            return Constant(value)
        try:
            node = parse_expression(text.text, self.source.read_path)
        except ExpressionError as error:
            self._grammar(text, error)
            return None
        self.result(node, text.place)
        return node

    def _grammar(self, text: Text, error: ExpressionError) -> None:
        self.issues.append(
            problem("HT-MAP-10", text.place, text=text.text, column=error.at + 1, expected=error.expected)
        )

    def _object(self, block: Block, path: str, shown: str, *, check_required: bool = True) -> Object:
        known = children(path)
        made = Object([], block.place)
        done: set[str] = set()
        for name, value in block.entries.items():
            place = block.places[name]
            if name == "$when":
                made.when = self.condition(value) if isinstance(value, Text) else None
                continue
            if name == "$each":
                made.each = value.text if isinstance(value, Text) else None
                continue
            target = self._target(name, value, known, f"{shown}.{name}", place)
            if target is not None:
                made.targets.append(target[0])
                done.add(target[1].path)
        if check_required:
            for child in known.values():
                if child.element.min and child.element.path not in done:
                    done.add(child.element.path)
                    self.issues.append(
                        problem("HT-MAP-14", block.place, target=f"{shown}.{child.element.name}")
                    )
        return made

    def _target(
        self, name: str, value: Yaml, known: dict[str, Child], shown: str, place: Place
    ) -> tuple[Target, Element] | None:
        if name.endswith("[x]"):
            return self._choice(name, value, known, shown, place)
        child = known.get(name)
        if child is None and name.startswith("_") and (primitive := known.get(name[1:])) is not None:
            return self._extended(name, value, primitive.element, shown, place)
        if child is None:
            near = _nearest(name, known)
            self.issues.append(problem("HT-MAP-11", place, target=shown, near=near))
            return None
        element = child.element
        type = child.type.removeprefix(_SYSTEM).lower() if child.type.startswith(_SYSTEM) else child.type
        made = self._value(value, child, type, shown, in_list=element.repeats)
        return (Target(name, type, element.repeats, made, place), element) if made is not None else None

    def _extended(
        self, name: str, value: Yaml, element: Element, shown: str, place: Place
    ) -> tuple[Target, Element] | None:
        """`_birthDate`: what stands beside a primitive value (extensions), an Element made by a converter."""
        node = self.expression(value) if isinstance(value, Text) else None
        if node is None or self.result(node, place)[0] != ("Element",):
            self.issues.append(problem("HT-MAP-12", place, target=shown, type="Element", got="another value"))
            return None
        return Target(name, "Element", False, Line(node, place), place), element

    def _choice(
        self, name: str, value: Yaml, known: dict[str, Child], shown: str, place: Place
    ) -> tuple[Target, Element] | None:
        options = {
            child.type: child
            for child in known.values()
            if child.element.is_choice and child.element.name == name
        }
        if not options:
            self.issues.append(problem("HT-MAP-11", place, target=shown, near=_nearest(name, known)))
            return None
        if not isinstance(value, Text):
            self.issues.append(
                problem("HT-MAP-12", place, target=shown, type=", ".join(options), got="a block")
            )
            return None
        node = self.expression(value)
        if node is None:
            return None
        types, is_list = self.result(node, value.place)
        first = next(iter(options.values()))
        if types == ("[x]",):
            if is_list:
                self.issues.append(problem("HT-MAP-13", place, target=shown))
            return Target(name, "", first.element.repeats, Line(node, place), place), first.element
        fitting = [kind for kind in options if types and all(_fits(given, kind) for given in types)]
        exact = [kind for kind in fitting if kind in types] or (
            [kind for kind in ("string",) if kind in fitting] or fitting
        )
        if not exact:
            self.issues.append(
                problem("HT-MAP-12", place, target=shown, type=", ".join(options), got=_shown(types))
            )
            return None
        return self._target(options[exact[0]].name, value, known, shown, place)

    def _value(self, value: Yaml, child: Child, type: str, shown: str, *, in_list: bool) -> Value | None:
        if isinstance(value, Listing):
            if not in_list:
                self.issues.append(problem("HT-MAP-13", value.place, target=shown))
                return None
            made = [self._value(item, child, type, shown, in_list=True) for item in value.items]
            return Items([item for item in made if item is not None], value.place)
        if isinstance(value, Block):
            path = child.path if child.path else child.element.path
            if type in TEXTUAL or type in NUMERIC or type in TEMPORAL or type == "boolean":
                self.issues.append(problem("HT-MAP-12", value.place, target=shown, type=type, got="a block"))
                return None
            if type in ("Resource", "DomainResource"):
                return self._contained(value, shown)
            made_object = self._object(value, path, shown)
            if made_object.each is not None and not in_list:
                self.issues.append(problem("HT-MAP-13", value.place, target=shown))
            return made_object
        node = self.expression(value)
        if node is None:
            return None
        types, is_list = self.result(node, value.place)
        if is_list and not in_list:
            self.issues.append(problem("HT-MAP-13", value.place, target=shown))
        wrong = [given for given in types if not _fits(given, type)]
        if wrong:
            self.issues.append(problem("HT-MAP-12", value.place, target=shown, type=type, got=_shown(wrong)))
        self._constants(node, child.element, type, shown, value.place)
        self._references(node, child, shown, value.place)
        return Line(node, value.place)

    def _contained(self, block: Block, shown: str) -> Object | None:
        named = block.entries.get("resourceType")
        type = named.text.lstrip("= ") if isinstance(named, Text) else ""
        if structure(type) is None:
            self.issues.append(problem("HT-MAP-11", block.place, target=f"{shown}.resourceType", near=type))
            return None
        rest = Block(
            {key: value for key, value in block.entries.items() if key != "resourceType"},
            block.place,
            block.places,
        )
        made = self._object(rest, type, shown)
        kind = Target("resourceType", "code", False, Line(Constant(type), block.place), block.place)
        made.targets.insert(0, kind)
        return made

    def _constants(self, node: Node, element: Element, type: str, shown: str, place: Place) -> None:
        """Check constants and table values against the grammar of the type and a required binding."""
        codes: frozenset[str] | None = None
        binding = element.binding
        if type == "code" and binding is not None and binding.strength == "required":
            sets = required_codes(binding.value_set)
            codes = frozenset().union(*sets.values()) if sets else None
        for given in self._given(node):
            text = str(given)
            if codes is not None and text not in codes:
                allowed = ", ".join(sorted(codes)[:20])
                self.issues.append(problem("HT-MAP-15", place, target=shown, value=text, allowed=allowed))
            elif (
                (type in TEMPORAL and not TEMPORAL[type].fullmatch(text))
                or (type == "boolean" and not isinstance(given, bool))
                or (type in NUMERIC and (isinstance(given, bool) or not isinstance(given, (int, Decimal))))
            ):
                self.issues.append(problem("HT-MAP-12", place, target=shown, type=type, got=f"={text}"))

    def _given(self, node: Node) -> list[object]:
        if isinstance(node, Constant):
            return [node.value]
        if isinstance(node, Pipe) and node.converter == "table":
            return self.tables.get(str(node.arguments[0]), []) if node.arguments else []
        if isinstance(node, Either):
            return [value for part in node.parts for value in self._given(part)]
        if isinstance(node, When):
            return self._given(node.value)
        return []

    def _references(self, node: Node, child: Child, shown: str, place: Place) -> None:
        for ref in refs_in(node):
            target = self.types.get(ref.name)
            if target is None:
                continue
            allowed = {
                url.rpartition("/")[2]
                for kind in child.element.types
                if kind.code == "Reference"
                for url in kind.targets
            }
            if allowed and "Resource" not in allowed and target not in allowed:
                self.issues.append(
                    problem("HT-MAP-16", place, target=shown, type=target, allowed=", ".join(sorted(allowed)))
                )

    def result(self, node: Node, place: Place) -> tuple[tuple[str, ...], bool]:
        """Return the possible FHIR types of an expression ("text" for a bare field, () for anything), and whether it is a list."""
        if isinstance(node, Constant):
            return ("constant",), False
        if isinstance(node, Field):
            return ("text",), bool(self.source.is_all(node.path))
        if isinstance(node, Ref):
            if node.name not in self.types:
                self.issues.append(problem("HT-MAP-17", place, name=node.name, known=", ".join(self.types)))
            return ("Reference",), node.is_all
        if isinstance(node, When):
            self.result(node.condition, place)
            return self.result(node.value, place)
        if isinstance(node, Sum):
            for part in node.parts:
                self.result(part, place)
            return ("text",), False
        if isinstance(node, Either):
            found = [self.result(part, place) for part in node.parts]
            kinds = [kind for kind, _ in found]
            types = tuple(dict.fromkeys(kind for some in kinds for kind in some)) if all(kinds) else ()
            return types, any(is_list for _, is_list in found)
        if isinstance(node, Pipe):
            return self._pipe(node, place)
        parts = node.parts if isinstance(node, And | Or) else ()
        if isinstance(node, Not):
            parts = (node.part,)
        if isinstance(node, Compare):
            parts = (node.subject, *node.operands)
        for part in parts:
            self.result(part, place)
        return ("text",), False

    def _pipe(self, node: Pipe, place: Place) -> tuple[tuple[str, ...], bool]:
        _, is_list = self.result(node.subject, place)
        found = find_converter(node.converter)
        if found is None:
            near = _nearest(node.converter, converter_names())
            self.issues.append(problem("HT-MAP-18", place, name=node.converter, near=near))
            return (), is_list
        if node.converter == "table":
            name = str(node.arguments[0]) if len(node.arguments) == 1 else ""
            if name not in self.tables:
                self.issues.append(
                    problem("HT-MAP-19", place, name=name, known=", ".join(self.tables) or "-")
                )
            simple = all(not isinstance(value, (dict, list)) for value in self.tables.get(name, []))
            return ("text",) if simple else (), is_list
        if node.converter in ("code", "coding"):
            name = str(node.arguments[0]) if node.arguments else ""
            if name not in domain_names():
                self.issues.append(problem("HT-MAP-20", place, name=name, known=", ".join(domain_names())))
        is_many = found.returns_list or (is_list and not found.takes_all)
        return found.types, is_many


def refs_in(node: Node) -> list[Ref]:
    """Return every `ref` and `refs` of an expression."""
    if isinstance(node, Ref):
        return [node]
    if isinstance(node, Either | Sum | And | Or):
        return [ref for part in node.parts for ref in refs_in(part)]
    if isinstance(node, Pipe):
        return refs_in(node.subject)
    if isinstance(node, When):
        return refs_in(node.value) + refs_in(node.condition)
    if isinstance(node, Not):
        return refs_in(node.part)
    return refs_in(node.subject) if isinstance(node, Compare) else []


def refs_of(value: Value) -> list[Ref]:
    """Return every `ref` and `refs` below an element."""
    if isinstance(value, Line):
        return refs_in(value.node)
    if isinstance(value, Items):
        return [ref for item in value.values for ref in refs_of(item)]
    return [ref for target in value.targets for ref in refs_of(target.value)]


def _fits(given: str, wanted: str) -> bool:
    """Tell whether a result of type `given` may stand in an element of type `wanted`."""
    if given in (wanted, "any"):
        return True
    if given == "constant":
        # Its grammar and codes are checked one by one.
        return wanted in TEXTUAL or wanted in NUMERIC or wanted in TEMPORAL or wanted == "boolean"
    if given == "text":
        return wanted in TEXTUAL or wanted == "string"
    if given in TEXTUAL and wanted in TEXTUAL:
        return True
    if wanted == "dateTime":
        return given in ("date", "instant")
    if wanted in NUMERIC:
        return given in NUMERIC and (wanted == "decimal" or given != "decimal")
    return is_subtype(given, wanted) or is_subtype(wanted, given)


def _shown(types: tuple[str, ...] | list[str]) -> str:
    return (
        ", ".join({"text": "a text", "constant": "a constant"}.get(kind, kind) for kind in types)
        or "anything"
    )


def _nearest(name: str, known: object) -> str:
    from difflib import get_close_matches

    return ", ".join(get_close_matches(name, list(known), n=3, cutoff=0.5)) or "-"  # type: ignore[call-overload]  # names
