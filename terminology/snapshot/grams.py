"""The text index: 1-, 2- and 3-grams of names, codes, initials and pinyin, each list in order of rank.

Users of Chinese type one to three characters. A gram of that length is looked up, not searched: its concepts stand in
the order in which they are shown, so the first page is a slice and the total is a length (docs/terminology/search.md).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POINT_BITS = 21
"""A Unicode code point fits in 21 bits, so a gram of three fits in one uint64."""

RANK_BITS, LENGTH_BITS, ORDINAL_BITS = 4, 8, 24
"""The sort key of an entry, highest first: gram number (28 bits), rank, length of the name, ordinal."""


class Kind(NamedTuple):
    """How the rows of one kind of text rank by where the filter lies in them: whole, at the start, inside."""

    whole: int
    start: int
    inside: int | None


# exact > prefix > initials > pinyin > substring > designation; a rarer reading of a character ranks like a substring.
CODE = Kind(0, 1, None)
NAME = Kind(2, 3, 8)
INITIALS = Kind(4, 5, 9)
PINYIN = Kind(6, 7, 10)
RARER_READING = Kind(11, 11, 11)
DESIGNATION = Kind(12, 13, 14)
KINDS = (CODE, NAME, INITIALS, PINYIN, RARER_READING, DESIGNATION)
UNMATCHED = 15


class Row(NamedTuple):
    """One searchable text of one concept. `kind` is a place in KINDS; `starts`: where a match may begin, None: anywhere."""

    ordinal: int
    kind: int
    text: str
    starts: Sequence[int] | None = None


def key(gram: str) -> int:
    """Return the number that stands for a gram of one to three characters."""
    number = 0
    for character in gram:
        number = number << POINT_BITS | ord(character)
    return number


def is_latin(text: str) -> bool:
    return text.isascii() and text.isalnum()


def build(rows: Iterable[Row], lengths: NDArray[np.uint32]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays `gram_key` (sorted), `gram_off` and `gram_ord` of all rows.

    `lengths` are the lengths of the displays: of two equal matches the shorter name comes first.
    """
    parts = _Positions(list(rows))
    tables = [_table(parts, size, lengths) for size in (1, 2, 3)]
    keys = np.concatenate([table[0] for table in tables])
    counts = np.concatenate([table[1] for table in tables])
    ordinals = np.concatenate([table[2] for table in tables])
    offsets = np.zeros(len(counts) + 1, np.uint64)
    np.cumsum(counts, out=offsets[1:])
    return {"gram_key": keys, "gram_off": offsets, "gram_ord": ordinals}


class _Positions:
    """All rows laid end to end: for each character its row, and its place in that row."""

    def __init__(self, rows: list[Row]) -> None:
        lengths = np.fromiter((len(row.text) for row in rows), np.int64, len(rows))
        self.points = np.frombuffer(
            "".join(row.text for row in rows).encode("utf-32-le", "surrogatepass"), np.uint32
        )
        begins = np.zeros(len(rows), np.int64)
        np.cumsum(lengths[:-1], out=begins[1:])
        self.row = np.repeat(np.arange(len(rows)), lengths)
        self.place = np.arange(len(self.points)) - begins[self.row]
        self.left = lengths[self.row] - self.place
        self.ordinal = np.fromiter((row.ordinal for row in rows), np.uint64, len(rows))
        self.kind = np.fromiter((row.kind for row in rows), np.uint8, len(rows))
        self.may_start = np.ones(len(self.points), bool)
        for number, row in enumerate(rows):
            if row.starts is not None:
                begin = begins[number]
                self.may_start[begin : begin + len(row.text)] = False
                self.may_start[[begin + start for start in row.starts]] = True
        self.is_latin = (self.points < 128) & np.isin(
            self.points, np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyz", np.uint8)
        )


def _table(
    parts: _Positions, size: int, lengths: NDArray[np.uint32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32]]:
    """Return the sorted grams of one size, how many concepts each has, and those concepts in rank order."""
    at = np.flatnonzero((parts.left >= size) & parts.may_start)
    if size == 3:
        # Three Chinese characters are found by intersecting two pairs; three letters are typed all the time.
        at = at[parts.is_latin[at] & parts.is_latin[at + 1] & parts.is_latin[at + 2]]
    if not len(at):
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint32)
    grams = parts.points[at].astype(np.uint64)
    for step in range(1, size):
        grams = grams << np.uint64(POINT_BITS) | parts.points[at + step].astype(np.uint64)
    row = parts.row[at]
    ranks = np.array(
        [[kind.inside if kind.inside is not None else UNMATCHED, kind.start, kind.whole] for kind in KINDS],
        np.uint64,
    )
    where = np.where(parts.place[at] == 0, np.where(parts.left[at] == size, 2, 1), 0)
    rank = ranks[parts.kind[row], where]
    ordinal = parts.ordinal[row]
    length = np.minimum(lengths[ordinal.astype(np.int64)], (1 << LENGTH_BITS) - 1).astype(np.uint64)
    distinct, number = np.unique(grams, return_inverse=True)
    order = (number.astype(np.uint64) << np.uint64(RANK_BITS) | rank) << np.uint64(LENGTH_BITS) | length
    order = np.sort(order << np.uint64(ORDINAL_BITS) | ordinal)
    mask = np.uint64((1 << ORDINAL_BITS) - 1)
    found = order & mask
    group = order >> np.uint64(ORDINAL_BITS + LENGTH_BITS + RANK_BITS)
    # A concept stands once in a list, where it ranks best.
    _, first = np.unique(group << np.uint64(ORDINAL_BITS) | found, return_index=True)
    first.sort()
    return (
        distinct,
        np.bincount(group[first].astype(np.int64), minlength=len(distinct)).astype(np.uint64),
        found[first].astype(np.uint32),
    )
