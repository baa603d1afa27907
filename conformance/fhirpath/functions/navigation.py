"""Tree navigation (https://hl7.org/fhirpath/N1/#tree-navigation)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.host import Run
from conformance.fhirpath.model import Node, all_children
from conformance.fhirpath.registry import Step, special
from conformance.fhirpath.shape import Shape

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@special("children")
def children(site: "Site") -> tuple[Step, Shape]:
    """All child elements, in no guaranteed order."""
    types = site.input.types
    known = None
    if types is not None and not any(row.is_any for row in types):
        known = frozenset(kind for row in types for member in row.members.values() for kind in member.types)

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        for item in items:
            if type(item) is Node:
                found.extend(all_children(item))
        run.spend(len(found))
        return run.bound(found)

    # Members of one child type only may be asked of a mixture, so the mixture is left open where it is wide.
    return step, Shape(known, is_many=True, is_ordered=False)


@special("descendants")
def descendants(site: "Site") -> tuple[Step, Shape]:
    """All elements below, level by level, in no guaranteed order."""

    def step(items: list[Any], run: Run) -> list[Any]:
        found: list[Any] = []
        level = [item for item in items if type(item) is Node]
        while level:
            below: list[Any] = []
            for item in level:
                below.extend(all_children(item))
            found.extend(below)
            run.spend(len(below))
            run.bound(found)
            level = below
        return found

    return step, Shape(None, is_many=True, is_ordered=False)
