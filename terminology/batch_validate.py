"""$batch-validate-code: many $validate-code requests in one, each with its own answer.

A parameter `validation` holds one request as a Parameters resource; what stands beside it holds for all of them.
"""

from collections.abc import Callable

from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import FhirError, InvalidInput
from terminology.outcome import TerminologyProblem

SHARED = frozenset(
    {
        "tx-resource", "cache-id", "url", "valueSet", "valueSetVersion", "lenient-display-validation", "displayLanguage",
        "system-version", "check-system-version", "force-system-version", "default-valueset-version",
        "check-valueset-version", "force-valueset-version", "inferSystem", "abstract", "activeOnly",
        "valueset-membership-only", "useSupplement", "uuid", "profile",
    }
)  # fmt: skip
REPEATING = frozenset({"tx-resource"})

MAX_VALIDATIONS = 1_000


def batch_validate(inputs: Inputs, validate: Callable[[list[Json]], Json]) -> Json:
    """Return Parameters with one `validation` an input, in order: its answer, or its OperationOutcome."""
    requests = [row for row in inputs.rows if row["name"] == "validation"]
    if not requests:
        raise InvalidInput("HT-TX-01", operation=inputs.operation, names="validation")
    if len(requests) > MAX_VALIDATIONS:
        raise InvalidInput("HT-TX-12", name="validation", count=len(requests), limit=MAX_VALIDATIONS)
    shared = [row for row in inputs.rows if row["name"] in SHARED]
    answers = [
        {"name": "validation", "resource": _one(row, shared, inputs.operation, validate)} for row in requests
    ]
    return {"resourceType": "Parameters", "parameter": answers}


def _one(row: Json, shared: list[Json], operation: str, validate: Callable[[list[Json]], Json]) -> Json:
    try:
        own = Inputs.of(operation, row.get("resource")).rows
        names = {parameter["name"] for parameter in own}
        common = [
            parameter
            for parameter in shared
            if parameter["name"] in REPEATING or parameter["name"] not in names
        ]
        return validate([*common, *own])
    except TerminologyProblem as problem:
        return problem.outcome()
    except FhirError as error:
        return plain_outcome(error)


def plain_outcome(error: FhirError) -> Json:
    """Return the OperationOutcome of an error inside a batch, where no edge renders it."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": issue.severity,
                "code": issue.type,
                "details": {"coding": [{"code": issue.code}], "text": issue.text("en")},
                **({"expression": [issue.expression]} if issue.expression else {}),
            }
            for issue in error.issues
        ],
    }
