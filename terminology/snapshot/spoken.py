"""Chinese names as they are spoken, for a whole block of names at once: initials, pinyin, rarer readings of 多音字.

What a name reads like depends on its characters only, and a catalogue has few different ones: each character is looked
up once, each window of three characters once, and names are put together from these as arrays.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terminology import hanzi
from terminology.snapshot import grams
from terminology.snapshot.arrays import ragged
from terminology.snapshot.grams import Index, Numbers, Points, Texts

MAX_WINDOW_READINGS = 16
MAX_WINDOWS = 200_000
UNICODE = 0x110000
"""Characters are numbered below it, so three numbers make one of 63 bits."""

ABSENT = UNICODE - 1
"""Stands for what would follow the last character of a name."""

Grams = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Grams of one, two and three letters or syllables."""


class Syllables(dict[str, str]):
    """Character → its readings as the snapshot writes them, "hang|xing"; empty for what is not spoken."""

    def __missing__(self, character: str) -> str:
        found = hanzi.readings(character)
        self[character] = written = "|".join(found) if found[0] else ""
        return written


@dataclass
class Speech:
    """Characters and windows met so far, by number."""

    syllables: Syllables = field(default_factory=Syllables)
    _number: NDArray[np.int32] = field(default_factory=lambda: np.full(UNICODE, -1, np.int32))
    _readings: list[tuple[str, ...]] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)
    _windows: dict[int, Grams] = field(default_factory=dict)

    def add(self, index: Index, points: Points, lengths: Numbers, ordinals: Numbers) -> None:
        """Index how names sound; `points` are the names laid end to end, folded."""
        number = self._numbered(points)
        letters, begins, counts = self._tables()
        is_spoken = counts[number] > 0
        number, owner = number[is_spoken], np.repeat(np.arange(len(lengths)), lengths)[is_spoken]
        spoken = np.bincount(owner, minlength=len(lengths))
        index.add(Texts(grams.INITIALS, letters[begins[number]], spoken, ordinals))
        at = ragged(begins[number], counts[number])
        starts = np.zeros(len(at), bool)
        starts[np.cumsum(counts[number]) - counts[number]] = True
        syllables = np.bincount(owner, weights=counts[number], minlength=len(lengths)).astype(np.int64)
        index.add(Texts(grams.PINYIN, letters[at], syllables, ordinals, starts))
        usual = np.array([self._id(readings[0]) if readings else 0 for readings in self._readings], np.uint32)
        index.add(Texts(grams.PINYIN, usual[number], spoken, ordinals))
        self._add_rarer(index, number, owner, ordinals)

    def _id(self, syllable: str) -> int:
        """Return the character that stands for a syllable."""
        return grams.SYLLABLE + self._ids.setdefault(syllable, len(self._ids))

    @property
    def syllable_list(self) -> list[str]:
        """The syllables by number, for those who search."""
        return list(self._ids)

    def written(self, name: str) -> list[str]:
        """Return the readings of each spoken character of a folded name."""
        return [found for found in map(self.syllables.__getitem__, name) if found]

    def _numbered(self, points: Points) -> Numbers:
        for point in np.unique(points[self._number[points] < 0]).tolist():
            self._number[point] = len(self._readings)
            readings = hanzi.readings(chr(point))
            self._readings.append(readings if readings[0] else ())
        return self._number[points].astype(np.int64)

    def _tables(self) -> tuple[Points, Numbers, Numbers]:
        """Return the usual syllables laid end to end, where each character's begins, and its length (0: not spoken)."""
        usual = [readings[0] if readings else "" for readings in self._readings]
        counts = np.fromiter(map(len, usual), np.int64, len(usual))
        letters = np.frombuffer("".join(usual).encode("utf-32-le"), np.uint32)
        return letters, np.cumsum(counts) - counts, counts

    def _add_rarer(self, index: Index, number: Numbers, owner: Numbers, ordinals: Numbers) -> None:
        """Index the grams in which a rarer reading takes part.

        Grams have at most three letters, so the windows of three characters stand for all combinations of a name.
        """
        if not len(number):
            return
        following = [_shifted(number, owner, step, absent=ABSENT) for step in (1, 2)]
        has_several = np.zeros(UNICODE, bool)
        has_several[[at for at, readings in enumerate(self._readings) if len(readings) > 1]] = True
        several = has_several[number] | has_several[following[0]] | has_several[following[1]]
        windows = (number * UNICODE + following[0]) * UNICODE + following[1]
        distinct, which = np.unique(windows[several], return_inverse=True)
        found = [self._window(window) for window in distinct.tolist()]
        concept = ordinals[owner[several]]
        for size in grams.SIZES:
            rows = [window[size - 1] for window in found]
            counts = np.fromiter(map(len, rows), np.int64, len(rows))
            flat = np.fromiter(itertools.chain.from_iterable(rows), np.uint64, int(counts.sum()))
            at = ragged((np.cumsum(counts) - counts)[which], counts[which])
            ranks = np.full(len(at), grams.RARER_READING.inside, np.uint64)
            index.add_grams(size, flat[at], np.repeat(concept, counts[which]), ranks)

    def _window(self, window: int) -> Grams:
        known = self._windows.get(window)
        if known is None:
            if len(self._windows) >= MAX_WINDOWS:
                self._windows.clear()
            numbers = (window // UNICODE // UNICODE, window // UNICODE % UNICODE, window % UNICODE)
            readings = [self._readings[number] for number in numbers if number != ABSENT]
            known = self._windows[window] = _rarer(readings, self._id)
        return known


def _rarer(window: list[tuple[str, ...]], id_of: Callable[[str], int]) -> Grams:
    """Return the grams of up to three characters in which one is not read as usual, from the window's beginning on.

    Those from its second character on belong to the next window.
    """
    following = "".join(readings[0] for readings in window[1:3])[:2]
    found: tuple[dict[int, None], ...] = ({}, {}, {})
    for rarer in window[0][1:]:
        # Pinyin, from where the syllable begins.
        text = (rarer + following)[:3]
        for size in range(1, len(text) + 1):
            found[size - 1][grams.key(text[:size])] = None
    letters = [tuple(dict.fromkeys(ord(reading[0]) for reading in readings)) for readings in window]
    syllables = [tuple(map(id_of, readings)) for readings in window]
    for size in range(1, len(window) + 1):
        keys = found[size - 1]
        for points in (letters, syllables):
            for chosen in itertools.islice(itertools.product(*points[:size]), 1, MAX_WINDOW_READINGS):
                keys[grams.key_of(chosen)] = None
    return tuple(found[0]), tuple(found[1]), tuple(found[2])


def _shifted(number: Numbers, owner: Numbers, step: int, *, absent: int) -> Numbers:
    """Return the character `step` places on in the same name, `absent` past its end."""
    found: NDArray[Any] = np.full(len(number), absent, np.int64)
    same = owner[step:] == owner[:-step]
    found[: len(same)] = np.where(same, number[step:], absent)
    return found
