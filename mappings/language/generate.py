"""Generate the Python of a map: one function from a read message to entries, from parsed and checked lines only.

The shape of the generated function: for the message and for each loop, fetch the segments, compute the ids of the
resources made there, run the inner loops, build the resources. With `traced` the same function also tells, for
every element, the map line and the source fields (docs/mapping.md, "Preview").
"""

import re
from dataclasses import dataclass
from typing import Any

from mappings.language.emit import ExpressionWriter, Generated, fields_of, label_of
from mappings.language.expression import Constant, Node, Ref
from mappings.language.sources import Level, Source, SourceError
from mappings.language.targets import Items, Line, Object, Target, Value, refs_of
from mappings.language.yaml_tree import Place

# Types whose empty value is None only: False and 0 are values.
_FALSY = {"boolean", "integer", "decimal", "positiveInt", "unsignedInt"}


@dataclass
class Plan:
    """One resource, checked and ready to generate. `parts`: key parts and whether each may be empty."""

    name: str
    variable: str
    type: str
    place: Place
    level: Level
    body: Object
    parts: list[tuple[Node, bool]]
    key_place: Place
    when: Node | None
    is_shared: bool
    is_numbered: bool
    recency: Node | None
    namespace: str = ""


class Generator(ExpressionWriter):
    """`source` parses nothing any more here; it only turns paths into expressions."""

    def __init__(
        self, plans: list[Plan], source: Source, root: Level, namespace: Node | None, *, traced: bool
    ) -> None:
        super().__init__(source, traced=traced)
        self.plans = plans
        self.root = root
        self.namespace = namespace
        self.by_name = {plan.name: plan for plan in plans}
        self.count = 0
        # Lists of references that must be collected: (resource, key of the level that reads them).
        self.collected: dict[tuple[str, tuple[str, ...]], str] = {}

    def generate(self) -> Generated:
        """Return the code of `build(b)`, which returns `run(g0, x)`; SourceError when a path has no meaning."""
        self._collect()
        body = [*self._level(self.root)]
        names = ", ".join(f"*out_{plan.variable}" for plan in self.plans)
        outs = [f"out_{plan.variable} = []" for plan in self.plans]
        space = self.text(self.namespace, self.root) if self.namespace is not None else "''"
        head = [
            "ids = set()",
            "recency = default_recency(x)",
            f"space = facility or {space}",
            "x.made.space = space",
            "x.made.origin = space + '|' + x.made.origin",
            "tag = str(len(space)) + ':' + space",
            *outs,
        ]
        inner = [*self.source.prelude(self.root), *head, *body, f"return [{names}]"]
        inner = self.source.settle("\n".join(inner)).split("\n")
        text = "\n".join(inner)
        helpers = sorted(set(re.findall(r"\btext_\d+_\d+\b", text)))
        lines = ["def build(b):"]
        for name in _HELPERS if not self.traced else (*_HELPERS, *_TRACING):
            lines.append(f"    {name} = b.{name}")
        for name in helpers:
            _, component, subcomponent = name.split("_")
            lines.append(f"    {name} = b.text({component}, {subcomponent})")
        called = set(re.findall(r"\b([a-z_]+)\(", text))
        source_names = [name for name in _SOURCE_NAMES if name in called]
        lines += [f"    {name} = b.functions[{name!r}]" for name in source_names]
        lines += [f"    c{number} = b.site({number})" for number in range(len(self.made.sites))]
        lines += [f"    k{number} = b.constants[{number}]" for number in range(len(self.made.constants))]
        for plan in self.plans:
            lines.append(f"    rule_{plan.variable} = b.rules[{plan.name!r}]")
        lines.append("    def run(g0, x):")
        lines += ["        " + line for line in inner]
        lines.append("    return run")
        self.made.code = "\n".join(lines) + "\n"
        return self.made

    # Loops

    def _collect(self) -> None:
        """Find which references are read from outside the loop that makes them."""
        for plan in self.plans:
            for ref in refs_of(plan.body):
                self.where(ref, plan.level)

    def where(self, ref: Ref, level: Level) -> str:
        """Return the variable that a `ref` or `refs` reads at `level`."""
        target = self.by_name[ref.name]
        chain = level.chain()
        if target.level in chain and not ref.is_all:
            return f"ref_{target.variable}"
        common = next(inner for inner in chain if inner in target.level.chain())
        if ref.is_all and target.level is not level and target.level in chain:
            common = next(inner for inner in target.level.chain() if inner in chain)
        key = (target.name, common.key)
        if key not in self.collected:
            self.collected[key] = f"refs_{target.variable}_{len(self.collected)}"
        return self.collected[key]

    def _level(self, level: Level) -> list[str]:
        """Return the body of a loop: ids first, inner loops next, resources last; without prelude and header."""
        plans = [plan for plan in self.plans if plan.level is level]
        lines = [f"{variable} = []" for (_, key), variable in self.collected.items() if key == level.key]
        for plan in plans:
            lines += self._identity(plan)
        for child in self._ordered(level):
            inner = self._level(child)
            lines.append(child.header)
            lines += ["    " + line for line in (*self.source.prelude(child), *inner, "pass")]
        for plan in plans:
            lines += self._resource(plan)
        return lines

    def _ordered(self, level: Level) -> list[Level]:
        """Return the inner loops so that a loop comes after those whose references it reads."""
        waiting = list(level.children.values())
        needs = {
            id(child): {
                id(other)
                for plan in self.plans
                if child in plan.level.chain()
                for ref in refs_of(plan.body)
                for other in waiting
                if other is not child and other in self.by_name[ref.name].level.chain()
            }
            for child in waiting
        }
        done: list[Level] = []
        while waiting:
            ready = next(
                (child for child in waiting if not needs[id(child)] & {id(one) for one in waiting}), None
            )
            if ready is None:
                raise SourceError(
                    "two loops refer to each other: " + " and ".join(one.key[-1] for one in waiting)
                )
            waiting.remove(ready)
            done.append(ready)
        return done

    # Identity

    def _identity(self, plan: Plan) -> list[str]:
        name, level = plan.variable, plan.level
        lines: list[str] = []
        self.label, self.place = plan.name, plan.key_place
        inner: list[str] = []
        if self.traced:
            inner.append("start()")
        parts, required = [], []
        for node, is_optional in plan.parts:
            if isinstance(node, Constant):
                parts.append(repr(_tagged(str(node.value))))
                continue
            self.count += 1
            variable = f"v{self.count}"
            inner.append(f"{variable} = {self.text(node, level)}")
            parts.append(f"str(len({variable})) + ':' + {variable}")
            if not is_optional:
                required.append(variable)
        # A length stands before every text, so "shared" can't be any facility's tag.
        space = "'shared/'" if plan.is_shared else "tag"
        key = " + ".join([space, repr(f"{plan.type}/"), *parts])
        label = repr(plan.name)
        if required:
            inner.append(f"i = hashed({key}) if {' and '.join(required)} else loose(x, {label}, ids)")
        elif plan.parts:
            inner.append(f"i = hashed({key})")
        else:
            inner.append(f"i = loose(x, {label}, ids)")
        if plan.is_numbered:
            inner.append(f"if i in ids: i = again(x, {label}, i, ids)")
            inner.append("ids.add(i)")
        else:
            inner.append(f"new_{name} = i not in ids")
            inner.append("ids.add(i)")
        inner.append(f"id_{name} = i")
        inner.append(f"ref_{name} = {{'reference': {plan.type + '/'!r} + i}}")
        if self.traced:
            inner.append(f"made(ref_{name}, {self._place(plan.key_place)})")
        for (target, key_of_level), variable in self.collected.items():
            if target == plan.name and any(one.key == key_of_level for one in level.chain()):
                inner.append(f"{variable}.append(ref_{name})")
        condition = self._exists(plan)
        if condition is None:
            return lines + inner
        lines.append(f"ref_{name} = None")
        lines.append(f"if {condition}:")
        return lines + ["    " + line for line in inner]

    def _exists(self, plan: Plan) -> str | None:
        if plan.when is not None:
            return self.condition(plan.when, plan.level)
        anchors = [
            anchor
            for node, _ in plan.parts
            for path in fields_of(node)
            if (anchor := self.source.anchor(path, plan.level)) is not None
        ]
        unique = list(dict.fromkeys(anchors))
        return " or ".join(unique) if unique and "True" not in unique else None

    # Resources

    def _resource(self, plan: Plan) -> list[str]:
        name, level = plan.variable, plan.level
        self.label, self.place = plan.name, plan.place
        lines: list[str] = []
        when = "recency"
        if plan.recency is not None:
            lines.append(f"moment = {self.code(plan.recency, level)} or recency")
            when = "moment"
        self.count += 1
        variable = f"o{self.count}"
        lines.append(f"{variable} = {{'resourceType': {plan.type!r}, 'id': id_{name}}}")
        if self.traced:
            lines.append(f"begin({variable}, ref_{name}, {self._place(plan.place)})")
        for target in plan.body.targets:
            lines += self._target(target, variable, level)
        lines.append(
            f"out_{name}.append(Entry({variable}, rule_{name}, {when}{', cleared(x)' if self.traced else ''}))"
        )
        conditions = [f"ref_{name} is not None"] if self._exists(plan) is not None else []
        if not plan.is_numbered:
            conditions.append(f"new_{name}")
        if not conditions:
            return lines
        return [f"if {' and '.join(conditions)}:", *("    " + line for line in lines)]

    def _target(self, target: Target, owner: str, level: Level) -> list[str]:
        """Return the lines that set one element of the object `owner`."""
        value = target.value
        if not self.traced and not isinstance(value, Line) and _is_constant(value):
            # Built once; results share it (Entry: values below the top level are never changed in place).
            self.made.constants.append(_frozen(value) if not target.repeats else _frozen_list(value))
            return [f"{owner}[{target.name!r}] = k{len(self.made.constants) - 1}"]
        if isinstance(value, Line):
            return self._line(target, value, owner, level)
        if isinstance(value, Object) and value.each is None and not target.repeats:
            return self._nested(value, level, lambda made: self._set(owner, target.name, made, None))
        self.count += 1
        items = f"l{self.count}"
        lines = [f"{items} = []"]
        for item in value.values if isinstance(value, Items) else [value]:
            lines += self._item(item, target, items, level)
        lines.append(f"if {items}: {owner}[{target.name!r}] = {items}")
        return lines

    def _set(self, owner: str, name: str, value: str, place: Place | None) -> list[str]:
        lines = [f"{owner}[{name!r}] = {value}"]
        if self.traced and place is not None:
            lines.append(f"mark({owner}, {name!r}, {self._place(place)})")
        return lines

    def _line(self, target: Target, line: Line, owner: str, level: Level) -> list[str]:
        self.label, self.place = label_of(line.node, target.name), line.place
        lines = ["start()"] if self.traced else []
        node, place = line.node, line.place
        if isinstance(node, Constant):
            value = self.constant(node)
            return lines + self._set(owner, target.name, f"[{value}]" if target.repeats else value, place)
        code = self.code(node, level)
        if not target.type:
            stem = target.name.removesuffix("[x]")
            lines.append(f"if (v := {code}):")
            lines.append(f"    n = {stem!r} + v[0][0].upper() + v[0][1:]")
            lines.append(f"    {owner}[n] = v[1]")
            if self.traced:
                lines.append(f"    mark({owner}, n, {self._place(place)})")
            return lines
        is_list = self.is_list(node)
        test = "is not None" if target.type in _FALSY and not is_list else ""
        lines.append(f"if (v := {code}) {test}:" if test else f"if v := {code}:")
        value = "v" if is_list or not target.repeats else "[v]"
        lines += ["    " + part for part in self._set(owner, target.name, value, place)]
        if self.traced:
            lines.append(f"else: missing({owner}, {target.name!r})")
        return lines

    def _nested(self, value: Object, level: Level, use: Any) -> list[str]:
        """Return the lines that build an object and hand its variable to `use` when a line in it has a value."""
        self.count += 1
        variable = f"o{self.count}"
        constant = [target for target in value.targets if _is_constant(target.value)]
        lines = [f"{variable} = {{}}"]
        inner: list[str] = []
        for target in value.targets:
            inner += self._target(target, variable, level)
        if constant and len(constant) < len(value.targets):
            # Only constants: nothing was said.
            inner.append(f"if len({variable}) > {len(constant)}:")
            inner += ["    " + line for line in use(variable)]
        elif constant:
            inner += use(variable)
        else:
            inner.append(f"if {variable}:")
            inner += ["    " + line for line in use(variable)]
        lines += inner
        if value.when is not None:
            return [f"if {self.condition(value.when, level)}:", *("    " + line for line in lines)]
        return lines

    def _item(self, item: Value, target: Target, items: str, level: Level) -> list[str]:
        """Return the lines that append to the list `items`."""
        if isinstance(item, Line):
            self.label, self.place = label_of(item.node, target.name), item.place
            lines = ["start()"] if self.traced else []
            place = f"mark_items({items}, {self._place(item.place)})" if self.traced else ""
            if isinstance(item.node, Constant):
                lines.append(f"{items}.append({self.constant(item.node)})")
                return [*lines, place] if place else lines
            code = self.code(item.node, level)
            action = f"{items}.extend(v)" if self.is_list(item.node) else f"{items}.append(v)"
            test = " is not None" if target.type in _FALSY and not self.is_list(item.node) else ""
            lines.append(f"if (v := {code}){test}:")
            lines.append(f"    {action}")
            return [*lines, "    " + place] if place else lines
        if isinstance(item, Items):
            return [line for one in item.values for line in self._item(one, target, items, level)]
        if item.each is None:
            return self._nested(item, level, lambda made: [f"{items}.append({made})"])
        self.count += 1
        # A private copy of this level keeps the loop apart from those that make resources.
        private = Level((*level.key, f"${self.count}"), level, "", level.state)
        inner = self.source.open(private, item.each)
        lines = self._nested(item, inner, lambda made: [f"{items}.append({made})"])
        while inner is not private:
            lines = [inner.header, *("    " + line for line in (*self.source.prelude(inner), *lines))]
            assert inner.parent is not None
            inner = inner.parent
        return lines

    def _place(self, place: Place) -> int:
        if place not in self.made.places:
            self.made.places.append(place)
        return self.made.places.index(place)


_HELPERS = (
    "Entry",
    "hashed",
    "loose",
    "again",
    "joined",
    "as_text",
    "as_list",
    "any_in",
    "converted",
    "flattened",
    "default_recency",
    "facility",
)
_TRACING = ("start", "mark", "mark_items", "begin", "made", "told", "told_all", "missing", "cleared")
_SOURCE_NAMES = (
    "take",
    "fields",
    "nth",
    "one",
    "first",
    "repetition",
    "repetitions",
    "part",
    "parts",
    "column",
    "seen",
    "whole",
    "whole_all",
    "text",
    "value",
    "values",
    "items",
    "element",
    "elements",
    "loop",
    "attribute",
    "attributes",
    "content",
    "contents",
    "exists",
)


def _tagged(text: str) -> str:
    return f"{len(text)}:{text}"


def _frozen(value: Value) -> Any:
    """Return the JSON value of a constant element."""
    if isinstance(value, Line):
        assert isinstance(value.node, Constant)
        return value.node.value
    if isinstance(value, Items):
        return [_frozen(item) for item in value.values]
    return {
        target.name: _frozen_list(target.value) if target.repeats else _frozen(target.value)
        for target in value.targets
    }


def _frozen_list(value: Value) -> list[Any]:
    found = _frozen(value)
    return found if isinstance(found, list) else [found]


def _is_constant(value: Value) -> bool:
    if isinstance(value, Line):
        return isinstance(value.node, Constant)
    if isinstance(value, Items):
        return all(_is_constant(item) for item in value.values)
    return value.when is None and value.each is None and all(_is_constant(one.value) for one in value.targets)
