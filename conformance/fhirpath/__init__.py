"""FHIRPath 2.0 for FHIR R4: parsed, checked against the R4 model, compiled to closures (docs/fhirpath.md).

`evaluate("name.given", patient)` gives JSON values; `compile(expression, "Patient")` gives a callable to keep.
"""

from conformance.fhirpath.expression import Expression, compile, evaluate
from conformance.fhirpath.host import Host, Limits
from conformance.fhirpath.parse import parse

__all__ = ["Expression", "Host", "Limits", "compile", "evaluate", "parse"]
