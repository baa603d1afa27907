"""UCUM by the examples of tests/spec/ucum.yaml, and its bounds."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from terminology import ucum
from terminology.ucum.essence import ESSENCE, essence

SPEC: dict[str, Any] = yaml.safe_load((Path(__file__).parent.parent / "spec" / "ucum.yaml").read_text())


@pytest.mark.parametrize("unit", [str(unit) for unit in SPEC["valid"]])
def test_valid(unit: str) -> None:
    assert ucum.is_valid(unit)


@pytest.mark.parametrize("unit", [*SPEC["invalid"], "[copies]/mL"])
def test_invalid(unit: str) -> None:
    assert not ucum.is_valid(unit)
    with pytest.raises(ucum.InvalidUnit):
        ucum.parse(unit)
    assert ucum.canonical(Decimal(1), unit) is None


@pytest.mark.parametrize(("value", "unit", "to", "wanted"), SPEC["convert"])
def test_convert(value: str, unit: str, to: str, wanted: str | None) -> None:
    found = ucum.convert(Decimal(value), unit, to)
    assert found == (None if wanted is None else Decimal(wanted))


@pytest.mark.parametrize(("value", "unit", "wanted", "code"), SPEC["canonical"])
def test_canonical(value: str, unit: str, wanted: str, code: str) -> None:
    assert ucum.canonical(Decimal(value), unit) == (Decimal(wanted), code)


@pytest.mark.parametrize("operation", ["multiply", "divide"])
def test_products(operation: str) -> None:
    for value, unit, other, other_unit, wanted, code in SPEC[operation]:
        found = getattr(ucum, operation)(Decimal(value), unit, Decimal(other), other_unit)
        assert found == (None if wanted is None else (Decimal(wanted), code)), (unit, other_unit)


def test_arbitrary_units_compare_with_themselves_only() -> None:
    """https://ucum.org/ucum#section-Arbitrary-Units"""
    assert ucum.comparable("[iU]/L", "[IU]/mL")
    assert not ucum.comparable("[iU]", "[arb'U]")
    assert not ucum.comparable("[iU]", "1")


def test_every_unit_of_the_table_is_read_and_has_a_magnitude() -> None:
    for code in essence().atoms:
        assert ucum.is_valid(code)
        assert ucum.canonical(Decimal(1), code) is not None, code


def test_the_table_is_the_published_one() -> None:
    assert essence().version == "2.2"
    assert len(essence().atoms) == 312
    assert "Regenstrief" in (ESSENCE.parent / "NOTICE.md").read_text()


@pytest.mark.parametrize(
    "unit",
    [
        "m" * 100_000,
        "(" * 100 + "m" + ")" * 100,
        "Ym9999",
        ".".join(["Ym999"] * 30),
        "10*9999",
        "m99999",
        "9" * 150 + "." + "9" * 48,
        "[" * 200,
        "{" * 200,
        "/" * 200,
    ],
)
def test_hostile_codes_are_bounded(unit: str) -> None:
    started = time.monotonic()
    ucum.is_valid(unit)
    ucum.canonical(Decimal("1E+999999"), unit)
    ucum.convert(Decimal(1), unit, "m")
    ucum.multiply(Decimal(1), unit, Decimal(1), unit)
    assert time.monotonic() - started < 0.5
