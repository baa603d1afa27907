"""The methods of %terminologies (https://build.fhir.org/fhirpath.html#txapi): the host's terminology service answers."""

from typing import Any

from conformance.fhirpath.compare import name_of
from conformance.fhirpath.functions.fhir import call_terminologies, is_terminologies
from conformance.fhirpath.host import Run
from conformance.fhirpath.registry import collection
from terminology.issues import InvalidInput

OPERATIONS = {
    "expand": (1, 2, "The expansion of a value set."),
    "lookup": (1, 2, "What the code system knows of a Coding, as Parameters."),
    "validateVS": (2, 3, "Whether a code is in a value set, as Parameters."),
    "validateCS": (2, 3, "Whether a code is in a code system, as Parameters."),
    "translate": (2, 3, "The translation of a code by a concept map, as Parameters."),
}


def _register(name: str, least: int, most: int, summary: str) -> None:
    def call(run: Run, items: list[Any], *arguments: list[Any]) -> list[Any]:
        if not items:
            return []
        if not is_terminologies(items[0]):
            raise InvalidInput(
                "HT-FP-07", function=f"{name}()", expected="%terminologies", found=name_of(items[0])
            )
        return call_terminologies(name, run, *arguments)

    call.__doc__ = summary
    collection(name, least, most, gives="any")(call)


for _name, (_least, _most, _summary) in OPERATIONS.items():
    _register(_name, _least, _most, _summary)
