"""Types (https://hl7.org/fhirpath/N1/#types, #reflection; hl7.org/fhir/R4/fhirpath.html#types)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import single
from conformance.fhirpath.host import Run
from conformance.fhirpath.model import TypeInfo, type_of
from conformance.fhirpath.operators import narrowed, of_type
from conformance.fhirpath.registry import Step, special
from conformance.fhirpath.shape import BOOLEAN, Shape, system

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@special("is", 1)
def is_(site: "Site") -> tuple[Step, Shape]:
    """True when the item is of the type or of one derived from it."""
    namespace, name = site.type_argument()

    def step(items: list[Any], run: Run) -> list[Any]:
        item = single(items, "is()")
        return [] if item is None else [type_of(item).is_a(namespace, name)]

    return step, BOOLEAN


@special("as", 1)
def as_(site: "Site") -> tuple[Step, Shape]:
    """The items that are of the type."""
    namespace, name = site.type_argument()
    return lambda items, run: of_type(items, namespace, name), narrowed(site.input, namespace, name)


@special("ofType", 1)
def of_type_(site: "Site") -> tuple[Step, Shape]:
    """The items that are of the type."""
    namespace, name = site.type_argument()
    return lambda items, run: of_type(items, namespace, name), narrowed(site.input, namespace, name)


@special("type")
def type_(site: "Site") -> tuple[Step, Shape]:
    """The namespace and name of each item's type."""

    def step(items: list[Any], run: Run) -> list[Any]:
        return [TypeInfo(kind.namespace, kind.name) for kind in map(type_of, items)]

    return step, system("TypeInfo", is_many=site.input.is_many)
