"""The grammar of unit codes (https://ucum.org/ucum#section-Grammar-of-Units-and-Unit-Terms).

main = ["/"] term;  term = component {("." | "/") component}
component = simple [exponent] [annotation] | annotation | digits [annotation] | "(" term ")" [annotation]
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from terminology.ucum.essence import Atom, essence

MAX_LENGTH = 200
MAX_DEPTH = 16

# Brackets belong to the symbol whatever they hold ("[in_i'H2O]"); outside them a digit or sign starts the exponent.
SYMBOL = re.compile(r"10[*^]|(?:[^0-9+\-./(){}\[\]\s]|\[[^\[\]\s]*\])+")
EXPONENT = re.compile(r"[+-]?[0-9]{1,4}")
DIGITS = re.compile(r"[0-9]+")
ANNOTATION = re.compile(r"\{[!-z|~]*\}")


class InvalidUnit(ValueError):
    """The text is not a UCUM code; the message tells where and why."""


@dataclass(frozen=True)
class Factor:
    """A number standing alone: the 10 of `10.L/min`."""

    number: int


@dataclass(frozen=True)
class Simple:
    """A prefixed atom with its exponent: `cm3` is c, m, 3."""

    prefix: str
    atom: Atom
    exponent: int


@dataclass(frozen=True)
class Term:
    """A product; each part comes with +1 (multiplied) or -1 (divided). No parts means the unity."""

    parts: tuple[tuple[int, "Factor | Simple | Term"], ...]


def is_valid(unit: str) -> bool:
    """Tell whether `unit` is a UCUM code in its case-sensitive form."""
    try:
        parse(unit)
    except InvalidUnit:
        return False
    return True


@lru_cache(maxsize=4096)
def parse(unit: str) -> Term:
    """Return the term of a unit code. Raises InvalidUnit."""
    if not unit:
        raise InvalidUnit("empty")
    if len(unit) > MAX_LENGTH:
        raise InvalidUnit(f"longer than {MAX_LENGTH} characters")
    reader = _Reader(unit)
    term = reader.term(0, leading_slash=True)
    if reader.at < len(unit):
        raise InvalidUnit(f"unexpected {unit[reader.at]!r} at position {reader.at + 1}")
    return term


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def term(self, depth: int, *, leading_slash: bool) -> Term:
        parts: list[tuple[int, Factor | Simple | Term]] = []
        sign = 1
        if leading_slash and self._took("/"):
            sign = -1
        while True:
            part = self._component(depth)
            if part is not None:
                parts.append((sign, part))
            if self._took("."):
                sign = 1
            elif self._took("/"):
                sign = -1
            else:
                return Term(tuple(parts))

    def _component(self, depth: int) -> Factor | Simple | Term | None:
        if self._took("("):
            if depth >= MAX_DEPTH:
                raise InvalidUnit(f"nested deeper than {MAX_DEPTH}")
            inner = self.term(depth + 1, leading_slash=False)
            if not self._took(")"):
                raise InvalidUnit(f"')' expected at position {self.at + 1}")
            # The published example codes annotate groups too: "U/(10.g){feces}".
            self._annotation()
            return inner
        if self._annotation():
            return None
        symbol = SYMBOL.match(self.text, self.at)
        if symbol is not None:
            self.at = symbol.end()
            part: Factor | Simple = self._simple(symbol.group())
        else:
            digits = DIGITS.match(self.text, self.at)
            if digits is None:
                raise InvalidUnit(f"a unit expected at position {self.at + 1}")
            self.at = digits.end()
            part = Factor(int(digits.group()))
        self._annotation()
        return part

    def _simple(self, symbol: str) -> Simple:
        prefix, atom = _resolve(symbol)
        exponent = EXPONENT.match(self.text, self.at)
        if exponent is None:
            return Simple(prefix, atom, 1)
        self.at = exponent.end()
        return Simple(prefix, atom, int(exponent.group()))

    def _annotation(self) -> bool:
        if not self.text.startswith("{", self.at):
            return False
        found = ANNOTATION.match(self.text, self.at)
        if found is None:
            raise InvalidUnit(f"annotation at position {self.at + 1} is open or not printable ASCII")
        self.at = found.end()
        return True

    def _took(self, character: str) -> bool:
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False


@lru_cache(maxsize=4096)
def _resolve(symbol: str) -> tuple[str, Atom]:
    table = essence()
    exact = table.atoms.get(symbol)
    if exact is not None:
        return "", exact
    for length in (2, 1):
        atom = table.atoms.get(symbol[length:])
        if symbol[:length] in table.prefixes and atom is not None and atom.is_metric:
            return symbol[:length], atom
    raise InvalidUnit(f"unknown unit {symbol!r}")
