"""Structure validation by table: tests/spec/validation_structure.yaml."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.validation import validate
from conformance.validation.accept import Acceptor
from terminology.fhirjson import decode, encode

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "spec" / "validation_structure.yaml").read_text()
)
ACCEPTOR = Acceptor(compile_after=0)


def as_sent(resource: Any) -> Any:
    """YAML's floats become what the JSON reader makes of them."""
    return decode(encode(resource).replace(b"1.5", b"1.5"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_structure(row: dict[str, Any]) -> None:
    found = validate(as_sent(row["resource"]), level="structure")
    assert [[issue.code, issue.expression] for issue in found] == row["issues"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["case"])
def test_the_schema_accepts_nothing_wrong(row: dict[str, Any]) -> None:
    assert not (ACCEPTOR.accepts(as_sent(row["resource"])) and row["issues"])


def test_the_nearest_name_is_offered() -> None:
    [issue] = validate({"resourceType": "Patient", "birthdate": "1974"}, level="structure")
    assert issue.values["near"] == "birthDate"
    [issue] = validate(
        {"resourceType": "Observation", "status": "final", "code": {"text": "a"}, "value": Decimal(3)},
        level="structure",
    )
    assert str(issue.values["near"]).startswith("value")


def test_line_and_column_on_demand() -> None:
    body = b'{"resourceType": "Patient",\n  "name": [{"family": "a"},\n    {"family": ""}]}'
    [issue] = validate(body, level="structure", locate=True)
    assert issue.source == "line 3 column 6"


def test_xml_has_the_same_rules() -> None:
    body = (
        b'<Patient xmlns="http://hl7.org/fhir">\n<birthDate value="2024-02-30"/>\n<cat value="1"/></Patient>'
    )
    assert [(issue.code, issue.expression) for issue in validate(body, level="structure")] == [
        ("HT-VAL-13", "Patient.birthDate"),
        ("HT-VAL-02", "Patient"),
    ]
