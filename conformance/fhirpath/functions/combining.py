"""Combining (https://hl7.org/fhirpath/N1/#combining)."""

from typing import TYPE_CHECKING, Any

from conformance.fhirpath.compare import key
from conformance.fhirpath.host import Run
from conformance.fhirpath.registry import Step, special
from conformance.fhirpath.shape import Shape

if TYPE_CHECKING:
    from conformance.fhirpath.compile import Site


@special("union", 1)
def union(site: "Site") -> tuple[Step, Shape]:
    """Both collections without repetitions, like `|`."""
    other, shape = site.argument(0)

    def step(items: list[Any], run: Run) -> list[Any]:
        found: dict[Any, Any] = {}
        for item in (*items, *other(run)):
            found.setdefault(key(item), item)
        run.spend(len(found))
        return run.bound(list(found.values()))

    return step, site.input | shape


@special("combine", 1, 2)
def combine(site: "Site") -> tuple[Step, Shape]:
    """Both collections with their repetitions."""
    other, shape = site.argument(0)

    def step(items: list[Any], run: Run) -> list[Any]:
        found = items + other(run)
        run.spend(len(found))
        return run.bound(found)

    return step, site.input | shape
