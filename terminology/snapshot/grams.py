"""The text index: 1-, 2- and 3-grams of names, codes, initials and pinyin, each list in order of rank.

Users of Chinese type one to three characters. A gram of that length is looked up, not searched: its concepts stand in
the order in which they are shown, so the first page is a slice and the total is a length (docs/terminology/search.md).
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

POINT_BITS = 21
"""A Unicode code point fits in 21 bits, so a gram of three fits in one uint64."""

RANK_BITS, LENGTH_BITS, ORDINAL_BITS = 4, 8, 24
"""The order of an entry, highest first: gram number (28 bits), rank, length of the name, ordinal."""

SIZES = (1, 2, 3)
SYLLABLE = 0x100000
"""Syllables are indexed as characters of a private plane, so a pair of them is a gram like a pair of 汉字."""

ENTRY = np.dtype([("gram", np.uint64), ("order", np.uint64)])
PART = 4_000_000
"""Entries that are sorted at once: with more the grams are taken in ranges, so memory stays the same."""


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

RANKS = np.array(
    [[kind.inside if kind.inside is not None else UNMATCHED, kind.start, kind.whole] for kind in KINDS],
    np.uint64,
)

Points = NDArray[np.uint32]
Numbers = NDArray[np.int64]


def key(gram: str) -> int:
    """Return the number that stands for a gram of one to three characters."""
    return key_of(map(ord, gram))


def key_of(points: Iterable[int]) -> int:
    number = 0
    for point in points:
        number = number << POINT_BITS | point
    return number


def is_latin(text: str) -> bool:
    return text.isascii() and text.isalnum()


@dataclass(frozen=True)
class Texts:
    """Texts of one kind laid end to end: `lengths` of each, `ordinal` of its concept.

    `starts`: for each character whether a match may begin there; None: anywhere.
    """

    kind: Kind
    points: Points
    lengths: Numbers
    ordinal: Numbers
    starts: NDArray[np.bool_] | None = None


def texts(kind: Kind, rows: list[str], ordinals: Numbers, *, whole_only: bool = False) -> Texts:
    """Return strings as Texts; with `whole_only` a match begins with the text."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    points = np.frombuffer("".join(rows).encode("utf-32-le", "surrogatepass"), np.uint32)
    starts = None
    if whole_only:
        starts = np.zeros(len(points), bool)
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
    return Texts(kind, points, lengths, ordinals, starts)


class Index:
    """Collects entries in files beside the snapshot, so that memory does not grow with the catalogue."""

    def __init__(self, folder: Path, lengths: NDArray[np.uint32]) -> None:
        """`lengths` are the lengths of the displays: of two equal matches the shorter name comes first."""
        self._lengths = np.minimum(lengths, (1 << LENGTH_BITS) - 1).astype(np.uint64)
        self._open = ExitStack()
        self._files = [self._file(folder) for _ in SIZES]
        self._ordinals, self._ranks = self._file(folder), self._file(folder)

    def _file(self, folder: Path) -> IO[bytes]:
        return self._open.enter_context(tempfile.TemporaryFile(dir=folder))

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, found: Texts) -> None:
        """Add every gram of some texts."""
        row = np.repeat(np.arange(len(found.lengths)), found.lengths)
        place = np.arange(len(found.points)) - (np.cumsum(found.lengths) - found.lengths)[row]
        left = found.lengths[row] - place
        ranks = RANKS[KINDS.index(found.kind)]
        for size in SIZES:
            may_begin = left >= size if found.starts is None else (left >= size) & found.starts
            at = np.flatnonzero(may_begin)
            grams = found.points[at].astype(np.uint64)
            for step in range(1, size):
                grams = grams << np.uint64(POINT_BITS) | found.points[at + step].astype(np.uint64)
            where = np.where(place[at] == 0, np.where(left[at] == size, 2, 1), 0)
            self.add_grams(size, grams, found.ordinal[row[at]], ranks[where])

    def add_grams(
        self, size: int, grams: NDArray[np.uint64], ordinals: Numbers, ranks: NDArray[np.uint64]
    ) -> None:
        """Add grams of one size with their concepts and ranks."""
        entries = np.empty(len(grams), ENTRY)
        entries["gram"] = grams
        entries["order"] = (ranks << np.uint64(LENGTH_BITS) | self._lengths[ordinals]) << np.uint64(
            ORDINAL_BITS
        ) | ordinals.astype(np.uint64)
        self._files[size - 1].write(entries.data)

    def finish(self) -> dict[str, NDArray[Any]]:
        """Return the arrays `gram_key` (sorted), `gram_off`, `gram_ord` and `gram_rank`; the last two are mapped, not read."""
        keys, counts = [], []
        for file in self._files:
            for part in _parts(file):
                distinct, number, listed, ranks = _listed(part)
                keys.append(distinct)
                counts.append(number)
                self._ordinals.write(listed.data)
                self._ranks.write(ranks.data)
        offsets = np.zeros(sum(map(len, counts)) + 1, np.uint64)
        if counts:
            np.cumsum(np.concatenate(counts), out=offsets[1:])
        return {
            "gram_key": np.concatenate(keys) if keys else np.zeros(0, np.uint64),
            "gram_off": offsets,
            "gram_ord": _mapped(self._ordinals, np.dtype(np.uint32)),
            "gram_rank": _mapped(self._ranks, np.dtype(np.uint8)),
        }


def _mapped(file: IO[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the content of a file as an array, without reading it; the array outlives the file's closing."""
    file.flush()
    size = file.tell()
    return np.memmap(file, dtype, "r") if size else np.zeros(0, dtype)


def _parts(file: IO[bytes]) -> Iterator[NDArray[Any]]:
    """Yield the entries of one size in ranges of grams that ascend, each small enough to be sorted."""
    entries = _mapped(file, ENTRY)
    number = -(-len(entries) // PART)
    if number <= 1:
        if len(entries):
            yield np.asarray(entries)
        return
    sample = np.sort(np.asarray(entries["gram"][:: max(1, len(entries) // 100_000)]))
    bounds = np.unique(sample[np.arange(1, number) * len(sample) // number])
    edges = [np.uint64(0), *bounds, np.uint64(1 << 63)]
    for low, high in pairwise(edges):
        picked = []
        for start in range(0, len(entries), PART):
            block = entries[start : start + PART]
            grams = block["gram"]
            picked.append(np.asarray(block[(grams >= low) & (grams < high)]))
        yield np.concatenate(picked)


def _listed(
    entries: NDArray[Any],
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint8]]:
    """Return the sorted grams, how many concepts each has, and those concepts in rank order with their ranks."""
    distinct, number = np.unique(entries["gram"], return_inverse=True)
    order = number.astype(np.uint64) << np.uint64(RANK_BITS + LENGTH_BITS + ORDINAL_BITS) | entries["order"]
    order.sort()
    found = order & np.uint64((1 << ORDINAL_BITS) - 1)
    group = order >> np.uint64(ORDINAL_BITS + LENGTH_BITS + RANK_BITS)
    # A concept stands once in a list, where it ranks best.
    _, first = np.unique(group << np.uint64(ORDINAL_BITS) | found, return_index=True)
    first.sort()
    return (
        distinct,
        np.bincount(group[first].astype(np.int64), minlength=len(distinct)).astype(np.uint64),
        found[first].astype(np.uint32),
        (order[first] >> np.uint64(ORDINAL_BITS + LENGTH_BITS)).astype(np.uint8) & UNMATCHED,
    )
