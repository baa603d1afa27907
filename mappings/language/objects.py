"""Write the Python that builds nested values: the elements of a resource, of a segment, of an XML or JSON body."""

from typing import Any

from mappings.language.emit import ExpressionWriter, label_of
from mappings.language.expression import Constant
from mappings.language.sources import Level, Source
from mappings.language.targets import Items, Line, Object, Target, Value
from mappings.language.yaml_tree import Place

# Types whose empty value is None only: False and 0 are values.
_FALSY = {"boolean", "integer", "decimal", "positiveInt", "unsignedInt"}

# Marks the level of a `$each` in keys.
_PRIVATE = "$each "


class ObjectWriter(ExpressionWriter):
    """Writes objects for one map; `count` numbers the variables of the generated function."""

    def __init__(self, source: Source, *, traced: bool) -> None:
        super().__init__(source, traced=traced)
        self.count = 0

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
        private, inner = self.private(level, item.each)
        turns = self.turns_of(inner)
        lines = self._nested(item, inner, lambda made: [f"{items}.append({made})"])
        lines = [*(f"now_{turn} = next(next_{turn}, ())" for turn in turns), *lines]
        while inner is not private:
            lines = [inner.header, *("    " + line for line in (*self.source.prelude(inner), *lines))]
            assert inner.parent is not None
            inner = inner.parent
        return [*(f"next_{turn} = iter({turn})" for turn in turns), *lines]

    def private(self, level: Level, each: str) -> tuple[Level, Level]:
        """Return a copy of this level that keeps a `$each` apart from the loops that make resources, and its loop."""
        self.count += 1
        copy = Level((*level.key, f"{_PRIVATE}{self.count}"), level, "", level.state)
        return copy, self.source.open(copy, each)

    def turns_of(self, inner: Level) -> list[str]:
        """Return the lists that hold, for each turn of this `$each`, what is referred to in it."""
        return []

    def _place(self, place: Place) -> int:
        if place not in self.made.places:
            self.made.places.append(place)
        return self.made.places.index(place)


def plain_key(level: Level) -> tuple[str, ...]:
    """Return the key of the loop over the same things that makes resources, if there is one."""
    return tuple(step for step in level.key if not step.startswith(_PRIVATE))


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
