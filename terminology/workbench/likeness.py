"""How alike two names look."""

from difflib import SequenceMatcher

from terminology.workbench.candidates import grams, normalise


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
