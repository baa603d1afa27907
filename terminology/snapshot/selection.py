"""Sets of concepts as sorted arrays: set algebra without loops, pages without walking."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from terminology.code_system import Selection

Ordinals = NDArray[np.uint32]


class ArraySelection:
    """A Selection over a sorted array of distinct ordinals."""

    __slots__ = ("ordinals",)

    def __init__(self, ordinals: Ordinals) -> None:
        self.ordinals = ordinals

    def __len__(self) -> int:
        return len(self.ordinals)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ordinals.tolist())

    def __contains__(self, ordinal: object) -> bool:
        if not isinstance(ordinal, int):
            return False
        at = int(np.searchsorted(self.ordinals, ordinal))
        return at < len(self.ordinals) and int(self.ordinals[at]) == ordinal

    def __and__(self, other: Selection) -> "ArraySelection":
        return ArraySelection(np.intersect1d(self.ordinals, ordinals_of(other), assume_unique=True))

    def __or__(self, other: Selection) -> "ArraySelection":
        return ArraySelection(np.union1d(self.ordinals, ordinals_of(other)))

    def __sub__(self, other: Selection) -> "ArraySelection":
        if not len(other):
            return self
        return ArraySelection(np.setdiff1d(self.ordinals, ordinals_of(other), assume_unique=True))

    def page(self, offset: int, count: int) -> Sequence[int]:
        page: list[int] = self.ordinals[offset : offset + count].tolist()
        return page


def ordinals_of(selection: Selection | Iterable[int]) -> Ordinals:
    """Return the sorted ordinals of any selection or any integers."""
    if isinstance(selection, ArraySelection):
        return selection.ordinals
    return np.unique(np.fromiter(selection, np.uint32))
