"""HL7's terminology ecosystem tests (tests/data/tx, its SOURCES.md), run against the operations in this process.

What passed once must pass for ever: `tx_baseline.json` names it, and may only grow.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from terminology.batch_validate import plain_outcome
from terminology.fhir_core import FhirCore
from terminology.fhirjson import decode
from terminology.issues import FhirError
from terminology.outcome import TerminologyProblem
from terminology.service import MAX_EXPANSION, Call, Terminology
from tests.suites.tx_compare import Comparison
from tests.suites.tx_convert import to_r4, to_r5

DATA = Path(__file__).parent.parent / "data" / "tx"
BASELINE = Path(__file__).parent / "tx_baseline.json"

# The two tests of the metadata suite ask the server's /metadata: tests/gateway/test_terminology_operations.py.
NOT_HERE = {"metadata", "term-caps"}


@cache
def load(name: str) -> Any:
    return decode((DATA / name).read_bytes().removeprefix(b"\xef\xbb\xbf"))


def cases() -> Iterator[tuple[str, Any, Any]]:
    """Yield (suite/test, suite, test); a name that comes twice gets a number."""
    seen: dict[str, int] = {}
    for suite in load("test-cases.json")["suites"]:
        for test in suite["tests"]:
            if test["operation"] in NOT_HERE:
                continue
            name = f"{suite['name']}/{test['name']}"
            seen[name] = seen.get(name, 0) + 1
            yield name if seen[name] == 1 else f"{name}#{seen[name]}", suite, test


def operations(service: Terminology) -> dict[str, Callable[[Any, Call], Any]]:
    return {
        "expand": service.expand,
        "validate-code": service.validate_code_in_value_set,
        "cs-validate-code": service.validate_code_in_code_system,
        "lookup": service.lookup,
        "translate": service.translate,
        "batch-validate": service.batch_validate_code,
    }


def request(suite: Any, test: Any) -> Any:
    """Return the Parameters of a test: its own, those of its profile, and the suite's resources as tx-resource."""
    own = load(test["request"])["parameter"]
    profile = load(test.get("profile", "parameters-default.json"))["parameter"]
    setup = [{"name": "tx-resource", "resource": load(name)} for name in suite.get("setup", [])]
    return to_r4({"resourceType": "Parameters", "parameter": [*own, *profile, *setup]})


def problem(service: Terminology, suite: Any, test: Any) -> str | None:
    """Run one test and return what is wrong with the answer, None when it passes."""
    header = test.get("header") or {}
    limit = int(header["value"]) if header.get("name") == "X-TOO-COSTLY-THRESHOLD" else MAX_EXPANSION
    call = Call(accept_language=test.get("Accept-Language"), limit=limit)
    status = 200
    try:
        answer = operations(service)[test["operation"]](request(suite, test), call)
    except TerminologyProblem as error:
        answer, status = error.outcome(), error.status
    except FhirError as error:
        answer, status = plain_outcome(error), 400
    if str(status)[0] != test.get("http-code", "2xx")[0]:
        return f"HTTP {status}: {answer}"
    modes = {"general", test.get("mode", "general")}
    return Comparison(modes).difference(load(test["response"]), to_r5(answer))


@pytest.fixture(scope="module")
def service() -> Terminology:
    return Terminology(FhirCore())


SUITES = sorted({name.partition("/")[0] for name, _, _ in cases()})


@pytest.mark.parametrize("suite_name", SUITES)
def test_suite(service: Terminology, suite_name: str) -> None:
    baseline = set(json.loads(BASELINE.read_text())["passed"])
    failed, risen = {}, []
    for name, suite, test in cases():
        if suite["name"] != suite_name:
            continue
        found = problem(service, suite, test)
        if found and name in baseline:
            failed[name] = found
        elif not found and name not in baseline:
            risen.append(name)
    assert not failed
    assert not risen, "add these to tx_baseline.json"


def test_the_baseline_names_real_tests() -> None:
    assert set(json.loads(BASELINE.read_text())["passed"]) <= {name for name, _, _ in cases()}
