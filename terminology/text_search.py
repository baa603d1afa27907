"""Finding concepts by what a user types, over a code system in memory.

Ranking: the exact code, the beginning of a code, the exact display, its beginning, a word's beginning, a part,
another designation; shorter displays first. Large catalogues have their own index (`terminology.snapshot`).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terminology.code_system import CodeSystem

_HAN = re.compile(r"[㐀-鿿豈-﫿]")
_WORD = re.compile(r"[0-9a-z]+|[^\W_]", re.IGNORECASE)


def rank(system: "CodeSystem", text: str, within: Iterable[int]) -> Sequence[int]:
    """Return the ordinals that every word of `text` finds, best first."""
    words = [fold(word) for word in text.split()]
    if not words:
        return list(within)
    whole = " ".join(words)
    found = []
    for ordinal in within:
        score = _score(system, ordinal, words, whole)
        if score is not None:
            found.append((score, len(system.display(ordinal) or ""), ordinal))
    return [ordinal for _, _, ordinal in sorted(found)]


def fold(text: str) -> str:
    """Return text as search compares it: width, case and compatibility forms do not count."""
    return unicodedata.normalize("NFKC", text).casefold()


def _score(system: "CodeSystem", ordinal: int, words: list[str], whole: str) -> int | None:
    code = fold(system.code(ordinal))
    display = fold(system.display(ordinal) or "")
    texts = [fold(item.value) for item in system.designations(ordinal)]
    if not all(_finds(word, code, texts) for word in words):
        return None
    if code == whole:
        return 0
    if code.startswith(whole):
        return 1
    if display == whole:
        return 2
    if display.startswith(whole):
        return 3
    if all(_finds(word, "", [display]) for word in words):
        return 4
    return 5


def _finds(word: str, code: str, texts: list[str]) -> bool:
    """Han text is found anywhere, other words at the beginning of a word; a code by its beginning."""
    if _HAN.search(word):
        return any(word in text for text in texts)
    if code and code.startswith(word):
        return True
    return any(text.startswith(word) or f" {word}" in " ".join(_WORD.findall(text)) for text in texts)
