"""A profile as a tree: what each element, and each slice of it, must be beyond its base type.

https://hl7.org/fhir/R4/profiling.html. A snapshot is read as it is; a differential is laid over the tree of its base.
"""

from typing import Any

from conformance.definitions import (
    Discriminator,
    Element,
    Slicing,
    Structure,
    constraints,
    structure,
)
from conformance.validation.element_definition import element_id, take_json
from conformance.validation.profile_rule import Profile, Rule
from terminology.fhirjson import Json

_BASE = "http://hl7.org/fhir/StructureDefinition/"


def from_core(row: Structure) -> Profile:
    """Return a profile or type of the core package as a tree."""
    root = Rule(row.elements[0].path, row.elements[0].path)
    _take_element(root, row.elements[0])
    base = structure(row.type) if row.derivation == "constraint" else None
    known = {element.id: element for element in base.elements} if base is not None else {}
    for element in row.elements[1:]:
        rule = _place(root, element.id)
        before = known.get(element.id)
        _take_element(rule, element)
        # Where the core type's tree has no such element, the profile reaches into a data type: all of it is its own.
        rule.own = base is not None and (before is None or _differs(element, before))
    if base is None:
        # The rules of a type itself are checked with the type (constraints.py).
        for rule in root.walk():
            rule.constraints = []
    leave_to_base(root, base)
    context = [(kind, expression) for kind, expression in row.context]
    return Profile(row.url, row.name, row.type, root, None, context, list(row.context_invariants))


def _differs(element: Element, base: Element) -> bool:
    return any(
        getattr(element, name) != getattr(base, name)
        for name in ("min", "max", "types", "binding", "slicing", "value")
    ) or bool(set(element.constraints) - set(base.constraints))


def _take_element(rule: Rule, element: Element) -> None:
    rows = constraints()
    rule.min, rule.max, rule.has_min = element.min, element.max, True
    rule.types = list(element.types)
    rule.binding = element.binding
    rule.constraints = [rows[number] for number in element.constraints]
    rule.content_reference = element.content_reference
    rule.slicing = element.slicing
    rule.slice_name = element.slice_name
    rule.value = element.value
    rule.is_modifier = element.is_modifier


def leave_to_base(root: Rule, base: Structure | None) -> None:
    """Leave to the base rules what they check anyway: constraints of the type or of the element's own base."""
    if base is None:
        return
    keys = {
        row.key
        for element in base.elements
        for row in (constraints()[number] for number in element.constraints)
    }
    for rule in root.walk():
        types = [structure(ref.code) for ref in rule.types]
        inner = {
            constraints()[number].key
            for row in types
            if row is not None
            for number in row.elements[0].constraints
        }
        rule.constraints = [row for row in rule.constraints if row.key not in keys and row.key not in inner]


def from_snapshot(resource: Json) -> Profile:
    """Return the tree of a StructureDefinition's snapshot."""
    profile = _empty(resource)
    rows = [
        row
        for row in resource["snapshot"].get("element", ())
        if isinstance(row, dict) and isinstance(row.get("path"), str)
    ]
    base = structure(profile.type)
    core = from_core(base).root if base is not None else None
    trail: dict[str, str] = {}
    for row in rows:
        identifier = element_id(row, trail)
        rule = _place(profile.root, identifier) if "." in identifier else profile.root
        take_json(rule, row)
        before = find(core, identifier) if core is not None else None
        rule.own = "." in identifier and (before is None or _rule_differs(rule, before))
    profile.root.own = False
    leave_to_base(profile.root, base)
    return profile


def _rule_differs(rule: Rule, base: Rule) -> bool:
    return (
        (rule.min, rule.max) != (base.min, base.max)
        or {row.code for row in rule.types} != {row.code for row in base.types}
        or any(row.profiles for row in rule.types)
        or sorted(t for row in rule.types for t in row.targets)
        != sorted(t for row in base.types for t in row.targets)
        or (
            rule.binding is not None
            and (
                base.binding is None
                or rule.binding.strength != base.binding.strength
                or rule.binding.value_set.partition("|")[0] != base.binding.value_set.partition("|")[0]
            )
        )
        or rule.value is not None
        or rule.slicing is not None
        or bool(rule.limits)
        or rule.max_length is not None
    )


def lay_over(base: Profile, resource: Json, expand: Any) -> Profile:
    """Return the base's tree with a StructureDefinition's differential laid over it.

    `expand(rule)` gives the tree of a rule's data type, for differentials that reach into it.
    """
    profile = _empty(resource)
    profile.root = base.root.copy()
    profile.imposed = [*base.imposed, *(url for url in profile.imposed if url not in base.imposed)]
    profile.context = profile.context or list(base.context)
    profile.context_invariants = [*base.context_invariants, *profile.context_invariants]
    trail: dict[str, str] = {}
    differential = resource.get("differential")
    for row in differential.get("element", ()) if isinstance(differential, dict) else ():
        if not isinstance(row, dict) or not isinstance(row.get("path"), str):
            continue
        identifier = element_id(row, trail)
        if "." not in identifier:
            if "slicing" in row:
                profile.problems.append(("HT-VAL-141", {"path": identifier}))
            take_json(
                profile.root,
                {key: value for key, value in row.items() if key in ("constraint", "isModifier")},
            )
            continue
        rule = _place(profile.root, identifier, expand, profile.problems)
        before = (rule.min, rule.max, rule.has_min or not rule.slice_name)
        take_json(rule, row)
        if before[2] and (
            rule.min < before[0] or (before[1] is not None and (rule.max is None or rule.max > before[1]))
        ):
            wide = f"{before[0]}..{'*' if before[1] is None else before[1]}"
            profile.problems.append(("HT-VAL-145", {"path": identifier, "base": wide}))
            # A profile can only narrow: what it widens stays as it was.
            rule.min = max(rule.min, before[0])
            rule.max = (
                before[1]
                if rule.max is None or (before[1] is not None and rule.max > before[1])
                else rule.max
            )
        rule.own = True
    return profile


def _empty(resource: Json) -> Profile:
    kind = str(resource.get("type", ""))
    root = Rule(kind, kind)
    contexts = [
        (str(row.get("type", "element")), str(row.get("expression", "")))
        for row in resource.get("context", ())
        if isinstance(row, dict)
    ]
    imposed = [
        str(row.get("valueCanonical"))
        for row in resource.get("extension", ())
        if isinstance(row, dict) and row.get("url") == _BASE + "structuredefinition-imposeProfile"
    ]
    version = resource.get("version")
    return Profile(
        str(resource.get("url", "")),
        str(resource.get("name", "")),
        kind,
        root,
        version if isinstance(version, str) else None,
        contexts,
        [row for row in resource.get("contextInvariant", ()) if isinstance(row, str)],
        imposed,
    )


def find(root: Rule, identifier: str) -> Rule | None:
    """Return the rule at an element id, None when the tree has none."""
    rule: Rule | None = root
    for step in identifier.split(".")[1:]:
        name, _, slice_name = step.partition(":")
        rule = rule.children.get(name) if rule is not None else None
        if slice_name and rule is not None:
            rule = _slice_of(rule, slice_name)
    return rule


def _slice_of(rule: Rule, name: str) -> Rule | None:
    """Return the slice of that name; "a/b" is the reslice of "a"."""
    if name in rule.slices:
        return rule.slices[name]
    stem, slash, _ = name.rpartition("/")
    above = _slice_of(rule, stem) if slash else None
    return above.slices.get(name) if above is not None else None


def _place(
    root: Rule, identifier: str, expand: Any = None, problems: list[tuple[str, dict[str, Any]]] | None = None
) -> Rule:
    """Return the rule at an element id; what is missing on the way is created."""
    rule = root
    path = root.path
    for step in identifier.split(".")[1:]:
        name, _, slice_name = step.partition(":")
        path = f"{path}.{name}"
        if expand is not None and not rule.children:
            _expand(rule, expand)
        child = rule.children.get(name)
        if child is None:
            child, slice_name = _choice(rule, name, slice_name)
        if child is None:
            if problems is not None and rule.children and "extension" in rule.children:
                problems.append(("HT-VAL-142", {"path": identifier}))
            child = rule.children[name] = Rule(path, name)
            child.types = []
        rule = _ensure_slice(child, slice_name) if slice_name else child
    return rule


def _expand(rule: Rule, expand: Any) -> None:
    inner = expand(rule)
    if inner is not None:
        rule.children = {name: row.copy() for name, row in inner.children.items()}


def _choice(rule: Rule, name: str, slice_name: str) -> tuple[Rule | None, str]:
    """`valueQuantity` means the type slice valueQuantity of value[x] (profiling.html#slicing, shortcut)."""
    for key, row in rule.children.items():
        stem = key.removesuffix("[x]")
        if key.endswith("[x]") and name.startswith(stem) and name != key:
            kind = name[len(stem) :]
            ref = next((one for one in row.types if one.code[:1].upper() + one.code[1:] == kind), None)
            if ref is not None:
                slice_rule = _ensure_slice(row, name)
                slice_rule.types = slice_rule.types or [ref]
                if row.slicing is None:
                    row.slicing = Slicing([Discriminator("type", "$this")], "open", False)
                row.own = True
                return row, name
    return None, slice_name


def _ensure_slice(rule: Rule, name: str) -> Rule:
    stem, slash, _ = name.rpartition("/")
    if slash and (above := _slice_of(rule, stem)) is not None:
        rule = above
    found = rule.slices.get(name)
    if found is None:
        found = rule.slices[name] = Rule(rule.path, rule.name)
        found.slice_name = name
        found.max = rule.max
        found.types = [] if rule.name.endswith("[x]") else list(rule.types)
        found.content_reference = rule.content_reference
        found.children = {key: _shell(row) for key, row in rule.children.items()}
        if rule.name.endswith("[x]"):
            kind = name.removeprefix(rule.name.removesuffix("[x]"))
            found.types = [row for row in rule.types if row.code[:1].upper() + row.code[1:] == kind]
    return found


def _shell(rule: Rule) -> Rule:
    """Return a copy that demands nothing itself: the unsliced element has been checked with the original."""
    new = rule.copy()
    for row in new.walk():
        row.own = False
        row.value, row.constraints, row.limits, row.max_length, row.pattern = None, [], {}, None, None
    return new
