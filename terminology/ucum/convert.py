"""Reduction of units to base units, and what follows from it: conversion, comparison, product, quotient.

Magnitudes are exact fractions; only a result that has no finite decimal form is rounded, to 28 digits.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException
from fractions import Fraction
from functools import lru_cache

from terminology.ucum.essence import essence
from terminology.ucum.grammar import Factor, InvalidUnit, Simple, Term, parse
from terminology.ucum.special import FUNCTIONS

ROUNDED = Context(prec=28)
# A magnitude with more bits than this comes from no measurement (10*400 has 1,329).
MAX_BITS = 8_192
MAX_EXPONENT = 1_000

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Reduced:
    """A unit as `factor` × base units; `function` and `scale` are set for a unit on a non-ratio scale.

    A value v on such a scale stands for FUNCTIONS[function](v × scale) × factor × base units.
    """

    factor: Fraction
    dimensions: Dimensions
    function: str = ""
    scale: Fraction = Fraction(1)


@lru_cache(maxsize=4096)
def reduce(unit: str) -> Reduced | None:
    """Return the unit in base units; None when it is no UCUM code, or one without a magnitude within bounds."""
    try:
        return _term(parse(unit))
    except (InvalidUnit, OverflowError):
        return None


def canonical(value: Decimal, unit: str) -> tuple[Decimal, str] | None:
    """Return the value in base units with their code in alphabetical order: (4, "g/dL") → (40000, "g.m-3").

    Arbitrary units stay as they are ("[iU]"). None when the code is invalid or the value is outside the unit's scale.
    """
    reduced = reduce(unit)
    if reduced is None:
        return None
    magnitude = _magnitude(value, reduced)
    found = None if magnitude is None else _to_decimal(magnitude)
    return None if found is None else (found, code_of(reduced.dimensions))


def comparable(unit: str, other: str) -> bool:
    """Tell whether both are valid and of the same dimension."""
    left, right = reduce(unit), reduce(other)
    return left is not None and right is not None and left.dimensions == right.dimensions


def convert(value: Decimal, unit: str, to: str) -> Decimal | None:
    """Return the value expressed in `to`; None when a code is invalid or the dimensions differ."""
    source, target = reduce(unit), reduce(to)
    if source is None or target is None or source.dimensions != target.dimensions:
        return None
    if unit == to:
        return value
    magnitude = _magnitude(value, source)
    if magnitude is None:
        return None
    magnitude /= target.factor
    if target.function:
        scaled = FUNCTIONS[target.function][1](magnitude)
        if scaled is None:
            return None
        magnitude = scaled / target.scale
    return _to_decimal(magnitude)


def multiply(value: Decimal, unit: str, other: Decimal, other_unit: str) -> tuple[Decimal, str] | None:
    """Return the product: cm × cm is cm2, m/s × s is m; where units of one dimension mix (cm × m) in base units."""
    return _combine(value, unit, other, other_unit, 1)


def divide(value: Decimal, unit: str, other: Decimal, other_unit: str) -> tuple[Decimal, str] | None:
    """Return the quotient, with the units as in `multiply`; None also when `other` is zero."""
    return _combine(value, unit, other, other_unit, -1) if other else None


def code_of(dimensions: Dimensions) -> str:
    """Return the code of a product of base units: (("g", 1), ("m", -3)) → "g.m-3"; the unity is "1"."""
    return ".".join(code if power == 1 else f"{code}{power}" for code, power in dimensions) or "1"


def _combine(
    value: Decimal, unit: str, other: Decimal, other_unit: str, sign: int
) -> tuple[Decimal, str] | None:
    left, right = reduce(unit), reduce(other_unit)
    # ucum.org/ucum §21: units on non-ratio scales take no part in products.
    if left is None or right is None or left.function or right.function:
        return None
    try:
        magnitude = Fraction(value) * Fraction(other) ** sign
        if other_unit == "1":
            code = unit
        elif unit == "1" and sign == 1:
            code = other_unit
        else:
            kept = _joined(unit, other_unit, sign)
            if kept is None:
                magnitude *= left.factor * right.factor**sign
            code = kept or code_of(_product(left.dimensions, right.dimensions, sign))
    except (OverflowError, ValueError):
        return None
    found = _to_decimal(magnitude)
    return None if found is None else (found, code)


def _joined(unit: str, other: str, sign: int) -> str | None:
    """Return the code of a product in the units as given, None when two of them measure the same."""
    powers: dict[str, int] = {}
    for side, term in ((1, parse(unit)), (sign, parse(other))):
        for direction, part in term.parts:
            if part == Factor(1):
                continue
            if not isinstance(part, Simple):
                return None
            symbol = f"{part.prefix}{part.atom.code}"
            powers[symbol] = powers.get(symbol, 0) + side * direction * part.exponent
    kept = [(symbol, power) for symbol, power in powers.items() if power]
    seen: set[str] = set()
    for symbol, _ in kept:
        reduced = reduce(symbol)
        bases = {code for code, _ in reduced.dimensions} if reduced else set()
        if not bases or bases & seen:
            return None
        seen |= bases
    above = ".".join(f"{symbol}{power if power > 1 else ''}" for symbol, power in kept if power > 0)
    below = "".join(f"/{symbol}{-power if power < -1 else ''}" for symbol, power in kept if power < 0)
    return above + below or "1"


def _magnitude(value: Decimal, reduced: Reduced) -> Fraction | None:
    if not value.is_finite() or abs(value.adjusted()) > MAX_EXPONENT:
        return None
    magnitude = Fraction(value)
    if not reduced.function:
        return magnitude * reduced.factor
    ratio = FUNCTIONS[reduced.function][0](magnitude * reduced.scale)
    return None if ratio is None else ratio * reduced.factor


def _to_decimal(value: Fraction) -> Decimal | None:
    denominator = value.denominator
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest //= 5
        fives += 1
    try:
        if rest == 1:
            places = max(twos, fives)
            digits = value.numerator * 2 ** (places - twos) * 5 ** (places - fives)
            return Decimal(digits).scaleb(-places, Context(prec=max(28, len(str(digits)))))
        return ROUNDED.divide(Decimal(value.numerator), Decimal(denominator))
    except (DecimalException, ValueError):
        return None


def _term(term: Term) -> Reduced:
    if len(term.parts) == 1 and term.parts[0][0] == 1:
        return _part(term.parts[0][1])
    factor, dimensions = Fraction(1), Dimensions()
    for sign, part in term.parts:
        reduced = _part(part)
        if reduced.function:
            raise OverflowError("a unit on a non-ratio scale in a product")
        factor = _bounded(factor * reduced.factor**sign)
        dimensions = _product(dimensions, reduced.dimensions, sign)
    return Reduced(factor, dimensions)


def _part(part: Factor | Simple | Term) -> Reduced:
    if isinstance(part, Term):
        return _term(part)
    if isinstance(part, Factor):
        if part.number == 0:
            raise OverflowError("zero as a factor")
        return Reduced(_bounded(Fraction(part.number)), ())
    return _simple(part)


def _simple(simple: Simple) -> Reduced:
    atom, power = simple.atom, simple.exponent
    prefix = essence().prefixes[simple.prefix] if simple.prefix else Fraction(1)
    if atom.function:
        if power != 1:
            raise OverflowError("a power of a unit on a non-ratio scale")
        reference = _term(parse(atom.unit))
        assert atom.value is not None
        return Reduced(reference.factor * atom.value, reference.dimensions, atom.function, prefix)
    if atom.value is None or (atom.is_arbitrary and atom.unit == "1"):
        own = Reduced(Fraction(1), ((atom.code, 1),))
    else:
        reference = _term(parse(atom.unit))
        own = Reduced(reference.factor * atom.value, reference.dimensions)
    factor = prefix * own.factor
    if abs(power) * max(factor.numerator.bit_length(), factor.denominator.bit_length()) > MAX_BITS:
        raise OverflowError("magnitude out of bounds")
    return Reduced(_bounded(factor**power), _product((), own.dimensions, power))


def _bounded(factor: Fraction) -> Fraction:
    if factor.numerator.bit_length() > MAX_BITS or factor.denominator.bit_length() > MAX_BITS:
        raise OverflowError("magnitude out of bounds")
    return factor


def _product(left: Dimensions, right: Dimensions, sign: int) -> Dimensions:
    powers = dict(left)
    for code, power in right:
        powers[code] = powers.get(code, 0) + sign * power
    return tuple(sorted((code, power) for code, power in powers.items() if power))
