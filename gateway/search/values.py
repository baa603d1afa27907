"""Index values: what one resource can be found by.

Flat tuples, because a create builds a dozen of them. Texts are folded (terminology/hanzi.py) when they are made, so
that every store compares bytes.
"""

from dataclasses import dataclass, field
from typing import NamedTuple


class TokenValue(NamedTuple):
    """system "" = none. A reference is (type, id), a URL ("", url), a canonical (version, url).

    `n`: which repetition of the outermost repeating element it stands in, 0 for none (composites tie by it).
    """

    path: str
    system: str
    code: str
    display: str = ""
    n: int = 0


class StringValue(NamedTuple):
    """`value` folded, `exact` as written."""

    path: str
    value: str
    exact: str
    n: int = 0


class DateValue(NamedTuple):
    """[low, high) in microseconds since 1970 UTC."""

    path: str
    low: int
    high: int
    n: int = 0


class QuantityValue(NamedTuple):
    """[low, high] as written with its unit, and normalised by UCUM when that is possible (`base` = "" when not)."""

    path: str
    low: float
    high: float
    system: str = ""
    code: str = ""
    unit: str = ""
    base_low: float = 0.0
    base_high: float = 0.0
    base: str = ""
    n: int = 0


@dataclass(slots=True)
class Index:
    """All values of one resource. `narrative` and `content` are folded words separated by spaces."""

    tokens: list[TokenValue] = field(default_factory=list)
    strings: list[StringValue] = field(default_factory=list)
    dates: list[DateValue] = field(default_factory=list)
    quantities: list[QuantityValue] = field(default_factory=list)
    narrative: str = ""
    content: str = ""

    def only(self, paths: frozenset[str]) -> "Index":
        """Return the values at `paths` alone, without the words."""
        return Index(
            [row for row in self.tokens if row.path in paths],
            [row for row in self.strings if row.path in paths],
            [row for row in self.dates if row.path in paths],
            [row for row in self.quantities if row.path in paths],
        )
