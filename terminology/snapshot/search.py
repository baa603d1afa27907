"""Filtered expansion: the concepts that a typed filter means, best first.

Ranking: code, name, initials, pinyin, substring, designation (docs/terminology/search.md). A filter of up to
three characters is one list of the index. A longer one starts from the lists of its grams and checks
each candidate's texts. Several words must all match.
"""

from collections import OrderedDict
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terminology import hanzi
from terminology.snapshot import grams

Ordinals = NDArray[np.uint32]
EMPTY: Ordinals = np.zeros(0, np.uint32)
CACHED_FILTERS = 4096


class Texts(Protocol):
    """What the search needs of a snapshot."""

    gram_key: NDArray[np.uint64]
    gram_off: NDArray[np.uint64]
    gram_ord: NDArray[np.uint32]

    def texts(self, ordinal: int) -> str:
        """Return the searchable texts of a concept, a line each: kind digit, text; pinyin as spaced syllables."""

    def name_length(self, ordinal: int) -> int: ...


class Search:
    """Answers filters over one snapshot; results of recent filters are kept."""

    def __init__(self, snapshot: Texts) -> None:
        self._snapshot = snapshot
        self._recent: OrderedDict[str, Ordinals] = OrderedDict()

    def __call__(self, text: str) -> Ordinals:
        """Return the ordinals that match `text`, best first; all words of it must match."""
        folded = hanzi.fold(text)
        found = self._recent.get(folded)
        if found is None:
            found = self._find(folded)
            self._recent[folded] = found
            if len(self._recent) > CACHED_FILTERS:
                self._recent.popitem(last=False)
        else:
            self._recent.move_to_end(folded)
        return found

    def _find(self, folded: str) -> Ordinals:
        words = folded.split()
        if not words:
            return EMPTY
        found = self._word(words[0])
        for word in words[1:]:
            found = found[np.isin(found, self._word(word))]
        return found

    def _word(self, word: str) -> Ordinals:
        if len(word) <= 3:
            return self._list(word)
        candidates = self._candidates(word)
        ranked = []
        for ordinal in candidates.tolist():
            rank = _rank(word, self._snapshot.texts(ordinal))
            if rank != grams.UNMATCHED:
                ranked.append((rank, self._snapshot.name_length(ordinal), ordinal))
        ranked.sort()
        return np.fromiter((row[2] for row in ranked), np.uint32, len(ranked))

    def _candidates(self, word: str) -> Ordinals:
        """Return the concepts that have the first grams of `word`, the shortest lists intersected first."""
        if grams.is_latin(word[:3]):
            # Only the first three letters are sure to be indexed: pinyin is listed from where a syllable begins.
            return self._list(word[:3])
        lists = sorted((self._list(word[at : at + 3]) for at in range(len(word) - 2)), key=len)
        found = np.sort(lists[0])
        for other in lists[1:3]:
            found = np.intersect1d(found, other, assume_unique=True)
        if word[:3].isascii():
            # Codes are listed by their beginning only, so "a.1x" has its first three there and no others.
            found = np.union1d(found, self._list(word[:3]))
        return found

    def _list(self, gram: str) -> Ordinals:
        index = self._snapshot
        wanted = np.uint64(grams.key(gram))
        at = int(np.searchsorted(index.gram_key, wanted))
        if at == len(index.gram_key) or index.gram_key[at] != wanted:
            return EMPTY
        return index.gram_ord[int(index.gram_off[at]) : int(index.gram_off[at + 1])]


def _rank(word: str, texts: str) -> int:
    """Return the best rank of `word` among the texts of one concept."""
    best = grams.UNMATCHED
    for line in texts.split("\n"):
        kind = grams.KINDS[int(line[0])]
        text = line[1:]
        if kind is grams.PINYIN:
            rank = (
                _rank_spoken(word, [syllable.split("|") for syllable in text.split(" ")])
                if word.isascii()
                else best
            )
        elif text == word:
            rank = kind.whole
        elif text.startswith(word):
            rank = kind.start
        elif kind.inside is not None and word in text:
            rank = kind.inside
        else:
            continue
        best = min(best, rank)
    return best


def _rank_spoken(word: str, spoken: list[list[str]]) -> int:
    """Rank pinyin and rarer readings; a match begins where a syllable begins: `xueya` is in gao xue ya, `uey` is not."""
    usual = [readings[0] for readings in spoken]
    joined = "".join(usual)
    if joined.startswith(word):
        return grams.PINYIN.whole if joined == word else grams.PINYIN.start
    for at in range(len(spoken)):
        if word[0] in {reading[0] for reading in spoken[at]}:
            if "".join(usual[at:]).startswith(word):
                return grams.PINYIN.inside or grams.UNMATCHED
            if _is_read(word, spoken, at) or _are_initials(word, spoken, at):
                return grams.RARER_READING.whole
    return grams.UNMATCHED


def _is_read(word: str, spoken: list[list[str]], at: int) -> bool:
    """Whether `word` begins some reading of the characters from `at` on."""
    rests = {word}
    for readings in spoken[at:]:
        following = set()
        for rest in rests:
            for reading in readings:
                if reading.startswith(rest):
                    return True
                if rest.startswith(reading):
                    following.add(rest[len(reading) :])
        if not following:
            return False
        rests = following
    return False


def _are_initials(word: str, spoken: list[list[str]], at: int) -> bool:
    window = spoken[at : at + len(word)]
    return len(window) == len(word) and all(
        any(reading[0] == letter for reading in readings)
        for letter, readings in zip(word, window, strict=True)
    )
