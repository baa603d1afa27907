"""From index values to the rows of the index tables (gateway/store/schema.py), the same for every database."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.search.date import DAY
from gateway.search.sql import SUFFIX
from gateway.search.values import Index

SUFFIXED = 100
"""Characters of a value that get a suffix row each; a longer value is a candidate of every `:contains`."""

PINYIN = ":pinyin"

Row = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """Rows by table, columns in the order of the schema."""

    token: list[Row] = field(default_factory=list)
    display: list[Row] = field(default_factory=list)
    string: list[Row] = field(default_factory=list)
    suffix: list[Row] = field(default_factory=list)
    date: list[Row] = field(default_factory=list)
    quantity: list[Row] = field(default_factory=list)
    narrative: list[Row] = field(default_factory=list)
    content: list[Row] = field(default_factory=list)

    def add(self, rid: int, index: Index, word: Callable[[str], int], displays: set[Row]) -> None:
        """Append the rows of one version. `word` numbers a word, making it when it is new.

        `displays`: what is in the table `display` already, as far as known.
        """
        for path, system, code, display, n in index.tokens:
            p, s, d = word(path), word(system) if system else 0, word(display) if display else 0
            self.token.append((rid, p, code, s, d, n))
            if d and (d, p, code, s) not in displays:
                displays.add((d, p, code, s))
                self.display.append((p, d, code, s))
        for path, value, exact, n in index.strings:
            p = word(path)
            self.string.append((rid, p, value, "" if exact == value else exact, n))
            if not path.endswith(PINYIN):
                self.suffix += suffixes(p, value, rid)
        for path, low, high, n in index.dates:
            self.date.append((rid, word(path), low, high, int(high - low > DAY), n))
        for path, a, b, system, code, unit, base_a, base_b, base, n in index.quantities:
            numbers = (word(system) if system else 0, word(code) if code else 0, word(unit) if unit else 0)
            base_number = word(base) if base else None
            self.quantity.append(
                (rid, word(path), a, b, *numbers, base_number, base_a, base_b, int(a != b), n)
            )
        if index.narrative:
            self.narrative.append((rid, index.narrative))
        if index.content:
            self.content.append((rid, index.content))


def suffixes(p: int, value: str, rid: int) -> list[Row]:
    """Return the rows by which `:contains` finds a value: its pieces from each character on."""
    pieces = {value[start : start + SUFFIX] for start in range(min(len(value), SUFFIXED))}
    if len(value) > SUFFIXED:
        pieces.add("")
    return [(p, piece, rid) for piece in pieces]


INSERTS = {
    "token": "INSERT OR IGNORE INTO token VALUES (?,?,?,?,?,?)",
    "display": "INSERT OR IGNORE INTO display VALUES (?,?,?,?)",
    "string": "INSERT OR IGNORE INTO string VALUES (?,?,?,?,?)",
    "suffix": "INSERT OR IGNORE INTO suffix VALUES (?,?,?)",
    "date": "INSERT OR IGNORE INTO date VALUES (?,?,?,?,?,?)",
    "quantity": "INSERT OR IGNORE INTO quantity VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    "narrative": "INSERT INTO narrative(rowid, words) VALUES (?,?)",
    "content": "INSERT INTO content(rowid, words) VALUES (?,?)",
}
