"""How alike two names look."""

from difflib import SequenceMatcher

from terminology import hanzi


def likeness(a: str, b: str) -> float:
    """Return 0…1 from shared grams and the order of characters; 1 only for equal names."""
    a, b = normalise(a), normalise(b)
    if a == b:
        return 1.0
    if not a or not b:
        return 0.0
    first, second = set(grams(a)), set(grams(b))
    dice = 2 * len(first & second) / (len(first) + len(second))
    order = SequenceMatcher(None, a, b, autojunk=False).ratio()
    return min(0.99, 0.6 * dice + 0.4 * order)


def grams(name: str) -> list[str]:
    """Return the characters and pairs of characters of a folded name."""
    return [*name, *(name[at : at + 2] for at in range(len(name) - 1))]


_SILENT = str.maketrans("", "", " ,，.。、;；:：·()（）[]【】{}<>《》\"'“”-_/\\*+")


def normalise(name: str) -> str:
    """Fold a name and drop punctuation, which local tables use at will."""
    return hanzi.fold(name).translate(_SILENT)
