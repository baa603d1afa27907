"""Variables (https://build.fhir.org/ig/HL7/FHIRPath/#definevariable)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.host import Run
from conformance.fhirpath.registry import Step, special
from conformance.fhirpath.shape import Shape
from conformance.fhirpath.tree import Literal
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@special("defineVariable", 1, 2)
def define_variable(site: "Site") -> tuple[Step, Shape]:
    """The input itself; the steps after it see `%name`, which is the second argument or the input."""
    node = site.call.arguments[0]
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        raise InvalidInput(
            "HT-FP-07", function="defineVariable()", expected="a literal name", found="an expression"
        )
    name = node.value
    if site.compiler.is_reserved(name) or name in site.scope.variables:
        raise InvalidInput("HT-FP-16", name=f"%{name}", position=site.call.at)
    value, shape = site.branch(1) if site.count == 2 else (None, site.input)
    slot = site.compiler.new_slot()
    site.scope.variables[name] = (slot, shape)

    def step(items: list[Any], run: Run) -> list[Any]:
        if value is None:
            run.slots[slot] = items
        else:
            this = run.this
            run.this = items
            run.slots[slot] = value(run)
            run.this = this
        return items

    return step, site.input
