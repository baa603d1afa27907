"""Who is above whom, as arrays: intervals for a tree, closures where a concept has several parents.

https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def build(parents: Sequence[Sequence[int]]) -> dict[str, Array]:
    """Return the arrays of a hierarchy given each concept's parent ordinals.

    Always `par_off, par, child_off, child`; a forest adds `enter, exit` (preorder numbers: a subsumes b when
    enter[a] <= enter[b] < exit[a]) and `preorder`; a poly-hierarchy adds `anc_off, anc` and `desc_off, desc`
    (strict, sorted). Raises CyclicHierarchy when a concept is above itself.
    """
    order = topological(parents)
    children = _children(parents)
    arrays = _table("par", parents) | _table("child", children)
    if all(len(above) <= 1 for above in parents):
        return arrays | _intervals(parents, children)
    return arrays | _closure(parents, order)


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


def _closure(parents: Sequence[Sequence[int]], order: list[int]) -> dict[str, Array]:
    ancestors: list[Array] = [np.zeros(0, np.uint32)] * len(parents)
    for ordinal in order:
        above = parents[ordinal]
        if above:
            ancestors[ordinal] = np.unique(
                np.concatenate([np.array(above, np.uint32), *(ancestors[parent] for parent in above)])
            )
    arrays = _table("anc", ancestors)
    below = np.repeat(np.arange(len(parents), dtype=np.uint32), np.diff(arrays["anc_off"]).astype(np.int64))
    by_ancestor = np.argsort(arrays["anc"], kind="stable")
    counts = np.bincount(arrays["anc"], minlength=len(parents))
    offsets = np.zeros(len(parents) + 1, np.uint64)
    np.cumsum(counts, out=offsets[1:])
    return arrays | {"desc_off": offsets, "desc": below[by_ancestor]}


def _table(name: str, rows: Sequence[Sequence[int] | Array]) -> dict[str, Array]:
    """Return rows of different lengths as `name_off` and `name`."""
    offsets = np.zeros(len(rows) + 1, np.uint64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    flat = np.concatenate([np.asarray(row, np.uint32) for row in rows]) if rows else np.zeros(0, np.uint32)
    return {f"{name}_off": offsets, name: flat.astype(np.uint32)}


class Hierarchy:
    """Answers over the arrays of `build`, whichever form they have."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self._is_forest = "enter" in arrays

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
        ancestors = self._row("anc", below)
        at = int(np.searchsorted(ancestors, above))
        return at < len(ancestors) and int(ancestors[at]) == above

    def descendants(self, ordinal: int) -> Array:
        """Return the ordinals below, sorted, without `ordinal` itself."""
        if self._is_forest:
            begin, end = int(self._arrays["enter"][ordinal]), int(self._arrays["exit"][ordinal])
            return np.sort(self._arrays["preorder"][begin + 1 : end])
        return self._row("desc", ordinal)

    def ancestors(self, ordinal: int) -> Array:
        """Return the ordinals above, sorted, without `ordinal` itself."""
        if not self._is_forest:
            return self._row("anc", ordinal)
        found = []
        above = self.parents(ordinal)
        while len(above):
            found.append(int(above[0]))
            above = self.parents(found[-1])
        return np.sort(np.array(found, np.uint32))

    def _row(self, name: str, ordinal: int) -> Array:
        offsets = self._arrays[f"{name}_off"]
        return self._arrays[name][int(offsets[ordinal]) : int(offsets[ordinal + 1])]
