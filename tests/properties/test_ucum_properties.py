"""What must hold for all units: conversion there and back, products and quotients that undo each other."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from terminology import ucum
from terminology.ucum.essence import essence
from terminology.ucum.grammar import parse

PREFIXES = ["", *essence().prefixes]
RATIO_ATOMS = [code for code, atom in essence().atoms.items() if not atom.function]
METRIC = [code for code in RATIO_ATOMS if essence().atoms[code].is_metric]

values = st.decimals(min_value=-1000, max_value=1000, places=3)
simple = st.one_of(
    st.sampled_from(RATIO_ATOMS),
    st.builds(lambda prefix, atom: prefix + atom, st.sampled_from(PREFIXES), st.sampled_from(METRIC)),
)
units = st.one_of(
    simple, st.builds("{}/{}".format, simple, simple), st.builds("({}.{})/{}".format, simple, simple, simple)
).filter(ucum.is_valid)


@given(values, units)
def test_there_and_back(value: Decimal, unit: str) -> None:
    found = ucum.canonical(value, unit)
    assert found is not None
    back = ucum.convert(found[0], found[1], unit)
    assert back is not None
    assert abs(back - value) <= abs(value) * Decimal("1E-20")


@given(units, units)
def test_comparable_is_symmetric_and_means_convertible(left: str, right: str) -> None:
    assert ucum.comparable(left, right) == ucum.comparable(right, left)
    assert ucum.comparable(left, right) == (ucum.convert(Decimal(1), left, right) is not None)


@given(values, units, values.filter(bool), units)
def test_a_quotient_undoes_a_product(value: Decimal, unit: str, other: Decimal, other_unit: str) -> None:
    product = ucum.multiply(value, unit, other, other_unit)
    assert product is not None
    quotient = ucum.divide(*product, other, other_unit)
    assert quotient is not None
    back = ucum.convert(*quotient, unit)
    assert back is not None
    assert abs(back - value) <= abs(value) * Decimal("1E-20")


@given(st.text(max_size=30))
def test_any_text_is_answered(text: str) -> None:
    if ucum.is_valid(text):
        assert parse(text) is not None
    ucum.convert(Decimal(1), text, "m")
