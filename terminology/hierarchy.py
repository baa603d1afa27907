"""Parents and children of the concepts of a code system resource: by nesting and by parent and child properties.

https://hl7.org/fhir/R4/codesystem.html#hierarchy. Cycles are possible in bad data; nothing here walks twice.
"""

from collections.abc import Iterator, Sequence


class Hierarchy:
    """A directed graph over ordinals; edges keep the order in which they were added."""

    def __init__(self) -> None:
        self._parents: dict[int, list[int]] = {}
        self._children: dict[int, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._children)

    def add(self, parent: int, child: int) -> None:
        parents = self._parents.setdefault(child, [])
        if parent not in parents:
            parents.append(parent)
            self._children.setdefault(parent, []).append(child)

    def parents(self, ordinal: int) -> Sequence[int]:
        return self._parents.get(ordinal, ())

    def children(self, ordinal: int) -> Sequence[int]:
        return self._children.get(ordinal, ())

    def descendants(self, ordinal: int) -> Iterator[int]:
        """Walk everything below a concept once, the concept itself left out."""
        yield from self._walk(ordinal, self._children)

    def ancestors(self, ordinal: int) -> Iterator[int]:
        yield from self._walk(ordinal, self._parents)

    def is_descendant(self, ordinal: int, ancestor: int) -> bool:
        return ordinal != ancestor and any(above == ancestor for above in self.ancestors(ordinal))

    @staticmethod
    def _walk(start: int, edges: dict[int, list[int]]) -> Iterator[int]:
        seen, waiting = {start}, list(reversed(edges.get(start, ())))
        while waiting:
            ordinal = waiting.pop()
            if ordinal in seen:
                continue
            seen.add(ordinal)
            yield ordinal
            waiting.extend(reversed(edges.get(ordinal, ())))
