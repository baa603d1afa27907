"""Element steps: from values to the values of one member, over plain dicts where the types are known."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.host import Run
from conformance.fhirpath.model import (
    UNTYPED,
    Member,
    Node,
    Option,
    TypeInfo,
    atom,
    child_nodes,
    untyped_children,
)
from conformance.fhirpath.registry import Step
from conformance.fhirpath.shape import NOTHING, STRING, UNKNOWN, Shape
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Compiler


def member_step(compiler: "Compiler", given: Shape, name: str, at: int) -> tuple[Step, Shape]:
    """Compile the step to the member `name`. Raises InvalidInput HT-FP-02 when no possible type has it."""
    if given.types is None or any(row.is_any for row in given.types):
        return _dynamic(name), UNKNOWN
    if not given.types:
        return _dynamic(name), NOTHING
    if all(row.name == "TypeInfo" for row in given.types):
        return _dynamic(name), STRING
    members = [row.members[name] for row in given.types if name in row.members]
    if not members:
        if compiler.is_strict:
            raise InvalidInput("HT-FP-02", name=name, type=given.names, position=at)
        return _dynamic(name), NOTHING
    types = frozenset(row for member in members for row in member.types)
    shape = Shape(
        types, is_many=given.is_many or any(row.is_many for row in members), is_ordered=given.is_ordered
    )
    only = given.only
    option = members[0].single if only is not None and not only.system else None
    if option is None or option.type.is_any:
        return _dynamic(name), shape
    if option.is_primitive:
        return _primitive(option, members[0]), shape
    return _complex(option.key, option.type), shape


def _primitive(option: Option, member: Member) -> Step:
    """A member of primitive type below values of one known complex type."""
    key, shadow, of = option.key, option.shadow, option.type

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        for item in items:
            source = item.value
            if type(source) is not dict:
                continue
            value = source.get(key)
            if shadow in source or type(value) is list:
                child_nodes(item, member, found)
            elif value is not None:
                found.append(Node(value, of))
        run.spend(len(found))
        return found

    return step


def _complex(key: str, of: Any) -> Step:
    """A member of complex type below values of one known complex type: nothing to look up but the key."""

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        for item in items:
            source = item.value
            if type(source) is not dict:
                continue
            value = source.get(key)
            if value is None:
                continue
            if type(value) is list:
                found.extend([Node(entry, of) for entry in value])
            else:
                found.append(Node(value, of))
        run.spend(len(found))
        return found

    return step


def _dynamic(name: str) -> Step:
    """A member of whatever type each value has; a type without it has no such values."""

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if type(item) is Node:
                member = item.type.members.get(name)
                if name == "value" and item.type.system:
                    # A primitive's value as an element: the System value.
                    if item.value is not None:
                        found.append(atom(item))
                elif member is not None:
                    child_nodes(item, member, found)
                elif item.type is UNTYPED:
                    untyped_children(item.value.get(name), found)
            elif type(item) is TypeInfo and name in ("name", "namespace"):
                found.append(getattr(item, name))
        run.spend(len(found))
        return found

    return step
