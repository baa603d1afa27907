"""Paths through FHIR resources, read and checked against FHIR R4 (docs/mapping.md).

    path   := ["$."] step ("." step | "->" Type?)*  |  "$" fact ("." name)?  |  "$this"  |  "$focus"
    step   := element ("[" (number | filter)? "]")*  |  "<-" Type "." element
    filter := element ("." element)* ("=" | "!=") (word | text in quotes)

`subject->name.text` follows a reference, `performer[]->Practitioner` only to resources of that type, and
`<-Task.focus` finds the resources of the bundle that refer here. A list without index means its first item that has
what follows. Inside an `each`, paths start at its item; `$.` starts at the focus; `$this` is the item itself and
`$focus` the focus. `$id`, `$now` and the other facts (`FACTS`) tell of the message that is being written. Every path
is checked against FHIR R4 when the map is compiled.
"""

import re
from typing import NamedTuple

from conformance.definitions import children, is_resource, resource_types
from conformance.definitions.structures import Child
from mappings.language.expression import KEYWORDS
from mappings.language.sources import SourceError
from mappings.language.sources.rows import ALL

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


def read(text: str, at: int) -> tuple[ResourcePath, int] | None:
    """Return the path that begins at `at` and where it ends; None when none begins there."""
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


def types_after(
    step: Step, types: tuple[str, ...], targets: tuple[str, ...], text: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the types after a step, and the resource types that its value may refer to."""
    if isinstance(step, int):
        return types, targets
    if isinstance(step, Where):
        inner, more = types, targets
        for name in step.path:
            inner, more = types_after(name, inner, more, text)
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
