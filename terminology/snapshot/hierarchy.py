"""Who is above whom, as arrays: intervals for a tree, closures where a concept has several parents.

https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terminology.snapshot.arrays import ragged

Array = NDArray[Any]

MAX_CLOSURE = 150_000_000
"""Pairs of ancestor and descendant that are written down: 600 MB each way. SNOMED CT has some 7 million."""


def build(parents: Sequence[Sequence[int]]) -> dict[str, Array]:
    """Return the arrays of a hierarchy given each concept's parent ordinals.

    Always `par_off, par, child_off, child`; a forest adds `enter, exit` (preorder numbers: a subsumes b when
    enter[a] <= enter[b] < exit[a]) and `preorder`; a poly-hierarchy adds `anc_off, anc` and `desc_off, desc`
    (strict, sorted), unless they would be more than MAX_CLOSURE: then its parents are walked. Raises CyclicHierarchy
    when a concept is above itself.
    """
    children = _children(parents)
    arrays = _table("par", parents) | _table("child", children)
    levels = _levels(arrays)
    if all(len(above) <= 1 for above in parents):
        return arrays | _intervals(parents, children)
    return arrays | _closure(arrays, levels)


def topological(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return the ordinals, every parent before its children; raises CyclicHierarchy."""
    waiting = [len(above) for above in parents]
    children = _children(parents)
    order = [ordinal for ordinal, number in enumerate(waiting) if number == 0]
    for ordinal in order:
        for child in children[ordinal]:
            waiting[child] -= 1
            if waiting[child] == 0:
                order.append(child)
    if len(order) < len(parents):
        raise CyclicHierarchy(next(ordinal for ordinal, number in enumerate(waiting) if number))
    return order


def _children(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in parents]
    for ordinal, above in enumerate(parents):
        for parent in above:
            children[parent].append(ordinal)
    return children


class CyclicHierarchy(Exception):
    """A concept is its own ancestor; `ordinal` is one on the cycle or below it."""

    def __init__(self, ordinal: int) -> None:
        super().__init__(ordinal)
        self.ordinal = ordinal


def _intervals(parents: Sequence[Sequence[int]], children: list[list[int]]) -> dict[str, Array]:
    enter = np.zeros(len(parents), np.uint32)
    leave = np.zeros(len(parents), np.uint32)
    preorder: list[int] = []
    stack = [ordinal for ordinal in range(len(parents) - 1, -1, -1) if not parents[ordinal]]
    while stack:
        ordinal = stack.pop()
        if ordinal < 0:
            leave[~ordinal] = len(preorder)
            continue
        enter[ordinal] = len(preorder)
        preorder.append(ordinal)
        stack.append(~ordinal)
        stack.extend(reversed(children[ordinal]))
    return {"enter": enter, "exit": leave, "preorder": np.array(preorder, np.uint32)}


def _levels(arrays: dict[str, Array]) -> list[Array]:
    """Return the ordinals in levels, every parent in an earlier one than its children; raises CyclicHierarchy."""
    waiting = np.diff(arrays["par_off"]).astype(np.int64)
    level = np.flatnonzero(waiting == 0)
    found: list[Array] = []
    while len(level):
        found.append(level)
        waiting[level] = -1
        below, number = np.unique(_rows(arrays, "child", level)[0], return_counts=True)
        waiting[below] -= number
        level = below[waiting[below] == 0].astype(np.int64)
    left = np.flatnonzero(waiting >= 0)
    if len(left):
        raise CyclicHierarchy(int(left[0]))
    return found


def _closure(arrays: dict[str, Array], levels: list[Array]) -> dict[str, Array]:
    """Return ancestors and descendants of each concept, a level at a time; nothing when they are too many."""
    count = len(arrays["par_off"]) - 1
    kept = np.zeros(1 << 16, np.uint32)
    begin, size = np.zeros(count, np.int64), np.zeros(count, np.int64)
    used = 0
    for level in levels:
        above, owner = _rows(arrays, "par", level)
        inherited = ragged(begin[above], size[above])
        if used + len(above) + len(inherited) > MAX_CLOSURE:
            return {}
        pairs = np.concatenate(
            [
                _pairs(owner, above),
                _pairs(np.repeat(owner, size[above]), kept[inherited]),
            ]
        )
        pairs = np.unique(pairs)
        size[level] = np.bincount((pairs >> np.uint64(32)).astype(np.int64), minlength=len(level))
        begin[level] = used + np.cumsum(size[level]) - size[level]
        while used + len(pairs) > len(kept):
            kept = np.concatenate([kept, np.zeros(len(kept), np.uint32)])
        kept[used : used + len(pairs)] = pairs.astype(np.uint32)
        used += len(pairs)
    ancestors = kept[ragged(begin, size)]
    below = np.repeat(np.arange(count), size)
    pairs = np.sort(_pairs(ancestors, below))
    return {
        "anc_off": _offsets(size),
        "anc": ancestors,
        "desc_off": _offsets(np.bincount(ancestors, minlength=count)),
        "desc": pairs.astype(np.uint32),
    }


def _rows(arrays: dict[str, Array], name: str, ordinals: Array) -> tuple[Array, Array]:
    """Return the values of some rows laid end to end, and for each the place of its row in `ordinals`."""
    offsets = arrays[f"{name}_off"]
    begins = offsets[ordinals].astype(np.int64)
    counts = offsets[ordinals + 1].astype(np.int64) - begins
    return arrays[name][ragged(begins, counts)].astype(np.int64), np.repeat(np.arange(len(ordinals)), counts)


def _pairs(first: Array, second: Array) -> Array:
    pairs: Array = first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64)
    return pairs


def _offsets(counts: Array) -> Array:
    offsets = np.zeros(len(counts) + 1, np.uint64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _table(name: str, rows: Sequence[Sequence[int]]) -> dict[str, Array]:
    """Return rows of different lengths as `name_off` and `name`."""
    counts = np.fromiter(map(len, rows), np.int64, len(rows))
    flat = np.fromiter(chain.from_iterable(rows), np.uint32, int(counts.sum()))
    return {f"{name}_off": _offsets(counts), name: flat}


class Hierarchy:
    """Answers over the arrays of `build`, whichever form they have."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self._is_forest = "enter" in arrays
        self._is_closed = "anc" in arrays

    @property
    def is_deep(self) -> bool:
        """Whether any concept has a parent."""
        return len(self._arrays["par"]) > 0

    def parents(self, ordinal: int) -> Array:
        return self._row("par", ordinal)

    def children(self, ordinal: int) -> Array:
        return self._row("child", ordinal)

    def subsumes(self, above: int, below: int) -> bool:
        """Return whether `above` is a strict ancestor of `below`."""
        if above == below:
            return False
        if self._is_forest:
            enter = self._arrays["enter"]
            return bool(enter[above] <= enter[below] < self._arrays["exit"][above])
        ancestors = self.ancestors(below)
        at = int(np.searchsorted(ancestors, above))
        return at < len(ancestors) and int(ancestors[at]) == above

    def descendants(self, ordinal: int) -> Array:
        """Return the ordinals below, sorted, without `ordinal` itself."""
        if self._is_forest:
            begin, end = int(self._arrays["enter"][ordinal]), int(self._arrays["exit"][ordinal])
            return np.sort(self._arrays["preorder"][begin + 1 : end])
        return self._row("desc", ordinal) if self._is_closed else self._walk("child", ordinal)

    def ancestors(self, ordinal: int) -> Array:
        """Return the ordinals above, sorted, without `ordinal` itself."""
        return self._row("anc", ordinal) if self._is_closed else self._walk("par", ordinal)

    def _walk(self, name: str, ordinal: int) -> Array:
        """Return everything that is reached from a concept, sorted."""
        found: set[int] = set()
        front = [ordinal]
        while front:
            reached = {other for one in front for other in self._row(name, one).tolist()}
            front = list(reached - found)
            found |= reached
        return np.sort(np.fromiter(found, np.uint32, len(found)))

    def _row(self, name: str, ordinal: int) -> Array:
        offsets = self._arrays[f"{name}_off"]
        return self._arrays[name][int(offsets[ordinal]) : int(offsets[ordinal + 1])]
