"""What may stand below each element: the definitions, prepared for a walk over what is present.

One table a type or backbone element, built when the first value of it comes by; the tables of all resources of an
ordinary message take some milliseconds.
"""

from functools import cache

from conformance.definitions import Binding, Element, children, is_subtype, required_codes, structure
from conformance.validation.primitives import Check, check_of

PRIMITIVE, COMPLEX, RESOURCE = 0, 1, 2


class Spec:
    """One JSON property: `code` in Coding, `valueQuantity` in Observation.

    `stem` and `kind` name a choice element ("value", "Quantity"), `codes` the codes of a required binding on a
    primitive, `table_path` where the members of a complex value are described.
    """

    __slots__ = (
        "binding",
        "check",
        "codes",
        "element",
        "is_attribute",
        "kind",
        "name",
        "repeats",
        "shape",
        "stem",
        "table_path",
        "targets",
        "type",
    )

    def __init__(self, name: str, element: Element, type_name: str, table_path: str, owner: str) -> None:
        self.name = name
        self.element = element
        self.type = "id" if name == "id" and _is_resource_type(owner) else type_name
        self.repeats = element.repeats
        self.table_path = table_path
        self.binding: Binding | None = element.binding
        self.stem: str | None = element.name.removesuffix("[x]") if element.is_choice else None
        self.kind: str | None = type_name if element.is_choice else None
        self.targets: tuple[str, ...] = next(
            (tuple(row.targets) for row in element.types if row.code == type_name), ()
        )
        if type_name in ("Resource", "DomainResource"):
            self.shape = RESOURCE
        else:
            self.shape = PRIMITIVE if is_primitive(type_name) else COMPLEX
        self.check: Check = check_of(self.type)
        # Element.id and Extension.url are attributes in XML and cannot carry an id or extensions.
        self.is_attribute = (self.type == "string" and name == "id") or (
            owner == "Extension" and name == "url"
        )
        self.codes: frozenset[str] | None = None
        if self.shape == PRIMITIVE and self.binding is not None and self.binding.strength == "required":
            found = required_codes(self.binding.value_set)
            self.codes = frozenset[str]().union(*found.values()) if found is not None else None


class Table:
    """The properties below one path; `required` holds, for each mandatory element, its name and the properties that satisfy it."""

    __slots__ = ("children", "is_resource", "path", "required")

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_resource = _is_resource_type(path)
        self.children: dict[str, Spec] = {}
        required: dict[str, list[str]] = {}
        for name, child in children(path).items():
            self.children[name] = Spec(name, child.element, child.type, child.path, path)
            if child.element.min:
                required.setdefault(child.element.name, []).append(name)
        self.required: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
            (name, tuple(names)) for name, names in required.items()
        )


@cache
def table(path: str) -> Table:
    """Return the table of a type ("Patient", "HumanName") or backbone element ("Patient.contact")."""
    return Table(path)


@cache
def is_primitive(type_name: str) -> bool:
    row = structure(type_name)
    return row is not None and row.kind == "primitive-type"


@cache
def _is_resource_type(path: str) -> bool:
    return is_subtype(path, "Resource")
