"""FHIRPath by the examples of its specification: tests/spec/fhirpath.yaml."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.fhirpath import evaluate
from terminology.fhirjson import decode_resource
from terminology.issues import FhirError

TESTS = Path(__file__).parent.parent
PATIENT = decode_resource((TESTS / "data" / "fhirpath" / "patient-example.json").read_bytes())
ROWS = [
    pytest.param(expression, wanted, id=f"{section}: {expression}")
    for section, rows in yaml.safe_load((TESTS / "spec" / "fhirpath.yaml").read_text()).items()
    for expression, wanted in rows
]


def shown(value: Any) -> Any:
    """Quantities as FHIRPath text, numbers as Decimal."""
    if isinstance(value, dict):
        unit = f"'{value['code']}'" if "code" in value else value["unit"]
        return f"{value['value']} {unit}"
    if isinstance(value, float):
        return Decimal(repr(value))
    return value


@pytest.mark.parametrize(("expression", "wanted"), ROWS)
def test_row(expression: str, wanted: Any) -> None:
    if wanted == "refused":
        with pytest.raises(FhirError, match="HT-FP-"):
            evaluate(expression, PATIENT)
    else:
        assert [shown(value) for value in evaluate(expression, PATIENT)] == [shown(value) for value in wanted]
