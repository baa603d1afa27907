"""Hostile FHIRPath: refused or bounded, never slow; and long sane expressions that must work."""

import inspect
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from conformance.fhirpath import Host, Limits, compile, evaluate
from terminology.issues import FhirError, InvalidInput, TooCostly

SMALL = Host(limits=Limits(steps=200_000, seconds=1.0, items=20_000, text=100_000, regex_seconds=0.1))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 5


class TestLongButSane:
    def test_two_thousand_terms(self) -> None:
        assert evaluate(" and ".join(["true"] * 2_000)) == [True]
        assert evaluate(" or ".join(["false"] * 2_000)) == [False]
        assert evaluate(" implies ".join(["true"] * 2_000)) == [True]
        assert evaluate(" + ".join(["1"] * 2_000)) == [2_000]
        assert evaluate(" & ".join(["'a'"] * 2_000)) == ["a" * 2_000]
        assert len(evaluate(" | ".join(map(str, range(2_000))))) == 2_000
        assert evaluate("(" + " | ".join(map(str, range(2_000))) + ").count()") == [2_000]

    def test_a_long_chain(self) -> None:
        assert evaluate("1" + ".first()" * 2_000) == [1]

    def test_equalities_stay_manageable(self) -> None:
        assert evaluate(" = ".join(["true"] * 101)) == [True]

    def test_fifty_nested_parentheses_and_calls(self) -> None:
        assert evaluate("(" * 50 + "1" + ")" * 50) == [1]
        assert evaluate("iif(true, " * 50 + "1" + ")" * 50) == [1]

    def test_a_nearly_full_stack_is_an_error_and_no_crash(self) -> None:
        def below(depth: int) -> None:
            if depth:
                below(depth - 1)
            else:
                with pytest.raises(TooCostly, match="HT-FP-21"):
                    evaluate("(((" * 10 + "1" + ")))" * 10, a="unique")

        below(sys.getrecursionlimit() - len(inspect.stack()) - 60)


class TestRefused:
    @pytest.mark.parametrize(
        ("expression", "code"),
        [
            ("1" * 100_001, "HT-FP-20"),
            ("(" * 5_000 + "1" + ")" * 5_000, "HT-FP-21"),
            ("iif(true," * 5_000 + "1" + ")" * 5_000, "HT-FP-21"),
            ("-" * 5_000 + "1", "HT-FP-21"),
            ("[" * 5_000, "HT-FP-01"),
            ("'" * 50_001, "HT-FP-01"),
            ("\x00", "HT-FP-01"),
            ("名字", "HT-FP-01"),
        ],
    )
    def test_before_evaluation(self, expression: str, code: str) -> None:
        with pytest.raises(FhirError, match=code):
            compile(expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "1.repeat($this + 1)",
            "'a'.repeatAll($this)",
            "'ab'.repeat($this + $this)",
            "(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9).repeatAll(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9)",
            "'aaaaaaaaaa'.replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa')"
            ".replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa').replace('a', 'aaaaaaaaaa')",
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'.replaceMatches('(a|aa)+$', 'x')",
            "entry.select(%resource.entry.select(%resource.entry.select(%resource.entry.count())))",
            "entry ~ entry.tail().combine(entry.first())",
        ],
    )
    def test_growth_without_end(self, expression: str) -> None:
        bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": f"urn:{n}"} for n in range(1_000)]}
        with pytest.raises(TooCostly, match="HT-FP-2"):
            evaluate(expression, bundle, host=SMALL)

    def test_time(self) -> None:
        bundle = {"resourceType": "Bundle", "entry": [{"fullUrl": f"urn:{n}"} for n in range(1_000)]}
        slow = Host(limits=Limits(seconds=0.05))
        with pytest.raises(TooCostly, match="HT-FP-24"):
            evaluate("entry.where(%resource.entry.where(fullUrl = 'x').exists())", bundle, host=slow)

    def test_a_broken_pattern(self) -> None:
        with pytest.raises(InvalidInput, match="HT-FP-15"):
            evaluate("'a'.matches('" + "(" * 500 + "')")


class TestHostileResources:
    def test_deep_nesting_is_walked(self) -> None:
        item: dict[str, Any] = {"linkId": "0"}
        for depth in range(1, 1_500):
            item = {"linkId": str(depth), "item": [item]}
        form = {"resourceType": "Questionnaire", "item": [item]}
        assert evaluate("descendants().linkId.count()", form) == [1_500]
        assert evaluate("repeatAll(item).count()", form) == [1_500]
        with pytest.raises(TooCostly, match="HT-FP-21"):
            evaluate("item = item", form)

    def test_gigantic_numbers_are_no_numbers(self) -> None:
        observation = {
            "resourceType": "Observation",
            "valueQuantity": {"value": Decimal("1E+999999999"), "code": "mg"},
        }
        assert evaluate("value.value.toString()", observation) == []
        assert evaluate("value.value.truncate()", observation) == []
        assert evaluate("value > 1 'g'", observation) == []

    @pytest.mark.parametrize("value", [1, True, [], {}, [None], "x", ["x"], [["x"]], None])
    def test_wrong_json_types_do_not_break_the_engine(self, value: Any) -> None:
        patient = {
            "resourceType": "Patient",
            "name": value,
            "birthDate": value,
            "contact": value,
            "_birthDate": value,
        }
        for expression in (
            "name.given.exists()",
            "birthDate.extension.value.exists()",
            "descendants().count() >= 0",
            "contact.name.family.empty()",
            "name.where(use = 'x').empty()",
        ):
            assert compile(expression, "Patient")(patient) in ([True], [False])
