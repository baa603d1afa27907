"""FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html): a Parameters resource of operations on FHIRPath locations."""

import copy
import re
from dataclasses import dataclass
from typing import Any

from conformance.definitions import children
from conformance.fhirpath import evaluate
from gateway.rest.json_patch import drop_empty
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput

OPERATIONS = ("add", "insert", "delete", "replace", "move")
NEEDS = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}
MOST = 1000
MEMBER = re.compile(r"`?[A-Za-z_][A-Za-z0-9_]*`?", re.ASCII)
# The server's own elements; a patch that sets them has misunderstood something (http.html#update).
OWN = {"id", "resourceType", "meta.versionId", "meta.lastUpdated"}


@dataclass(frozen=True, slots=True)
class Place:
    """A location in the tree: `container[key]`; `key` is a property name or an index of a list property `name`.

    `path` is where the definitions describe the children of the element's parent.
    """

    parent: Json
    name: str
    index: int | None
    path: str

    @property
    def value(self) -> Any:
        held = self.parent[self.name]
        return held if self.index is None else held[self.index]


def apply_fhirpath_patch(resource: Json, patch: Json) -> Json:
    """Return a changed copy of `resource`; all operations apply or none does.

    Raises InvalidInput naming the operation that can't be done.
    """
    rows = patch.get("parameter")
    if patch.get("resourceType") != "Parameters" or not isinstance(rows, list) or not rows:
        raise InvalidInput("HT-REST-80")
    if len(rows) > MOST:
        raise InvalidInput("HT-REST-71", limit=MOST)
    tree = copy.deepcopy(resource)
    for number, row in enumerate(rows):
        place = f"Parameters.parameter[{number}]"
        if (
            not isinstance(row, dict)
            or row.get("name") != "operation"
            or not isinstance(row.get("part"), list)
        ):
            raise InvalidInput("HT-REST-80", expression=place)
        _apply(tree, _parts(row["part"], place), place)
    return drop_empty(tree)


def _parts(rows: list[Any], place: str) -> Json:
    """Return the parts of an operation by name; `value` keeps its type as (type, value)."""
    found: Json = {}
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise InvalidInput("HT-REST-33", expression=place)
        key = next((key for key in row if key.startswith("value")), None)
        if row["name"] == "value":
            found["value"] = row
        elif key is not None:
            found[row["name"]] = row[key]
    kind = found.get("type")
    if kind not in OPERATIONS:
        raise InvalidInput(
            "HT-REST-72", op=str(kind)[:40], allowed=", ".join(OPERATIONS), expression=f"{place}.part"
        )
    for name in NEEDS[kind]:
        if name not in found:
            raise InvalidInput("HT-REST-73", op=kind, name=name, expression=f"{place}.part")
    return found


def _apply(tree: Json, parts: Json, place: str) -> None:
    kind, path = parts["type"], parts["path"]
    if not isinstance(path, str):
        raise InvalidInput("HT-REST-73", op=kind, name="path", expression=place)
    if kind == "add":
        _add(tree, path, parts["name"], parts["value"], place)
    elif kind == "insert":
        holder, name, where, rows = _collection(tree, path, place)
        index = _index(parts["index"], len(rows), place)
        rows.insert(index, _value(parts["value"], where, name, place))
        holder[name] = rows
    elif kind == "delete":
        for found in reversed(_locate(tree, path, place)):
            _refuse_own(found, tree, place)
            _delete(found)
    elif kind == "replace":
        _replace(tree, path, parts["value"], place)
    else:
        holder, name, _, rows = _collection(tree, path, place)
        source = _index(parts["source"], len(rows) - 1, place)
        target = _index(parts["destination"], len(rows) - 1, place)
        rows.insert(target, rows.pop(source))
        holder[name] = rows


def _add(tree: Json, path: str, name: Any, value: Json, place: str) -> None:
    parents = _nodes(tree, path, place)
    if len(parents) != 1:
        raise InvalidInput("HT-REST-81", path=path[:200], count=len(parents), expression=place)
    parent, where = parents[0]
    key = _key(where, str(name), value, place)
    child = children(where)[key]
    present = [one for one in _options(where, str(name)) if one in parent]
    if child.element.repeats:
        parent.setdefault(key, []).append(_value(value, where, key, place))
    elif present:
        # fhirpatch.html: add to an element that may occur once and is there is an error.
        raise InvalidInput("HT-REST-82", name=present[0], expression=place)
    else:
        _refuse_own(Place(parent, key, None, where), tree, place)
        parent[key] = _value(value, where, key, place)


def _replace(tree: Json, path: str, value: Json, place: str) -> None:
    found = _locate(tree, path, place)
    if len(found) != 1:
        raise InvalidInput("HT-REST-81", path=path[:200], count=len(found), expression=place)
    [one] = found
    _refuse_own(one, tree, place)
    stem = _stem(one.path, one.name)
    key = _key(one.path, stem, value, place)
    fresh = _value(value, one.path, key, place)
    if one.index is not None:
        one.parent[one.name][one.index] = fresh
        return
    del one.parent[one.name]
    one.parent.pop(f"_{one.name}", None)
    one.parent[key] = fresh


def _delete(found: Place) -> None:
    if found.index is None:
        del found.parent[found.name]
        found.parent.pop(f"_{found.name}", None)
    else:
        found.parent[found.name].pop(found.index)
        shadow = found.parent.get(f"_{found.name}")
        if isinstance(shadow, list) and found.index < len(shadow):
            shadow.pop(found.index)


def _refuse_own(found: Place, tree: Json, place: str) -> None:
    name = f"meta.{found.name}" if found.parent is tree.get("meta") else found.name
    if (found.parent is tree or found.parent is tree.get("meta")) and name in OWN:
        raise InvalidInput("HT-REST-78", name=name, expression=place)


def _collection(tree: Json, path: str, place: str) -> tuple[Json, str, str, list[Any]]:
    """Return the parent, name, definition path and rows of a repeating element, which may be absent yet."""
    steps = _steps(path, place)
    parents = _nodes(tree, ".".join(steps[:-1]), place)
    if len(parents) != 1 or not MEMBER.fullmatch(steps[-1]):
        raise InvalidInput("HT-REST-81", path=path[:200], count=len(parents), expression=place)
    parent, where = parents[0]
    name = steps[-1].strip("`")
    child = children(where).get(name)
    if child is None or not child.element.repeats:
        raise InvalidInput("HT-REST-83", name=name, expression=place)
    return parent, name, where, list(parent.get(name, ()))


def _locate(tree: Json, path: str, place: str) -> list[Place]:
    """Return the locations that a path selects. Its last plain member names the element, what follows filters it."""
    steps = _steps(path, place)
    last = max((number for number, step in enumerate(steps) if MEMBER.fullmatch(step)), default=0)
    if last == 0:
        raise InvalidInput("HT-REST-81", path=path[:200], count=0, expression=place)
    name = steps[last].strip("`")
    found: list[Place] = []
    for parent, where in _nodes(tree, ".".join(steps[:last]), place):
        for key in _options(where, name):
            held = parent.get(key)
            if isinstance(held, list):
                found.extend(Place(parent, key, index, where) for index in range(len(held)))
            elif held is not None:
                found.append(Place(parent, key, None, where))
        if not _options(where, name):
            raise InvalidInput("HT-REST-84", name=name, path=where, expression=place)
    tail = steps[last + 1 :]
    if not tail:
        return found
    wanted = _evaluate(tree, path, place)
    return [one for one in found if any(one.value is item or _same_atom(one.value, item) for item in wanted)]


def _same_atom(value: Any, item: Any) -> bool:
    return (
        not isinstance(value, (dict, list)) and not isinstance(item, (dict, list)) and str(value) == str(item)
    )


def _nodes(tree: Json, path: str, place: str) -> list[tuple[Json, str]]:
    """Return the objects that a path selects, each with the path of its definition."""
    if path in ("", tree["resourceType"], "Resource", "DomainResource", "$this"):
        return [(tree, tree["resourceType"])]
    wanted = {id(node) for node in _evaluate(tree, path, place) if isinstance(node, dict)}
    found: list[tuple[Json, str]] = []
    waiting: list[tuple[Json, str]] = [(tree, tree["resourceType"])]
    while waiting:
        node, where = waiting.pop()
        if id(node) in wanted:
            found.append((node, where))
        for key, value in node.items():
            child = children(where).get(key)
            if child is None:
                continue
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    waiting.append(
                        (
                            item,
                            item.get("resourceType", child.path) if child.path == "Resource" else child.path,
                        )
                    )
    return found


def _evaluate(tree: Json, path: str, place: str) -> list[Any]:
    try:
        return evaluate(path, tree)
    except FhirError as error:
        raise InvalidInput(error.issues).at(place) from None


def _steps(path: str, place: str) -> list[str]:
    """Split at the dots that stand outside of brackets and quotes; an indexer becomes a step of its own."""
    steps, depth, quote, word = [], 0, "", ""
    for letter in path:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'`":
            quote = letter
        elif letter in "([":
            if letter == "[" and depth == 0:
                steps.append(word)
                word = ""
            depth += 1
        elif letter in ")]":
            depth -= 1
        if letter == "." and depth == 0 and not quote:
            steps.append(word)
            word = ""
        else:
            word += letter
    steps.append(word)
    steps = [step.strip() for step in steps if step.strip()]
    if not steps or depth or quote:
        raise InvalidInput("HT-REST-79", path=path[:200], expression=place)
    return steps


def _options(where: str, name: str) -> list[str]:
    """Return the JSON properties of an element: one, or those of a choice."""
    described = children(where)
    if name in described:
        return [name]
    return [
        key
        for key, child in described.items()
        if child.element.is_choice and child.element.name == f"{name}[x]"
    ]


def _stem(where: str, key: str) -> str:
    return children(where)[key].element.name.removesuffix("[x]")


def _key(where: str, name: str, value: Json, place: str) -> str:
    """Return the JSON property that takes the value: `deceased` with a valueDateTime is deceasedDateTime."""
    options = _options(where, name)
    if not options:
        raise InvalidInput("HT-REST-84", name=name[:80], path=where, expression=place)
    if len(options) == 1:
        return options[0]
    given = next((key for key in value if key.startswith("value")), "value").removeprefix("value")
    key = name + given
    if key not in options:
        raise InvalidInput("HT-REST-85", name=name, type=given, expression=place)
    return key


def _value(row: Json, where: str, key: str, place: str) -> Any:
    """Return the JSON of a value: a value[x], or an object built from named parts (fhirpatch.html: anonymous types)."""
    given = next((name for name in row if name.startswith("value")), None)
    if given is not None:
        return copy.deepcopy(row[given])
    if "resource" in row:
        return copy.deepcopy(row["resource"])
    parts = row.get("part")
    if not isinstance(parts, list) or not parts:
        raise InvalidInput("HT-REST-73", op="value", name="value[x]", expression=place)
    below = children(where)[key].path
    built: Json = {}
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise InvalidInput("HT-REST-33", expression=place)
        name = _key(below, part["name"], part, place)
        value = _value(part, below, name, place)
        if children(below)[name].element.repeats:
            built.setdefault(name, []).append(value)
        elif name in built:
            raise InvalidInput("HT-REST-82", name=name, expression=place)
        else:
            built[name] = value
    return built


def _index(value: Any, most: int, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise InvalidInput("HT-REST-86", value=str(value)[:20], limit=max(most, 0), expression=place)
    return value
