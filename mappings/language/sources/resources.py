"""FHIR resources as a source: a focus resource and what it refers to, for maps that run back (docs/mapping.md).

    path   := ["$."] step ("." step | "->" Type?)*  |  "$" fact ("." name)?  |  "$this"  |  "$focus"
    step   := element ("[" (number | filter)? "]")*  |  "<-" Type "." element
    filter := element ("." element)* ("=" | "!=") (word | text in quotes)

`subject->name.text` follows a reference, `performer[]->Practitioner` only to resources of that type, and
`<-Task.focus` finds the resources of the bundle that refer here. A list without index means its first item that has
what follows. Inside an `each`, paths start at its item; `$.` starts at the focus; `$this` is the item itself and `$focus` the focus. `$id`, `$now` and the other facts
(`FACTS`) tell of the message that is being written. Every path is checked against FHIR R4 when the map is compiled.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from conformance.definitions import children, is_resource, resource_types
from conformance.definitions.structures import Child
from mappings.language.document import Document
from mappings.language.expression import KEYWORDS
from mappings.language.sources import Level, SourceError
from mappings.language.sources.rows import ALL, to_text
from terminology.fhirjson import Json

# What a map may ask of the message that it writes: `$id`, `$sender.facility`, `$parameter.NAME`.
FACTS = {
    "id": "the control id of this message",
    "now": "the instant of writing",
    "topic": "what happened: report-final, task-status, …",
    "reason": "its reason code",
    "charset": "the charset of the message",
    "sender": "application and facility of the gateway",
    "receiver": "application and facility of the receiver",
    "parameter": "what the destination's settings give",
}

_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]*")
_FACT = re.compile(r"\$([a-z]+)(?:\.([A-Za-z_][\w-]*))?")
_FILTER = re.compile(
    r"\[\s*(?P<path>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)\s*(?P<sign>!?=)\s*"
    r"(?:\"(?P<quoted>[^\"\]]*)\"|'(?P<single>[^'\]]*)'|(?P<word>[^\]\s\"']+))\s*\]"
)
_INDEX = re.compile(r"\[(\d*)\]")
_PRIMITIVE = re.compile(r"[a-z]\w*|http://hl7\.org/fhirpath/System\..*|xhtml")


class Where(NamedTuple):
    """`[type.coding.code=MR]`: keep the items that have (or don't have) the value somewhere on the path."""

    path: tuple[str, ...]
    value: str
    is_not: bool


class Follow(NamedTuple):
    """`->Type`: the resource that a Reference leads to; "" = of any type."""

    type: str


class Back(NamedTuple):
    """`<-Task.focus`: the resources that refer to this one by that element."""

    type: str
    element: str


Step = str | int | Where | Follow | Back


class ResourcePath(NamedTuple):
    """`fact`: the name of a `$` fact ("" otherwise). `text` as written."""

    steps: tuple[Step, ...]
    from_root: bool
    fact: str
    text: str

    def __str__(self) -> str:
        return self.text


class Focus:
    """The record of a map that runs back: the focus resource, the resources around it, the facts of the message.

    References between them are found as `Type/id` (with or without base URL and version), by fullUrl and, for
    contained resources, as `#id` within their resource.
    """

    __slots__ = ("_referrers", "facts", "index", "resource", "resources")

    def __init__(
        self, resource: Json, around: Iterable[Json] = (), facts: Mapping[str, Any] | None = None
    ) -> None:
        self.resource = _without_local(resource)
        self.resources = [self.resource, *(_without_local(one) for one in around)]
        self.facts: Mapping[str, Any] = facts or {}
        self.index: dict[str, Json] = {}
        self._referrers: dict[Back, dict[str, list[Json]]] = {}
        for one in self.resources:
            key = f"{one.get('resourceType')}/{one.get('id', '')}"
            self.index.setdefault(key, one)
            for inner in one.get("contained", ()):
                self.index[f"{key}#{inner.get('id', '')}"] = inner

    @staticmethod
    def of_bundle(bundle: Json, type: str = "", facts: Mapping[str, Any] | None = None) -> "Focus":
        """Return the focus of a Bundle: its first resource, or the first of `type`. A lone resource is its own focus."""
        if bundle.get("resourceType") != "Bundle":
            return Focus(bundle, [], facts)
        entries = [row for row in bundle.get("entry", ()) if isinstance(row.get("resource"), dict)]
        rows = [row["resource"] for row in entries]
        if not rows:
            return Focus({}, [], facts)
        types = type.split("|")
        first = next((row for row in rows if not type or row.get("resourceType") in types), rows[0])
        focus = Focus(first, [row for row in rows if row is not first], facts)
        for entry in entries:
            row = entry["resource"]
            if entry.get("fullUrl"):
                known = focus.index.get(f"{row.get('resourceType')}/{row.get('id', '')}")
                focus.index.setdefault(entry["fullUrl"], known or row)
        return focus

    def resolve(self, reference: Any) -> Json | None:
        """Return the resource of a Reference (or of its text); None when the bundle doesn't have it."""
        text = reference.get("reference") if isinstance(reference, dict) else reference
        if not isinstance(text, str):
            return None
        found = self.index.get(text)
        if found is None and "/" in text:
            found = self.index.get("/".join(_plain(text)))
        return found

    def referrers(self, step: Back, resource: Json) -> list[Json]:
        """Return the resources of a type whose element refers to `resource`, in the order of the bundle."""
        known = self._referrers.get(step)
        if known is None:
            known = self._referrers[step] = {}
            for one in self.resources:
                if one.get("resourceType") != step.type:
                    continue
                value = one.get(step.element)
                for row in value if isinstance(value, list) else [value]:
                    target = self.resolve(row)
                    if target is not None:
                        known.setdefault(f"{target.get('resourceType')}/{target.get('id', '')}", []).append(
                            one
                        )
        return known.get(f"{resource.get('resourceType')}/{resource.get('id', '')}", [])


@dataclass
class _Scope:
    """`variable`: what paths start at; `types`: the FHIR paths that it may be."""

    variable: str
    types: tuple[str, ...]


class ResourceSource:
    """The compile-time half. `reads`: the paths that some line reads; `referrers`: what must be searched beside it."""

    def __init__(self, document: Document, *, traced: bool) -> None:
        if document.groups:
            raise SourceError("groups are for hl7v2; resources are walked with `each`")
        self.traced = traced
        self.count = 0
        self.focus = document.source.get("focus", ())
        # `shape: document`: whatever the focus, paths start at the Composition that is made of it (mappings/cda/write.py).
        is_document = "document" in document.source.get("shape", ())
        self.start = ("Composition",) if is_document else tuple(self.focus)
        self.reads: set[str] = set()
        self.referrers: set[Back] = set()
        unknown = [type for type in self.focus if not is_resource(type)]
        if unknown or not self.focus:
            raise SourceError(f"source.focus names FHIR resource types; got {', '.join(self.focus) or '-'}")

    def read_path(self, text: str, at: int) -> tuple[ResourcePath, int] | None:
        start = at
        fact = _FACT.match(text, at)
        if fact is not None and fact[0] in ("$this", "$focus"):
            return ResourcePath((), fact[0] == "$focus", "", fact[0]), fact.end()
        if fact is not None:
            name = fact[1] if fact[2] is None else f"{fact[1]}.{fact[2]}"
            return ResourcePath((), True, name, fact[0]), fact.end()
        from_root = text.startswith("$.", at)
        at += 2 if from_root else 0
        steps: list[Step] = []
        while True:
            found = _step(text, at, is_first=not steps)
            if found is None:
                break
            more, at = found
            steps += more
        if not steps or text[start:at] in KEYWORDS:
            return None
        return ResourcePath(tuple(steps), from_root, "", text[start:at]), at

    def root(self) -> Level:
        return Level((), None, "", _Scope("g0.resource", self.start))

    def open(self, parent: Level, each: str) -> Level:
        found = self.read_path(each, 0)
        if found is None or found[1] != len(each) or found[0].fact:
            raise SourceError(f"each: {each!r} is no path")
        if each in parent.children:
            return parent.children[each]
        path = found[0]
        scope, types = self._check(path, parent)
        self.count += 1
        variable = f"n{self.count}"
        header = f"for {variable} in items(g0, {scope.variable}, {_literal(path.steps)}):"
        level = Level((*parent.key, each), parent, header, _Scope(variable, types))
        parent.children[each] = level
        return level

    def prelude(self, level: Level) -> list[str]:
        return []

    def settle(self, code: str) -> str:
        return code

    def type_of(self, path: ResourcePath, level: Level) -> tuple[str, ...]:
        """Return the FHIR types or element paths that a path may lead to; ("string",) for a fact."""
        return ("string",) if path.fact else self._check(path, level)[1]

    def text(self, path: ResourcePath, level: Level) -> str:
        return f"text({self._value(path, level)})"

    def texts(self, path: ResourcePath, level: Level) -> str:
        return f"list(filter(None, map(text, {self._values(path, level)})))"

    def raw(self, path: ResourcePath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        return self._value(path, level)

    def raws(self, path: ResourcePath, level: Level, reads: Mapping[str, tuple[int, ...]] | None) -> str:
        return self._values(path, level)

    def present(self, path: ResourcePath, level: Level) -> str:
        return f"({self._value(path, level)} is not None)"

    def anchor(self, path: ResourcePath, level: Level) -> str | None:
        return None

    def is_all(self, path: ResourcePath) -> bool:
        return ALL in path.steps

    def is_whole(self, path: ResourcePath) -> bool:
        return False

    def runtime(self, *, traced: bool) -> Any:
        return TracedResources if traced else Resources

    def _value(self, path: ResourcePath, level: Level) -> str:
        if path.fact:
            if path.fact.partition(".")[0] not in FACTS:
                raise SourceError(f"{path.text}: known are {', '.join('$' + name for name in FACTS)}")
            return f"fact(g0, {path.fact!r})"
        scope, _ = self._check(path, level)
        return f"value(g0, {scope.variable}, {_literal(path.steps)})"

    def _values(self, path: ResourcePath, level: Level) -> str:
        scope, _ = self._check(path, level)
        return f"values(g0, {scope.variable}, {_literal(path.steps)})"

    def _check(self, path: ResourcePath, level: Level) -> tuple[_Scope, tuple[str, ...]]:
        """Walk a path through the definitions; raises SourceError where FHIR R4 has no such element."""
        scope: _Scope = (level.chain()[-1] if path.from_root else level).state
        types: tuple[str, ...] = scope.types
        targets: tuple[str, ...] = ()
        for step in path.steps:
            if isinstance(step, Back):
                self.referrers.add(step)
            types, targets = _next(step, types, targets, path.text)
        self.reads.add(path.text)
        return scope, types


class Resources:
    """The run-time half: what generated code calls to read resources."""

    def functions(self) -> dict[str, Any]:
        return {
            "text": to_text,
            "value": self.value,
            "values": self.values,
            "items": self.items,
            "fact": self.fact,
        }

    def fact(self, focus: Focus, name: str) -> Any:
        return focus.facts.get(name)

    def value(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> Any:
        """Return the first value at a path, None when there is none."""
        return next((found for found, _ in _walk(focus, node, steps, 0, "") if found is not None), None)

    def values(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(focus, node, steps, 0, "") if found is not None]

    def items(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        return [found for found, _ in _walk(focus, node, steps, 0, "") if isinstance(found, dict)]


class TracedResources(Resources):
    """The same with a log of every element that is read."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self._places: dict[int, str] = {}

    def plain(self, value: Any) -> Any:
        return value

    def fact(self, focus: Focus, name: str) -> Any:
        self.log.append(f"${name}")
        return super().fact(focus, name)

    def _place(self, node: Any) -> str:
        known = self._places.get(id(node), "")
        return known or (str(node.get("resourceType", "")) if isinstance(node, dict) else "")

    def value(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> Any:
        for found, place in _walk(focus, node, steps, 0, self._place(node)):
            if found is not None:
                self.log.append(place)
                return found
        return None

    def values(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        rows = [row for row in _walk(focus, node, steps, 0, self._place(node)) if row[0] is not None]
        self.log.extend(place for _, place in rows)
        return [value for value, _ in rows]

    def items(self, focus: Focus, node: Any, steps: tuple[Step, ...]) -> list[Any]:
        found = []
        for value, place in _walk(focus, node, steps, 0, self._place(node)):
            if isinstance(value, dict):
                self._places[id(value)] = place
                found.append(value)
        return found


def _step(text: str, at: int, *, is_first: bool) -> tuple[list[Step], int] | None:
    """Return the steps that stand at `at` and where they end; None when the path is over."""
    if text.startswith("->", at):
        if is_first:
            return None
        name = _NAME.match(text, at + 2)
        if name is not None and name[0][0].isupper():
            return [Follow(name[0]), *_marks(text, name.end())[0]], _marks(text, name.end())[1]
        marks, end = _marks(text, at + 2)
        # `subject->name`: the element follows without a dot.
        if name is not None and end == at + 2 and name[0][0].islower():
            marks, end = _marks(text, name.end())
            return [Follow(""), name[0], *marks], end
        return [Follow(""), *marks], end
    if text.startswith("<-", at) or text.startswith(".<-", at):
        begin = at + (3 if text[at] == "." else 2)
        type = _NAME.match(text, begin)
        if type is None or not text.startswith(".", type.end()):
            return None
        element = _NAME.match(text, type.end() + 1)
        if element is None:
            return None
        marks, end = _marks(text, element.end())
        return [Back(type[0], element[0]), *marks], end
    if not is_first:
        if not text.startswith(".", at):
            return None
        at += 1
    name = _NAME.match(text, at)
    if name is None or (is_first and name[0] in KEYWORDS):
        return None
    marks, end = _marks(text, name.end())
    return [name[0], *marks], end


def _marks(text: str, at: int) -> tuple[list[Step], int]:
    found: list[Step] = []
    while True:
        index = _INDEX.match(text, at)
        if index is not None and index[1] != "0":
            found.append(int(index[1]) if index[1] else ALL)
            at = index.end()
            continue
        filter = _FILTER.match(text, at)
        if filter is None:
            return found, at
        value = next(
            part for part in (filter["quoted"], filter["single"], filter["word"]) if part is not None
        )
        found.append(Where(tuple(filter["path"].split(".")), value, filter["sign"] == "!="))
        at = filter.end()


def _next(
    step: Step, types: tuple[str, ...], targets: tuple[str, ...], text: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the types after a step, and the resource types that its value may refer to."""
    if isinstance(step, int):
        return types, targets
    if isinstance(step, Where):
        inner, more = types, targets
        for name in step.path:
            inner, more = _next(name, inner, more, text)
        return types, targets
    if isinstance(step, Back):
        if not is_resource(step.type) or step.element not in children(step.type):
            raise SourceError(f"{text}: FHIR R4 has no {step.type}.{step.element}")
        return (step.type,), ()
    if isinstance(step, Follow):
        return _followed(step, types, targets, text), ()
    if step == "resourceType":
        return ("code",), ()
    if step.startswith("_") and any(step[1:] in children(type) for type in types):
        # What stands beside a primitive value: its extensions.
        return ("Element",), ()
    found = [child for type in types if (child := _child(type, step)) is not None]
    if not found:
        raise SourceError(f"{text}: FHIR R4 has no {' or '.join(types[:4])}.{step}")
    after = tuple(dict.fromkeys(child.path or child.type for child in found))
    return after, tuple(
        dict.fromkeys(
            url.rpartition("/")[2]
            for child in found
            for kind in child.element.types
            if kind.code in ("Reference", "canonical")
            for url in kind.targets
        )
    )


def _child(type: str, name: str) -> Child | None:
    found = children(type).get(name)
    if found is None and name == "id":
        return children("Resource").get("id") if is_resource(type) else children("Element").get("id")
    return found


def _followed(step: Follow, types: tuple[str, ...], targets: tuple[str, ...], text: str) -> tuple[str, ...]:
    if "Reference" not in types:
        raise SourceError(f"{text}: `->` follows a Reference")
    if step.type:
        if not is_resource(step.type) or (targets and "Resource" not in targets and step.type not in targets):
            raise SourceError(f"{text}: refers to {', '.join(targets)}, not to {step.type}")
        return (step.type,)
    return tuple(sorted(resource_types())) if not targets or "Resource" in targets else targets


def is_primitive(type: str) -> bool:
    """Tell whether values of a FHIR type are texts, numbers or flags rather than blocks."""
    return _PRIMITIVE.fullmatch(type) is not None


def _literal(steps: tuple[Step, ...]) -> str:
    """Return the steps as a Python literal; what isn't a name or number becomes a tagged tuple."""
    return repr(tuple(_plain_step(step) for step in steps))


def _plain_step(step: Step) -> Any:
    if isinstance(step, Where):
        return ("where", step.path, step.value, step.is_not)
    if isinstance(step, Follow):
        return ("follow", step.type)
    return ("back", step.type, step.element) if isinstance(step, Back) else step


def _walk(focus: Focus, node: Any, steps: tuple[Any, ...], at: int, place: str) -> Iterator[tuple[Any, str]]:
    if at == len(steps):
        if isinstance(node, list):
            # The path ends at a list: its items, the first of which is the value.
            for number, item in enumerate(node, 1):
                yield item, f"{place}[{number}]"
        else:
            yield node, place
        return
    step = steps[at]
    if isinstance(step, int):
        rows = node if isinstance(node, list) else [node]
        for number, item in enumerate(rows, 1):
            if step in (ALL, number):
                yield from _walk(focus, item, steps, at + 1, f"{place}[{number}]")
    elif isinstance(node, list):
        if isinstance(step, tuple) and step[0] == "where":
            kept = [item for item in node if _has(item, step[1], step[2]) is not step[3]]
            yield from _walk(focus, kept, steps, at + 1, place)
            return
        for number, item in enumerate(node, 1):
            yield from _walk(focus, item, steps, at, f"{place}[{number}]")
    elif isinstance(node, dict):
        yield from _walk_block(focus, node, steps, at, place)


def _walk_block(
    focus: Focus, node: Json, steps: tuple[Any, ...], at: int, place: str
) -> Iterator[tuple[Any, str]]:
    step = steps[at]
    if isinstance(step, str):
        if step in node:
            yield from _walk(focus, node[step], steps, at + 1, f"{place}.{step}")
    elif step[0] == "where":
        if _has(node, step[1], step[2]) is not step[3]:
            yield from _walk(focus, node, steps, at + 1, place)
    elif step[0] == "follow":
        target = focus.resolve(node)
        if target is not None and step[1] in ("", target.get("resourceType")):
            shown = f"{target.get('resourceType')}/{target.get('id', '')}"
            yield from _walk(focus, target, steps, at + 1, shown)
    else:
        found = focus.referrers(Back(step[1], step[2]), node)
        yield from _walk(focus, found, steps, at + 1, step[1])


def _has(node: Any, path: tuple[str, ...], value: str) -> bool:
    if isinstance(node, list):
        return any(_has(item, path, value) for item in node)
    if not path:
        return to_text(node) == value
    return isinstance(node, dict) and path[0] in node and _has(node[path[0]], path[1:], value)


def _plain(reference: str) -> list[str]:
    """Return [type, id] of a reference with or without base URL and version."""
    parts = reference.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    return parts[-2:]


def _without_local(resource: Json) -> Json:
    """Return a resource whose `#id` references to contained resources can be found from anywhere."""
    if not resource.get("contained"):
        return resource
    key = f"{resource.get('resourceType')}/{resource.get('id', '')}"

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f"{key}{part}"
                if name == "reference" and isinstance(part, str) and part.startswith("#")
                else named(part)
                for name, part in value.items()
            }
        return [named(item) for item in value] if isinstance(value, list) else value

    made: Json = named(resource)
    return made
