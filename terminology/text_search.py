"""Finding concepts by what a user types, over a code system in memory.

Ranking: exact code, beginning of a code, exact display, its beginning, exact initials, beginning of initials, beginning
of the pinyin, part of the display, another designation; shorter displays first. Several words must all be found. Large
catalogues have their own index (`terminology.snapshot`), which ranks alike.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from terminology.hanzi import fold, initials, is_han, pinyin

if TYPE_CHECKING:
    from terminology.code_system import CodeSystem

# Reading Chinese aloud takes time; a code system larger than this belongs into a catalogue.
MAX_SPOKEN = 5_000


@dataclass(frozen=True, slots=True)
class Texts:
    """The folded texts of one concept."""

    code: str
    display: str
    others: tuple[str, ...]


class TextIndex:
    """The texts of a code system, folded once."""

    def __init__(self, system: "CodeSystem") -> None:
        self._system = system

    @cached_property
    def _rows(self) -> list[Texts]:
        system = self._system
        rows = []
        for ordinal in range(len(system)):
            display = fold(system.display(ordinal) or "")
            others = dict.fromkeys(fold(item.value) for item in system.designations(ordinal))
            others.pop(display, None)
            rows.append(Texts(fold(system.code(ordinal)), display, tuple(others)))
        return rows

    @cached_property
    def _spoken(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Initials and pinyin of each display, every reading."""
        return [
            (initials(row.display), pinyin(row.display)) if any(map(is_han, row.display)) else ((), ())
            for row in self._rows
        ]

    def search(self, text: str, within: Iterable[int]) -> Sequence[int]:
        """Return the ordinals of `within` that the text finds, best first."""
        words = fold(text).split()
        if not words:
            return list(within)
        may_be_spoken = len(self._rows) <= MAX_SPOKEN
        found = []
        for ordinal in within:
            row = self._rows[ordinal]
            ranks = []
            for word in words:
                score = rank(word, row)
                if score > SPOKEN and may_be_spoken and word.isascii() and word.isalpha():
                    score = min(score, self._rank_spoken(word, ordinal))
                if score == NOT_FOUND:
                    break
                ranks.append(score)
            else:
                found.append((max(ranks), len(row.display), ordinal))
        return [ordinal for _, _, ordinal in sorted(found)]

    def _rank_spoken(self, word: str, ordinal: int) -> int:
        first_letters, syllables = self._spoken[ordinal]
        if word in first_letters:
            return SPOKEN
        if any(letters.startswith(word) for letters in first_letters):
            return SPOKEN + 1
        return SPOKEN + 2 if any(letters.startswith(word) for letters in syllables) else NOT_FOUND


SPOKEN = 4
NOT_FOUND = 99


def rank(word: str, row: Texts) -> int:
    """Return how well a folded word fits a concept's texts, 0 best; Han text is found anywhere, other at a word's start."""
    if row.code == word:
        return 0
    if row.code.startswith(word):
        return 1
    if row.display == word:
        return 2
    if row.display.startswith(word):
        return 3
    if _is_part(word, row.display):
        return SPOKEN + 3
    return SPOKEN + 4 if any(_is_part(word, text) for text in row.others) else NOT_FOUND


def _is_part(word: str, text: str) -> bool:
    at = text.find(word)
    if at < 0:
        return False
    if not (word[0].isascii() and word[0].isalnum()):
        return True
    while at >= 0:
        if at == 0 or not (text[at - 1].isascii() and text[at - 1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False
