"""The functions that FHIR adds (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

import re
from typing import TYPE_CHECKING, Any

from conformance import definitions
from conformance.fhirpath import quantity
from conformance.fhirpath.compare import name_of, single
from conformance.fhirpath.functions.conversion import to_quantity
from conformance.fhirpath.functions.kinds import STRING
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import Node, TypeInfo, atom, child_nodes, quantity_of, resource_type, type_at
from conformance.fhirpath.narrative import is_allowed_html
from conformance.fhirpath.registry import Step, collection, special
from conformance.fhirpath.result import to_json
from conformance.fhirpath.shape import BOOLEAN, UNKNOWN, Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site

# references.html#literal: [base/]Type/id[/_history/version]
LITERAL = re.compile(
    r"(?:.*/)?([A-Z][A-Za-z]{1,40})/([A-Za-z0-9.\-]{1,64})(?:/_history/[A-Za-z0-9.\-]{1,64})?"
)
BASE_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"


@collection("hasValue", gives="boolean")
def has_value(run: Run, items: list[Any]) -> list[Any]:
    """True for a single primitive that has a value and not only extensions."""
    if len(items) != 1:
        return [False]
    (item,) = items
    return [not isinstance(item, Node) or (bool(item.type.system) and item.value is not None)]


@collection("getValue", gives="any")
def get_value(run: Run, items: list[Any]) -> list[Any]:
    """The System value of a single primitive."""
    value = atom(items[0]) if len(items) == 1 else None
    return [] if value is None or isinstance(value, Node) else [value]


@special("extension", 1)
def extension(site: "Site") -> tuple[Step, Shape]:
    """The extensions with a URL."""
    site.check_input_is_element()
    url, _ = site.argument(0)
    found = type_at("Extension")
    assert found is not None

    def step(items: list[Any], run: Run) -> list[Any]:
        wanted = _argument(url(run), "extension()")
        return [row for row in extensions(items) if wanted is not None and row.value.get("url") == wanted]

    return step, Shape(frozenset({found}), is_many=True)


@special("hasExtension", 1)
def has_extension(site: "Site") -> tuple[Step, Shape]:
    """True when there is an extension with the URL."""
    url, _ = site.argument(0)

    def step(items: list[Any], run: Run) -> list[Any]:
        wanted = _argument(url(run), "hasExtension()")
        return [any(row.value.get("url") == wanted for row in extensions(items))]

    return step, BOOLEAN


@special("checkModifiers", 0, 20)
def check_modifiers(site: "Site") -> tuple[Step, Shape]:
    """The input itself; an error when it has a modifier extension that is not listed."""
    urls = [site.argument(place)[0] for place in range(site.count)]

    def step(items: list[Any], run: Run) -> list[Any]:
        known = {_argument(url(run), "checkModifiers()") for url in urls}
        for item in items:
            for row in _members([item], "modifierExtension"):
                if row.value.get("url") not in known:
                    raise InvalidInput("HT-FP-17", url=str(row.value.get("url")))
        return items

    return step, site.input


def extensions(items: list[Any]) -> list[Node]:
    return [row for row in _members(items, "extension") if isinstance(row.value, dict)]


def _members(items: list[Any], name: str) -> list[Node]:
    found: list[Any] = []
    for item in items:
        member = item.type.members.get(name) if type(item) is Node else None
        if member is not None:
            child_nodes(item, member, found)
    return found


@special("resolve")
def resolve(site: "Site") -> tuple[Step, Shape]:
    """The resources that references name: contained, in the Bundle, or from the host; others are left out."""
    tests_type = site.scope.tests_type

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        run.spend(len(items))
        for item in items:
            reference = reference_of(item)
            if not reference:
                continue
            resource = target(reference, run)
            kind = resource_type(resource)
            if kind is not None:
                found.append(Node(resource, kind))
            elif tests_type:
                # `resolve() is Patient` needs the type only, which the reference itself tells.
                named = named_type(item, reference)
                if named is not None:
                    found.append(Node({}, named))
        return found

    return step, UNKNOWN


def reference_of(item: Any) -> str | None:
    """Return the literal reference of a Reference, canonical, uri or text."""
    value = item.value if isinstance(item, Node) else item
    if isinstance(value, dict):
        value = value.get("reference")
    return value if isinstance(value, str) else None


def named_type(item: Any, reference: str) -> Any:
    value = item.value if isinstance(item, Node) else None
    declared = value.get("type") if isinstance(value, dict) else None
    match = LITERAL.fullmatch(reference)
    name = declared if isinstance(declared, str) else str(match[1]) if match else ""
    return type_at(name) if definitions.is_resource(name) else None


def target(reference: str, run: Run) -> Any:
    """Return the resource behind a reference, None when nobody knows it."""
    if reference.startswith("#"):
        return _contained(reference[1:], run)
    found = _bundled(run).get(reference)
    if found is None:
        match = LITERAL.fullmatch(reference)
        found = _bundled(run).get(f"{match[1]}/{match[2]}") if match and "://" not in reference else None
    if found is None and run.host.resolve is not None:
        found = run.host.resolve(reference)
    return found


def _contained(identity: str, run: Run) -> Any:
    for name in ("rootResource", "resource"):
        for holder in run.variable(name) or ():
            if not isinstance(holder, Node) or not isinstance(holder.value, dict):
                continue
            if not identity:
                return holder.value
            for resource in holder.value.get("contained") or ():
                if isinstance(resource, dict) and resource.get("id") == identity:
                    return resource
    return None


def _bundled(run: Run) -> dict[str, Any]:
    """Resources of the Bundle around the evaluation by fullUrl and by Type/id (bundle.html#references)."""
    if run.bundled is None:
        run.bundled = {}
        for name in ("rootResource", "resource"):
            for holder in run.variable(name) or ():
                if isinstance(holder, Node) and holder.type.name == "Bundle":
                    _index_bundle(holder.value, run.bundled)
    return run.bundled


def _index_bundle(bundle: Any, found: dict[str, Any]) -> None:
    for entry in bundle.get("entry") or ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            continue
        if resource.get("id"):
            found.setdefault(f"{resource.get('resourceType')}/{resource['id']}", resource)
        if isinstance(entry.get("fullUrl"), str):
            found[entry["fullUrl"]] = resource


@collection("memberOf", 1, gives="boolean")
def member_of(run: Run, items: list[Any], value_set: list[Any]) -> list[Any]:
    """True when the code, Coding or CodeableConcept is in the value set."""
    item, url = single(items, "memberOf()"), _argument(value_set, "memberOf()")
    if item is None or url is None:
        return []
    value = to_json(item)
    found = run.host.member_of(value, url) if run.host.member_of else None
    if found is None:
        found = _member_of_core(value, url)
    if found is None:
        raise InvalidInput("HT-FP-14", function="memberOf()", subject=url)
    return [found]


def _member_of_core(value: Any, url: str) -> bool | None:
    """Answer from the enumerable value sets of the core specification."""
    codes = definitions.required_codes(url)
    if codes is None:
        return None
    if isinstance(value, str):
        return any(value in group for group in codes.values())
    if not isinstance(value, dict):
        return None
    codings = value.get("coding", [value])
    return any(coding.get("code") in codes.get(coding.get("system"), ()) for coding in codings)


@collection("subsumes", 1, 4, gives="boolean")
def subsumes(run: Run, items: list[Any], other: list[Any], *rest: list[Any]) -> list[Any]:
    """True when the code subsumes the argument; on %terminologies the $subsumes operation."""
    if items and is_terminologies(items[0]):
        return call_terminologies("subsumes", run, other, *rest)
    return _subsumed(run, items, other, "subsumes()")


@collection("subsumedBy", 1, gives="boolean")
def subsumed_by(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """True when the argument subsumes the code."""
    return _subsumed(run, other, items, "subsumedBy()")


def _subsumed(run: Run, above: list[Any], below: list[Any], function: str) -> list[Any]:
    left, right = single(above, function), single(below, function)
    if left is None or right is None:
        return []
    mine, yours = to_json(left), to_json(right)
    found = run.host.subsumes(mine, yours) if run.host.subsumes else None
    if found is None and mine == yours:
        found = True
    if found is None:
        raise InvalidInput("HT-FP-14", function=function, subject=str(mine)[:80])
    return [found]


@collection("conformsTo", 1, gives="boolean")
def conforms_to(run: Run, items: list[Any], profile: list[Any]) -> list[Any]:
    """True when the item conforms to the profile; base types are decided by the type alone without a validator."""
    item, url = single(items, "conformsTo()"), _argument(profile, "conformsTo()")
    if item is None or url is None:
        return []
    found = None
    if run.host.conforms_to is not None and isinstance(item, Node):
        found = run.host.conforms_to(item.value, url)
    if found is None and url.startswith(BASE_DEFINITION) and isinstance(item, Node):
        name = url.removeprefix(BASE_DEFINITION).partition("|")[0]
        found = item.type.is_a("FHIR", name) if name in definitions.type_names() else None
    if found is None:
        raise InvalidInput("HT-FP-14", function="conformsTo()", subject=url)
    return [found]


@collection("htmlChecks", gives="boolean")
def html_checks(run: Run, items: list[Any]) -> list[Any]:
    """True when the narrative keeps to the allowed XHTML and is not blank."""
    check = run.host.check_html or is_allowed_html
    texts = [item.value if isinstance(item, Node) else item for item in items]
    return [all(isinstance(text, str) and check(text) for text in texts)]


@collection("comparable", 1, gives="boolean")
def comparable(run: Run, items: list[Any], other: list[Any]) -> list[Any]:
    """True when both quantities have units of one dimension."""
    left, right = single(items, "comparable()"), single(other, "comparable()")
    if left is None or right is None:
        return []
    mine, yours = quantity_of(left), quantity_of(right)
    if isinstance(mine, str) or isinstance(yours, str):
        return []
    first, second = to_quantity(mine), to_quantity(yours)
    return [] if first is None or second is None else [quantity.comparable(first, second)]


def is_terminologies(item: Any) -> bool:
    return isinstance(item, TypeInfo) and item.name == "Terminologies"


def call_terminologies(name: str, run: Run, *arguments: list[Any]) -> list[Any]:
    """Hand a call on %terminologies to the host; what it returns is a resource or a JSON value."""
    given = [to_json(argument[0]) if argument else None for argument in arguments]
    service = run.host.terminologies.get(name)
    if service is not None:
        found = service(*given)
        if found is None:
            return []
    else:
        found = _core_terminology(name, given)
        if found is None:
            raise InvalidInput("HT-FP-14", function=f"%terminologies.{name}()", subject=str(given[0])[:80])
    kind = resource_type(found)
    return [Node(found, kind) if kind is not None else found]


def _core_terminology(name: str, given: list[Any]) -> Any:
    """Answer `expand` and `validateVS` for the enumerable value sets of the core specification; None for others."""
    codes = definitions.required_codes(given[0]) if given and isinstance(given[0], str) else None
    if codes is None:
        return None
    if name == "expand":
        rows = [{"system": system, "code": code} for system, group in codes.items() for code in sorted(group)]
        return {
            "resourceType": "ValueSet",
            "url": given[0],
            "status": "active",
            "expansion": {"contains": rows},
        }
    if name == "validateVS":
        is_member = bool(_member_of_core(given[1], given[0]))
        return {"resourceType": "Parameters", "parameter": [{"name": "result", "valueBoolean": is_member}]}
    return None


def _argument(items: list[Any], function: str) -> str | None:
    item = single(items, function)
    value = None if item is None else atom(item)
    if value is not None and not STRING.accepts(value):
        raise InvalidInput("HT-FP-07", function=function, expected="String", found=name_of(item))
    return value
