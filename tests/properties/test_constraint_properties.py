"""The shortcuts of hot invariants never say yes where the expression says no."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instances import members

from conformance.definitions import Constraint, constraints
from conformance.fhirpath import compile
from conformance.validation.constraints import BY_HAND, ERRATA, PLAINLY_MET


def constraint(key: str, path: str) -> Constraint:
    return next(row for row in constraints() if row.key == key and (key != "inv-1" or path in row.human))


@pytest.mark.parametrize(("key", "path"), sorted(PLAINLY_MET))
def test_shortcut_agrees(key: str, path: str) -> None:
    expression = compile(constraint(key, path).expression, path, strict=False)
    is_plain = PLAINLY_MET[key, path]

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(members(path, 1), members(path, 0)), st.data())
    def check(value: dict[str, Any], data: st.DataObject) -> None:
        if value and data.draw(st.booleans()):
            del value[data.draw(st.sampled_from(sorted(value)))]
        resource = {"resourceType": path.partition(".")[0], **value} if path == "Observation" else value
        if is_plain(value):
            assert not expression.is_broken(resource, resource={"resourceType": "Basic"})

    check()


def test_every_name_here_is_a_constraint_of_r4() -> None:
    keys = {row.key for row in constraints()}
    assert keys >= BY_HAND
    assert ERRATA.keys() <= keys
    assert {key for key, _ in PLAINLY_MET} <= keys
