"""Structure definitions: what each type consists of (https://hl7.org/fhir/R4/structuredefinition.html).

The rows are the snapshots of the official package, in the order of the specification.
"""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent


class TypeRef(msgspec.Struct, array_like=True, frozen=True):
    """One allowed type. `code` is a FHIR type name; primitive values inside primitives are `http://hl7.org/fhirpath/System.*`."""

    code: str
    profiles: list[str] = []
    targets: list[str] = []
    regex: str | None = None


class Binding(msgspec.Struct, array_like=True, frozen=True):
    """`strength`: required | extensible | preferred | example; `value_set` may carry |version."""

    strength: str
    value_set: str


class Constraint(msgspec.Struct, array_like=True, frozen=True):
    """An invariant; `severity` is error or warning, `expression` FHIRPath (empty where only prose exists).

    `human_zh`: the Chinese wording, where the author gave one (extension translation).
    """

    key: str
    severity: str
    human: str
    expression: str
    human_zh: str = ""


class Discriminator(msgspec.Struct, array_like=True, frozen=True):
    """`type`: value | exists | pattern | type | profile."""

    type: str
    path: str


class Slicing(msgspec.Struct, array_like=True, frozen=True):
    """`rules`: closed | open | openAtEnd."""

    discriminators: list[Discriminator]
    rules: str
    ordered: bool


class Element(msgspec.Struct, array_like=True, frozen=True):
    """One ElementDefinition of a snapshot. `max` None means unbounded; `constraints` are numbers into `constraints()`.

    `value` is ["fixedUri", "…"] or ["patternCodeableConcept", {…}]; `repeats` tells whether the JSON form is an array
    (the base type's max decides, so a profile's max of 1 keeps the array).
    """

    path: str
    id: str
    min: int
    max: int | None
    types: list[TypeRef]
    binding: Binding | None
    constraints: list[int]
    content_reference: str | None
    is_modifier: bool
    is_summary: bool
    slice_name: str | None
    slicing: Slicing | None
    value: tuple[str, Any] | None
    short: str
    repeats: bool

    @property
    def name(self) -> str:
        """The last step of the path: `value[x]`, `birthDate`."""
        return self.path.rpartition(".")[2]

    @property
    def is_choice(self) -> bool:
        return self.path.endswith("[x]")


class Structure(msgspec.Struct, array_like=True, frozen=True):
    """A StructureDefinition's snapshot. `kind`: primitive-type | complex-type | resource.

    `context`: pairs (type, expression) of an extension.
    """

    url: str
    name: str
    type: str
    kind: str
    is_abstract: bool
    base: str | None
    derivation: str | None
    context: list[tuple[str, str]]
    context_invariants: list[str]
    elements: list[Element]


class Child(msgspec.Struct, frozen=True):
    """A JSON property below a path: `valueQuantity` is the element `Observation.value[x]` as type `Quantity`.

    `type` is "" for a content reference and for a backbone element it is "BackboneElement" or "Element";
    `path` is where the grandchildren are described: the element's own path, the referenced one, or the type.
    """

    name: str
    element: Element
    type: str
    path: str


@cache
def constraints() -> list[Constraint]:
    return msgspec.json.decode(_read("constraints"), type=list[Constraint])


@cache
def _types() -> dict[str, Structure]:
    return {row.name: row for row in msgspec.json.decode(_read("types"), type=list[Structure])}


@cache
def _profiles() -> dict[str, Structure]:
    return {row.url: row for row in msgspec.json.decode(_read("profiles"), type=list[Structure])}


@cache
def _elements() -> dict[str, list[Element]]:
    """Child elements of every path of every type: "Patient.contact" → its elements."""
    found: dict[str, list[Element]] = {}
    for row in _types().values():
        for element in row.elements[1:]:
            found.setdefault(element.path.rpartition(".")[0], []).append(element)
    return found


def _read(name: str) -> bytes:
    return gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes())


def type_names() -> frozenset[str]:
    """Return the names of all types of the specification, abstract and primitive ones too."""
    return frozenset(_types())


@cache
def resource_types() -> frozenset[str]:
    """Return the names of the 146 concrete resource types."""
    return frozenset(name for name, row in _types().items() if row.kind == "resource" and not row.is_abstract)


def is_resource(name: str) -> bool:
    return name in resource_types()


def structure(name: str) -> Structure | None:
    """Return the definition of a type by its name, None when the specification has no such type."""
    return _types().get(name)


def profile(url: str) -> Structure | None:
    """Return a profile or extension of the core package by its canonical URL (a |version is ignored)."""
    return _profiles().get(url.partition("|")[0])


def profile_urls() -> frozenset[str]:
    return frozenset(_profiles())


@cache
def base_types(name: str) -> tuple[str, ...]:
    """Return the type and its ancestors: Patient, DomainResource, Resource; code, string, Element."""
    row = _types().get(name)
    if row is None:
        return ()
    above = base_types(row.base.rpartition("/")[2]) if row.base else ()
    return (name, *above)


def is_subtype(name: str, of: str) -> bool:
    return of in base_types(name)


@cache
def children(path: str) -> dict[str, Child]:
    """Return the JSON properties below `path` (a type name or an element path of a type), in the specification's order.

    Choice elements appear once for each type: deceasedBoolean, deceasedDateTime. `_name` siblings and `resourceType`
    are the reader's business. An unknown path has no children.
    """
    found: dict[str, Child] = {}
    for element in _elements().get(path, ()):
        if element.content_reference:
            found[element.name] = Child(element.name, element, "", element.content_reference)
        elif element.is_choice:
            stem = element.name.removesuffix("[x]")
            for kind in element.types:
                name = stem + kind.code[0].upper() + kind.code[1:]
                found[name] = Child(name, element, kind.code, kind.code)
        else:
            code = element.types[0].code if element.types else ""
            own = code in ("BackboneElement", "Element") and element.path in _elements()
            found[element.name] = Child(element.name, element, code, element.path if own else code)
    return found
