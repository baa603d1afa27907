"""Typed letters as syllables: gaoxuey is gao xue and a syllable that begins with y.

A catalogue has its own syllables (`spoken.Speech`): those of its characters, and letters and digits that are spoken as
themselves. Two that never follow each other in any of its names end a reading early.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from terminology.snapshot import grams

MAX_SPELLINGS = 64
"""Readings of one word that are followed; ordinary pinyin has one to three."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """One reading: the syllables that are complete, and those that the rest may begin (`is_open`)."""

    complete: tuple[int, ...]
    last: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        return bool(self.last)

    @property
    def length(self) -> int:
        return len(self.complete) + self.is_open

    def grams(self) -> Iterator[int]:
        """Yield the grams of a spelling of up to three syllables, one for each way in which it may end."""
        for points in product(*([point] for point in self.complete), *([self.last] if self.last else [])):
            yield grams.key_of(points)

    def windows(self, size: int) -> Iterator["Spelling"]:
        """Yield each `size` syllables that follow each other."""
        for at in range(len(self.complete) - size + 1):
            yield Spelling(self.complete[at : at + size])
        if self.last:
            yield Spelling(self.complete[len(self.complete) - size + 1 :], self.last)


class Syllables:
    """The syllables of one catalogue."""

    def __init__(self, syllables: Sequence[str]) -> None:
        self._points = {syllable: grams.SYLLABLE + number for number, syllable in enumerate(syllables)}
        self._longest = max(map(len, syllables), default=0)
        self._begun: dict[str, list[int]] = {}
        for syllable, point in self._points.items():
            for end in range(1, len(syllable)):
                self._begun.setdefault(syllable[:end], []).append(point)

    def spellings(self, word: str, *, follows: Callable[[int], bool]) -> Iterator[Spelling]:
        """Yield the readings of a word; `follows` tells of the gram of two syllables whether any name has it."""
        waiting: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        found = 0
        while waiting and found < MAX_SPELLINGS:
            at, complete = waiting.pop()
            rest = word[at:]
            if not rest:
                found += 1
                yield Spelling(complete)
                continue
            begun = self._begun.get(rest)
            if begun:
                found += 1
                yield Spelling(complete, tuple(begun))
            # Longest first: it is pushed last.
            for end in range(1, min(len(rest), self._longest) + 1):
                point = self._points.get(rest[:end])
                if point is not None and (not complete or follows(grams.key_of((complete[-1], point)))):
                    waiting.append((at + end, (*complete, point)))
