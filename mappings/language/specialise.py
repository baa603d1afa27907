"""Make a map's function short for the messages that come: lines that only read fields which are always empty are left out.

A map reads hundreds of fields; a laboratory fills forty of them. `Specialised` watches which fields the messages of one
sender fill, and after some messages compiles the generated function again with every other field taken as empty. A
message that fills another field is run by the whole function, so the outcome is always the same; when such messages are
many, the short function is made anew.
"""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

from mappings.hl7v2.message import Segment
from mappings.language.shorten import shortened

# Messages seen before the first short function, strangers before the next one, and how many are made at most.
_FIRST, _NEXT, _LIMIT = 40, 200, 8
# A body with more keys than any sheet has columns would only be remembered for nothing.
_MOST_KEYS = 1_000

Filled = dict[str, set[int]]


class Specialised:
    """`whole`: the generated function; `bind`: code → the same function from shorter code."""

    def __init__(
        self, code: str, whole: Callable[[Any, Any], Any], bind: Callable[[Any], Callable[[Any, Any], Any]]
    ) -> None:
        self.code = code
        self.whole = whole
        self.bind = bind
        self.short: Callable[[Any, Any], Any] | None = None
        self.filled: Filled = {}
        # (segment, number of its fields) → the getter of those that the short function takes as empty.
        self._others: dict[tuple[str, int], Callable[[list[str]], Any] | None] = {}
        self._known: dict[str, frozenset[int]] = {}
        self._waiting = _FIRST
        self._left = _LIMIT

    def choose(self, segments: Iterable[Segment]) -> Callable[[Any, Any], Any]:
        """Return the function for a message."""
        short = self.short
        if short is not None and self._holds(segments):
            return short
        if not self._left:
            return self.whole
        for segment in segments:
            filled = self.filled.setdefault(segment.name, set())
            filled.update(number for number, text in enumerate(segment.fields) if text)
        self._waiting -= 1
        if not self._waiting:
            self._waiting = _NEXT
            self._left -= 1
            self._known = {name: frozenset(numbers) for name, numbers in self.filled.items()}
            self._others.clear()
            self.short = self.bind(shortened(self.code, self._known))
        return self.whole

    def _holds(self, segments: Iterable[Segment]) -> bool:
        others = self._others
        for segment in segments:
            fields = segment.fields
            key = (segment.name, len(fields))
            try:
                getter = others[key]
            except KeyError:
                getter = self._getter(*key)
                if segment.name not in self._known:
                    return False
            if getter is not None and any(getter(fields)):
                return False
        return True

    def _getter(self, name: str, count: int) -> Callable[[list[str]], Any] | None:
        known = self._known.get(name)
        if known is None:
            return None
        numbers = [number for number in range(1, count) if number not in known]
        if len(self._others) > 1000:
            self._others.clear()
        # The name itself never is empty; a getter of two gives a tuple.
        getter = itemgetter(*numbers, *(numbers[:1] if len(numbers) == 1 else ())) if numbers else None
        self._others[name, count] = getter
        return getter


class SpecialisedRows:
    """The same for rows of sheets and JSON bodies: keys that no row of a sender has are taken as empty."""

    def __init__(
        self, code: str, whole: Callable[[Any, Any], Any], bind: Callable[[Any], Callable[[Any, Any], Any]]
    ) -> None:
        self.code, self.whole, self.bind = code, whole, bind
        self.short: Callable[[Any, Any], Any] | None = None
        self._known: frozenset[str] = frozenset()
        self._seen: set[str] = set()
        self._waiting = _FIRST
        self._left = _LIMIT

    def choose(self, row: Any) -> Callable[[Any, Any], Any]:
        """Return the function for a row."""
        if not isinstance(row, dict):
            return self.whole
        if self.short is not None and row.keys() <= self._known:
            return self.short
        if not self._left or len(row) > _MOST_KEYS:
            return self.whole
        self._seen.update(row)
        self._waiting -= 1
        if not self._waiting:
            self._waiting = _NEXT
            self._left -= 1
            self._known = frozenset(self._seen)
            filled: dict[str, frozenset[int]] = dict.fromkeys(self._known, frozenset())
            self.short = self.bind(shortened(self.code, filled, of_rows=True))
        return self.whole
