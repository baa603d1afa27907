"""The syntax tree of an expression (https://hl7.org/fhirpath/N1/grammar.html).

Operator chains and invocation chains are flat: two thousand terms joined by `and` make one node, not two thousand levels.
`at` is the 1-based position in the expression.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A System value: bool, int, Decimal, str, Date, DateTime, Time or Quantity."""

    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""

    at: int


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`"""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index` or `$total`, without the dollar sign."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    """An element name."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its unevaluated arguments."""

    name: str
    arguments: "tuple[Expression, ...]"
    at: int


@dataclass(frozen=True, slots=True)
class Indexer:
    """`[expression]`"""

    index: "Expression"
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """`head.step.step[0]`: each step takes what the one before gave."""

    head: "Expression"
    steps: "tuple[Member | Call | Indexer, ...]"
    at: int


@dataclass(frozen=True, slots=True)
class Polarity:
    """A sign before a term."""

    sign: str
    operand: "Expression"
    at: int


@dataclass(frozen=True, slots=True)
class TypeName:
    """What stands right of `is` and `as`: "Quantity", "FHIR.Patient"."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Operation:
    """Operators of one precedence level, applied from the left: first op₁ a op₂ b …"""

    level: int
    first: "Expression"
    rest: "list[tuple[str, Expression | TypeName, int]]" = field(default_factory=list)
    at: int = 1


Expression = Literal | Empty | Variable | Special | Member | Call | Chain | Polarity | Operation
