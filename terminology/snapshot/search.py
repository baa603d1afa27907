"""Filtered expansion: the concepts that a typed filter means, best first.

Ranking: code, name, initials, pinyin, substring, designation (docs/terminology/search.md). A filter of up to three
characters, and pinyin of up to three syllables, is one list of the index or a few. A longer one starts from the lists
of its parts and checks each candidate's texts. Several words must all match.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from terminology import hanzi
from terminology.snapshot import grams
from terminology.snapshot.syllables import Spelling, Syllables

Ordinals = NDArray[np.uint32]
EMPTY: Ordinals = np.zeros(0, np.uint32)
NO_RANKS: NDArray[np.uint8] = np.zeros(0, np.uint8)
CACHED_FILTERS = 4096
LISTED = 3
"""Characters or syllables that one list of the index stands for."""


class Texts(Protocol):
    """What the search needs of a snapshot."""

    count: int
    gram_key: NDArray[np.uint64]
    gram_off: NDArray[np.uint64]
    gram_ord: NDArray[np.uint32]
    gram_rank: NDArray[np.uint8]
    name_lengths: NDArray[np.uint32]
    syllables: list[str]

    def texts(self, ordinal: int) -> str:
        """Return the searchable texts of a concept, a line each: kind digit, text; pinyin as spaced syllables."""


class Ranked(NamedTuple):
    """Concepts with their ranks, in any order, possibly more than once."""

    ordinals: Ordinals
    ranks: NDArray[np.uint8]


class Search:
    """Answers filters over one snapshot; results of recent filters are kept."""

    def __init__(self, snapshot: Texts) -> None:
        self._snapshot = snapshot
        self._syllables = Syllables(snapshot.syllables)
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
        if len(word) <= LISTED:
            return self._list(grams.key(word)).ordinals
        spellings = list(self._spellings(word))
        candidates = [self._contiguous(word)]
        listed = [self._codes(word)] if word[:LISTED].isascii() else []
        for spelling in spellings:
            if spelling.length <= LISTED:
                listed += self._spoken(spelling)
            else:
                candidates.append(self._windows(spelling))
        return self._merged([self._checked(word, np.unique(np.concatenate(candidates))), *listed])

    def _codes(self, word: str) -> Ranked:
        """Return the concepts whose codes begin with the word: codes are listed by their beginning only."""
        first = self._list(grams.key(word[:LISTED]))
        begun = first.ordinals[first.ranks <= grams.CODE.start]
        texts = self._snapshot.texts
        # A code is the first line of its concept's texts.
        found = [at for at in begun.tolist() if texts(at).startswith(word, 1)]
        whole = [texts(at).partition("\n")[0] == f"0{word}" for at in found]
        ranks = np.where(np.array(whole, bool), np.uint8(grams.CODE.whole), np.uint8(grams.CODE.start))
        return Ranked(np.array(found, np.uint32), ranks.astype(np.uint8))

    def _contiguous(self, word: str) -> Ordinals:
        """Return the concepts of which one text may have the word: those with all its threes of characters."""
        threes = {word[at : at + LISTED] for at in range(len(word) - LISTED + 1)}
        return self._common([self._list(grams.key(three)).ordinals for three in threes])

    def _spellings(self, word: str) -> Iterator[Spelling]:
        """Yield how the word may be read in syllables that follow each other in some name here."""
        if word.isascii() and word.isalnum():
            yield from self._syllables.spellings(
                word, follows=lambda pair: len(self._list(pair).ordinals) > 0
            )

    def _spoken(self, spelling: Spelling) -> Iterator[Ranked]:
        """Yield the lists of up to three syllables; what is only begun is no whole name."""
        for key in spelling.grams():
            found = self._list(key)
            if spelling.is_open:
                whole = np.uint8(grams.PINYIN.whole)
                found = Ranked(
                    found.ordinals, np.where(found.ranks == whole, np.uint8(grams.PINYIN.start), found.ranks)
                )
            yield found

    def _windows(self, spelling: Spelling) -> Ordinals:
        """Return the concepts that have each three syllables of a longer spelling."""
        lists = []
        for window in spelling.windows(LISTED):
            parts = [self._list(key).ordinals for key in window.grams()]
            lists.append(parts[0] if len(parts) == 1 else np.concatenate([EMPTY, *parts]))
        return self._common(lists)

    def _common(self, lists: Sequence[Ordinals]) -> Ordinals:
        """Return what all lists have, the shortest looked up in the others."""
        ordered = sorted(lists, key=len)
        found = ordered[0]
        for other in ordered[1:]:
            if not len(found):
                break
            has = np.zeros(self._snapshot.count, bool)
            has[other] = True
            found = found[has[found]]
        return found

    def _checked(self, word: str, candidates: Ordinals) -> Ranked:
        texts = self._snapshot.texts
        ranks = np.fromiter((_rank(word, texts(at)) for at in candidates.tolist()), np.uint8, len(candidates))
        matches = ranks != grams.UNMATCHED
        return Ranked(candidates[matches], ranks[matches])

    def _merged(self, parts: Sequence[Ranked]) -> Ordinals:
        """Return each concept once, where it ranks best; of equals the shorter name first."""
        ordinals = np.concatenate([part.ordinals for part in parts])
        ranks = np.concatenate([part.ranks for part in parts])
        order = np.lexsort((ordinals, self._snapshot.name_lengths[ordinals], ranks))
        ordinals = ordinals[order]
        _, first = np.unique(ordinals, return_index=True)
        first.sort()
        return ordinals[first]

    def _list(self, gram: int) -> Ranked:
        index = self._snapshot
        wanted = np.uint64(gram)
        at = int(np.searchsorted(index.gram_key, wanted))
        if at == len(index.gram_key) or index.gram_key[at] != wanted:
            return Ranked(EMPTY, NO_RANKS)
        begin, end = int(index.gram_off[at]), int(index.gram_off[at + 1])
        return Ranked(index.gram_ord[begin:end], index.gram_rank[begin:end])


def _rank(word: str, texts: str) -> int:
    """Return the best rank of `word` among the texts of one concept."""
    best = grams.UNMATCHED
    is_typed = word.isascii()
    for line in texts.split("\n"):
        kind = grams.KINDS[int(line[0])]
        text = line[1:]
        if kind is grams.PINYIN:
            rank = (
                _rank_spoken(word, [syllable.split("|") for syllable in text.split(" ")])
                if is_typed
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
