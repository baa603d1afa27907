"""The FHIR R4 model as FHIRPath sees it: types, their members, and values that know their type.

https://hl7.org/fhir/R4/fhirpath.html#types. A choice element `value[x]` is the member `value`; a primitive's `_name`
sibling (id, extension) belongs to the same value.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, Final

from conformance import definitions
from conformance.fhirpath.quantity import UCUM_SYSTEM, Quantity
from conformance.fhirpath.temporal import Date, DateTime, Time, read_date, read_date_time, read_time

MAX_EXPONENT: Final = 1_000
SYSTEM_PREFIX: Final = "http://hl7.org/fhirpath/System."


class Type:
    """A FHIR or System type. `path` is where its members are described; a backbone element has its element path.

    `system`: the System type that a primitive's value has, "" for a complex type.
    """

    __slots__ = (
        "_members",
        "_options",
        "atom",
        "bases",
        "is_any",
        "is_resource",
        "name",
        "namespace",
        "path",
        "system",
    )

    def __init__(self, name: str, path: str, *, namespace: str = "FHIR") -> None:
        self.name = name
        self.path = path
        self.namespace = namespace
        self.bases: frozenset[str] = frozenset(definitions.base_types(name)) or frozenset({name})
        self.is_resource = "Resource" in self.bases
        # An abstract resource stands for whatever its resourceType says.
        self.is_any = name in ("Resource", "DomainResource")
        self.system = name if namespace == "System" else SYSTEM_OF.get(name, "")
        self.atom: Callable[[Node], Any] = _atom_reader(self)
        self._members: dict[str, Member] | None = None
        self._options: dict[str, Option] | None = None

    def __repr__(self) -> str:
        return f"{self.namespace}.{self.path}"

    @property
    def label(self) -> str:
        """The name for messages: "Patient.contact" for a backbone element, "Integer" for System.Integer."""
        return self.path

    @property
    def members(self) -> "dict[str, Member]":
        if self._members is None:
            self._members = _read_members(self)
        return self._members

    @property
    def options(self) -> "dict[str, Option]":
        """All JSON properties, `_name` siblings too; without the bare value of a primitive, which is no element."""
        if self._options is None:
            self._options = {}
            for member in self.members.values():
                if self.system and member.name == "value":
                    continue
                for option in member.options:
                    self._options[option.key] = option
                    if option.is_primitive:
                        self._options[option.shadow] = option
        return self._options

    def is_a(self, namespace: str | None, name: str) -> bool:
        """Tell whether this is the named type or derived from it; without a namespace both are searched."""
        return namespace in (None, self.namespace) and (name in self.bases or name == "Any")


class Option:
    """One JSON property behind a member: `valueQuantity` for `value`."""

    __slots__ = ("is_primitive", "key", "shadow", "type")

    def __init__(self, key: str, type: Type) -> None:
        self.key = key
        self.shadow = f"_{key}"
        self.type = type
        self.is_primitive = bool(type.system)


class Member:
    """An element of a type: its JSON properties, and whether it may repeat."""

    __slots__ = ("is_many", "name", "options", "single", "types")

    def __init__(self, name: str, options: tuple[Option, ...], *, is_many: bool) -> None:
        self.name = name
        self.options = options
        self.single = options[0] if len(options) == 1 else None
        self.types = frozenset(option.type for option in options)
        self.is_many = is_many


class Node:
    """A value of a resource with its type; `extra` is the object of its `_name` sibling. `value` None: no value."""

    __slots__ = ("extra", "type", "value")

    def __init__(self, value: Any, type: Type, extra: Any = None) -> None:
        self.value = value
        self.type = type
        self.extra = extra

    def __repr__(self) -> str:
        return f"{self.type!r}({self.value!r})"


SYSTEM_OF: Final = {
    "boolean": "Boolean",
    "integer": "Integer",
    "positiveInt": "Integer",
    "unsignedInt": "Integer",
    "decimal": "Decimal",
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "time": "Time",
    **dict.fromkeys(
        (
            "string",
            "code",
            "id",
            "markdown",
            "uri",
            "url",
            "canonical",
            "uuid",
            "oid",
            "base64Binary",
            "xhtml",
        ),
        "String",
    ),
}
SYSTEM_NAMES: Final = ("Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity")

BOOLEAN, STRING, INTEGER, DECIMAL, DATE, DATE_TIME, TIME, QUANTITY = (
    "Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity",
)  # fmt: skip


@cache
def system_type(name: str) -> Type:
    """Return System.Boolean and the like."""
    return Type(name, name, namespace="System")


@cache
def type_at(path: str) -> Type | None:
    """Return the type of a name or element path ("Patient", "Patient.contact", "code"); None when there is none."""
    if path.startswith(SYSTEM_PREFIX):
        return system_type(path.removeprefix(SYSTEM_PREFIX))
    if definitions.structure(path) is not None:
        return Type(path, path)
    if not definitions.children(path):
        return None
    parent, _, name = path.rpartition(".")
    child = definitions.children(parent).get(name)
    return Type(child.type or "BackboneElement" if child else "BackboneElement", path)


def type_of_python(value: Any) -> Type:
    """Return the System type of a System value."""
    return system_type(_PYTHON[type(value)])


def resource_type(value: Any) -> Type | None:
    """Return the type that a JSON object's resourceType names."""
    name = value.get("resourceType") if isinstance(value, dict) else None
    return type_at(name) if isinstance(name, str) and definitions.is_resource(name) else None


def type_of(item: Any) -> Type:
    """Return the type of a member of a collection."""
    return item.type if type(item) is Node else type_of_python(item)


def atom(item: Any) -> Any:
    """Return the System value of an item; a Node without one stays the Node, a valueless primitive gives None."""
    return item.type.atom(item) if type(item) is Node else item


def quantity_of(item: Any) -> Any:
    """Like `atom`, and a FHIR Quantity becomes a System.Quantity."""
    if type(item) is not Node:
        return item
    if "Quantity" not in item.type.bases:
        return item.type.atom(item)
    value = item.value.get("value") if isinstance(item.value, dict) else None
    # fhirpath.html#quantity: a comparator makes it a range, which is no System.Quantity.
    if not isinstance(value, int | Decimal) or isinstance(value, bool) or item.value.get("comparator"):
        return item
    code, unit, system = (item.value.get(name) for name in ("code", "unit", "system"))
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        return None
    if code and system in (UCUM_SYSTEM, None):
        return Quantity(number, str(code))
    if code or unit:
        # A code of another system is no UCUM unit; braces keep it from being read as one.
        return Quantity(number, f"{{{system or ''}|{code or unit}}}")
    return Quantity(number)


def items_of(value: Any, root: Type | None, extra: Any = None) -> list[Any]:
    """Return a value from outside as a collection: a resource by its resourceType, else by `root`, else untyped."""
    if type(value) is dict:
        if root is None or root.is_resource:
            return [Node(value, resource_type(value) or root or UNTYPED)]
        return [Node(value, root)]
    if value is None and extra is None:
        return []
    if isinstance(value, list):
        return [item for entry in value for item in items_of(entry, root)]
    if isinstance(value, Node):
        return [value]
    if root is not None:
        return [Node(value, root, extra)]
    return [Decimal(repr(value)) if isinstance(value, float) else value]


def child_nodes(item: Node, member: Member, found: list[Any]) -> None:
    """Append the values of one member of `item` to `found`."""
    source = item.value if type(item.value) is dict else item.extra
    if isinstance(source, dict):
        for option in member.options:
            if option.key in source or option.shadow in source:
                _values(source, option, found)


def _values(source: dict[str, Any], option: Option, found: list[Any]) -> None:
    value, of = source.get(option.key), option.type
    if option.is_primitive:
        shadow = source.get(option.shadow)
        if value is not None or shadow is not None:
            _primitives(value, shadow, of, found)
    elif value is None:
        return
    elif type(value) is list:
        if of.is_any:
            found.extend([Node(entry, resource_type(entry) or of) for entry in value])
        else:
            found.extend([Node(entry, of) for entry in value])
    else:
        found.append(Node(value, (of.is_any and resource_type(value)) or of))


def untyped_children(value: Any, found: list[Any]) -> None:
    """Append the values of one property of JSON that is no FHIR."""
    for entry in value if type(value) is list else [value]:
        if isinstance(entry, dict):
            found.append(Node(entry, resource_type(entry) or UNTYPED))
        elif entry is not None:
            found.append(Decimal(repr(entry)) if isinstance(entry, float) else entry)


def all_children(item: Node) -> list[Any]:
    """Return all child values, in the order in which they stand."""
    found: list[Any] = []
    if item.type is UNTYPED:
        for value in item.value.values():
            untyped_children(value, found)
        return found
    source = item.value if type(item.value) is dict else item.extra
    if isinstance(source, dict):
        options = item.type.options
        for key in source:
            option = options.get(key)
            # A value and its `_name` sibling are one child; the sibling counts where it stands alone.
            if option is not None and (key != option.shadow or option.key not in source):
                _values(source, option, found)
    return found


def _primitives(value: Any, shadow: Any, of: Type, found: list[Any]) -> None:
    if type(value) is not list and type(shadow) is not list:
        found.append(Node(value, of, shadow))
        return
    values = value if type(value) is list else []
    shadows = shadow if type(shadow) is list else []
    if not shadows:
        found.extend([Node(entry, of) for entry in values])
        return
    for place in range(max(len(values), len(shadows))):
        found.append(
            Node(
                values[place] if place < len(values) else None,
                of,
                shadows[place] if place < len(shadows) else None,
            )
        )


def _read_members(of: Type) -> dict[str, Member]:
    grouped: dict[str, list[Option]] = {}
    many: dict[str, bool] = {}
    for child in definitions.children(of.path).values():
        name = child.element.name.removesuffix("[x]")
        kind = type_at(_member_type(of, child))
        if kind is not None:
            grouped.setdefault(name, []).append(Option(child.name, kind))
            many[name] = child.element.repeats
    return {name: Member(name, tuple(options), is_many=many[name]) for name, options in grouped.items()}


def _member_type(of: Type, child: definitions.Child) -> str:
    """The path of a child's type; ids and URLs are System.String in the tables but are FHIR types in the model."""
    if child.path.startswith(SYSTEM_PREFIX) and not of.system:
        if child.name == "id":
            return "id" if of.is_resource else "string"
        return "uri" if child.name == "url" else "string"
    if child.name == "id" and of.system:
        return "string"
    return child.path


def _atom_reader(of: Type) -> Callable[[Node], Any]:
    return _ATOMS.get(of.system, _itself) if of.namespace == "FHIR" else _itself


def _itself(node: Node) -> Any:
    return node


def _plain(node: Node) -> Any:
    return node.value


def _decimal(node: Node) -> Any:
    value = node.value
    if type(value) is int:
        return Decimal(value)
    if type(value) is float:
        value = Decimal(repr(value))
    # 1E999999999 is JSON, but no number to calculate with: writing it out would take a gigabyte.
    if type(value) is Decimal and (not value.is_finite() or abs(value.adjusted()) > MAX_EXPONENT):
        return None
    return value


def _temporal(read: Callable[[str], Any]) -> Callable[[Node], Any]:
    # A malformed date stays the text it is: the format check reports it, not the expression.
    def convert(node: Node) -> Any:
        value = node.value
        return (read(value) or value) if type(value) is str else value

    return convert


_ATOMS: Final[dict[str, Callable[[Node], Any]]] = {
    "Boolean": _plain,
    "String": _plain,
    "Integer": _plain,
    "Decimal": _decimal,
    "Date": _temporal(read_date),
    "DateTime": _temporal(read_date_time),
    "Time": _temporal(read_time),
}


class TypeInfo:
    """What `type()` returns: {namespace, name} (https://hl7.org/fhirpath/N1/#reflection)."""

    __slots__ = ("name", "namespace")

    def __init__(self, namespace: str, name: str) -> None:
        self.namespace = namespace
        self.name = name


_PYTHON: Final[dict[type, str]] = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    str: "String",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
    TypeInfo: "TypeInfo",
}

UNTYPED: Final = Type("Any", "Any")
"""The type of JSON that is no FHIR: its members are its properties."""
