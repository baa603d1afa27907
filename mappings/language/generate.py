"""Generate the Python of a map: one function from a read message to entries, from parsed and checked lines only.

The shape of the generated function: for the message and for each loop, fetch the segments, compute the ids of the
resources made there, run the inner loops, build the resources. With `traced` the same function also tells, for
every element, the map line and the source fields (docs/mapping.md, "Preview").
"""

import re
from dataclasses import dataclass

from mappings.language.emit import Generated, fields_of
from mappings.language.expression import Constant, Node, Ref
from mappings.language.objects import ObjectWriter, plain_key
from mappings.language.sources import Level, Source, SourceError
from mappings.language.targets import Items, Object, Value, refs_of
from mappings.language.yaml_tree import Place


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


class Generator(ObjectWriter):
    """`source` parses nothing any more here; it only turns paths into expressions."""

    def __init__(
        self, plans: list[Plan], source: Source, root: Level, namespace: Node | None, *, traced: bool
    ) -> None:
        super().__init__(source, traced=traced)
        self.plans = plans
        self.root = root
        self.namespace = namespace
        self.by_name = {plan.name: plan for plan in plans}
        # Lists of references that must be collected: (resource, key of the level that reads them).
        self.collected: dict[tuple[str, tuple[str, ...]], str] = {}
        # The same for references inside `$each`, a list for each turn of its loop: (resource, plain key of the loop) →
        # the list of lists, and the key of the level that reads them.
        self.turns: dict[tuple[str, tuple[str, ...]], tuple[str, tuple[str, ...]]] = {}

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
            self._collect_turns(plan.body, plan.level)

    def _collect_turns(self, value: Value, level: Level) -> None:
        """Find which references are read inside `$each` from a loop over the same things."""
        if isinstance(value, Items):
            for item in value.values:
                self._collect_turns(item, level)
        if not isinstance(value, Object):
            return
        if value.each is None:
            for target in value.targets:
                self._collect_turns(target.value, level)
            return
        _, inner = self.private(level, value.each)
        for ref in refs_of(value):
            key = (ref.name, plain_key(inner))
            if any(one.key == key[1] for one in self.by_name[ref.name].level.chain()):
                self.turns.setdefault(key, (f"turns_{len(self.turns)}", level.key))

    def turns_of(self, inner: Level) -> list[str]:
        return [turn for (_, key), (turn, _) in self.turns.items() if key == plain_key(inner)]

    def where(self, ref: Ref, level: Level) -> str:
        """Return the variable that a `ref` or `refs` reads at `level`."""
        target = self.by_name[ref.name]
        turn = self.turns.get((ref.name, plain_key(level)))
        if turn is not None and plain_key(level) != level.key:
            return f"now_{turn[0]}"
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
        lines += [f"{turn} = []" for turn, key in self.turns.values() if key == level.key]
        lines += [f"{turn}.append([])" for (_, key), (turn, _) in self.turns.items() if key == level.key]
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
        for (target, _), (turn, _) in self.turns.items():
            if target == plan.name:
                inner.append(f"{turn}[-1].append(ref_{name})")
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
