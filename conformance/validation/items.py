"""Values on their way through a profile: with their type, their place and the resource they stand in.

Also the restricted FHIRPath of discriminators (https://hl7.org/fhir/R4/profiling.html#discriminator).
"""

import re
from collections.abc import Iterator
from typing import Any

from conformance.definitions import is_resource
from conformance.validation.path import Path
from conformance.validation.references import resolve
from conformance.validation.run import Run, Scope
from conformance.validation.tables import PRIMITIVE, RESOURCE, Spec, table
from terminology.fhirjson import Json

_STEP = re.compile(r"resolve\(\)|extension\('([^']*)'\)|ofType\((\w+)\)|as\((\w+)\)|\$this|(\w+)")


class Item:
    """A value of any type; `extra` is the `_name` sibling of a primitive. `value` None: only the sibling is there."""

    __slots__ = ("extra", "path", "scope", "spec", "table_path", "type", "value")

    def __init__(
        self,
        value: Any,
        type_name: str,
        table_path: str,
        path: Path,
        scope: Scope,
        extra: Any = None,
        spec: Spec | None = None,
    ) -> None:
        self.value = value
        self.type = type_name
        self.table_path = table_path
        self.path = path
        self.scope = scope
        self.extra = extra
        self.spec = spec

    def members(self, name: str) -> "list[Item]":
        """Return the values of an element by its name in the definition ("value[x]") or in the JSON."""
        if isinstance(self.value, dict):
            return list(self._members(self.value, name))
        if isinstance(self.extra, dict) and name in ("extension", "id"):
            holder = Item(self.extra, "Element", "Element", self.path, self.scope)
            return list(holder._members(self.extra, name))
        return []

    def _members(self, value: Json, name: str) -> "Iterator[Item]":
        children = table(self.table_path).children
        if name.endswith("[x]"):
            stem = name.removesuffix("[x]")
            specs = [spec for spec in children.values() if spec.stem == stem]
        elif (spec := children.get(name)) is not None:
            specs = [spec]
        else:
            specs = [spec for spec in children.values() if spec.stem == name]
        for spec in specs:
            if spec.name in value or "_" + spec.name in value:
                yield from self._values(value, spec)

    def _values(self, holder: Json, spec: Spec) -> "Iterator[Item]":
        item, extra = holder.get(spec.name), holder.get("_" + spec.name)
        if not spec.repeats:
            if (
                one := self._item(item, extra, spec, Path(self.path, spec.stem or spec.name, None, spec.kind))
            ) is not None:
                yield one
            return
        items, extras = (item if isinstance(item, list) else []), (extra if isinstance(extra, list) else [])
        for index in range(max(len(items), len(extras))):
            one = self._item(
                items[index] if index < len(items) else None,
                extras[index] if index < len(extras) else None,
                spec,
                Path(self.path, spec.name, index),
            )
            if one is not None:
                yield one

    def _item(self, value: Any, extra: Any, spec: Spec, path: Path) -> "Item | None":
        if value is None and not isinstance(extra, dict):
            return None
        if spec.shape == PRIMITIVE:
            return Item(value, spec.type, spec.type, path, self.scope, extra, spec)
        if not isinstance(value, dict):
            return None
        if spec.shape == RESOURCE:
            name = value.get("resourceType")
            if not isinstance(name, str) or not is_resource(name):
                return None
            held = "contained" if spec.name == "contained" else self.table_path.rpartition(".")[2]
            entry = self.value if isinstance(self.value, dict) else None
            return Item(value, name, name, path, Scope(value, path, self.scope, held, entry), None, spec)
        return Item(value, spec.type, spec.table_path, path, self.scope, None, spec)


def item_of(resource: Json, path: Path, scope: Scope) -> Item:
    return Item(resource, scope.type, scope.type, path, scope)


def steps(path: str) -> list[tuple[str, str]]:
    """Return a discriminator path as steps: (kind, argument); kind is this, resolve, extension, type or name."""
    found: list[tuple[str, str]] = []
    for match in _STEP.finditer(path):
        text = match[0]
        if text == "$this":
            continue
        if text == "resolve()":
            found.append(("resolve", ""))
        elif match[1] is not None:
            found.append(("extension", match[1]))
        elif match[2] or match[3]:
            found.append(("type", match[2] or match[3]))
        else:
            found.append(("name", text))
    return found


def follow(item: Item, path: list[tuple[str, str]], run: Run) -> list[Item]:
    """Return the values that a discriminator path leads to from an item."""
    current = [item]
    for kind, argument in path:
        after: list[Item] = []
        for one in current:
            if kind == "name":
                after.extend(one.members(argument))
            elif kind == "extension":
                after.extend(row for row in one.members("extension") if row.value.get("url") == argument)
            elif kind == "type":
                after.extend([one] if one.type == argument else [])
            else:
                after.extend(_resolved(one, run))
        current = after
    return current


def _resolved(item: Item, run: Run) -> list[Item]:
    text = item.value.get("reference") if isinstance(item.value, dict) else item.value
    if not isinstance(text, str):
        return []
    return [
        Item(scope.resource, scope.type, scope.type, scope.path, scope)
        for scope in resolve(text, item.scope, run)
    ]
