"""UCUM, the Unified Code for Units of Measure, case-sensitive codes (https://ucum.org/ucum).

`10*9/L`, `mm[Hg]`, `{copies}/mL`, `Cel`, `[pH]`: validity, conversion and arithmetic with exact rationals. Everything is
bounded: a code longer or more deeply nested than any real one is answered as invalid, never computed.
"""

from terminology.ucum.convert import canonical, comparable, convert, divide, multiply
from terminology.ucum.grammar import InvalidUnit, is_valid, parse

__all__ = [
    "InvalidUnit",
    "canonical",
    "comparable",
    "convert",
    "divide",
    "is_valid",
    "multiply",
    "parse",
]
