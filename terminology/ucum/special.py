"""Units on non-ratio scales: how a value on the scale becomes a ratio of its reference unit, and back.

https://ucum.org/ucum#section-Special-Units-on-non-ratio-scales. Logarithms and powers are computed with 40 digits.
"""

import math
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction

CONTEXT = Context(prec=40)
# Beyond these exponents a level has no physical meaning and would only cost time.
MAX_LEVEL = 400

Conversion = Callable[[Fraction], Fraction | None]


def _decimal(value: Fraction) -> Decimal:
    return CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _power(base: int) -> Conversion:
    def convert(value: Fraction) -> Fraction | None:
        return Fraction(CONTEXT.power(Decimal(base), _decimal(value))) if abs(value) <= MAX_LEVEL else None

    return convert


def _logarithm(base: int) -> Conversion:
    def convert(value: Fraction) -> Fraction | None:
        if value <= 0:
            return None
        if base == 10:
            return Fraction(CONTEXT.log10(_decimal(value)))
        return Fraction(CONTEXT.divide(CONTEXT.ln(_decimal(value)), CONTEXT.ln(Decimal(base))))

    return convert


def _offset(amount: str) -> tuple[Conversion, Conversion]:
    shift = Fraction(amount)
    return lambda value: value + shift, lambda value: value - shift


def _after(conversion: Conversion, factor: Fraction) -> Conversion:
    def convert(value: Fraction) -> Fraction | None:
        found = conversion(value)
        return None if found is None else found * factor

    return convert


def _before(factor: Fraction, conversion: Conversion) -> Conversion:
    return lambda value: conversion(value * factor)


def _exp(value: Fraction) -> Fraction | None:
    return Fraction(CONTEXT.exp(_decimal(value))) if abs(value) <= MAX_LEVEL else None


def _ln(value: Fraction) -> Fraction | None:
    return Fraction(CONTEXT.ln(_decimal(value))) if value > 0 else None


def _arctangent(value: Fraction) -> Fraction | None:
    return Fraction(repr(math.atan(value)))


def _tangent(value: Fraction) -> Fraction | None:
    return Fraction(repr(math.tan(value))) if abs(value) < Fraction(3, 2) else None


def _square_root(value: Fraction) -> Fraction | None:
    return Fraction(CONTEXT.sqrt(_decimal(value))) if value >= 0 else None


def _negative_power(base: int) -> tuple[Conversion, Conversion]:
    return _before(Fraction(-1), _power(base)), _after(_logarithm(base), Fraction(-1))


_SLOPE = (_before(Fraction(1, 100), _arctangent), _after(_tangent, Fraction(100)))

# Function of the essence table → (scale value to ratio, ratio to scale value).
FUNCTIONS: dict[str, tuple[Conversion, Conversion]] = {
    "Cel": _offset("273.15"),
    "degF": _offset("459.67"),
    "degRe": _offset("218.52"),
    "pH": _negative_power(10),
    "ln": (_exp, _ln),
    "lg": (_power(10), _logarithm(10)),
    "ld": (_power(2), _logarithm(2)),
    "lgTimes2": (_before(Fraction(1, 2), _power(10)), _after(_logarithm(10), Fraction(2))),
    "tanTimes100": _SLOPE,
    "100tan": _SLOPE,
    "sqrt": (lambda value: value * value, _square_root),
    "hpX": _negative_power(10),
    "hpC": _negative_power(100),
    "hpM": _negative_power(1000),
    "hpQ": _negative_power(50000),
}
